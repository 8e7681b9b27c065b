"""Binds claims to volumes and says what became of either. What is decided is in `volume_plan`.

A host path that goes with its volume (reclaim policy Delete, in /tmp) keeps its files: the control plane touches no disk.
"""

from __future__ import annotations

from heeler.client.informer import key_of, split_key
from heeler.client.queue import WorkQueue
from heeler.controllers import volume_plan as rules
from heeler.controllers import volume_recycler as recycler
from heeler.controllers.loop import Context
from heeler.controllers.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES
from heeler.controllers.volume_plan import ClaimStep, Event
from heeler.objects.status import StatusError
from heeler.objects.value import Object, meta, name_of
from heeler.workloads import pods, volumes

CLAIM, VOLUME = "claim:", "volume:"
#: A volume or class that was made just before a claim comes by another watch, maybe a moment later: only after so many
#: seconds is a new claim told that there is none for it.
PATIENCE_SECONDS = 0.1
#: New claims that are remembered at most.
MAX_NEW = 4096
CLAIM_INDEX = "claim"


def claim_index(pod: Object) -> list[str]:
    """The keys of the claims that a pod names."""
    namespace = meta(pod).get("namespace", "")
    return [f"{namespace}/{name}" for _, name, _ in volumes.claims_of(pod)]


