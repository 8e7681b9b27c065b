"""CSI volumes are attached to the nodes whose pods need them, by VolumeAttachments that drivers fulfil, and detached after.

https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/volume-attachment-v1/ — for nodes with the
annotation `volumes.kubernetes.io/controller-managed-attach-detach`. What is decided is in `attach_detach_plan`. Volumes that
aren't CSI's need no attaching here: in-tree cloud disks are not translated into their CSI drivers.
"""

from __future__ import annotations

from typing import NamedTuple

from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers import attach_detach_plan as plan
from heeler.controllers.attach_detach_plan import Volume
from heeler.controllers.loop import Context
from heeler.controllers.resources import (
    CSI_DRIVERS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    VOLUME_ATTACHMENTS,
)
from heeler.controllers.volume_binder import CLAIM_INDEX, claim_index
from heeler.objects.status import StatusError
from heeler.objects.value import Object, meta, name_of
from heeler.workloads import pods, volumes

#: Seconds after which a node that isn't well loses volumes that it says it has mounted.
LONGEST_UNMOUNT_SECONDS = 360.0
#: Seconds that a driver has to attach a volume before its users are told, and are told again.
ATTACH_SECONDS = 120.0


def _binding(claim: Object) -> tuple[str, bool]:
    """The claim's volume, and whether the binding is complete: one that names its volume from the start is bound later."""
    return claim["spec"].get("volumeName") or "", volumes.is_bound(claim)


class _Wanted(NamedTuple):
    volume: Volume
    users: list[Object]


