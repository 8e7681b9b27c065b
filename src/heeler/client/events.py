"""Events about objects, as kubectl describe shows them: written later, repeated ones counted, floods cut off.

Events are best effort: one that can't be written is dropped with a word in the log.
https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from dataclasses import dataclass

from heeler.base.clock import Clock, rfc3339
from heeler.client.client import Client
from heeler.objects import names
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object

log = logging.getLogger(__name__)

EVENTS = GroupVersionResource("", "v1", "events")

#: Events of one object: so many at once, then one in so many seconds.
BURST = 25
REFILL_SECONDS = 300.0
#: Different messages of one reason about one object within this time are counted as one after so many.
SIMILAR_LIMIT = 10
SIMILAR_SECONDS = 600.0
#: What is remembered, and what may wait to be written.
MAX_KNOWN = 4096
MAX_WAITING = 1000


@dataclass(slots=True)
class _Known:
    name: str
    namespace: str
    count: int


@dataclass(slots=True)
class _Budget:
    left: float
    at: float


def reference(about: Object) -> Object:
    """An object as an event names it."""
    meta = about["metadata"]
    found = {
        "kind": about.get("kind", ""),
        "namespace": meta.get("namespace", ""),
        "name": meta["name"],
        "uid": meta.get("uid", ""),
        "apiVersion": about.get("apiVersion", ""),
        "resourceVersion": meta.get("resourceVersion", ""),
    }
    return {key: value for key, value in found.items() if value}


def event_name(about: str, stamp: int) -> str:
    """What an event about an object is called: the object's name and a stamp (nanoseconds); letters without a meaning where
    that is no name, as it is after a long one."""
    name = f"{about}.{stamp:x}"
    if not names.subdomain(name):
        return name
    letters = hashlib.sha256(name.encode()).hexdigest()
    return f"{letters[:8]}-{letters[8:12]}-4{letters[12:15]}-a{letters[15:18]}-{letters[18:30]}"


class Recorder:
    """Writes the events of one component. `run` must run somewhere."""

    def __init__(self, client: Client, component: str, *, clock: Clock) -> None:
        self._client, self._component, self._clock = client, component, clock
        self._waiting: asyncio.Queue[Object] = asyncio.Queue(MAX_WAITING)
        self._known: OrderedDict[tuple[str, ...], _Known] = OrderedDict()
        self._budgets: OrderedDict[str, _Budget] = OrderedDict()
        self._similar: OrderedDict[tuple[str, ...], tuple[float, dict[str, None]]] = OrderedDict()

    def record(self, about: Object, type: str, reason: str, message: str) -> None:
        """Say something about an object (with kind and apiVersion). `type` is Normal or Warning."""
        meta = about["metadata"]
        now = rfc3339(self._clock.time())
        event = {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": {"namespace": meta.get("namespace") or "default"},
            "involvedObject": reference(about),
            "reason": reason,
            "message": message,
            "source": {"component": self._component},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": type,
            "reportingComponent": self._component,
            "reportingInstance": "",
        }
        try:
            self._waiting.put_nowait(event)
        except asyncio.QueueFull:
            log.warning("too many events: one about %s %s was dropped", about.get("kind"), meta["name"])

    async def run(self) -> None:
        while True:
            event = await self._waiting.get()
            try:
                await self._write(event)
            except (StatusError, OSError) as error:
                log.debug("event %s was not written: %s", event["reason"], error)

    async def _write(self, event: Object) -> None:
        about = event["involvedObject"]
        if not self._within_budget(about.get("uid") or about.get("name", "")):
            return
        key = self._fold_similar(event)
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            known.count += 1
            patch: Object = {
                "count": known.count,
                "lastTimestamp": event["lastTimestamp"],
                "message": event["message"],
            }
            try:
                await self._client.patch(EVENTS, known.name, patch, known.namespace)
                return
            except StatusError as error:
                if error.code != 404:
                    raise
        namespace = event["metadata"]["namespace"]
        # Nanoseconds in hexadecimal, as client-go names them; a counter keeps simultaneous ones apart.
        stamp = int(self._clock.time() * 1e9) + len(self._known) % 1000
        event["metadata"]["name"] = event_name(about.get("name", ""), stamp)
        await self._client.create(EVENTS, event, namespace)
        self._known[key] = _Known(event["metadata"]["name"], namespace, 1)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    def _within_budget(self, source: str) -> bool:
        now = self._clock.monotonic()
        budget = self._budgets.pop(source, None) or _Budget(BURST, now)
        budget.left = min(BURST, budget.left + (now - budget.at) / REFILL_SECONDS)
        budget.at = now
        allowed = budget.left >= 1
        if allowed:
            budget.left -= 1
        self._budgets[source] = budget
        if len(self._budgets) > MAX_KNOWN:
            self._budgets.popitem(last=False)
        return allowed

    def _fold_similar(self, event: Object) -> tuple[str, ...]:
        """What tells the event from others; from the tenth different message on, similar ones are told as one."""
        about = event["involvedObject"]
        key = (about.get("kind", ""), about.get("uid", ""), event["type"], event["reason"])
        now = self._clock.monotonic()
        last, messages = self._similar.pop(key, (now, {}))
        if now - last > SIMILAR_SECONDS:
            messages = {}
        message = event["message"]
        folded = message not in messages and len(messages) >= SIMILAR_LIMIT - 1
        if not folded:
            messages[message] = None
        self._similar[key] = (now, messages)
        if len(self._similar) > MAX_KNOWN:
            self._similar.popitem(last=False)
        if not folded:
            return (*key, message)
        event["message"] = f"(combined from similar events): {message}"
        return key
