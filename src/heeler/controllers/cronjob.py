"""CronJobs: a Job at each moment of a schedule. https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/"""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import format_datetime

from heeler.base.clock import parse_rfc3339, rfc3339
from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers import cron_times
from heeler.controllers.loop import Context
from heeler.controllers.pod_control import OwnerKind, namespace_is_terminating
from heeler.controllers.resources import CRON_JOBS, JOBS
from heeler.kinds.batch.schedule import ScheduleError
from heeler.objects.status import StatusError
from heeler.objects.value import Object, meta, name_of
from heeler.workloads import owners, pods

KIND = OwnerKind(CRON_JOBS, "CronJob")
SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
#: Looks a little later than the moment, so that clocks that differ a little don't matter.
SLACK_SECONDS = 0.1
#: So many missed moments are worth a warning.
MANY = 100


@dataclass(slots=True)
class Step:
    """`expire`: finished Jobs beyond the history limits; `replace`: running ones that make way; `create`: the new Job,
    `moment` being when it should start; `again`: seconds until the next look."""

    status: Object
    expire: list[Object] = field(default_factory=list)
    replace: list[Object] = field(default_factory=list)
    create: Object | None = None
    moment: float | None = None
    events: list[tuple[str, str, str]] = field(default_factory=list)
    again: float | None = None


def outcome(job: Object) -> str:
    """Complete, Failed or ""."""
    return next((type for type in ("Complete", "Failed") if pods.has_condition(job, type)), "")


def plan(cronjob: Object, jobs: Sequence[Object], now: float) -> Step:
    """What to do for a CronJob that controls these Jobs. Jobs it names as active must be among them, or be gone."""
    status = dict(cronjob.get("status") or {})
    step = Step(status)
    active = list(status.get("active") or ())
    step.expire = _expired(cronjob, jobs)
    gone = {job["metadata"]["uid"] for job in step.expire}
    active = [ref for ref in active if ref.get("uid") not in gone]
    for job in jobs:
        active = _note(job, active, status, step)
    there = {job["metadata"]["uid"] for job in jobs}
    for ref in active:
        if ref.get("uid") not in there:
            step.events.append(("Normal", "MissingJob", f"Active job went missing: {ref.get('name')}"))
    active = [ref for ref in active if ref.get("uid") in there]
    if "deletionTimestamp" not in cronjob["metadata"]:
        _schedule(cronjob, jobs, active, now, step)
    if step.replace:
        going = {job["metadata"]["uid"] for job in step.replace}
        active = [ref for ref in active if ref.get("uid") not in going]
    status.pop("active", None)
    if active:
        status["active"] = active
    return step


def _note(job: Object, active: list[Object], status: Object, step: Step) -> list[Object]:
    """What a Job of the CronJob tells: that it ended, or that nobody knew of it. The active ones afterwards."""
    uid, ended = job["metadata"]["uid"], outcome(job)
    known = any(ref.get("uid") == uid for ref in active)
    if not ended:
        if not known:
            text = f"Saw a job that the controller did not create or forgot: {name_of(job)}"
            step.events.append(("Warning", "UnexpectedJob", text))
        return active
    if known:
        text = f"Saw completed job: {name_of(job)}, condition: {ended}"
        step.events.append(("Normal", "SawCompletedJob", text))
    at = (job.get("status") or {}).get("completionTime")
    if ended == "Complete" and at and at > status.get("lastSuccessfulTime", ""):
        status["lastSuccessfulTime"] = at
    return [ref for ref in active if ref.get("uid") != uid]


def _expired(cronjob: Object, jobs: Sequence[Object]) -> list[Object]:
    """The oldest finished Jobs beyond what is to be kept of each outcome."""
    out: list[Object] = []
    for ended, limit in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
        most = cronjob["spec"].get(limit)
        if most is not None:
            found = sorted((job for job in jobs if outcome(job) == ended), key=_started)
            out += found[: max(0, len(found) - int(most))]
    return out


def _started(job: Object) -> tuple[str, str]:
    return (job.get("status") or {}).get("startTime") or "9999", name_of(job)