class VolumeBinder:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._context, self._client = context, context.client
        self._events = context.recorder("persistentvolume-controller")
        self._claims = context.informers.get(PERSISTENT_VOLUME_CLAIMS)
        self._volumes = context.informers.get(PERSISTENT_VOLUMES)
        self._classes = context.informers.get(STORAGE_CLASSES)
        self._pods = context.informers.get(PODS)
        self._pods.add_index(CLAIM_INDEX, claim_index)
        self._pods.add_handler(self._pod_changed)
        self._new: dict[str, None] = {}
        self._claims.add_handler(self._claim_changed)
        self._volumes.add_handler(self._volume_changed)

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        volume = recycler.volume_of(new or old or {})
        if volume:
            self.queue.add(VOLUME + volume)

    def _claim_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            self._new.pop(key_of(old or {}), None)
        elif old is None and len(self._new) < MAX_NEW:
            self._new[key_of(new)] = None
        self.queue.add(CLAIM + key_of(new or old or {}))
        name = ((new or old or {})["spec"] or {}).get("volumeName")
        if name:
            self.queue.add(VOLUME + name)

    def _volume_changed(self, old: Object | None, new: Object | None) -> None:
        volume = new or old or {}
        self.queue.add(VOLUME + name_of(volume))
        ref = volume["spec"].get("claimRef")
        if ref is not None:
            self.queue.add(f"{CLAIM}{ref.get('namespace')}/{ref.get('name')}")
        elif new is not None:
            for claim in self._claims:
                if not volumes.is_bound(claim) and volumes.class_of(claim) == volumes.class_of(new):
                    self.queue.add(CLAIM + key_of(claim))

    async def reconcile(self, key: str) -> None:
        if key.startswith(CLAIM):
            await self._reconcile_claim(key.removeprefix(CLAIM))
        else:
            await self._reconcile_volume(key.removeprefix(VOLUME))

    # claims

    async def _reconcile_claim(self, key: str) -> None:
        claim = self._claims.get(key)
        if claim is None:
            for volume in self._volumes:
                ref = volume["spec"].get("claimRef") or {}
                if f"{ref.get('namespace')}/{ref.get('name')}" == key:
                    self.queue.add(VOLUME + name_of(volume))
            return
        storage_class = self._classes.get(volumes.class_of(claim)) if volumes.class_of(claim) else None
        new = key in self._new
        self._new.pop(key, None)
        step = rules.plan_claim(claim, self._volumes, storage_class, self._pods.by_index(CLAIM_INDEX, key))
        if step.bind is not None:
            await self._bind(claim, step.bind)
            return
        if step.failed and new:
            self.queue.add_after(CLAIM + key, PATIENCE_SECONDS)
            return
        await self._wait(claim, step)
        if step.phase == "Pending":
            self.queue.add_after(CLAIM + key, self._context.settings.pvclaimbinder_sync_period)

    async def _wait(self, claim: Object, step: ClaimStep) -> None:
        """The claim isn't bound: say why, and ask a provisioner if there is one."""
        lost = step.phase == "Lost" and (claim.get("status") or {}).get("phase") == "Lost"
        if step.event is not None and not lost:
            self._record(claim, "PersistentVolumeClaim", step.event)
        if step.provisioner:
            notes = {volumes.PROVISIONER: step.provisioner, volumes.BETA_PROVISIONER: step.provisioner}
            wanted = rules.with_notes(claim, notes)
            if wanted is not claim:
                claim = await self._client.update(PERSISTENT_VOLUME_CLAIMS, wanted)
                self._claims.assume(claim)
        await self._claim_status(claim, step.phase, None)

    async def _bind(self, claim: Object, volume: Object) -> None:
        """Volume first, then the claim: whatever is interrupted goes on from there."""
        wanted = rules.bound_volume(volume, claim)
        if wanted is not volume:
            volume = await self._client.update(PERSISTENT_VOLUMES, wanted)
            self._volumes.assume(volume)
        volume = await self._volume_phase(volume, "Bound")
        bound = rules.bound_claim(claim, volume)
        if bound is not claim:
            claim = await self._client.update(PERSISTENT_VOLUME_CLAIMS, bound)
            self._claims.assume(claim)
        await self._claim_status(claim, "Bound", volume)

    async def _claim_status(self, claim: Object, phase: str, volume: Object | None) -> None:
        status = rules.claim_status(claim, phase, volume)
        if status == (claim.get("status") or {}):
            return
        done = await self._client.update(PERSISTENT_VOLUME_CLAIMS, {**claim, "status": status}, subresource="status")
        self._claims.assume(done)

    # volumes

    async def _reconcile_volume(self, name: str) -> None:
        volume = self._volumes.get(name)
        if volume is None:
            for claim in self._claims:
                if claim["spec"].get("volumeName") == name:
                    self.queue.add(CLAIM + key_of(claim))
            return
        step = rules.plan_volume(volume, await self._claim_of(volume))
        ref = volume["spec"].get("claimRef") or {}
        if step.claim:
            self.queue.add(f"{CLAIM}{ref.get('namespace')}/{ref.get('name')}")
        if step.event is not None and (volume.get("status") or {}).get("phase") != step.phase:
            self._record(volume, "PersistentVolume", step.event)
        if step.phase:
            await self._volume_phase(volume, step.phase, step.event)
        if step.unbind is not None:
            done = await self._client.update(PERSISTENT_VOLUMES, rules.unbound_volume(volume, step.unbind))
            self._volumes.assume(await self._volume_phase(done, "Available"))
        if step.recycle:
            await self._recycle(volume)
        if step.remove:
            try:
                await self._client.delete(PERSISTENT_VOLUMES, name, uid=volume["metadata"]["uid"])
            except StatusError as error:
                if error.code != 404:
                    raise

    async def _recycle(self, volume: Object) -> None:
        """Let a pod empty a volume; what it makes of it is seen when the pod ends."""
        key = recycler.pod_key(volume)
        pod = self._pods.get(key)
        namespace, name = split_key(key)
        if pod is None:
            try:
                self._pods.assume(await self._client.create(PODS, recycler.pod_for(volume), namespace))
            except StatusError as error:
                await self._not_recycled(
                    volume, f"failed to recycle volume: unexpected error creating recycler pod:  {error}"
                )
            return
        if not pods.is_finished(pod) or "deletionTimestamp" in meta(pod):
            return
        try:
            await self._client.delete(PODS, name, namespace, uid=pod["metadata"]["uid"], grace_seconds=0)
        except StatusError as error:
            if error.code not in (404, 409):
                raise
        self._pods.assume_deleted(pod)
        if pods.phase(pod) == "Failed":
            await self._not_recycled(volume, recycler.failure_of(pod))
            return
        done = await self._client.update(PERSISTENT_VOLUMES, rules.unbound_volume(volume, entirely=True))
        self._volumes.assume(done)
        self._record(volume, "PersistentVolume", Event("Normal", "VolumeRecycled", "Volume recycled"))
        await self._volume_phase(done, "Available")

    async def _not_recycled(self, volume: Object, why: str) -> None:
        """Say so; it is tried again."""
        event = Event("Warning", "VolumeFailedRecycle", f"Recycle failed: {why}")
        self._record(volume, "PersistentVolume", event)
        await self._volume_phase(volume, "Failed", event)
        self.queue.add_after(VOLUME + name_of(volume), self._context.settings.pvclaimbinder_sync_period)

    async def _claim_of(self, volume: Object) -> Object | None:
        """The claim that a volume's reference names; the server is asked before it counts as gone."""
        ref = volume["spec"].get("claimRef")
        if ref is None or not ref.get("uid"):
            return None
        claim = self._claims.get(f"{ref.get('namespace')}/{ref.get('name')}")
        if claim is not None and claim["metadata"]["uid"] == ref["uid"]:
            return claim
        try:
            return await self._client.get(PERSISTENT_VOLUME_CLAIMS, ref["name"], ref["namespace"])
        except StatusError as error:
            if error.code != 404:
                raise
            return None

    async def _volume_phase(self, volume: Object, phase: str, event: Event | None = None) -> Object:
        old = volume.get("status") or {}
        if old.get("phase") == phase:
            return volume
        status = {key: value for key, value in old.items() if key != "message"}
        status["phase"] = phase
        if event is not None:
            status["message"] = event.message
        done = await self._client.update(PERSISTENT_VOLUMES, {**volume, "status": status}, subresource="status")
        self._volumes.assume(done)
        return done

    def _record(self, obj: Object, kind: str, event: Event) -> None:
        self._events.record({**obj, "kind": kind, "apiVersion": "v1"}, *event)
