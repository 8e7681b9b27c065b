"""Events of events.k8s.io/v1, as the scheduler writes them: the same again is a series, counted here and told now and then.

The same is what has type, reason, action and the same version of the object. Events are best effort: one that can't be
written is dropped with a word in the log. Several are written at a time, those about one object in order.
https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections import OrderedDict
from dataclasses import dataclass

from heeler.base.clock import Clock, rfc3339_micro
from heeler.base.tasks import Tasks
from heeler.client.client import Client
from heeler.client.events import event_name, reference
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object

log = logging.getLogger(__name__)

EVENTS = GroupVersionResource("events.k8s.io", "v1", "events")

#: A series that was quiet for so long is over; a long one is told so often.
FINISH_SECONDS, REFRESH_SECONDS = 360.0, 1800.0
#: Bytes of a note.
MAX_NOTE = 1024
#: What is remembered; what may wait to be written in each lane; how many are written at a time.
MAX_KNOWN, MAX_WAITING, LANES = 4096, 2500, 4

Key = tuple[str, ...]


@dataclass(slots=True)
class _Known:
    event: Object
    count: int
    seen: float
    #: When the API was told last; monotonic seconds like `seen`.
    told: float
    created: bool = False


class SeriesRecorder:
    """Writes the events of one component. `run` must run somewhere."""

    def __init__(self, client: Client, component: str, instance: str, *, clock: Clock) -> None:
        self._client, self._component, self._instance, self._clock = client, component, instance, clock
        self._known: OrderedDict[Key, _Known] = OrderedDict()
        self._lanes: list[asyncio.Queue[_Known]] = [asyncio.Queue(MAX_WAITING) for _ in range(LANES)]
        self._stamp = self._dropped = 0

    def record(
        self, about: Object, type: str, reason: str, action: str, note: str, *, related: Object | None = None
    ) -> None:
        """Say something about an object (with kind and apiVersion). `type` is Normal or Warning."""
        regarding = reference(about)
        key = (type, reason, action, *regarding.values())
        now = self._clock.monotonic()
        known = self._known.get(key)
        if known is not None and now - known.seen <= FINISH_SECONDS:
            known.count += 1
            known.seen = now
            if known.count == 2:
                self._put(known)
            return
        event: Object = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {
                "name": event_name(regarding["name"], self._next_stamp()),
                "namespace": regarding.get("namespace") or "default",
            },
            "eventTime": rfc3339_micro(self._clock.time()),
            "reportingController": self._component,
            "reportingInstance": self._instance,
            "action": action,
            "reason": reason,
            "regarding": regarding,
            "note": _short(note),
            "type": type,
        }
        if related is not None:
            event["related"] = reference(related)
        self._known[key] = known = _Known(event, 1, now, now)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        self._put(known)

    def _next_stamp(self) -> int:
        """Nanoseconds since 1970, as client-go ends names; each is another one."""
        self._stamp = max(self._stamp + 1, int(self._clock.time() * 1e9))
        return self._stamp

    def _put(self, known: _Known) -> None:
        regarding = known.event["regarding"]
        lane = zlib.crc32((regarding.get("uid") or regarding["name"]).encode()) % LANES
        try:
            self._lanes[lane].put_nowait(known)
        except asyncio.QueueFull:
            self._dropped += 1
            if self._dropped & (self._dropped - 1) == 0:  # the first, and then ever fewer of them
                log.warning("too many events: %d were dropped, the last one about %s", self._dropped, regarding["name"])

    async def run(self) -> None:
        """Write until cancelled."""
        async with Tasks() as tasks:
            for at, lane in enumerate(self._lanes):
                tasks.spawn(self._write_all(lane), f"events {at}")
            while True:
                await self._clock.sleep(FINISH_SECONDS)
                self._finish()

    async def _write_all(self, lane: asyncio.Queue[_Known]) -> None:
        while True:
            known = await lane.get()
            try:
                await self._write(known)
            except (StatusError, OSError) as error:
                log.debug("event %s was not written: %s", known.event["reason"], error)

    async def _write(self, known: _Known) -> None:
        metadata = known.event["metadata"]
        known.told = self._clock.monotonic()
        if known.created and known.count > 1:
            try:
                await self._client.patch(
                    EVENTS, metadata["name"], {"series": self._series(known)}, metadata["namespace"]
                )
                return
            except StatusError as error:
                if error.code != 404:
                    raise
        if known.count > 1:
            known.event["series"] = self._series(known)
        await self._client.create(EVENTS, known.event, metadata["namespace"])
        known.created = True

    def _series(self, known: _Known) -> Object:
        ago = self._clock.monotonic() - known.seen
        return {"count": known.count, "lastObservedTime": rfc3339_micro(self._clock.time() - ago)}

    def _finish(self) -> None:
        """Forget what is over, after a last word about series, and tell how far long ones have come."""
        now = self._clock.monotonic()
        for key, known in list(self._known.items()):
            over = now - known.seen > FINISH_SECONDS
            if over:
                del self._known[key]
            if known.count > 1 and (over or now - known.told > REFRESH_SECONDS):
                self._put(known)


def _short(note: str) -> str:
    raw = note.encode()
    return note if len(raw) <= MAX_NOTE else raw[: MAX_NOTE - 4].decode("utf-8", "ignore") + " ..."
