"""A client that goes wrong by seed: errors before and after the fact, delays, watches that lag, fall silent or break off.

For simulation and tests. What it injects is what a network, a busy server and a dying process do; it never invents
objects, and one watch's events keep their order, as a server's do. Several watches lag each by itself: so a controller
sees a pod before the set that it belongs to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from heeler.base.clock import Clock
from heeler.base.random import Random
from heeler.client.client import Client, Listing, Patch, PatchType, WatchEvent
from heeler.objects import status
from heeler.objects.value import GroupVersionResource, Object

T = TypeVar("T")

#: Who is behind the request that is being served: what a store's listener may ask while it is told of a write.
CALLER: ContextVar[str] = ContextVar("caller", default="")


@dataclass(frozen=True, slots=True)
class Faults:
    """Shares of calls, watches or events, from 0 to 1, and longest times in seconds."""

    refused: float = 0.01
    """The server was not reached: nothing happened."""
    lost: float = 0.01
    """It happened, but the answer is lost."""
    busy: float = 0.01
    """429: nothing happened."""
    failed: float = 0.0
    """500: nothing happened."""
    conflict: float = 0.0
    """An update is answered 409, as if somebody else had been faster: nothing happened."""
    straggling: float = 0.0
    """Of the writes that are on their way when their sender dies: they arrive all the same, later."""
    delay: float = 0.02
    """A call is on its way so long at most."""
    expired: float = 0.002
    """A watch answers 410: list again."""
    broken: float = 0.005
    """A watch ends after an event."""
    late: float = 0.0
    """An event comes later, and so does what is behind it."""
    lateness: float = 0.0
    """By so many seconds at most."""
    stalled: float = 0.0
    """After an event a watch says nothing for `silence` seconds, and then breaks off."""
    silence: float = 0.0


@dataclass(slots=True)
class Link:
    """The way between one process and the API server; its clients share it."""

    name: str
    faults: Faults
    cut: bool = False
    """The process is dead: nothing that it still tries gets out."""
    straggler: Callable[[Coroutine[Any, Any, None]], None] | None = None
    """Sees to a write that arrives after its sender's death; without it none does."""


