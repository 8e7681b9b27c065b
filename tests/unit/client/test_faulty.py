"""Injected faults: what is late keeps its order, what is cut off sends nothing, and nothing is invented."""

from __future__ import annotations

import asyncio

import pytest

from heeler.base.clock import LoopClock
from heeler.base.loop import simulate
from heeler.base.random import SeededRandom
from heeler.client.faulty import Faults, FaultyClient, Link
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource
from tests.unit.client.memory import MemoryClient

MAPS = GroupVersionResource("", "v1", "configmaps")
QUIET = {"refused": 0.0, "lost": 0.0, "busy": 0.0, "expired": 0.0, "broken": 0.0, "delay": 0.0}


def config(name):
    return {"metadata": {"name": name, "labels": {}}}


def run(body, **faults):
    async def main():
        memory = MemoryClient()
        link = Link("test", Faults(**{**QUIET, **faults}))
        await body(memory, FaultyClient(memory, random=SeededRandom(1), clock=LoopClock(), link=link))

    simulate(main())


async def names(client):
    return [obj["metadata"]["name"] for obj in (await client.list(MAPS, "ns")).items]


def test_late_events_keep_their_order():
    async def body(memory, client):
        seen = []

        async def follow():
            async for event in client.watch(MAPS, "ns"):
                seen.append(event.object["metadata"]["name"])

        task = asyncio.ensure_future(follow())
        await asyncio.sleep(0)
        wanted = [f"n{number}" for number in range(30)]
        for name in wanted:
            await memory.create(MAPS, config(name), "ns")
        await asyncio.sleep(10)
        assert 0 < len(seen) < 30
        await asyncio.sleep(1000)
        task.cancel()
        assert seen == wanted

    run(body, late=0.5, lateness=10.0)


def test_a_lost_answer_was_a_write_and_a_refused_call_wasnt():
    async def lost(memory, client):
        with pytest.raises(ConnectionResetError):
            await client.create(MAPS, config("a"), "ns")
        assert await names(memory) == ["a"]

    async def refused(memory, client):
        with pytest.raises(ConnectionRefusedError):
            await client.create(MAPS, config("a"), "ns")
        assert await names(memory) == []

    async def conflicts(memory, client):
        made = await memory.create(MAPS, config("a"), "ns")
        with pytest.raises(StatusError) as caught:
            await client.update(MAPS, {**made, "data": {"k": "v"}})
        assert caught.value.code == 409 and caught.value.reason == "Conflict"

    run(lost, lost=1.0)
    run(refused, refused=1.0)
    run(conflicts, conflict=1.0)


def test_a_process_that_is_cut_off_sends_nothing_and_hears_nothing():
    async def body(memory, client):
        client.link.cut = True
        with pytest.raises(ConnectionRefusedError):
            await client.create(MAPS, config("a"), "ns")
        assert await names(memory) == []

    run(body)


def test_a_server_that_was_exchanged_meanwhile_gives_no_answer():
    async def body(memory, client):
        class Slow(MemoryClient):
            async def create(self, *args, **options):
                await asyncio.sleep(1)
                return await super().create(*args, **options)

        client.client = slow = Slow()
        task = asyncio.ensure_future(client.create(MAPS, config("a"), "ns"))
        await asyncio.sleep(0.5)
        client.client = memory
        with pytest.raises(ConnectionResetError):
            await task
        assert await names(slow) == ["a"]

    run(body)
