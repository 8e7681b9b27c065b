"""What a Job's next step is: which pods are made, deleted, counted; and when it is over. Pure.

https://kubernetes.io/docs/concepts/workloads/controllers/job/ — each pod carries a finalizer until the Job has counted it.
An ended pod's uid is first noted in `status.uncountedTerminatedPods`, then the finalizer is removed, then the uid becomes
one more in a counter: nothing is counted twice or not at all, wherever it is interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from heeler.base.clock import parse_rfc3339, rfc3339
from heeler.controllers.job_policies import judge, succeeded_by
from heeler.objects.names import MAX_PREFIX
from heeler.objects.value import Object, labels_of, meta, name_of
from heeler.workloads import index_sets, pods

FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED_FAILURES = "batch.kubernetes.io/job-index-ignored-failure-count"
OWN_MANAGER = "kubernetes.io/job-controller"
#: Pods made, deleted or counted in one step at most.
BURST = 500
#: A failed pod is replaced after this time, twice as long each time.
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 10.0, 600.0


class Verdict(NamedTuple):
    """Why a Job is over; `type` is Complete or Failed."""

    type: str
    reason: str
    message: str

    @property
    def interim(self) -> str:
        """The condition that is set until the last pod has ended."""
        return "SuccessCriteriaMet" if self.type == "Complete" else "FailureTarget"


class Backoff(NamedTuple):
    """Failures since the last success, and when the last of them was (seconds since the epoch). Outlives the pods."""

    failures: int = 0
    last: float = 0.0


NO_FAILURES = Backoff()


@dataclass(slots=True)
class Step:
    """`create`: the index of each new pod (None without), with the failed pod that it replaces; `drop`: running pods that
    go uncounted; `stop`: running pods of a Job that is over; `release`: pods whose finalizer is to be removed;
    `again`: seconds until the next look; `backoff`: what is to be remembered once the status is written."""

    status: Object
    verdict: Verdict | None = None
    create: list[tuple[int | None, Object | None]] = field(default_factory=list)
    drop: list[Object] = field(default_factory=list)
    stop: list[Object] = field(default_factory=list)
    release: list[Object] = field(default_factory=list)
    events: list[tuple[str, str, str]] = field(default_factory=list)
    again: float | None = None
    backoff: Backoff = NO_FAILURES


# facts of a Job and its pods


def is_indexed(job: Object) -> bool:
    return bool(job["spec"].get("completionMode") == "Indexed")


def completions(job: Object) -> int | None:
    found = job["spec"].get("completions")
    return None if found is None else int(found)


def parallelism(job: Object) -> int:
    found = job["spec"].get("parallelism")
    return 1 if found is None else int(found)


def is_finished(job: Object) -> bool:
    return pods.has_condition(job, "Complete") or pods.has_condition(job, "Failed")


def index_of(pod: Object) -> int:
    """The completion index, -1 without one."""
    text = (meta(pod).get("annotations") or {}).get(INDEX, "")
    return int(text) if text.isascii() and text.isdigit() else -1


def is_tracked(pod: Object) -> bool:
    return FINALIZER in (meta(pod).get("finalizers") or ())


def has_index_limit(job: Object) -> bool:
    return job["spec"].get("backoffLimitPerIndex") is not None


def replaces_only_failed(job: Object) -> bool:
    return bool(job["spec"].get("podReplacementPolicy") == "Failed")


def has_failed(job: Object, pod: Object) -> bool:
    """A pod that is being deleted counts as failed, unless the Job waits until it has ended."""
    if pods.phase(pod) == "Failed":
        return True
    return not replaces_only_failed(job) and pods.is_terminating(pod) and pods.phase(pod) != "Succeeded"


def uncounted(job: Object) -> tuple[list[str], list[str]]:
    """(uids of succeeded pods, of failed ones) whose counting is under way."""
    found = (job.get("status") or {}).get("uncountedTerminatedPods") or {}
    return list(found.get("succeeded") or ()), list(found.get("failed") or ())


def finished_at(pod: Object) -> float:
    """When a pod ended, as far as it can be told (seconds since the epoch): by its containers, by when it stopped being
    ready, by when its deletion was asked for, or else when it was made."""
    status = pod.get("status") or {}
    ends = [
        ((one.get("state") or {}).get("terminated") or {}).get("finishedAt")
        for one in (*(status.get("containerStatuses") or ()), *pods.sidecar_statuses(pod))
    ]
    told = [parse_rfc3339(end) for end in ends if end]
    if told and len(told) == len(ends):
        return max(told)
    ready, metadata = pods.condition(pod, "Ready") or {}, meta(pod)
    if ready.get("status") == "False" and ready.get("lastTransitionTime"):
        return parse_rfc3339(ready["lastTransitionTime"])
    if "deletionTimestamp" in metadata:
        return parse_rfc3339(metadata["deletionTimestamp"]) - (metadata.get("deletionGracePeriodSeconds") or 0)
    return parse_rfc3339(metadata["creationTimestamp"]) if metadata.get("creationTimestamp") else 0.0


def after(known: Backoff, succeeded: Sequence[Object], failed: Sequence[Object]) -> Backoff:
    """What is remembered after these pods, not told of before: a success forgets the failures until then."""
    ends = [finished_at(pod) for pod in failed]
    if succeeded:
        success = max(finished_at(pod) for pod in succeeded)
        known, ends = NO_FAILURES, [end for end in ends if end > success]
    return Backoff(known.failures + len(ends), max(ends)) if ends else known


def pause(failures: int, since: float, now: float) -> float:
    """Seconds that a failure keeps the next pod waiting."""
    if failures <= 0:
        return 0.0
    return max(0.0, since + min(FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 32), MAX_PAUSE_SECONDS) - now)


def failure_counts(job: Object, pod: Object | None) -> tuple[int, int]:
    """(failures that count, ignored ones) of an index whose last failed pod this is."""
    if pod is None:
        return 0, 0
    notes = meta(pod).get("annotations") or {}
    counted, ignored = _whole(notes.get(FAILURES)), _whole(notes.get(IGNORED_FAILURES))
    return (counted + 1, ignored) if judge(job, pod).counts else (counted, ignored + 1)


def _whole(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else 0


# the plan


@dataclass(slots=True)
class _Count:
    """What is there, once worked out."""

    active: list[Object]
    terminating: int
    succeeded: list[Object]
    failed: list[Object]
    completed: set[int]
    failed_indexes: set[int]
    succeeded_total: int = 0
    failed_total: int = 0


def plan(job: Object, found: Sequence[Object], now: float, known: Backoff = NO_FAILURES) -> Step:
    """The next step of a Job that isn't finished, whose pods are `found`. `known`: earlier failures."""
    status = dict(job.get("status") or {})
    suspended = bool(job["spec"].get("suspend"))
    if not status.get("startTime") and not suspended:
        status["startTime"] = rfc3339(now)
    step = Step(status)
    count = _counted(job, found)
    step.backoff = after(known, count.succeeded, count.failed)
    step.verdict = _verdict(job, found, count, status, now, step)
    active, terminating = len(count.active), count.terminating
    if step.verdict is not None:
        step.stop = count.active[:BURST]
        terminating += len(step.stop)
        active -= len(step.stop)
    elif "deletionTimestamp" not in job["metadata"]:
        active, terminating = _manage(job, found, count, now, step)
        step.verdict = _completed(job, count, active)
        _suspension(job, status, now, step)
    _ended(job, found, count, step)
    going = _uids([*step.drop, *step.stop])
    ready = sum(pods.is_ready(pod) for pod in count.active if pod["metadata"]["uid"] not in going)
    _write_numbers(status, active=active)
    status["ready"], status["terminating"] = ready, terminating
    if step.verdict is not None:
        _add_condition(status, step.verdict.interim, step.verdict, now)
    return step


