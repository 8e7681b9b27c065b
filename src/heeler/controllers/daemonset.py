"""DaemonSets: one pod on each node that is meant. What is decided is in `daemonset_plan`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers import daemonset_plan as rules
from heeler.controllers.daemonset_plan import Step
from heeler.controllers.history import Collision, History
from heeler.controllers.loop import Context
from heeler.controllers.pod_control import (
    OwnerKind,
    PodControl,
    claim,
    dependents_of,
    in_growing_batches,
    watch_dependents,
)
from heeler.controllers.resources import CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS
from heeler.objects import selectors
from heeler.objects.status import StatusError
from heeler.objects.value import Object, labels_of, name_of
from heeler.workloads import owners, pods, revisions

KIND = OwnerKind(DAEMON_SETS, "DaemonSet")
#: A daemon that fails again and again is made again after ever longer pauses.
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 1.0, 900.0
MAX_KNOWN_PAUSES = 10_000
#: The set's uid and observed generation (a new template begins anew), and the node.
PauseKey = tuple[str, int, str]


class DaemonSetController:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._context, self._client = context, context.client
        self._events = context.recorder("daemonset-controller")
        self._sets = context.informers.get(DAEMON_SETS)
        self._pods = context.informers.get(PODS)
        self._nodes = context.informers.get(NODES)
        stored = context.informers.get(CONTROLLER_REVISIONS)
        self._history = History(self._client, stored, KIND, revisions.REVISION_LABEL)
        self._control = PodControl(self._client, self._pods, self._events, KIND)
        #: Daemons that failed somewhere: (pause, since when).
        self._pauses: OrderedDict[PauseKey, tuple[float, float]] = OrderedDict()
        self._pods.add_index("node", lambda pod: [pods.node_name(pod)])
        stored.add_index("controller", lambda revision: [owners.controller_uid(revision)])
        self._sets.add_handler(lambda old, new: self.queue.add(key_of(new or old or {})))
        watch_dependents(self._pods, self._sets, KIND.kind, _selector, self.queue.add)
        self._nodes.add_handler(self._node_changed)

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        """Look at the sets that miss a daemon there, must take one away, or have had one where none was meant.

        A daemon that may stay where it isn't meant any more is no reason: the status tells of it at the next look. One that
        outlived its Node and has a new one is: the status may not count it (upstream's doesn't then).
        """
        if new is None:
            for obj in self._sets:
                if old is not None and rules.fit(obj, old).stay:
                    self.queue.add(key_of(obj))
            return
        if old is not None and _facts(old) == _facts(new):
            return
        there: dict[str, None] = {}
        for pod in self._pods.by_index("node", name_of(new)):
            ref = owners.controller_of(pod)
            if ref is not None and ref.get("kind") == KIND.kind:
                there[f"{pod['metadata']['namespace']}/{ref['name']}"] = None
        for obj in self._sets:
            run, stay = rules.fit(obj, new)
            scheduled = key_of(obj) in there
            misplaced = scheduled and ((obj.get("status") or {}).get("numberMisscheduled") or 0) > 0
            if (run and not scheduled) or (scheduled and not stay) or misplaced or (scheduled and old is None):
                self.queue.add(key_of(obj))

    async def reconcile(self, key: str) -> None:
        obj = self._sets.get(key)
        if obj is None:
            return
        selector = obj["spec"].get("selector") or {}
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            message = "This daemon set is selecting all pods. A non-empty selector is required."
            self._events.record(KIND.about(obj), "Warning", "SelectingAll", message)
            return
        if "deletionTimestamp" in obj["metadata"]:
            return
        found = await claim(
            self._client, KIND, obj, _selector(obj), self._pods, dependents_of(self._pods, obj), lambda _: True
        )
        stored = await self._history.claimed(obj)
        collisions = (obj.get("status") or {}).get("collisionCount")
        try:
            current = await self._history.current(obj, stored, int(collisions or 0))
        except Collision:
            await self._write_status(obj, {**(obj.get("status") or {}), "collisionCount": int(collisions or 0) + 1})
            raise
        digest = labels_of(current).get(revisions.REVISION_LABEL, "")
        fits = rules.fits(obj, list(self._nodes))
        step = rules.plan(obj, found, fits, digest, self._now(), self._waiting(obj, found))
        made, error = await self._perform(obj, step, digest)
        gone = {pod["metadata"]["uid"] for pod in found if self._pods.get(key_of(pod)) is None}
        found = [self._pods.get(key_of(pod)) or pod for pod in found if pod["metadata"]["uid"] not in gone] + made
        now = self._now()
        await self._write_status(obj, rules.status(obj, found, fits, digest, collisions, now))
        if error is not None:
            raise error
        hashes = {revisions.label_of(pod): None for pod in found}
        live = [name_of(r) for r in stored if labels_of(r).get(revisions.REVISION_LABEL) in hashes]
        await self._history.truncate(obj, [r for r in stored if name_of(r) != name_of(current)], live)
        self._come_again(obj, found, now)

    def _now(self) -> float:
        return self._context.clock.time()

    def _come_again(self, obj: Object, found: Sequence[Object], now: float) -> None:
        """When the next ready daemon counts as available."""
        waits = [since + rules.min_ready(obj) - now for pod in found if (since := pods.ready_since(pod)) is not None]
        wait = min((wait for wait in waits if wait > 0), default=None)
        if wait is not None:
            self.queue.add_after(key_of(obj), wait + 0.01)

    async def _perform(self, obj: Object, step: Step, digest: str) -> tuple[list[Object], StatusError | OSError | None]:
        for node, pod in step.finished:
            self._note_finished(obj, node, pod)
        victims = [*(pod for _, pod in step.finished), *step.delete]
        reference = KIND.reference(obj)
        made, failed = await in_growing_batches(
            [
                lambda node=node: self._control.create(obj, rules.new_pod(obj, node, digest, reference))  # type: ignore[misc]
                for node in step.create
            ]
        )
        error = await self._control.delete_all(obj, victims)
        return made, failed or error

    def _waiting(self, obj: Object, found: Sequence[Object]) -> list[str]:
        """The nodes whose failed daemon hasn't waited for long enough; comes back for each of them."""
        failed = [pod for pod in found if pods.phase(pod) == "Failed" and not pods.is_terminating(pod)]
        now = self._context.clock.monotonic()
        out = []
        for node in dict.fromkeys(rules.target_node(pod) for pod in failed):
            pause, since = self._pauses.get(_pause_key(obj, node), (0.0, now))
            if now - since < pause:
                self.queue.add_after(key_of(obj), pause - (now - since))
                out.append(node)
        return out

    def _note_finished(self, obj: Object, node: str, pod: Object) -> None:
        """Tell of a daemon that ended and goes; one that failed makes the next on that node wait for longer."""
        name = f"{obj['metadata']['namespace']}/{name_of(pod)} on node {node}"
        if pods.phase(pod) != "Failed":
            message = f"Found succeeded daemon pod {name}, will try to delete it"
            self._events.record(KIND.about(obj), "Normal", "SucceededDaemonPod", message)
            return
        message = f"Found failed daemon pod {name}, will try to kill it"
        self._events.record(KIND.about(obj), "Warning", "FailedDaemonPod", message)
        key, now = _pause_key(obj, node), self._context.clock.monotonic()
        pause, since = self._pauses.pop(key, (0.0, now))
        if now - since > 2 * MAX_PAUSE_SECONDS:
            pause = 0.0
        self._pauses[key] = (min(max(FIRST_PAUSE_SECONDS, 2 * pause), MAX_PAUSE_SECONDS), now)
        if len(self._pauses) > MAX_KNOWN_PAUSES:
            self._pauses.popitem(last=False)

    async def _write_status(self, obj: Object, status: Object) -> None:
        if status == (obj.get("status") or {}):
            return
        done = await self._client.update(DAEMON_SETS, {**obj, "status": status}, subresource="status")
        self._sets.assume(done)


def _facts(node: Object) -> tuple[object, ...]:
    """What decides whether a node gets a daemon."""
    return node["metadata"].get("labels"), (node.get("spec") or {}).get("taints")


def _pause_key(obj: Object, node: str) -> PauseKey:
    seen = (obj.get("status") or {}).get("observedGeneration") or 0
    return obj["metadata"]["uid"], int(seen), node


def _selector(obj: Object) -> selectors.LabelSelector:
    return selectors.of_object(obj["spec"].get("selector"))
