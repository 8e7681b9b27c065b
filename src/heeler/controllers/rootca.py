"""Every namespace has a ConfigMap `kube-root-ca.crt` with the authority by which pods know the API server.

https://kubernetes.io/docs/concepts/storage/projected-volumes/#serviceaccounttoken
"""

from __future__ import annotations

from heeler.client.informer import key_of, split_key
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.resources import CONFIG_MAPS, NAMESPACES
from heeler.controllers.serviceaccount import is_active, is_going
from heeler.objects.status import StatusError
from heeler.objects.value import Object, meta

NAME = "kube-root-ca.crt"
ANNOTATION = "kubernetes.io/description"
DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)


class RootCaController:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._client, self._pem = context.client, context.settings.root_ca
        self._namespaces = context.informers.get(NAMESPACES)
        self._maps = context.informers.get(CONFIG_MAPS)
        if self._pem:
            self._namespaces.add_handler(lambda _, new: self.queue.add(key_of(new)) if new is not None else None)
            self._maps.add_handler(self._map_changed)

    def _map_changed(self, old: Object | None, new: Object | None) -> None:
        namespace, name = split_key(key_of(new or old or {}))
        if name == NAME:
            self.queue.add(namespace)

    async def reconcile(self, key: str) -> None:
        if not is_active(self._namespaces.get(key)):
            return
        data, note = {"ca.crt": self._pem}, {ANNOTATION: DESCRIPTION}
        current = self._maps.get(f"{key}/{NAME}")
        try:
            if current is None:
                metadata = {"name": NAME, "namespace": key, "annotations": note}
                obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
                self._maps.assume(await self._client.create(CONFIG_MAPS, obj, key))
                return
            annotations = meta(current).get("annotations") or {}
            if current.get("data") == data and annotations.get(ANNOTATION) == DESCRIPTION:
                return
            metadata = {**current["metadata"], "annotations": {**annotations, **note}}
            self._maps.assume(await self._client.update(CONFIG_MAPS, {**current, "metadata": metadata, "data": data}))
        except StatusError as error:
            if not is_going(error):
                raise
