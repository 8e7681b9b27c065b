"""What a claim's and a volume's next step is. Pure.

https://kubernetes.io/docs/concepts/storage/persistent-volumes/#lifecycle-of-a-volume-and-claim
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from heeler.controllers import volume_recycler
from heeler.objects.value import Object, meta, name_of
from heeler.workloads import pods, volumes

WAITING_EXTERNAL = (
    "Waiting for a volume to be created either by the external provisioner '{}' or manually by the system "
    "administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered."
)
FOREIGN_PREFIX = "kubernetes.io/"
#: Host paths that may go with their volume.
DELETABLE_PATH = re.compile(r"/tmp/.+")


class Event(NamedTuple):
    type: str
    reason: str
    message: str


class ClaimStep(NamedTuple):
    """`bind`: the volume to bind to; `phase`: what the claim becomes otherwise; `provisioner`: who is asked for a volume."""

    bind: Object | None = None
    phase: str = "Pending"
    event: Event | None = None
    provisioner: str = ""

    @property
    def failed(self) -> bool:
        """There is neither a volume for the claim nor anybody who would make one."""
        return self.event is not None and self.event.reason in ("ProvisioningFailed", "FailedBinding")


class VolumeStep(NamedTuple):
    """`phase` it becomes; `unbind`: its claim reference is taken away (False: only the uid of it); `remove`: it goes;
    `claim`: look at its claim; `recycle`: it is emptied for the next one."""

    phase: str = ""
    event: Event | None = None
    unbind: bool | None = None
    remove: bool = False
    claim: bool = False
    recycle: bool = False


def plan_claim(
    claim: Object, known: Iterable[Object], storage_class: Object | None, consumers: Sequence[Object]
) -> ClaimStep:
    """`known` are all volumes, `storage_class` the claim's (None: it has none, or it isn't there)."""
    if volumes.BIND_COMPLETED in volumes.notes_of(claim):
        return _bound_claim(claim, known)
    name = claim["spec"].get("volumeName")
    if not name:
        return _unbound_claim(claim, known, storage_class, consumers)
    volume = next((one for one in known if name_of(one) == name), None)
    if volume is None:
        return ClaimStep()
    if volume["spec"].get("claimRef") is None:
        reason = volumes.mismatch(volume, claim)
        if reason:
            text = f'Cannot bind to requested volume "{name}": {reason}'
            return ClaimStep(event=Event("Warning", "VolumeMismatch", text))
        return ClaimStep(bind=volume)
    return ClaimStep(bind=volume if volumes.is_for(volume, claim) else None)


def _unbound_claim(
    claim: Object, known: Iterable[Object], storage_class: Object | None, consumers: Sequence[Object]
) -> ClaimStep:
    waits = volumes.waits_for_consumer(storage_class) and volumes.SELECTED_NODE not in volumes.notes_of(claim)
    volume = volumes.best_match(claim, known, only_reserved=waits)
    if volume is not None:
        return ClaimStep(bind=volume)
    if waits:
        waiting = [pod for pod in consumers if not pods.node_name(pod) and not pods.is_finished(pod)]
        if waiting:
            text = f"waiting for pod {name_of(waiting[0])} to be scheduled"
            return ClaimStep(event=Event("Normal", "WaitForPodScheduled", text))
        text = "waiting for first consumer to be created before binding"
        return ClaimStep(event=Event("Normal", "WaitForFirstConsumer", text))
    name = volumes.class_of(claim)
    if not name:
        text = "no persistent volumes available for this claim and no storage class is set"
        return ClaimStep(event=Event("Normal", "FailedBinding", text))
    if storage_class is None:
        text = f'storageclass.storage.k8s.io "{name}" not found'
        return ClaimStep(event=Event("Warning", "ProvisioningFailed", text))
    provisioner = str(storage_class.get("provisioner") or "")
    if provisioner.startswith(FOREIGN_PREFIX):
        text = f"no volume plugin matched name: {provisioner}"
        return ClaimStep(event=Event("Warning", "ProvisioningFailed", text))
    text = WAITING_EXTERNAL.format(provisioner)
    return ClaimStep(event=Event("Normal", "ExternalProvisioning", text), provisioner=provisioner)


def _bound_claim(claim: Object, known: Iterable[Object]) -> ClaimStep:
    name = claim["spec"].get("volumeName")
    if not name:
        text = "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!"
        return ClaimStep(phase="Lost", event=Event("Warning", "ClaimLost", text))
    volume = next((one for one in known if name_of(one) == name), None)
    if volume is None:
        text = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
        return ClaimStep(phase="Lost", event=Event("Warning", "ClaimLost", text))
    ref = volume["spec"].get("claimRef")
    if ref is None or ref.get("uid") == claim["metadata"]["uid"]:
        return ClaimStep(bind=volume)
    text = "Two claims are bound to the same volume, this one is bound incorrectly"
    return ClaimStep(phase="Lost", event=Event("Warning", "ClaimMisbound", text))


def plan_volume(volume: Object, claim: Object | None) -> VolumeStep:
    """`claim` is the one that the volume's reference names, whatever its uid."""
    ref = volume["spec"].get("claimRef")
    if ref is None or not ref.get("uid"):
        return VolumeStep(phase="Available")
    if claim is None or claim["metadata"]["uid"] != ref["uid"]:
        return _released(volume)
    bound_to = claim["spec"].get("volumeName")
    if not bound_to:
        if volumes.mode_of(volume) != volumes.mode_of(claim):
            text = (
                f'Cannot bind PersistentVolume "{name_of(volume)}" to requested PersistentVolumeClaim '
                f'"{name_of(claim)}" due to incompatible volumeMode.'
            )
            return VolumeStep(event=Event("Warning", "VolumeMismatch", text))
        return VolumeStep(claim=True)
    if bound_to == name_of(volume):
        return VolumeStep(phase="Bound")
    dynamic = volumes.PROVISIONED_BY in volumes.notes_of(volume)
    if dynamic and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
        return _released(volume)
    return VolumeStep(unbind=volumes.BOUND_BY_CONTROLLER in volumes.notes_of(volume))


