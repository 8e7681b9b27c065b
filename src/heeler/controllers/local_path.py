"""The control half of the local provisioner: volumes on the nodes' own disks, for claims of its StorageClasses.

What it agrees on with the nodes, which make and remove the folders, is in `heeler.workloads.local_path`. A volume whose
node is gone, or is simulated, has nobody to remove its folder: then the finalizer goes from here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.resources import NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES
from heeler.objects.status import StatusError
from heeler.objects.value import Object, labels_of, meta, name_of
from heeler.workloads import local_path, pods, volumes

CLAIM, VOLUME = "claim:", "volume:"
MODES = ("ReadWriteOnce", volumes.READ_WRITE_ONCE_POD)
HOSTNAME = "kubernetes.io/hostname"


class Step(NamedTuple):
    """`make`: the volume; `refuse`: why there can't be one; `elsewhere`: the chosen node is gone, choose again."""

    make: Object | None = None
    refuse: str = ""
    elsewhere: bool = False


def plan_claim(claim: Object, storage_class: Object | None, nodes: Iterable[Object]) -> Step:
    """What to do for a claim. Nothing, unless the binder asked this provisioner for a volume."""
    notes = volumes.notes_of(claim)
    asked = notes.get(volumes.PROVISIONER) or notes.get(volumes.BETA_PROVISIONER)
    if asked != local_path.PROVISIONER or storage_class is None or "deletionTimestamp" in claim["metadata"]:
        return Step()
    if claim["spec"].get("volumeName") or storage_class.get("provisioner") != local_path.PROVISIONER:
        return Step()
    refusal = _refusal(claim)
    if refusal:
        return Step(refuse=f'failed to provision volume with StorageClass "{name_of(storage_class)}": {refusal}')
    chosen = notes.get(volumes.SELECTED_NODE)
    if chosen:
        node = next((one for one in nodes if name_of(one) == chosen), None)
        return Step(make=new_volume(claim, storage_class, node)) if node is not None else Step(elsewhere=True)
    if volumes.waits_for_consumer(storage_class):
        return Step()
    ready = [
        one for one in nodes if pods.has_condition(one, "Ready") and not (one.get("spec") or {}).get("unschedulable")
    ]
    if not ready:
        return Step(refuse=f'failed to provision volume with StorageClass "{name_of(storage_class)}": no node is ready')
    return Step(make=new_volume(claim, storage_class, min(ready, key=name_of)))


def _refusal(claim: Object) -> str:
    spec = claim["spec"]
    if volumes.mode_of(claim) != "Filesystem":
        return "block volume provisioning is not supported"
    if spec.get("selector"):
        return "claim.Spec.Selector is not supported"
    if spec.get("dataSource") or spec.get("dataSourceRef"):
        return "a data source is not supported"
    for mode in spec.get("accessModes") or ():
        if mode not in MODES:
            return f"access mode {mode} is not supported, only {' and '.join(MODES)}: the volume stands on one node"
    return ""


def volume_name(claim: Object) -> str:
    return f"pvc-{claim['metadata']['uid']}"


def new_volume(claim: Object, storage_class: Object, node: Object) -> Object:
    """The volume of a claim on a node."""
    name = volume_name(claim)
    place = {"key": HOSTNAME, "operator": "In", "values": [labels_of(node).get(HOSTNAME) or name_of(node)]}
    spec: Object = {
        "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
        "accessModes": list(claim["spec"].get("accessModes") or ()),
        "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy") or "Delete",
        "storageClassName": name_of(storage_class),
        "volumeMode": "Filesystem",
        "local": {"path": local_path.path_on(node, name)},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [place]}]}},
        "claimRef": {
            "kind": "PersistentVolumeClaim",
            "apiVersion": "v1",
            **{key: claim["metadata"][key] for key in ("namespace", "name", "uid", "resourceVersion")},
        },
    }
    if storage_class.get("mountOptions"):
        spec["mountOptions"] = list(storage_class["mountOptions"])
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": name,
            "labels": {local_path.NODE_LABEL: name_of(node)},
            "annotations": {local_path.PROVISIONED_BY: local_path.PROVISIONER},
            "finalizers": [local_path.FINALIZER],
        },
        "spec": spec,
    }