class AttachDetachController:
    """Keys are nodes."""

    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._context, self._client = context, context.client
        self._events = context.recorder("attachdetach-controller")
        self._pods = context.informers.get(PODS)
        self._nodes = context.informers.get(NODES)
        self._claims = context.informers.get(PERSISTENT_VOLUME_CLAIMS)
        self._volumes = context.informers.get(PERSISTENT_VOLUMES)
        self._drivers = context.informers.get(CSI_DRIVERS)
        self._attachments = context.informers.get(VOLUME_ATTACHMENTS)
        self._pods.add_index("node", lambda pod: [pods.node_name(pod)])
        self._pods.add_index(CLAIM_INDEX, claim_index)
        self._attachments.add_index("node", lambda one: [one["spec"]["nodeName"]])
        self._attachments.add_index("volume", lambda one: [one["spec"]["source"].get("persistentVolumeName") or ""])
        #: Since when attachments are no longer needed, since when ones are waited for, and nodes that wait for a volume.
        self._unneeded: dict[str, float] = {}
        self._asked: dict[str, float] = {}
        self._waiting: dict[str, dict[str, None]] = {}
        self._pods.add_handler(self._pod_changed)
        self._nodes.add_handler(self._node_changed)
        self._claims.add_handler(self._claim_changed)
        self._volumes.add_handler(self._volume_changed)
        self._drivers.add_handler(self._driver_changed)
        self._attachments.add_handler(self._attachment_changed)

    # what concerns whom

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        pod = new or old or {}
        if pods.node_name(pod) and volumes.claims_of(pod):
            self.queue.add(pods.node_name(pod))

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        name = key_of(new or old or {})
        if old is None or new is None or _matters(old) != _matters(new):
            self.queue.add(name)

    def _claim_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is None or _binding(old) != _binding(new):
            self._look_at_users(key_of(new or old or {}))

    def _look_at_users(self, claim: str) -> None:
        for pod in self._pods.by_index(CLAIM_INDEX, claim):
            if pods.node_name(pod):
                self.queue.add(pods.node_name(pod))

    def _volume_changed(self, old: Object | None, new: Object | None) -> None:
        ref = (new or old or {})["spec"].get("claimRef")
        if (new or old or {})["spec"].get("csi") and ref is not None:
            self._look_at_users(f"{ref.get('namespace')}/{ref.get('name')}")

    def _driver_changed(self, old: Object | None, new: Object | None) -> None:
        for volume in self._volumes:
            if (volume["spec"].get("csi") or {}).get("driver") == name_of(new or old or {}):
                self._volume_changed(volume, volume)

    def _attachment_changed(self, old: Object | None, new: Object | None) -> None:
        one = new or old or {}
        self.queue.add(one["spec"]["nodeName"])
        volume = one["spec"]["source"].get("persistentVolumeName") or ""
        if new is None:
            self._asked.pop(name_of(one), None)
            self._unneeded.pop(name_of(one), None)
            for node in self._waiting.pop(volume, {}):
                self.queue.add(node)
        elif old is not None:
            self._tell_of(old, new)

    def _tell_of(self, old: Object, new: Object) -> None:
        """A driver has attached a volume, or said why it could not."""
        volume, error = new["spec"]["source"].get("persistentVolumeName") or "", plan.attach_error(new)
        if plan.is_attached(new) and not plan.is_attached(old):
            message = f'AttachVolume.Attach succeeded for volume "{volume}" '
            self._tell_users(new, "Normal", "SuccessfulAttachVolume", message)
        elif error and error != plan.attach_error(old):
            text = f'AttachVolume.Attach failed for volume "{volume}" : {error.get("message", "")}'
            self._tell_users(new, "Warning", "FailedAttachVolume", text)

    def _tell_users(self, attachment: Object, type: str, reason: str, message: str) -> None:
        wanted = self._wanted(attachment["spec"]["nodeName"]).get(name_of(attachment))
        for pod in wanted.users if wanted is not None else ():
            self._event(pod, type, reason, message)

    def _event(self, pod: Object, type: str, reason: str, message: str) -> None:
        self._events.record({**pod, "kind": "Pod", "apiVersion": "v1"}, type, reason, message)

    # what is wanted

    def _wanted(self, name: str) -> dict[str, _Wanted]:
        """The volumes that a node needs, by the names of their attachments."""
        node = self._nodes.get(name)
        out: dict[str, _Wanted] = {}
        if node is None or not plan.is_managed(node):
            return out
        for pod in self._pods.by_index("node", name):
            if not plan.needs_volumes(pod, node):
                continue
            for _, claim_name, own in volumes.claims_of(pod):
                volume = self._volume_of(pod, claim_name, own)
                if volume is not None:
                    out.setdefault(plan.attachment_name(volume, name), _Wanted(volume, [])).users.append(pod)
        return out

    def _volume_of(self, pod: Object, claim_name: str, own: bool) -> Volume | None:
        """The volume behind a pod's claim, if the claim is bound and the volume is to be attached."""
        claim = self._claims.get(f"{pod['metadata']['namespace']}/{claim_name}")
        if claim is None or not volumes.is_bound(claim) or (own and not volumes.is_owned_by(claim, pod)):
            return None
        return self._attachable(claim["spec"]["volumeName"])

    def _attachable(self, name: str) -> Volume | None:
        volume = self._volumes.get(name)
        csi = volume["spec"].get("csi") if volume is not None else None
        return plan.volume_of(volume, self._drivers.get(csi["driver"])) if volume is not None and csi else None

    async def reconcile(self, key: str) -> None:
        node, now = self._nodes.get(key), self._context.clock.monotonic()
        wanted = self._wanted(key)
        if node is None or plan.is_managed(node):
            leaving = self._leaving(key, node, wanted, now)
            if node is not None:
                await self._report(node, leaving)
            for attachment in leaving.values():
                await self._detach(attachment)
        for name, one in wanted.items():
            known = self._attachments.get(name)
            if known is None:
                await self._attach(key, name, one, now)
            else:
                self._watch_over(key, known, one, now)

    # attaching

    async def _attach(self, node: str, name: str, wanted: _Wanted, now: float) -> None:
        volume = wanted.volume
        others = self._attachments.by_index("volume", volume.name)
        if plan.blocked(volume, node, others):
            told = self._waiting.setdefault(volume.name, {})
            if node not in told:
                told[node] = None
                users = [name_of(pod) for pod in self._users_elsewhere(volume, node)]
                self._event(wanted.users[0], "Warning", "FailedAttachVolume", plan.waiting(volume, users))
            return
        try:
            made = await self._client.create(VOLUME_ATTACHMENTS, plan.attachment(volume, node))
        except StatusError as error:
            if error.reason == "AlreadyExists":
                raise  # the informer will know it the next time
            text = f'AttachVolume.Attach failed for volume "{volume.name}" : {error}'
            for pod in wanted.users:
                self._event(pod, "Warning", "FailedAttachVolume", text)
            raise
        self._asked[name] = now
        self._attachments.assume(made)
        self.queue.add_after(node, ATTACH_SECONDS)

    def _users_elsewhere(self, volume: Volume, node: str) -> list[Object]:
        found = self._volumes.get(volume.name)
        ref = (found["spec"].get("claimRef") or {}) if found is not None else {}
        claimed = self._pods.by_index(CLAIM_INDEX, f"{ref.get('namespace')}/{ref.get('name')}")
        return [pod for pod in claimed if pods.node_name(pod) not in ("", node) and not pods.is_finished(pod)]

    def _watch_over(self, node: str, attachment: Object, wanted: _Wanted, now: float) -> None:
        """A driver that neither attaches nor says why is told of, again and again."""
        name, volume = name_of(attachment), wanted.volume
        if plan.is_attached(attachment) or plan.attach_error(attachment):
            self._asked.pop(name, None)
            return
        since = self._asked.setdefault(name, now)
        if now - since >= ATTACH_SECONDS:
            self._asked[name] = since = now
            text = (
                f'AttachVolume.Attach failed for volume "{volume.name}" : timed out waiting for external-attacher of '
                f"{volume.driver} CSI driver to attach volume {volume.handle}"
            )
            for pod in wanted.users:
                self._event(pod, "Warning", "FailedAttachVolume", text)
        self.queue.add_after(node, since + ATTACH_SECONDS - now)

    # detaching

    def _leaving(self, key: str, node: Object | None, wanted: dict[str, _Wanted], now: float) -> dict[str, Object]:
        """The attachments of a node that go now."""
        out: dict[str, Object] = {}
        for one in self._attachments.by_index("node", key):
            name = name_of(one)
            volume = self._ours(one)
            if volume is None or name in wanted:
                self._unneeded.pop(name, None)
                continue
            waited = now - self._unneeded.setdefault(name, now)
            if plan.may_detach(node, volume, waited, LONGEST_UNMOUNT_SECONDS):
                out[name] = one
            elif waited < LONGEST_UNMOUNT_SECONDS:
                self.queue.add_after(key, LONGEST_UNMOUNT_SECONDS - waited)
        return out

    def _ours(self, attachment: Object) -> Volume | None:
        """The volume of an attachment that has the name which this controller gives."""
        spec = attachment["spec"]
        source = spec["source"].get("persistentVolumeName") or ""
        volume = self._volumes.get(source)
        if volume is None:  # it went first, whatever held it
            named = plan.GIVEN_NAME.fullmatch(name_of(attachment)) and source
            return Volume(source, spec["attacher"], "", False) if named else None
        csi = volume["spec"].get("csi")
        found = plan.volume_of(volume, None) if csi else None
        ours = found is not None and plan.attachment_name(found, spec["nodeName"]) == name_of(attachment)
        return found if ours else None

    async def _report(self, node: Object, leaving: dict[str, Object]) -> None:
        """Say in the node's status what is attached: what leaves is taken out before it is detached."""
        attached: dict[str, None] = {}
        for one in self._attachments.by_index("node", name_of(node)):
            volume = self._ours(one)
            if volume is not None and plan.is_attached(one) and name_of(one) not in leaving:
                attached[volume.unique] = None
        wanted = plan.reported(node, attached)
        if wanted is None:
            return
        patch: Object = {"status": {"volumesAttached": wanted or None}}
        done = await self._client.patch(NODES, name_of(node), patch, subresource="status")
        self._nodes.assume(done)

    async def _detach(self, attachment: Object) -> None:
        name = name_of(attachment)
        if "deletionTimestamp" in meta(attachment):
            return  # its driver's finalizer holds it
        try:
            gone = await self._client.delete(VOLUME_ATTACHMENTS, name, uid=attachment["metadata"]["uid"])
        except StatusError as error:
            if error.code not in (404, 409):
                raise
            return
        self._unneeded.pop(name, None)
        if gone.get("kind") == "VolumeAttachment" and "deletionTimestamp" in meta(gone):
            self._attachments.assume(gone)


def _matters(node: Object) -> tuple[object, ...]:
    """What of a node decides about its volumes."""
    status, spec = node.get("status") or {}, node.get("spec") or {}
    told = status.get("volumesInUse"), status.get("volumesAttached"), pods.is_ready(node)
    return *told, spec.get("taints"), plan.is_managed(node)
