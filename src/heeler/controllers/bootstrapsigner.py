"""Signs the ConfigMap `cluster-info` in kube-public by each bootstrap token that may, for nodes that trust nobody yet.

https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/#configmap-signing — off unless --controllers names it.
"""

from __future__ import annotations

from heeler.client.queue import WorkQueue
from heeler.controllers.bootstrap_tokens import NAMESPACE, SECRET_TYPE, seconds_left, signed, signing_token
from heeler.controllers.loop import Context
from heeler.controllers.resources import CONFIG_MAPS, SECRETS
from heeler.objects.value import Object, meta

CLUSTER_INFO = "kube-public/cluster-info"


class BootstrapSigner:
    """The one key is the ConfigMap's."""

    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._client, self._clock = context.client, context.clock
        self._secrets = context.informers.get(SECRETS, field_selector=f"type={SECRET_TYPE}")
        self._maps = context.informers.get(CONFIG_MAPS, field_selector="metadata.name=cluster-info")
        self._secrets.add_handler(self._secret_changed)
        self._maps.add_handler(lambda old, new: self.queue.add(CLUSTER_INFO))

    def _secret_changed(self, old: Object | None, new: Object | None) -> None:
        if meta(new or old or {}).get("namespace") == NAMESPACE:
            self.queue.add(CLUSTER_INFO)

    async def reconcile(self, key: str) -> None:
        found = self._maps.get(key)
        if found is None:
            return
        now, tokens = self._clock.time(), {}
        for secret in self._secrets:
            token = signing_token(secret, now) if secret["metadata"]["namespace"] == NAMESPACE else None
            if token is None:
                continue
            tokens[token[0]] = token[1]
            left = seconds_left(secret, now)
            if left is not None:
                self.queue.add_after(key, left)
        data = found.get("data") or {}
        wanted = signed(data, tokens)
        if wanted != data:
            self._maps.assume(await self._client.update(CONFIG_MAPS, {**found, "data": wanted}))
