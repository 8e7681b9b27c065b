"""A client that goes wrong by seed: errors before and after the fact, delays, watches that break off.

For simulation and tests. What it injects is what a network and a busy server do; it never invents objects.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from heeler.base.clock import Clock
from heeler.base.random import Random
from heeler.client.client import Client, Listing, Patch, PatchType, WatchEvent
from heeler.objects import status
from heeler.objects.value import GroupVersionResource, Object

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Faults:
    """Shares of calls, from 0 to 1, and the longest delay in seconds."""

    refused: float = 0.01  # the server was not reached: nothing happened
    lost: float = 0.01  # it happened, but the answer is lost
    busy: float = 0.01  # 429 or 503
    expired: float = 0.002  # a watch answers 410
    broken: float = 0.005  # a watch ends after an event
    delay: float = 0.02


class FaultyClient:
    """A `Client` around another one. `faults` may be exchanged while it runs (to end a storm)."""

    def __init__(self, client: Client, *, random: Random, clock: Clock, faults: Faults = Faults()) -> None:
        self._client, self._random, self._clock = client, random, clock
        self.faults = faults

    async def _before(self) -> None:
        faults = self.faults
        if faults.delay:
            await self._clock.sleep(self._random.fraction() * faults.delay)
        draw = self._random.fraction()
        if draw < faults.refused:
            raise ConnectionRefusedError("simulated: connection refused")
        if draw < faults.refused + faults.busy:
            raise status.too_many_requests("simulated: too many requests", 1)

    async def _around(self, call: Awaitable[T]) -> T:
        try:
            await self._before()
        except BaseException:
            close = getattr(call, "close", None)
            if close is not None:
                close()
            raise
        result = await call
        if self._random.fraction() < self.faults.lost:
            raise ConnectionResetError("simulated: the answer was lost")
        return result

    async def get(self, resource: GroupVersionResource, name: str, namespace: str | None = None) -> Object:
        return await self._around(self._client.get(resource, name, namespace))

    async def list(self, resource: GroupVersionResource, namespace: str | None = None, **options: Any) -> Listing:
        return await self._around(self._client.list(resource, namespace, **options))

    async def watch(
        self, resource: GroupVersionResource, namespace: str | None = None, **options: Any
    ) -> AsyncIterator[WatchEvent]:
        await self._before()
        if self._random.fraction() < self.faults.expired:
            raise status.expired("simulated: too old resource version")
        events = self._client.watch(resource, namespace, **options)
        try:
            async for event in events:
                yield event
                if self._random.fraction() < self.faults.broken:
                    return
        finally:
            close = getattr(events, "aclose", None)
            if close is not None:
                await close()

    async def create(
        self, resource: GroupVersionResource, obj: Object, namespace: str | None = None, **options: Any
    ) -> Object:
        return await self._around(self._client.create(resource, obj, namespace, **options))

    async def update(self, resource: GroupVersionResource, obj: Object, **options: Any) -> Object:
        return await self._around(self._client.update(resource, obj, **options))

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
        return await self._around(
            self._client.patch(
                resource,
                name,
                patch,
                namespace,
                type=type,
                subresource=subresource,
                field_manager=field_manager,
                force=force,
            )
        )

    async def delete(
        self, resource: GroupVersionResource, name: str, namespace: str | None = None, **options: Any
    ) -> Object:
        return await self._around(self._client.delete(resource, name, namespace, **options))

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        return await self._around(self._client.request(method, path, query=query, body=body, headers=headers))
