"""The authority by which pods know the API server, as a ClusterTrustBundle of its signer.

https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#cluster-trust-bundles
"""

from __future__ import annotations

import hashlib

from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.resources import CLUSTER_TRUST_BUNDLES
from heeler.objects.status import StatusError
from heeler.objects.value import Object, name_of

PEM = "-----BEGIN CERTIFICATE-----"
SIGNER = "kubernetes.io/kube-apiserver-serving"


def bundle_name(authority: str) -> str:
    """Names follow from the content, so that a new authority has a bundle of its own before the old one's goes."""
    return f"{SIGNER.replace('/', ':')}:{hashlib.sha256(authority.encode()).hexdigest()[:24]}"


class ClusterTrustBundlePublisher:
    """The one key is the signer's name."""

    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._client, authority = context.client, context.settings.root_ca
        #: What holds no certificate is no bundle (the API refuses it): it is published as a ConfigMap only.
        self._authority = authority if PEM in authority else ""
        self._bundles = context.informers.get(CLUSTER_TRUST_BUNDLES, field_selector=f"spec.signerName={SIGNER}")
        if self._authority:
            self._bundles.add_handler(lambda old, new: self.queue.add(SIGNER))

    async def run(self) -> None:
        """The first look needs no event."""
        await self._bundles.wait_synced()
        if self._authority:
            self.queue.add(SIGNER)

    async def reconcile(self, key: str) -> None:
        name = bundle_name(self._authority)
        spec = {"signerName": SIGNER, "trustBundle": self._authority}
        found = self._bundles.get(name)
        if found is None:
            wanted: Object = {
                "kind": "ClusterTrustBundle",
                "apiVersion": CLUSTER_TRUST_BUNDLES.api_version,
                "metadata": {"name": name},
                "spec": spec,
            }
            self._bundles.assume(await self._client.create(CLUSTER_TRUST_BUNDLES, wanted))
        elif found["spec"] != spec:
            self._bundles.assume(await self._client.update(CLUSTER_TRUST_BUNDLES, {**found, "spec": spec}))
        for bundle in self._bundles:
            if name_of(bundle) != name:
                try:
                    await self._client.delete(CLUSTER_TRUST_BUNDLES, name_of(bundle), uid=bundle["metadata"]["uid"])
                except StatusError as error:
                    if error.code != 404:
                        raise