def _schedule(cronjob: Object, jobs: Sequence[Object], active: list[Object], now: float, step: Step) -> None:
    spec, status = cronjob["spec"], step.status
    try:
        zone = zone_of(cronjob)
        following = cron_times.times(spec["schedule"], zone)
    except ScheduleError as error:
        text = f'unparseable schedule: "{spec["schedule"]}" : {error}'
        step.events.append(("Warning", "UnparseableSchedule", text))
        return
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        text = f'invalid timeZone: "{spec.get("timeZone")}": unknown time zone {spec.get("timeZone")}'
        step.events.append(("Warning", "UnknownTimeZone", text))
        return
    if spec.get("suspend"):
        return
    try:
        moment, missed = most_recent(cronjob, following, now)
    except NeverDue as error:
        step.events.append(("Warning", "InvalidSchedule", f"invalid schedule: {spec['schedule']} : {error}"))
        return
    due = following(now)
    step.again = None if due is None else due - now + SLACK_SECONDS
    if moment is None:
        return
    if missed > MANY:
        text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        step.events.append(("Warning", "TooManyMissedTimes", text))
    deadline = spec.get("startingDeadlineSeconds")
    if deadline is not None and moment + float(deadline) < now:
        at = format_datetime(datetime.datetime.fromtimestamp(moment, zone))
        step.events.append(("Warning", "MissSchedule", f"Missed scheduled time to start a job: {at}"))
        return
    name = job_name(cronjob, moment)
    if any(ref.get("name") == name for ref in active) or status.get("lastScheduleTime") == rfc3339(moment):
        return
    policy = spec.get("concurrencyPolicy")
    if policy == "Forbid" and active:
        text = "Not starting job because prior execution is running and concurrency policy is Forbid"
        step.events.append(("Normal", "JobAlreadyActive", text))
        return
    if policy == "Replace":
        uids = {ref.get("uid") for ref in active}
        step.replace = [job for job in jobs if job["metadata"]["uid"] in uids]
    step.create, step.moment = new_job(cronjob, moment, zone), moment


def zone_of(cronjob: Object) -> datetime.tzinfo:
    """Raises ZoneInfoNotFoundError or ValueError for a zone that isn't known."""
    name = cronjob["spec"].get("timeZone")
    return zoneinfo.ZoneInfo(name) if name else datetime.UTC


class NeverDue(ValueError):
    """The schedule names no moment that ever comes, such as the 31st of February."""


def most_recent(cronjob: Object, following: cron_times.Next, now: float) -> tuple[float | None, int]:
    """The last moment that has passed and for which no Job was started yet, and about how many such moments there are.

    Raises NeverDue.
    """
    earliest = parse_rfc3339(
        (cronjob.get("status") or {}).get("lastScheduleTime") or cronjob["metadata"]["creationTimestamp"]
    )
    deadline = cronjob["spec"].get("startingDeadlineSeconds")
    if deadline is not None:
        earliest = max(earliest, now - float(deadline))
    first = following(earliest)
    if first is None:
        raise NeverDue("time difference between two schedules is less than 1 second")
    if first > now:
        return None, 0
    second = following(first)
    if second is None or second > now:
        return first, 1
    # However far behind: from two periods before now, as the first two moments have them, on the grid that they began.
    period = second - first
    count = int((now - first) / period) + 1
    moment, later = None, following(first + (count - 2) * period)
    while later is not None and later <= now:
        moment, later = later, following(later)
    return moment, count


def job_name(cronjob: Object, moment: float) -> str:
    return f"{name_of(cronjob)}-{int(moment) // 60}"


def new_job(cronjob: Object, moment: float, zone: datetime.tzinfo) -> Object:
    template = cronjob["spec"]["jobTemplate"]
    given = template.get("metadata") or {}
    local = datetime.datetime.fromtimestamp(moment, zone).isoformat()
    metadata: Object = {
        "name": job_name(cronjob, moment),
        "namespace": cronjob["metadata"]["namespace"],
        "annotations": {**(given.get("annotations") or {}), SCHEDULED: local.replace("+00:00", "Z")},
        "ownerReferences": [KIND.reference(cronjob)],
    }
    if given.get("labels"):
        metadata["labels"] = dict(given["labels"])
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]}


