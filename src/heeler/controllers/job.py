"""Jobs: pods that run until they are done. What is decided is in `job_plan`."""

from __future__ import annotations

from collections import OrderedDict

from heeler.base.tasks import together
from heeler.client.informer import key_of, split_key
from heeler.client.queue import WorkQueue
from heeler.controllers import job_plan as rules
from heeler.controllers.job_plan import NO_FAILURES, Backoff, Step
from heeler.controllers.loop import Context
from heeler.controllers.pod_control import (
    STRATEGIC,
    OwnerKind,
    PodControl,
    claim,
    dependents_of,
    in_growing_batches,
    watch_dependents,
)
from heeler.controllers.resources import JOBS, PODS
from heeler.objects import selectors
from heeler.objects.status import StatusError
from heeler.objects.value import Object, meta, name_of
from heeler.workloads import owners

KIND = OwnerKind(JOBS, "Job")
#: What pods say of themselves is gathered for so many seconds, as kube-controller-manager does: pods that end together are
#: counted together, and no new one is made for the first of them.
BATCH_SECONDS = 1.0
#: What fails is tried again after these seconds, twice as long each time (upstream's DefaultJobApiBackOff, MaxJobApiBackOff).
FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 1.0, 60.0
MAX_KNOWN_BACKOFFS = 10_000
#: Keys of pods whose Job is gone begin so.
ORPHAN = "orphan:"


