"""https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes"""

import asyncio
from dataclasses import replace

from heeler.base.clock import LoopClock
from heeler.base.loop import simulate
from heeler.base.random import SeededRandom
from heeler.base.tasks import Tasks
from heeler.client.faulty import Faults, FaultyClient
from heeler.client.informer import Informer
from heeler.objects.value import GroupVersionResource
from tests.unit.client.memory import MemoryClient

QUIET = Faults(refused=0, lost=0, busy=0, expired=0, broken=0, delay=0)
MAPS = GroupVersionResource("", "v1", "configmaps")


def config(name, **labels):
    return {"metadata": {"name": name, "labels": labels}}


def names(objects):
    return sorted(obj["metadata"]["name"] for obj in objects)


def scenario(body, client=None):
    async def main():
        memory = MemoryClient()
        informer = Informer(client(memory) if client else memory, MAPS, clock=LoopClock())
        async with Tasks() as tasks:
            tasks.spawn(informer.run())
            await body(memory, informer)

    simulate(main())


def test_it_lists_then_follows_and_tells_handlers():
    async def body(memory, informer):
        seen = []
        informer.add_handler(lambda old, new: seen.append((old is not None, new is not None)))
        await memory.create(MAPS, config("a"), "ns")
        await informer.wait_synced()
        await memory.create(MAPS, config("b"), "ns")
        await memory.patch(MAPS, "a", {"data": {"k": "v"}}, "ns")
        await memory.delete(MAPS, "b", "ns")
        await asyncio.sleep(1)
        assert seen == [(False, True), (False, True), (True, True), (True, False)]
        assert informer.get("ns/a")["data"] == {"k": "v"}
        assert names(informer) == ["a"]

    scenario(body)


def test_it_goes_on_after_a_broken_watch_and_lists_again_when_its_revision_expired():
    async def body(memory, informer):
        await informer.wait_synced()
        await asyncio.sleep(1)
        memory.expire_watches = True
        memory.break_watches()
        await memory.create(MAPS, config("missed"), "ns")
        await asyncio.sleep(5)
        assert names(informer) == ["missed"]

    scenario(body)


def test_a_later_list_asks_for_the_newest_since_another_server_may_be_behind():
    asked = []

    class Asked(MemoryClient):
        async def list(self, resource, namespace=None, **options):
            asked.append(options["resource_version"])
            return await super().list(resource, namespace, **options)

    async def main():
        memory = Asked()
        informer = Informer(memory, MAPS, clock=LoopClock())
        async with Tasks() as tasks:
            tasks.spawn(informer.run())
            await asyncio.sleep(1)
            memory.expire_watches = True
            memory.break_watches()
            await asyncio.sleep(5)

    simulate(main())
    assert asked[0] == "0" and set(asked[1:]) == {""}


def test_an_index_follows_the_objects():
    async def body(memory, informer):
        informer.add_index("app", lambda obj: [obj["metadata"]["labels"].get("app", "")])
        await memory.create(MAPS, config("a", app="x"), "ns")
        await memory.create(MAPS, config("b", app="x"), "ns")
        await informer.wait_synced()
        assert names(informer.by_index("app", "x")) == ["a", "b"]
        await memory.patch(MAPS, "a", {"metadata": {"labels": {"app": "y"}}}, "ns")
        await asyncio.sleep(1)
        assert names(informer.by_index("app", "x")) == ["b"]
        assert names(informer.by_index("app", "y")) == ["a"]

    scenario(body)


def test_own_writes_stand_in_the_copy_at_once_and_old_events_do_not_undo_them():
    async def body(memory, informer):
        await informer.wait_synced()
        await asyncio.sleep(1)
        made = await memory.create(MAPS, config("a"), "ns")
        later = await memory.patch(MAPS, "a", {"data": {"k": "2"}}, "ns")
        informer.assume(later)
        assert informer.get("ns/a")["data"] == {"k": "2"}
        seen = []
        informer.add_handler(lambda old, new: seen.append((new or old)["metadata"]["resourceVersion"]))
        await asyncio.sleep(1)
        assert made["metadata"]["resourceVersion"] not in seen
        gone = await memory.delete(MAPS, "a", "ns")
        await asyncio.sleep(1)
        informer.assume(later)  # an answer that came late
        assert informer.get("ns/a") is None
        assert gone is not None

    scenario(body)


def test_what_is_known_to_be_gone_is_not_brought_back_by_events_of_its_past():
    """A Job would otherwise count a pod again that it has let go (found by seed 157)."""

    def late(memory):
        return FaultyClient(
            memory, random=SeededRandom(1), clock=LoopClock(), faults=replace(QUIET, late=1, lateness=60)
        )

    async def body(memory, informer):
        await informer.wait_synced()
        await asyncio.sleep(1)
        made = await memory.create(MAPS, config("a"), "ns")
        await memory.patch(MAPS, "a", {"data": {"k": "2"}}, "ns")
        informer.assume(made)
        gone = await memory.delete(MAPS, "a", "ns")
        informer.assume_deleted(gone)
        seen = []
        informer.add_handler(lambda old, new: seen.append(new))
        await asyncio.sleep(300)
        assert seen == []
        await memory.create(MAPS, config("a"), "ns")  # another one of that name
        await asyncio.sleep(300)
        assert names(informer) == ["a"]

    scenario(body, late)


def test_it_survives_a_storm():
    def storm(memory):
        return FaultyClient(
            memory,
            random=SeededRandom(5),
            clock=LoopClock(),
            faults=Faults(refused=0.2, lost=0.1, busy=0.1, expired=0.2, broken=0.2, delay=1),
        )

    async def body(memory, informer):
        for n in range(50):
            await memory.create(MAPS, config(f"n{n}"), "ns")
            if n % 3 == 0:
                await memory.delete(MAPS, f"n{n}", "ns")
            await asyncio.sleep(0.3)
        memory.break_watches()
        memory.expire_watches = True
        await asyncio.sleep(600)
        assert names(informer) == sorted(f"n{n}" for n in range(50) if n % 3)

    scenario(body, storm)


def test_who_wrote_which_field_is_left_out_of_the_copy():
    async def body(memory, informer):
        written = config("a")
        written["metadata"]["managedFields"] = [{"manager": "kubectl"}]
        made = await memory.create(MAPS, written, "ns")
        informer.assume(made)
        await asyncio.sleep(1)
        assert "managedFields" not in informer.get("ns/a")["metadata"]
        assert made["metadata"]["managedFields"]  # the server's own is as it was

    scenario(body)