def _uids(found: Sequence[Object]) -> dict[str, None]:
    return {pod["metadata"]["uid"]: None for pod in found}


def _counted(job: Object, found: Sequence[Object]) -> _Count:
    status = job.get("status") or {}
    noted_succeeded, noted_failed = (dict.fromkeys(uids) for uids in uncounted(job))
    limit = completions(job) or 0
    indexed = is_indexed(job)
    fresh = [pod for pod in found if is_tracked(pod) and (not indexed or 0 <= index_of(pod) < limit)]
    # one that was noted as failed while it ran may end well before it is stopped: it stays what it was noted as
    unnoted = [pod for pod in fresh if pod["metadata"]["uid"] not in {**noted_succeeded, **noted_failed}]
    succeeded = [pod for pod in unnoted if pods.phase(pod) == "Succeeded"]
    failed = [pod for pod in unnoted if has_failed(job, pod)]
    count = _Count(
        active=[pod for pod in found if pods.is_active(pod)],
        terminating=sum(pods.is_terminating(pod) and not pods.is_finished(pod) for pod in found),
        succeeded=succeeded,
        failed=failed,
        completed=index_sets.parse(status.get("completedIndexes") or "", limit),
        failed_indexes=index_sets.parse(status.get("failedIndexes") or "", limit),
    )
    if indexed:
        count.completed |= {index_of(pod) for pod in succeeded}
        count.succeeded_total = len(count.completed)
    else:
        count.succeeded_total = int(status.get("succeeded") or 0) + len(noted_succeeded) + len(succeeded)
    counting = [pod for pod in failed if judge(job, pod).counts]
    count.failed_total = int(status.get("failed") or 0) + len(noted_failed) + len(counting)
    if has_index_limit(job):
        count.failed_indexes |= {
            index_of(pod) for pod in failed if _index_has_failed(job, pod) and index_of(pod) not in count.completed
        }
    return count


