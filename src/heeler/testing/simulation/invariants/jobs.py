"""Jobs count what ended once and make no more than is wanted; CronJobs start each time once.

A finalizer holds a Job's pod until it is counted, so nothing excuses one that is counted twice, or a verdict that is taken
back. How many run is counted off a copy: lost answers may make one too many, as upstream.
"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.objects.value import Object, uid_of
from heeler.testing.simulation.invariants.invariant import LOST_WRITES, Invariant, Recent
from heeler.testing.simulation.world import Step, World
from heeler.workloads import index_sets, owners, pods

INDEX = "batch.kubernetes.io/job-completion-index"
SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
MAX_INDEX = 100_000


def _counts(job: Object) -> tuple[int, int]:
    status = job.get("status") or {}
    return int(status.get("succeeded") or 0), int(status.get("failed") or 0)


def _verdict(job: Object) -> str:
    return next((kind for kind in ("Complete", "Failed") if pods.has_condition(job, kind)), "")


class _Counted:
    """What a Job says that it counted is no more than what ended, never less than before, and its verdict stays."""

    def __init__(self) -> None:
        self._succeeded: dict[str, dict[str, None]] = {}
        self._failed: dict[str, dict[str, None]] = {}
        self._made: dict[str, dict[str, None]] = {}

    def __call__(self, world: World, step: Step) -> Iterator[str]:
        if step.plural == "pods":
            self._ended(step)
        elif step.plural == "jobs" and step.new is not None:
            yield from self._judge(step, step.new)

    def _ended(self, step: Step) -> None:
        owner, uid = owners.controller_uid(step.obj), uid_of(step.obj)
        if not owner:
            return
        self._made.setdefault(owner, {})[uid] = None
        if pods.phase(step.obj) == "Succeeded":
            self._succeeded.setdefault(owner, {})[uid] = None
        elif pods.phase(step.obj) == "Failed" or pods.is_terminating(step.obj) or step.new is None:
            self._failed.setdefault(owner, {})[uid] = None

    def _judge(self, step: Step, job: Object) -> Iterator[str]:
        uid, (succeeded, failed) = uid_of(job), _counts(job)
        if succeeded > len(self._succeeded.get(uid, ())):
            yield f"says that {succeeded} pods succeeded, of which {len(self._succeeded.get(uid, ()))} did"
        made, ended = len(self._made.get(uid, ())), len(self._failed.get(uid, ()))
        if pods.has_condition(job, "FailureTarget") or pods.has_condition(job, "Failed"):
            # what still runs then counts as failed at once, and may end well before it is stopped
            if succeeded + failed > made:
                yield f"says that {succeeded} pods succeeded and {failed} failed, there were {made}"
        elif failed > ended:
            yield f"says that {failed} pods failed, of which {ended} did"
        if step.old is None:
            return
        before, verdict = _counts(step.old), _verdict(step.old)
        if succeeded < before[0] or failed < before[1]:
            yield f"counted {before} that succeeded and failed, and now {(succeeded, failed)}"
        if verdict and _verdict(job) != verdict:
            yield f"was {verdict} and is {_verdict(job) or 'not over'}"


def _indexes_once(world: World, step: Step) -> Iterator[str]:
    """No pod is made for an index that is done."""
    if step.old is not None or not step.by("job-controller"):
        return
    index = (step.obj["metadata"].get("annotations") or {}).get(INDEX)
    owner = world.by_uid(owners.controller_uid(step.obj))
    if index is None or owner is None:
        return
    done = index_sets.parse((owner.get("status") or {}).get("completedIndexes") or "", MAX_INDEX)
    if int(index) in done:
        yield f"was made for index {index}, which is done"


class _NoMore:
    def __init__(self) -> None:
        self._specs = Recent()

    def __call__(self, world: World, step: Step) -> Iterator[str]:
        if step.plural == "jobs":
            self._specs.see(world, step)
            yield from self._overrun(step)
            return
        if step.old is not None or not step.by("job-controller"):
            return
        owner = world.by_uid(owners.controller_uid(step.obj))
        if owner is None:
            return
        mine = [p for p in world.of(uid_of(owner), "pods") if pods.is_active(p)]
        key = f"/registry/batch/jobs/{owner['metadata']['namespace']}/{owner['metadata']['name']}"
        most = max((int(s.get("parallelism", 1)) for s in self._specs.specs(world, key, step.at)), default=len(mine))
        if len(mine) > most:
            yield f"is one of {len(mine)} active pods of a Job with parallelism {most}"
        index = (step.obj["metadata"].get("annotations") or {}).get(INDEX)
        same = [p for p in mine if (p["metadata"].get("annotations") or {}).get(INDEX) == index]
        if index is not None and len(same) > 1:
            yield f"is one of {len(same)} active pods of index {index}"

    @staticmethod
    def _overrun(step: Step) -> Iterator[str]:
        wanted = None if step.new is None else step.new["spec"].get("completions")
        if step.new is None or wanted is None:
            return
        succeeded = _counts(step.new)[0]
        if succeeded > wanted and (step.old is None or _counts(step.old)[0] < succeeded):
            yield f"has {succeeded} completions of {wanted}"


class _Schedule:
    """Each time once, and with Forbid never two at once."""

    def __init__(self) -> None:
        self._started: dict[str, dict[str, str]] = {}

    def __call__(self, world: World, step: Step) -> Iterator[str]:
        if step.old is not None or not step.by("cronjob-controller"):
            return
        uid = owners.controller_uid(step.obj)
        owner = world.by_uid(uid)
        moment = (step.obj["metadata"].get("annotations") or {}).get(SCHEDULED, "")
        if owner is None:
            return
        started = self._started.setdefault(uid, {})
        if moment in started:
            yield f"was started for {moment}, as was {started[moment]}"
        started[moment] = step.obj["metadata"]["name"]
        running = [j for j in world.of(uid, "jobs") if not _verdict(j)]
        if owner["spec"].get("concurrencyPolicy") == "Forbid" and len(running) > 1:
            yield f"runs beside {len(running) - 1} others, which the CronJob forbids"


INVARIANTS = (
    Invariant("a Job counts each pod once, and its verdict stays", ("jobs", "pods"), _Counted),
    Invariant(
        "a Job makes no pod for an index that is done", ("pods",), lambda: _indexes_once, frozenset({"straggling"})
    ),
    Invariant("a Job makes no more pods than are wanted", ("jobs", "pods"), _NoMore, LOST_WRITES),
    Invariant("a CronJob starts each time once", ("jobs",), _Schedule, frozenset({"straggling"})),
)
