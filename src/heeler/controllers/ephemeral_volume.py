"""Makes the claims of pods' ephemeral volumes: https://kubernetes.io/docs/concepts/storage/ephemeral-volumes/"""

from __future__ import annotations

from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.resources import PERSISTENT_VOLUME_CLAIMS, PODS
from heeler.objects.status import StatusError
from heeler.objects.value import Object, meta, name_of
from heeler.workloads import owners, pods, volumes


def wanted_claims(pod: Object) -> list[Object]:
    """The claims of a pod's ephemeral volumes, owned by it."""
    if "deletionTimestamp" in meta(pod) or pods.is_finished(pod):
        return []
    out = []
    for volume in pod["spec"].get("volumes") or ():
        template = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
        if template is None:
            continue
        given = template.get("metadata") or {}
        metadata = {
            "name": volumes.ephemeral_name(pod, volume["name"]),
            "namespace": pod["metadata"]["namespace"],
            "ownerReferences": [owners.reference(pod, "v1", "Pod")],
            **{key: given[key] for key in ("labels", "annotations") if given.get(key)},
        }
        out.append(
            {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template["spec"]}
        )
    return out


class EphemeralVolumeController:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._client = context.client
        self._events = context.recorder("ephemeral_volume")
        self._pods = context.informers.get(PODS)
        self._claims = context.informers.get(PERSISTENT_VOLUME_CLAIMS)
        self._pods.add_handler(self._pod_changed)
        self._claims.add_handler(self._claim_changed)

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None and wanted_claims(new):
            self.queue.add(key_of(new))

    def _claim_changed(self, old: Object | None, new: Object | None) -> None:
        """One that is gone may be needed again."""
        ref = owners.controller_of(old) if old is not None and new is None else None
        if old is not None and ref is not None and ref.get("kind") == "Pod":
            self.queue.add(f"{old['metadata']['namespace']}/{ref['name']}")

    async def reconcile(self, key: str) -> None:
        pod = self._pods.get(key)
        for wanted in wanted_claims(pod) if pod is not None else ():
            known = self._claims.get(f"{wanted['metadata']['namespace']}/{name_of(wanted)}")
            if known is not None and pod is not None:
                if not volumes.is_owned_by(known, pod):
                    volume = name_of(wanted).removeprefix(f"{name_of(pod)}-")
                    text = f"PVC {key_of(known)} was not created for pod {key} (pod is not owner)"
                    about = {**pod, "kind": "Pod", "apiVersion": "v1"}
                    self._events.record(about, "Warning", "FailedBinding", f"ephemeral volume {volume}: {text}")
                    raise StatusError(409, "Conflict", text)
                continue
            try:
                made = await self._client.create(PERSISTENT_VOLUME_CLAIMS, wanted, wanted["metadata"]["namespace"])
            except StatusError as error:
                if error.reason == "AlreadyExists":
                    raise  # the informer will know it the next time
                about = {**(pod or {}), "kind": "Pod", "apiVersion": "v1"}
                text = f"ephemeral volume controller failed to create PVC: {error}"
                self._events.record(about, "Warning", "FailedBinding", text)
                raise
            self._claims.assume(made)
