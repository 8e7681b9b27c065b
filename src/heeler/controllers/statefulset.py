"""StatefulSets: pods with a number, a name and claims of their own. What is decided is in `statefulset_plan`."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers import statefulset_plan as rules
from heeler.controllers.history import Collision, History
from heeler.controllers.loop import Context
from heeler.controllers.pod_control import OwnerKind, claim, dependents_of, in_growing_batches, watch_dependents
from heeler.controllers.resources import CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS
from heeler.controllers.statefulset_plan import Names, Step
from heeler.objects import selectors
from heeler.objects.status import StatusError
from heeler.objects.value import Object, name_of
from heeler.workloads import owners, pods, revisions

KIND = OwnerKind(STATEFUL_SETS, "StatefulSet")


class StatefulSetController:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._context, self._client = context, context.client
        self._events = context.recorder("statefulset-controller")
        self._sets = context.informers.get(STATEFUL_SETS)
        self._pods = context.informers.get(PODS)
        self._claims = context.informers.get(PERSISTENT_VOLUME_CLAIMS)
        stored = context.informers.get(CONTROLLER_REVISIONS)
        self._history = History(self._client, stored, KIND, revisions.HASH)
        self._sets.add_handler(lambda old, new: self.queue.add(key_of(new or old or {})))
        watch_dependents(self._pods, self._sets, KIND.kind, _selector, self.queue.add)
        stored.add_index("controller", lambda revision: [owners.controller_uid(revision)])
        self._claims.add_handler(self._claim_changed)

    def _claim_changed(self, old: Object | None, new: Object | None) -> None:
        """A claim that goes away may be what a pod waits for."""
        if new is not None or old is None:
            return
        for obj in self._sets.by_index("namespace", old["metadata"]["namespace"]):
            if obj["spec"].get("volumeClaimTemplates") and f"-{name_of(obj)}-" in name_of(old):
                self.queue.add(key_of(obj))

    async def reconcile(self, key: str) -> None:
        obj = self._sets.get(key)
        if obj is None:
            return
        found = await self._claimed(obj)
        stored = await self._history.claimed(obj)
        collisions = int((obj.get("status") or {}).get("collisionCount") or 0)
        try:
            update = await self._history.current(obj, stored, collisions)
        except Collision:
            names = Names((obj.get("status") or {}).get("currentRevision") or "", "")
            await self._write_status(obj, rules.status(obj, found, names, collisions + 1, self._now()))
            raise
        noted = (obj.get("status") or {}).get("currentRevision")
        current = next((r for r in stored if name_of(r) == noted), update)
        names = Names(name_of(current), name_of(update))
        templates = {name_of(revision): _template(obj, revision) for revision in (current, update)}
        step = rules.plan(obj, found, names, lambda pod: self._settled(obj, pod), self._now())
        failed: StatusError | OSError | None = None
        try:
            found = await self._perform(obj, found, step, templates)
        except (StatusError, OSError) as error:
            failed = error
        now = self._now()
        await self._write_status(obj, rules.status(obj, found, names, collisions, now))
        if failed is not None:
            raise failed
        live = [*names, *(revisions.label_of(pod) for pod in found)]
        await self._history.truncate(obj, revisions.ordered({name_of(r): r for r in [*stored, update]}.values()), live)
        seconds = rules.until_available(obj, found, now)
        if seconds is not None:
            self.queue.add_after(key, seconds + 0.01)

    def _now(self) -> float:
        return self._context.clock.time()

    async def _claimed(self, obj: Object) -> list[Object]:
        """The set's pods; only one with a name of the set is ever taken."""
        mine = [pod for pod in dependents_of(self._pods, obj) if rules.ordinal(name_of(pod), name_of(obj)) >= 0]
        found = await claim(self._client, KIND, obj, _selector(obj), self._pods, mine, lambda _: True)
        return sorted(found, key=lambda pod: rules.ordinal(name_of(pod), name_of(obj)))

    # claims

    def _claims_of(self, obj: Object, number: int) -> dict[str, Object]:
        namespace = obj["metadata"]["namespace"]
        names = rules.claim_names(obj, number).values()
        return {name: found for name in names if (found := self._claims.get(f"{namespace}/{name}")) is not None}

    def _settled(self, obj: Object, pod: Object) -> bool:
        number = rules.ordinal(name_of(pod), name_of(obj))
        there = self._claims_of(obj, number)
        reference = KIND.reference(obj)
        if any(rules.owned_claim(obj, c, number, pod, reference) is not c for c in there.values()):
            return False
        return pods.phase(pod) != "Pending" or len(there) == len(rules.claim_names(obj, number))

    async def _make_claims(self, obj: Object, number: int, pod: Object | None) -> None:
        """Make the claims that are missing. Raises StatusError when one is still going away."""
        there = self._claims_of(obj, number)
        name = f"{name_of(obj)}-{number}"
        for wanted in rules.new_claims(obj, number):
            known = there.get(name_of(wanted))
            if known is not None:
                if "deletionTimestamp" in known["metadata"]:
                    raise StatusError(409, "Conflict", f"pvc {name_of(wanted)} is being deleted")
                continue
            about = f"Claim {name_of(wanted)} Pod {name} in StatefulSet {name_of(obj)}"
            try:
                made = await self._client.create(
                    PERSISTENT_VOLUME_CLAIMS,
                    rules.owned_claim(obj, wanted, number, pod, KIND.reference(obj)),
                    obj["metadata"]["namespace"],
                )
            except StatusError as error:
                if error.reason == "AlreadyExists":
                    continue
                text = f"Create {about} failed error: {error}"
                self._events.record(KIND.about(obj), "Warning", "FailedCreate", text)
                raise
            self._claims.assume(made)
            self._events.record(KIND.about(obj), "Normal", "SuccessfulCreate", f"Create {about} success")

    async def _settle_claims(self, obj: Object, pod: Object) -> None:
        number = rules.ordinal(name_of(pod), name_of(obj))
        if rules.start_of(obj) <= number < rules.start_of(obj) + rules.wanted_of(obj):
            await self._make_claims(obj, number, pod)
        for claimed in self._claims_of(obj, number).values():
            wanted = rules.owned_claim(obj, claimed, number, pod, KIND.reference(obj))
            if wanted is not claimed:
                self._claims.assume(await self._client.update(PERSISTENT_VOLUME_CLAIMS, wanted))

    # pods

    async def _perform(
        self, obj: Object, found: Sequence[Object], step: Step, templates: dict[str, Object]
    ) -> list[Object]:
        """Do what the step says; the pods as they are afterwards. A failure is raised when the rest has been tried."""
        create = [functools.partial(self._create, obj, number, templates[name], name) for number, name in step.create]
        delete = [functools.partial(self._delete, obj, pod) for pod in step.delete]
        fix = [functools.partial(self._fix, obj, pod) for pod in step.fix]
        outcomes = [await in_growing_batches(work) for work in (create, delete, fix)]
        failed = next((error for _, error in outcomes if error is not None), None)
        if failed is not None:
            raise failed
        changed = {pod["metadata"]["uid"]: pod for made, _ in outcomes for pod in made}
        kept = [changed.pop(pod["metadata"]["uid"], pod) for pod in found]
        return [*kept, *changed.values()]

    async def _create(
        self, obj: Object, number: int, template: Object, revision: str
    ) -> Object | StatusError | OSError | None:
        pod = rules.new_pod(obj, number, template, revision, KIND.reference(obj))
        name = name_of(pod)
        if rules.is_stale(self._claims_of(obj, number), name, None):
            return None
        try:
            await self._make_claims(obj, number, None)
            made = await self._client.create(PODS, pod, obj["metadata"]["namespace"])
        except (StatusError, OSError) as error:
            if not (isinstance(error, StatusError) and error.reason == "AlreadyExists"):
                self._record(obj, name, "Create", error)
            return error
        self._pods.assume(made)
        self._record(obj, name, "Create", None)
        return made

    async def _delete(self, obj: Object, pod: Object) -> Object | StatusError | OSError | None:
        name = name_of(pod)
        try:
            gone = await self._client.delete(PODS, name, obj["metadata"]["namespace"], uid=pod["metadata"]["uid"])
        except StatusError as error:
            if error.code in (404, 409):
                return None
            self._record(obj, name, "Delete", error)
            return error
        except OSError as error:
            return error
        self._record(obj, name, "Delete", None)
        if gone.get("kind") == "Pod" and "deletionTimestamp" in gone["metadata"]:
            self._pods.assume(gone)
            return gone
        return None

    async def _fix(self, obj: Object, pod: Object) -> Object | StatusError | OSError | None:
        try:
            await self._settle_claims(obj, pod)
            if rules.identity_is_right(obj, pod) or pods.is_terminating(pod):
                return None
            done = await self._client.update(PODS, rules.with_identity(obj, pod))
        except (StatusError, OSError) as error:
            if not (isinstance(error, StatusError) and error.code == 409):
                self._record(obj, name_of(pod), "Update", error)
            return error
        self._pods.assume(done)
        self._record(obj, name_of(pod), "Update", None)
        return done

    def _record(self, obj: Object, pod: str, verb: str, error: Exception | None) -> None:
        about = f"{verb} Pod {pod} in StatefulSet {name_of(obj)}"
        if error is None:
            self._events.record(KIND.about(obj), "Normal", f"Successful{verb}", f"{about} successful")
        else:
            self._events.record(KIND.about(obj), "Warning", f"Failed{verb}", f"{about} failed error: {error}")

    async def _write_status(self, obj: Object, status: Object) -> None:
        if status == (obj.get("status") or {}):
            return
        done = await self._client.update(STATEFUL_SETS, {**obj, "status": status}, subresource="status")
        self._sets.assume(done)


def _selector(obj: Object) -> selectors.LabelSelector:
    return selectors.of_object(obj["spec"].get("selector"))


def _template(obj: Object, revision: Object) -> Object:
    """The pod template of a revision; one that somebody emptied changes nothing of the set's own."""
    found: Any = revision.get("data")
    for part in ("spec", "template"):
        found = found.get(part) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else obj["spec"]["template"]