def _released(volume: Object) -> VolumeStep:
    """The claim is gone: what the reclaim policy says."""
    phase = (volume.get("status") or {}).get("phase")
    if phase not in ("Released", "Failed"):
        return VolumeStep(phase="Released")
    policy = volume["spec"].get("persistentVolumeReclaimPolicy")
    if policy == "Recycle" and volume_recycler.kind_of(volume):
        return VolumeStep(recycle=True)
    if policy == "Recycle":
        return VolumeStep("Failed", Event("Warning", "VolumeFailedRecycle", "No recycler plugin found for the volume!"))
    if policy != "Delete" or "deletionTimestamp" in volume["metadata"]:
        return VolumeStep()
    provisioner = volumes.notes_of(volume).get(volumes.PROVISIONED_BY, "")
    if provisioner and not provisioner.startswith(FOREIGN_PREFIX):
        return VolumeStep()  # whoever made it removes it
    path = (volume["spec"].get("hostPath") or {}).get("path")
    if path is None:
        text = f'error getting deleter volume plugin for volume "{name_of(volume)}": no deletable volume plugin matched'
        return VolumeStep("Failed", Event("Warning", "VolumeFailedDelete", text))
    if not DELETABLE_PATH.match(path):
        text = f"host_path deleter only supports /tmp/.+ but received provided {path}"
        return VolumeStep("Failed", Event("Warning", "VolumeFailedDelete", text))
    return VolumeStep(remove=True)


# what objects become


def bound_volume(volume: Object, claim: Object) -> Object:
    """The volume with its reference to the claim; the same object if it has it."""
    ref = volume["spec"].get("claimRef")
    metadata = claim["metadata"]
    if ref is not None and ref.get("uid") == metadata["uid"]:
        return volume
    wanted = {
        "kind": "PersistentVolumeClaim",
        "apiVersion": "v1",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
    }
    out = {**volume, "spec": {**volume["spec"], "claimRef": wanted}}
    return with_notes(out, {volumes.BOUND_BY_CONTROLLER: "yes"}) if ref is None else out


def bound_claim(claim: Object, volume: Object) -> Object:
    """The claim with its volume; the same object if it has it."""
    notes = {volumes.BIND_COMPLETED: "yes"}
    if claim["spec"].get("volumeName") != name_of(volume):
        claim = {**claim, "spec": {**claim["spec"], "volumeName": name_of(volume)}}
        notes[volumes.BOUND_BY_CONTROLLER] = "yes"
    return with_notes(claim, notes)


def claim_status(claim: Object, phase: str, volume: Object | None) -> Object:
    """The status in a phase; a bound claim has the volume's access modes and, when it is new, its capacity."""
    old = claim.get("status") or {}
    out = {key: value for key, value in old.items() if key not in ("accessModes", "capacity")}
    out["phase"] = phase
    if volume is not None:
        out["accessModes"] = list(volume["spec"].get("accessModes") or ())
        known = old.get("capacity") if old.get("phase") == "Bound" else None
        out["capacity"] = known or {"storage": (volume["spec"].get("capacity") or {}).get("storage", "0")}
    return out


def unbound_volume(volume: Object, entirely: bool) -> Object:
    """The volume without its claim, or without the claim's uid only (somebody reserved it)."""
    spec = dict(volume["spec"])
    ref = {
        key: value for key, value in (spec.pop("claimRef", None) or {}).items() if key not in ("uid", "resourceVersion")
    }
    if not entirely:
        spec["claimRef"] = ref
    notes = {key: value for key, value in volumes.notes_of(volume).items() if key != volumes.BOUND_BY_CONTROLLER}
    return {**volume, "metadata": {**volume["metadata"], "annotations": notes}, "spec": spec}


def with_notes(obj: Object, notes: dict[str, str]) -> Object:
    """The object with annotations; the same object if it has them."""
    there = volumes.notes_of(obj)
    if all(there.get(key) == value for key, value in notes.items()):
        return obj
    return {**obj, "metadata": {**meta(obj), "annotations": {**there, **notes}}}


def uses(pod: Object, claim: Object) -> bool:
    """Does a pod name this claim (an ephemeral one: was it made for it)?"""
    if meta(pod).get("namespace") != claim["metadata"]["namespace"]:
        return False
    return any(
        name == name_of(claim) and (not own or volumes.is_owned_by(claim, pod))
        for _, name, own in volumes.claims_of(pod)
    )