def reference(job: Object) -> Object:
    """How the status names a Job that was started."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        **{key: job["metadata"].get(key, "") for key in ("name", "namespace", "uid", "resourceVersion")},
    }


class CronJobController:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._context, self._client = context, context.client
        self._events = context.recorder("cronjob-controller")
        self._cronjobs = context.informers.get(CRON_JOBS)
        self._jobs = context.informers.get(JOBS)
        self._jobs.add_index("controller", lambda job: [owners.controller_uid(job)])
        self._cronjobs.add_handler(self._cronjob_changed)
        self._jobs.add_handler(self._job_changed)

    def _cronjob_changed(self, old: Object | None, new: Object | None) -> None:
        self.queue.add(key_of(new or old or {}))

    def _job_changed(self, old: Object | None, new: Object | None) -> None:
        job = new or old or {}
        ref = owners.controller_of(job)
        if ref is not None and ref.get("kind") == "CronJob":
            self.queue.add(f"{job['metadata']['namespace']}/{ref['name']}")

    async def reconcile(self, key: str) -> None:
        cronjob = self._cronjobs.get(key)
        if cronjob is None:
            return
        jobs = await self._children(cronjob)
        step = plan(cronjob, jobs, self._context.clock.time())
        for event in step.events:
            self._events.record(KIND.about(cronjob), *event)
        for job in [*step.expire, *step.replace]:
            await self._delete(cronjob, job)
        if step.create is not None and step.moment is not None:
            made = await self._create(cronjob, step.create)
            if made is not None:
                step.status.setdefault("active", [])
                step.status["active"] = [*step.status["active"], reference(made)]
                step.status["lastScheduleTime"] = rfc3339(step.moment)
        if step.status != (cronjob.get("status") or {}):
            done = await self._client.update(CRON_JOBS, {**cronjob, "status": step.status}, subresource="status")
            self._cronjobs.assume(done)
        if step.again is not None:
            self.queue.add_after(key, step.again)

    async def _children(self, cronjob: Object) -> list[Object]:
        """The Jobs that the CronJob controls; those it names as active are asked for if they aren't known here."""
        found = {job["metadata"]["uid"]: job for job in self._jobs.by_index("controller", cronjob["metadata"]["uid"])}
        for ref in (cronjob.get("status") or {}).get("active") or ():
            if ref.get("uid") not in found:
                try:
                    job = await self._client.get(JOBS, ref["name"], cronjob["metadata"]["namespace"])
                except StatusError as error:
                    if error.code != 404:
                        raise
                else:
                    if job["metadata"]["uid"] == ref.get("uid"):
                        found[job["metadata"]["uid"]] = job
        return sorted(found.values(), key=lambda job: (meta(job).get("creationTimestamp", ""), name_of(job)))

    async def _delete(self, cronjob: Object, job: Object) -> None:
        about, name = KIND.about(cronjob), name_of(job)
        try:
            await self._client.delete(
                JOBS, name, job["metadata"]["namespace"], uid=job["metadata"]["uid"], propagation="Background"
            )
        except StatusError as error:
            if error.code in (404, 409):
                return
            self._events.record(about, "Warning", "FailedDelete", f"Deleted job: {error}")
            raise
        if not meta(job).get("finalizers"):
            self._jobs.assume_deleted(job)  # it is on no list any more, and would look like somebody else's
        self._events.record(about, "Normal", "SuccessfulDelete", f"Deleted job {name}")

    async def _create(self, cronjob: Object, job: Object) -> Object | None:
        """The Job that was made; one that is there already and is ours counts as made. None: another one has the name."""
        about, namespace = KIND.about(cronjob), cronjob["metadata"]["namespace"]
        try:
            made = await self._client.create(JOBS, job, namespace)
        except StatusError as error:
            if namespace_is_terminating(error):
                return None
            if error.reason == "AlreadyExists":
                there = await self._client.get(JOBS, name_of(job), namespace)
                return there if owners.controller_uid(there) == cronjob["metadata"]["uid"] else None
            self._events.record(about, "Warning", "FailedCreate", f"Error creating job: {error}")
            raise
        self._jobs.assume(made)
        self._events.record(about, "Normal", "SuccessfulCreate", f"Created job {name_of(made)}")
        return made