class FaultyClient:
    """A `Client` around another one. `client` None: the server is down. It and the link may be exchanged at any time.

    `caller`: as whom `CALLER` tells of it; the link's name without it."""

    def __init__(
        self,
        client: Client | None,
        *,
        random: Random,
        clock: Clock,
        faults: Faults | None = None,
        link: Link | None = None,
        caller: str = "",
    ) -> None:
        self.client, self.link = client, link or Link("client", faults or Faults())
        self._caller = caller or self.link.name
        self._random, self._clock = random, clock

    @property
    def faults(self) -> Faults:
        """Those of its link."""
        return self.link.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self.link.faults = faults

    def _connected(self) -> Client:
        """The server, if it is reached. Raises ConnectionRefusedError, StatusError."""
        faults, client = self.link.faults, self.client
        if client is None or self.link.cut:
            raise ConnectionRefusedError("simulated: connection refused")
        draw = self._random.fraction()
        if draw < faults.refused:
            raise ConnectionRefusedError("simulated: connection refused")
        if draw < faults.refused + faults.busy:
            raise status.too_many_requests("simulated: too many requests", 1)
        if draw < faults.refused + faults.busy + faults.failed:
            raise status.internal_error("simulated: the server failed")
        return client

    async def _call(self, call: Callable[[Client], Awaitable[T]], *, writes: bool = False) -> T:
        link = self.link
        if link.faults.delay:
            try:
                await self._clock.sleep(self._random.fraction() * link.faults.delay)
            except asyncio.CancelledError:
                if writes and link.straggler is not None and self._random.fraction() < link.faults.straggling:
                    link.straggler(self._straggle(call))
                raise
        client = self._connected()
        result = await self._as_caller(client, call)
        if link.cut or client is not self.client:
            raise ConnectionResetError("simulated: the connection broke off before the answer came")
        if self._random.fraction() < link.faults.lost:
            raise ConnectionResetError("simulated: the answer was lost")
        return result

    async def _as_caller(self, client: Client, call: Callable[[Client], Awaitable[T]]) -> T:
        token = CALLER.set(self._caller)
        try:
            return await call(client)
        finally:
            CALLER.reset(token)

    async def _straggle(self, call: Callable[[Client], Awaitable[Any]]) -> None:
        """What was sent before its sender died arrives; nobody hears the answer."""
        await self._clock.sleep(self._random.fraction() * self.link.faults.delay)
        if self.client is None:
            return
        try:
            await self._as_caller(self.client, call)
        except (status.StatusError, OSError):
            return

    def _conflicts(self, resource: GroupVersionResource, name: str) -> None:
        """Raises StatusError where an update is told that somebody was faster."""
        if self._random.fraction() < self.link.faults.conflict:
            raise status.modified(resource.resource, resource.group, name)

    async def get(self, resource: GroupVersionResource, name: str, namespace: str | None = None) -> Object:
        return await self._call(lambda client: client.get(resource, name, namespace))

    async def list(self, resource: GroupVersionResource, namespace: str | None = None, **options: Any) -> Listing:
        return await self._call(lambda client: client.list(resource, namespace, **options))

    async def watch(
        self, resource: GroupVersionResource, namespace: str | None = None, **options: Any
    ) -> AsyncIterator[WatchEvent]:
        if self.link.faults.delay:
            await self._clock.sleep(self._random.fraction() * self.link.faults.delay)
        client = self._connected()
        if self._random.fraction() < self.link.faults.expired:
            raise status.expired("simulated: too old resource version")
        events = client.watch(resource, namespace, **options)
        try:
            async for event in events:
                if await self._held_up():
                    return
                self._check(client)
                yield event
                if self._random.fraction() < self.link.faults.broken:
                    return
        except status.StatusError:
            self._check(client)  # what a dying server still said is not heard
            raise
        finally:
            close = getattr(events, "aclose", None)
            if close is not None:
                await close()

    async def _held_up(self) -> bool:
        """An event is late; True: the connection was dead all that time."""
        faults = self.link.faults
        if faults.late and self._random.fraction() < faults.late:
            await self._clock.sleep(self._random.fraction() * faults.lateness)
        if faults.stalled and self._random.fraction() < faults.stalled:
            await self._clock.sleep(self._random.fraction() * faults.silence)
            return True
        return False

    def _check(self, client: Client) -> None:
        if self.link.cut or client is not self.client:
            raise ConnectionResetError("simulated: the watch broke off")

    async def create(
        self, resource: GroupVersionResource, obj: Object, namespace: str | None = None, **options: Any
    ) -> Object:
        return await self._call(lambda client: client.create(resource, obj, namespace, **options), writes=True)

    async def update(self, resource: GroupVersionResource, obj: Object, **options: Any) -> Object:
        self._conflicts(resource, obj["metadata"]["name"])
        return await self._call(lambda client: client.update(resource, obj, **options), writes=True)

    async def patch(
        self,
        resource: GroupVersionResource,
        name: str,
        patch: Patch,
        namespace: str | None = None,
        *,
        type: PatchType = "application/merge-patch+json",
        subresource: str | None = None,
        field_manager: str = "",
        force: bool = False,
    ) -> Object:
        def call(client: Client) -> Awaitable[Object]:
            return client.patch(
                resource,
                name,
                patch,
                namespace,
                type=type,
                subresource=subresource,
                field_manager=field_manager,
                force=force,
            )

        return await self._call(call, writes=True)

    async def delete(
        self, resource: GroupVersionResource, name: str, namespace: str | None = None, **options: Any
    ) -> Object:
        return await self._call(lambda client: client.delete(resource, name, namespace, **options), writes=True)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        return await self._call(
            lambda client: client.request(method, path, query=query, body=body, headers=headers),
            writes=method != "GET",
        )
