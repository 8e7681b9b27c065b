"""Removes bootstrap tokens whose time is over.

https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/#token-cleanup — off unless --controllers names it.
"""

from __future__ import annotations

from heeler.client.informer import key_of, split_key
from heeler.client.queue import WorkQueue
from heeler.controllers.bootstrap_tokens import NAMESPACE, SECRET_TYPE, seconds_left
from heeler.controllers.loop import Context
from heeler.controllers.resources import SECRETS
from heeler.objects.status import StatusError
from heeler.objects.value import Object


class TokenCleaner:
    """Keys are Secrets."""

    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._client, self._clock = context.client, context.clock
        self._secrets = context.informers.get(SECRETS, field_selector=f"type={SECRET_TYPE}")
        self._secrets.add_handler(self._secret_changed)

    def _secret_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None and new["metadata"]["namespace"] == NAMESPACE:
            self.queue.add(key_of(new))

    async def reconcile(self, key: str) -> None:
        secret = self._secrets.get(key)
        left = seconds_left(secret, self._clock.time()) if secret is not None else None
        if secret is None or left is None:
            return
        if left > 0:
            self.queue.add_after(key, left)
            return
        namespace, name = split_key(key)
        try:
            await self._client.delete(SECRETS, name, namespace, uid=secret["metadata"]["uid"])
        except StatusError as error:
            if error.code not in (404, 409):
                raise