def _index_has_failed(job: Object, pod: Object) -> bool:
    if judge(job, pod).action == "FailIndex":
        return True
    return failure_counts(job, pod)[0] > int(job["spec"]["backoffLimitPerIndex"])


def _verdict(
    job: Object, found: Sequence[Object], count: _Count, status: Object, now: float, step: Step
) -> Verdict | None:
    """Is the Job over, other than by completing all it had to?"""
    for type, interim in (("Failed", "FailureTarget"), ("Complete", "SuccessCriteriaMet")):
        known = pods.condition(job, interim)
        if known is not None and known.get("status") == "True":
            return Verdict(type, known.get("reason", ""), known.get("message", ""))
    spec = job["spec"]
    for pod in found:
        if has_failed(job, pod) and spec.get("podFailurePolicy"):
            judged = judge(job, pod)
            if judged.action == "FailJob":
                return Verdict("Failed", "PodFailurePolicy", judged.message)
    limit = int(spec["backoffLimit"]) if spec.get("backoffLimit") is not None else 6
    if count.failed_total > limit or _restarted_too_often(job, found, limit):
        return Verdict("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and status.get("startTime") and not spec.get("suspend"):
        # of a Job that starts just now it is known to a fraction of a second, later only in whole ones
        started = (job.get("status") or {}).get("startTime")
        left = (parse_rfc3339(started) if started else now) + float(deadline) - now
        if left <= 0:
            return Verdict("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
        _again(step, left)
    if not is_indexed(job):
        return None
    if has_index_limit(job):
        most = spec.get("maxFailedIndexes")
        if most is not None and len(count.failed_indexes) > int(most):
            text = "Job has exceeded the specified maximal number of failed indexes"
            return Verdict("Failed", "MaxFailedIndexesExceeded", text)
        if count.failed_indexes and len(count.failed_indexes) + len(count.completed) >= (completions(job) or 0):
            return Verdict("Failed", "FailedIndexes", "Job has failed indexes")
    message = succeeded_by(job, count.completed)
    return Verdict("Complete", "SuccessPolicy", message) if message else None


def _restarted_too_often(job: Object, found: Sequence[Object], limit: int) -> bool:
    if job["spec"]["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    total = 0
    for pod in found:
        if pods.phase(pod) in ("Running", "Pending"):
            status = pod.get("status") or {}
            statuses = (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ()))
            total += sum(int(one.get("restartCount") or 0) for one in statuses)
    return total > 0 if limit == 0 else total >= limit


def _completed(job: Object, count: _Count, active: int) -> Verdict | None:
    wanted = completions(job)
    done = count.succeeded_total > 0 if wanted is None else count.succeeded_total >= wanted
    if not done or active:
        return None
    return Verdict("Complete", "CompletionsReached", "Reached expected number of succeeded pods")


def _manage(job: Object, found: Sequence[Object], count: _Count, now: float, step: Step) -> tuple[int, int]:
    """Pods to make or to let go; (active, terminating) afterwards."""
    active, terminating = len(count.active), count.terminating
    if job["spec"].get("suspend"):
        step.drop = count.active[:BURST]
        return active - len(step.drop), terminating + len(step.drop)
    wanted_total = completions(job)
    if wanted_total is None:
        wanted = active if count.succeeded_total > 0 else parallelism(job)
    else:
        wanted = max(0, min(parallelism(job), wanted_total - count.succeeded_total))
    step.drop = _superfluous(job, count.active, max(0, active - wanted))[:BURST]
    if step.drop:
        return active - len(step.drop), terminating + len(step.drop)
    missing = wanted - active - (count.terminating if replaces_only_failed(job) else 0)
    if missing <= 0:
        return active, terminating
    if is_indexed(job):
        step.create = _pending_indexes(job, found, count, missing, now, step)[:BURST]
    elif (wait := pause(*step.backoff, now)) > 0:
        _again(step, wait)
    else:
        step.create = [(None, None)] * min(missing, BURST)
    return active + len(step.create), terminating


def _pending_indexes(
    job: Object, found: Sequence[Object], count: _Count, missing: int, now: float, step: Step
) -> list[tuple[int | None, Object | None]]:
    """The lowest indexes that nobody works on; with the pod that failed last, if failures are counted by index."""
    busy = {index_of(pod) for pod in count.active}
    if replaces_only_failed(job):
        busy |= {index_of(pod) for pod in found if pods.is_terminating(pod) and not pods.is_finished(pod)}
    by_index = _last_failures(job, found) if has_index_limit(job) else {}
    if not has_index_limit(job):
        wait = pause(*step.backoff, now)
        if wait > 0:
            _again(step, wait)
            return []
    pending = (
        index
        for index in range(completions(job) or 0)
        if not (index in busy or index in count.completed or index in count.failed_indexes)
    )
    out: list[tuple[int | None, Object | None]] = []
    for index in islice(pending, missing):  # one that waits holds its place: later ones don't get before it
        last = by_index.get(index)
        wait = 0.0 if last is None else pause(sum(failure_counts(job, last)), finished_at(last), now)
        if wait > 0:
            _again(step, wait)
        else:
            out.append((index, last))
    return out


def _last_failures(job: Object, found: Sequence[Object]) -> dict[int, Object]:
    """Of each index the pod with the most failures behind it, of equals the one that ended last."""
    out: dict[int, Object] = {}
    for pod in found:
        index = index_of(pod)
        if index >= 0 and has_failed(job, pod):
            known = out.get(index)
            if known is None or _rank(job, known) <= _rank(job, pod):
                out[index] = pod
    return out


def _rank(job: Object, pod: Object) -> tuple[int, float]:
    return sum(failure_counts(job, pod)), finished_at(pod)


def _superfluous(job: Object, active: Sequence[Object], at_least: int) -> list[Object]:
    """Pods that go: those of an index that is taken or none, then the least ready and youngest, of equals the lowest index."""
    gone: list[Object] = []
    left = list(active)
    if is_indexed(job):
        left = []
        taken: set[int] = set()
        for pod in sorted(active, key=lambda pod: (meta(pod).get("creationTimestamp", ""), name_of(pod))):
            index = index_of(pod)
            bad = index in taken or not 0 <= index < (completions(job) or 0)
            (gone if bad else left).append(pod)
            taken.add(index)
    if len(gone) < at_least:
        left.sort(key=_usefulness)
        gone += left[: at_least - len(gone)]
    return gone


def _usefulness(pod: Object) -> tuple[object, ...]:
    created = meta(pod).get("creationTimestamp")
    return (
        bool(pods.node_name(pod)),
        {"Pending": 0, "Unknown": 1, "Running": 2}.get(pods.phase(pod), 2),
        pods.is_ready(pod),
        -(pods.ready_since(pod) or 0.0),
        [-count for count in pods.restarts(pod)],
        -(parse_rfc3339(created) if created else 0.0),
        index_of(pod),
        name_of(pod),
    )


def _suspension(job: Object, status: Object, now: float, step: Step) -> None:
    """The condition that says whether the Job is held back; its clock starts anew when it goes on."""
    if step.verdict is not None:
        return
    known = pods.condition(job, "Suspended")
    if job["spec"].get("suspend"):
        if known is None or known.get("status") != "True":
            _set_condition(status, "Suspended", "True", "JobSuspended", "Job suspended", now)
            status.pop("startTime", None)
            step.events.append(("Normal", "Suspended", "Job suspended"))
    elif known is not None and known.get("status") == "True":
        _set_condition(status, "Suspended", "False", "JobResumed", "Job resumed", now)
        status["startTime"] = rfc3339(now)
        step.events.append(("Normal", "Resumed", "Job resumed"))
        if job["spec"].get("activeDeadlineSeconds") is not None:
            _again(step, float(job["spec"]["activeDeadlineSeconds"]))


def _ended(job: Object, found: Sequence[Object], count: _Count, step: Step) -> None:
    """Note the pods that ended, and which of all noted ones lose their finalizer."""
    over = step.verdict is not None or "deletionTimestamp" in job["metadata"]
    noted_succeeded, noted_failed = uncounted(job)
    if not is_indexed(job):
        noted_succeeded += [pod["metadata"]["uid"] for pod in count.succeeded]
    kept: dict[str, None] = {}
    stopping = _uids(step.stop)
    if has_index_limit(job) and not over:
        kept = _uids(_needed(job, found, count))
    succeeds = step.verdict is not None and step.verdict.type == "Complete"
    failed = [
        pod
        for pod in count.failed
        if pod["metadata"]["uid"] not in kept
        and judge(job, pod).counts
        and not (succeeds and not pods.is_finished(pod))
    ]
    if step.verdict is not None and not succeeds:  # what still runs counts as failed, once
        running = [pod for pod in step.stop if not has_failed(job, pod) and is_tracked(pod)]
        failed += [pod for pod in running if pod["metadata"]["uid"] not in (*noted_failed, *noted_succeeded)]
    if replaces_only_failed(job):
        failed = [pod for pod in failed if pods.phase(pod) == "Failed"]
    noted_failed += [pod["metadata"]["uid"] for pod in failed]
    status = step.status
    if is_indexed(job):
        status["completedIndexes"] = index_sets.write(count.completed)
        if not count.completed:
            del status["completedIndexes"]
        _write_numbers(status, succeeded=len(count.completed))
        if has_index_limit(job):
            status["failedIndexes"] = index_sets.write(count.failed_indexes)
    status["uncountedTerminatedPods"] = {
        key: uids for key, uids in (("succeeded", noted_succeeded), ("failed", noted_failed)) if uids
    }
    for pod in found:
        if not is_tracked(pod) or pod["metadata"]["uid"] in kept:
            continue
        ended = pods.is_finished(pod) or has_failed(job, pod)
        going = pods.is_terminating(pod) or pod["metadata"]["uid"] in stopping
        stopped = over and going and not replaces_only_failed(job)
        if (ended or stopped or "deletionTimestamp" in job["metadata"]) and len(step.release) < BURST:
            step.release.append(pod)


def _needed(job: Object, found: Sequence[Object], count: _Count) -> list[Object]:
    """The last failed pod of each index that is to be tried again: it keeps the number of failures."""
    taken = {index_of(pod): pod for pod in count.active}
    out = []
    for index, pod in _last_failures(job, found).items():
        if index in count.completed or index in count.failed_indexes or not is_tracked(pod):
            continue
        successor = taken.get(index)
        if successor is None or sum(_noted(successor)) < sum(failure_counts(job, pod)):
            out.append(pod)
    return out


def _noted(pod: Object) -> tuple[int, int]:
    notes = meta(pod).get("annotations") or {}
    return _whole(notes.get(FAILURES)), _whole(notes.get(IGNORED_FAILURES))


def settled(status: Object, tracked: Mapping[str, None]) -> Object:
    """The status after counting those noted pods that are in `tracked` no more (uids of pods with the finalizer)."""
    out = dict(status)
    noted = out.get("uncountedTerminatedPods") or {}
    left = {}
    for key in ("succeeded", "failed"):
        uids = noted.get(key) or []
        kept = [uid for uid in uids if uid in tracked]
        if len(kept) < len(uids):
            out[key] = int(out.get(key) or 0) + len(uids) - len(kept)
        if kept:
            left[key] = kept
    out["uncountedTerminatedPods"] = left
    return out


def over(status: Object, verdict: Verdict | None, now: float) -> tuple[Object, list[tuple[str, str, str]]]:
    """The last status, with its events, if nothing runs and nothing is uncounted; the same one otherwise."""
    busy = status.get("active") or status.get("terminating") or status.get("uncountedTerminatedPods")
    if verdict is None or busy:
        return status, []
    out = dict(status)
    _add_condition(out, verdict.type, verdict, now)
    if verdict.type == "Complete":
        out["completionTime"] = rfc3339(now)
        return out, [("Normal", "Completed", "Job completed")]
    return out, [("Warning", verdict.reason, verdict.message)]


def _write_numbers(status: Object, **numbers: int) -> None:
    for key, number in numbers.items():
        if number:
            status[key] = number
        else:
            status.pop(key, None)


def _add_condition(status: Object, type: str, verdict: Verdict, now: float) -> None:
    if not any(c.get("type") == type and c.get("status") == "True" for c in status.get("conditions") or ()):
        _set_condition(status, type, "True", verdict.reason, verdict.message, now)


def _set_condition(status: Object, type: str, value: str, reason: str, message: str, now: float) -> None:
    moment = rfc3339(now)
    fresh = {
        "type": type,
        "status": value,
        "lastProbeTime": moment,
        "lastTransitionTime": moment,
        "reason": reason,
        "message": message,
    }
    conditions = list(status.get("conditions") or ())
    known = next((i for i, c in enumerate(conditions) if c.get("type") == type), None)
    if known is None:
        conditions.append(fresh)
    else:
        conditions[known] = fresh
    status["conditions"] = conditions


def _again(step: Step, seconds: float) -> None:
    step.again = seconds if step.again is None else min(step.again, seconds)


# what a pod looks like


def new_pod(job: Object, index: int | None, replaced: Object | None, reference: Object) -> Object:
    """A pod of the Job, for an index or for none. `replaced`: the index's last failed pod, if failures count by index."""
    template = job["spec"]["template"]
    given = template.get("metadata") or {}
    labels, notes = dict(given.get("labels") or {}), dict(given.get("annotations") or {})
    spec = dict(template.get("spec") or {})
    prefix = f"{name_of(job)}-"
    if index is not None:
        labels[INDEX], notes[INDEX] = str(index), str(index)
        spec["hostname"] = f"{name_of(job)}-{index}"
        ending = f"-{index}-"  # a long name is cut, its index isn't
        prefix = f"{name_of(job)[: MAX_PREFIX - len(ending)]}{ending}"
        for key in ("initContainers", "containers"):
            if spec.get(key):
                spec[key] = [_with_index(container) for container in spec[key]]
        if has_index_limit(job):
            counted, ignored = failure_counts(job, replaced)
            notes[FAILURES] = str(counted)
            if ignored:
                notes[IGNORED_FAILURES] = str(ignored)
    metadata: Object = {
        "generateName": prefix,
        "labels": labels,
        "finalizers": [*(f for f in given.get("finalizers") or () if f != FINALIZER), FINALIZER],
        "ownerReferences": [reference],
    }
    if notes:
        metadata["annotations"] = notes
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _with_index(container: Object) -> Object:
    env = container.get("env") or []
    if any(entry.get("name") == "JOB_COMPLETION_INDEX" for entry in env):
        return container
    source = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}
    return {**container, "env": [*env, {"name": "JOB_COMPLETION_INDEX", "valueFrom": source}]}


def belongs(job: Object, pod: Object) -> bool:
    """Does an orphaned pod say that it was made for this very Job?"""
    return bool(labels_of(pod).get("batch.kubernetes.io/controller-uid") == job["metadata"]["uid"])
