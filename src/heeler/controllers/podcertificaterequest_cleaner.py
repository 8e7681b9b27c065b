"""Requests for pods' certificates go after half an hour, whatever became of them.

https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#pod-certificate-requests
"""

from __future__ import annotations

from heeler.base.clock import parse_rfc3339
from heeler.client.informer import key_of, split_key
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.resources import POD_CERTIFICATE_REQUESTS
from heeler.objects.status import StatusError
from heeler.objects.value import Object

#: Seconds for which a request is kept.
KEPT_SECONDS = 1800.0


class PodCertificateRequestCleaner:
    """Keys are requests."""

    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._client, self._clock = context.client, context.clock
        self._requests = context.informers.get(POD_CERTIFICATE_REQUESTS)
        self._requests.add_handler(self._request_changed)

    def _request_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None and new is not None:
            self.queue.add(key_of(new))

    async def reconcile(self, key: str) -> None:
        request = self._requests.get(key)
        if request is None:
            return
        left = parse_rfc3339(request["metadata"]["creationTimestamp"]) + KEPT_SECONDS - self._clock.time()
        if left > 0:
            self.queue.add_after(key, left)
            return
        namespace, name = split_key(key)
        try:
            await self._client.delete(POD_CERTIFICATE_REQUESTS, name, namespace, uid=request["metadata"]["uid"])
        except StatusError as error:
            if error.code not in (404, 409):
                raise
