"""Every namespace has a service account named `default`.

https://kubernetes.io/docs/concepts/security/service-accounts/#default-service-accounts
"""

from __future__ import annotations

from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.resources import NAMESPACES, SERVICE_ACCOUNTS
from heeler.objects.status import StatusError
from heeler.objects.value import Object

NAME = "default"


def is_active(namespace: Object | None) -> bool:
    """Exists and is not on its way out."""
    return namespace is not None and (namespace.get("status") or {}).get("phase") != "Terminating"


class ServiceAccountController:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._client = context.client
        self._namespaces = context.informers.get(NAMESPACES)
        self._accounts = context.informers.get(SERVICE_ACCOUNTS)
        self._namespaces.add_handler(lambda _, new: self.queue.add(key_of(new)) if new is not None else None)
        self._accounts.add_handler(self._account_changed)

    def _account_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None and old is not None and old["metadata"]["name"] == NAME:
            self.queue.add(old["metadata"]["namespace"])

    async def reconcile(self, key: str) -> None:
        if not is_active(self._namespaces.get(key)) or self._accounts.get(f"{key}/{NAME}") is not None:
            return
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": key}}
        try:
            self._accounts.assume(await self._client.create(SERVICE_ACCOUNTS, account, key))
        except StatusError as error:
            if error.code != 409 and not is_going(error):
                raise


def is_going(error: StatusError) -> bool:
    """The namespace is gone or going."""
    causes = (error.details or {}).get("causes") or ()
    return error.code == 404 or any(cause.get("reason") == "NamespaceTerminating" for cause in causes)