class VolumeStep(NamedTuple):
    """`remove` the object; `let_go`: take the finalizer away, since no node will."""

    remove: bool = False
    let_go: bool = False


def plan_volume(volume: Object, node: Object | None) -> VolumeStep:
    """`node` is the one that the volume stands on."""
    if not local_path.is_ours(volume):
        return VolumeStep()
    if "deletionTimestamp" not in volume["metadata"]:
        released = (volume.get("status") or {}).get("phase") == "Released"
        return VolumeStep(remove=released and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete")
    held = local_path.FINALIZER in (meta(volume).get("finalizers") or ())
    attended = node is not None and local_path.FOLDER_ANNOTATION in (meta(node).get("annotations") or {})
    return VolumeStep(let_go=held and not attended)


class LocalPathController:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._client = context.client
        self._events = context.recorder(local_path.PROVISIONER)
        self._claims = context.informers.get(PERSISTENT_VOLUME_CLAIMS)
        self._volumes = context.informers.get(PERSISTENT_VOLUMES)
        self._classes = context.informers.get(STORAGE_CLASSES)
        self._nodes = context.informers.get(NODES)
        self._claims.add_handler(lambda old, new: self.queue.add(CLAIM + key_of(new or old or {})))
        self._volumes.add_handler(lambda old, new: self.queue.add(VOLUME + name_of(new or old or {})))
        self._nodes.add_handler(self._node_changed)

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None or old is None:
            return
        for volume in self._volumes:
            if local_path.pinned_to(volume, name_of(old)):
                self.queue.add(VOLUME + name_of(volume))

    async def reconcile(self, key: str) -> None:
        if key.startswith(CLAIM):
            await self._claim(key.removeprefix(CLAIM))
        else:
            await self._volume(key.removeprefix(VOLUME))

    async def _claim(self, key: str) -> None:
        claim = self._claims.get(key)
        if claim is None or self._volumes.get(volume_name(claim)) is not None:
            return
        step = plan_claim(claim, self._classes.get(volumes.class_of(claim)), self._nodes)
        about = {**claim, "kind": "PersistentVolumeClaim", "apiVersion": "v1"}
        if step.refuse:
            self._events.record(about, "Warning", "ProvisioningFailed", step.refuse)
        if step.elsewhere:
            namespace, name = claim["metadata"]["namespace"], name_of(claim)
            patch: Object = {"metadata": {"annotations": {volumes.SELECTED_NODE: None}}}
            await self._client.patch(PERSISTENT_VOLUME_CLAIMS, name, patch, namespace)
        if step.make is None:
            return
        text = f'External provisioner is provisioning volume for claim "{key}"'
        self._events.record(about, "Normal", "Provisioning", text)
        try:
            made = await self._client.create(PERSISTENT_VOLUMES, step.make)
        except StatusError as error:
            if error.reason == "AlreadyExists":
                return
            self._events.record(about, "Warning", "ProvisioningFailed", f"failed to provision volume: {error}")
            raise
        self._volumes.assume(made)
        text = f"Successfully provisioned volume {name_of(made)}"
        self._events.record(about, "Normal", "ProvisioningSucceeded", text)

    async def _volume(self, name: str) -> None:
        volume = self._volumes.get(name)
        if volume is None:
            return
        node = self._nodes.get(labels_of(volume).get(local_path.NODE_LABEL, ""))
        step = plan_volume(volume, node)
        try:
            if step.remove:
                await self._client.delete(PERSISTENT_VOLUMES, name, uid=volume["metadata"]["uid"])
            elif step.let_go:
                left = [f for f in meta(volume).get("finalizers") or () if f != local_path.FINALIZER]
                patch: Object = {
                    "metadata": {"finalizers": left or None, "resourceVersion": volume["metadata"]["resourceVersion"]}
                }
                await self._client.patch(PERSISTENT_VOLUMES, name, patch)
        except StatusError as error:
            if error.code != 404:
                raise
