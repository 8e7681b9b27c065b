"""A node's Events: the same one again within a while counts up, and none of them holds anybody up.

Source: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from dataclasses import dataclass

from heeler.base.clock import Clock, rfc3339
from heeler.client.client import Client
from heeler.client.events import event_name
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object, name_of, namespace_of

log = logging.getLogger(__name__)

EVENTS = GroupVersionResource("", "v1", "events")
#: Events that wait to be sent, and those remembered to count up; seconds for which they are.
MAX_WAITING, MAX_KNOWN, KNOWN_SECONDS = 1000, 4096, 600.0


@dataclass(slots=True)
class _Known:
    namespace: str
    name: str
    count: int
    seen: float


class Recorder:
    """`event` queues; `run` sends until it is cancelled. When too many wait, the oldest are dropped."""

    def __init__(self, client: Client, clock: Clock, component: str, host: str) -> None:
        self._client, self._clock, self._component, self._host = client, clock, component, host
        self._waiting: deque[tuple[Object, float]] = deque(maxlen=MAX_WAITING)
        self._known: OrderedDict[tuple[str, ...], _Known] = OrderedDict()
        self._arrived = asyncio.Event()

    def event(self, target: Object, kind: str, reason: str, message: str, field_path: str = "") -> None:
        """`kind` is Normal or Warning; `field_path` e.g. spec.containers{web}."""
        involved: Object = {
            "kind": target.get("kind") or "Pod",
            "apiVersion": target.get("apiVersion") or "v1",
            "name": name_of(target),
            "uid": (target.get("metadata") or {}).get("uid", ""),
        }
        if namespace_of(target):
            involved["namespace"] = namespace_of(target)
        version = (target.get("metadata") or {}).get("resourceVersion")
        if version:
            involved["resourceVersion"] = version
        if field_path:
            involved["fieldPath"] = field_path
        entry = {"involvedObject": involved, "reason": reason, "message": message[:1024], "type": kind}
        self._waiting.append((entry, self._clock.time()))
        self._arrived.set()

    async def run(self) -> None:
        """Send what waits, in order."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                entry, moment = self._waiting.popleft()
                try:
                    await self._send(entry, moment)
                except (StatusError, OSError) as error:
                    log.warning("event %s not recorded: %s", entry["reason"], error)

    async def _send(self, entry: Object, moment: float) -> None:
        involved = entry["involvedObject"]
        parts = ("kind", "namespace", "name", "uid", "fieldPath")
        key = (*(str(involved.get(p, "")) for p in parts), entry["reason"], entry["message"], entry["type"])
        known = self._known.get(key)
        stamp = rfc3339(moment)
        if known is not None and moment - known.seen <= KNOWN_SECONDS:
            known.count, known.seen = known.count + 1, moment
            changes = {"count": known.count, "lastTimestamp": stamp}
            try:
                await self._client.patch(EVENTS, known.name, changes, known.namespace)
                return
            except StatusError as error:
                if error.code != 404:
                    raise
        namespace = involved.get("namespace") or "default"
        name = event_name(involved["name"], int(moment * 1e9))
        made: Object = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            **entry,
            "source": {"component": self._component, "host": self._host},
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
            "reportingComponent": self._component,
            "reportingInstance": self._host,
        }
        await self._client.create(EVENTS, made, namespace)
        self._known[key] = _Known(namespace, name, 1, moment)
        self._known.move_to_end(key)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