class JobController:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue(first_delay=FIRST_RETRY_SECONDS, max_delay=MAX_RETRY_SECONDS)
        self._context, self._client = context, context.client
        self._events = context.recorder("job-controller")
        self._jobs = context.informers.get(JOBS)
        self._pods = context.informers.get(PODS)
        self._control = PodControl(self._client, self._pods, self._events, KIND)
        #: By uid: Jobs whose pods failed.
        self._backoffs: OrderedDict[str, Backoff] = OrderedDict()
        self._jobs.add_handler(self._job_changed)
        watch_dependents(self._pods, self._jobs, KIND.kind, _selector, self._soon)
        self._pods.add_handler(self._pod_changed)

    def _soon(self, key: str) -> None:
        self.queue.add_after(key, BATCH_SECONDS)

    def _job_changed(self, old: Object | None, new: Object | None) -> None:
        key = key_of(new or old or {})
        if old is not None and new is not None and meta(old).get("generation") == meta(new).get("generation"):
            self._soon(key)
        else:
            self.queue.add(key)
        if new is None and old is not None:
            self._backoffs.pop(old["metadata"]["uid"], None)
            for pod in self._pods.by_index("controller", old["metadata"]["uid"]):
                self._pod_changed(None, pod)

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        """A pod that waits to be counted by a Job that is no more, or no more its owner."""
        if new is not None and rules.is_tracked(new) and self._is_orphan(new):
            self.queue.add(ORPHAN + key_of(new))

    def _is_orphan(self, pod: Object) -> bool:
        ref = owners.controller_of(pod)
        if ref is None:
            return True
        if ref.get("kind") != "Job":
            return False
        job = self._jobs.get(f"{pod['metadata']['namespace']}/{ref['name']}")
        return self._jobs.synced and (job is None or job["metadata"]["uid"] != ref["uid"])

    async def reconcile(self, key: str) -> None:
        if key.startswith(ORPHAN):
            await self._let_go_orphan(key.removeprefix(ORPHAN))
            return
        job = self._jobs.get(key)
        if job is None or job["spec"].get("managedBy") not in (None, rules.OWN_MANAGER):
            return
        found = await claim(
            self._client,
            KIND,
            job,
            _selector(job),
            self._pods,
            dependents_of(self._pods, job),
            lambda _: True,
            finalizers=() if rules.is_finished(job) else (rules.FINALIZER,),
        )
        if rules.is_finished(job):
            self._backoffs.pop(job["metadata"]["uid"], None)
            await together(*(self._release(pod) for pod in found if rules.is_tracked(pod)))
            return
        uid = job["metadata"]["uid"]
        step = rules.plan(job, found, self._context.clock.time(), self._backoffs.get(uid, NO_FAILURES))
        error = await self._perform(job, step)
        job = await self._write_status(job, step.status)
        if step.release:  # these pods are new no more
            self._remember(uid, step.backoff)
        for event in step.events:
            self._events.record(KIND.about(job), *event)
        await together(*(self._release(pod) for pod in step.release))
        await self._count(job, step)
        if step.again is not None:
            self.queue.add_after(key, step.again + 0.01)
        if error is not None:
            raise error

    def _remember(self, uid: str, backoff: Backoff) -> None:
        self._backoffs.pop(uid, None)
        if backoff.failures:
            self._backoffs[uid] = backoff
            if len(self._backoffs) > MAX_KNOWN_BACKOFFS:
                self._backoffs.popitem(last=False)

    async def _perform(self, job: Object, step: Step) -> StatusError | OSError | None:
        """Make and delete pods; the first failure. The status says what was really done."""
        await together(*(self._release(pod) for pod in step.drop))
        error = await self._control.delete_all(job, [*step.drop, *step.stop])
        reference = KIND.reference(job)
        made, failed = await in_growing_batches(
            [
                lambda index=index, last=last: self._control.create(job, rules.new_pod(job, index, last, reference))  # type: ignore[misc]
                for index, last in step.create
            ]
        )
        short = len(step.create) - len(made)
        if short:
            active = int(step.status.get("active") or 0) - short
            step.status = {**step.status, "active": active}
            if active <= 0:
                del step.status["active"]
        return error or failed

    async def _count(self, job: Object, step: Step) -> None:
        """Turn noted pods that have lost their finalizer into numbers; end the Job if that was the last."""
        mine = [*self._pods.by_index("controller", job["metadata"]["uid"])]
        tracked = {pod["metadata"]["uid"]: None for pod in mine if rules.is_tracked(pod)}
        status = rules.settled(job.get("status") or {}, tracked)
        status, events = rules.over(status, step.verdict, self._context.clock.time())
        job = await self._write_status(job, status)
        for event in events:
            self._events.record(KIND.about(job), *event)

    async def _release(self, pod: Object) -> None:
        """Remove the finalizer."""
        finalizers = [f for f in meta(pod).get("finalizers") or () if f != rules.FINALIZER]
        if len(finalizers) == len(meta(pod).get("finalizers") or ()):
            return
        patch: Object = {
            "metadata": {"uid": pod["metadata"]["uid"], "$deleteFromPrimitiveList/finalizers": [rules.FINALIZER]}
        }
        try:
            done = await self._client.patch(PODS, name_of(pod), patch, pod["metadata"]["namespace"], type=STRATEGIC)
        except StatusError as error:
            if error.code not in (404, 409, 422):
                raise
            return
        if "deletionTimestamp" in done["metadata"] and not finalizers and _is_gone(done):
            self._pods.assume_deleted(done)
        else:
            self._pods.assume(done)

    async def _let_go_orphan(self, key: str) -> None:
        pod = self._pods.get(key)
        if pod is None or not rules.is_tracked(pod) or not self._is_orphan(pod):
            return
        namespace, _ = split_key(key)
        ref = owners.controller_of(pod)
        if ref is None:  # it may be adopted again by the Job that it was made for
            for job in self._jobs.by_index("namespace", namespace):
                if rules.belongs(job, pod) and "deletionTimestamp" not in job["metadata"]:
                    return
        await self._release(pod)

    async def _write_status(self, job: Object, status: Object) -> Object:
        if status == (job.get("status") or {}):
            return job
        done = await self._client.update(JOBS, {**job, "status": status}, subresource="status")
        self._jobs.assume(done)
        return done


def _is_gone(pod: Object) -> bool:
    """Nothing holds the pod any more: the patch that removed its last finalizer removed it too."""
    return meta(pod).get("deletionGracePeriodSeconds") == 0


def _selector(job: Object) -> selectors.LabelSelector:
    return selectors.of_object(job["spec"].get("selector"))
