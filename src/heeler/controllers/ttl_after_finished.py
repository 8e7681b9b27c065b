"""Finished Jobs go after the time that they say: https://kubernetes.io/docs/concepts/workloads/controllers/ttlafterfinished/"""

from __future__ import annotations

from heeler.base.clock import parse_rfc3339
from heeler.client.informer import key_of, split_key
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.resources import JOBS
from heeler.objects.status import StatusError
from heeler.objects.value import Object, name_of
from heeler.workloads import pods


def time_left(job: Object, now: float) -> float | None:
    """Seconds until a Job goes (0 or less: now); None if it stays."""
    ttl = job["spec"].get("ttlSecondsAfterFinished")
    ended = next(
        (c for t in ("Complete", "Failed") if (c := pods.condition(job, t)) and c.get("status") == "True"), None
    )
    if ttl is None or ended is None or "deletionTimestamp" in job["metadata"]:
        return None
    return parse_rfc3339(ended["lastTransitionTime"]) + float(ttl) - now


class TtlAfterFinishedController:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._context, self._client = context, context.client
        self._jobs = context.informers.get(JOBS)
        self._jobs.add_handler(self._job_changed)

    def _job_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None and time_left(new, 0.0) is not None:
            self.queue.add(key_of(new))

    async def reconcile(self, key: str) -> None:
        known = self._jobs.get(key)
        if known is None or time_left(known, 0.0) is None:
            return
        namespace, name = split_key(key)
        try:
            job = await self._client.get(JOBS, name, namespace)  # somebody may have just changed the time
            left = time_left(job, self._context.clock.time())
            if left is None:
                return
            if left > 0:
                self.queue.add_after(key, left)
                return
            await self._client.delete(
                JOBS,
                name_of(job),
                namespace,
                uid=job["metadata"]["uid"],
                resource_version=job["metadata"]["resourceVersion"],
                propagation="Foreground",
            )
        except StatusError as error:
            if error.code != 404:
                raise
