"""Who binds a pod: an extender, a plugin of others, or the scheduler itself; and what goes wrong in them on the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

import heeler
from heeler.base.clock import SystemClock
from heeler.base.random import SystemRandom
from heeler.base.tasks import Tasks
from heeler.client.client import Client
from heeler.objects.value import GroupVersionResource, Object
from heeler.scheduler.configuration.load import completed
from heeler.scheduler.configuration.profiles import Others
from heeler.scheduler.plugins.others import Plugin, adapted
from heeler.scheduler.scheduler import Scheduler
from heeler.wire.http.messages import Request, Response
from heeler.wire.http.server import serve
from tests.in_process.service_accounts import make_pod

PODS, EVENTS = GroupVersionResource("", "v1", "pods"), GroupVersionResource("events.k8s.io", "v1", "events")
NODES = GroupVersionResource("", "v1", "nodes")
POD: Object = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "i"}]}}


async def made(client: Client, name: str, **spec: Any) -> None:
    await make_pod(client, {**POD, "metadata": {"name": name}, "spec": {**POD["spec"], **spec}})


async def bound(client: Client) -> str:
    """A pod is made; the node that it comes to."""
    await made(client, "p")
    async with asyncio.timeout(30):
        while not (node := (await client.get(PODS, "p", "default"))["spec"].get("nodeName", "")):
            await asyncio.sleep(0.05)
    return str(node)


async def told(client: Client, reason: str, text: str) -> Object:
    """The first event of that reason that says so."""
    async with asyncio.timeout(30):
        while True:
            for event in (await client.list(EVENTS, "default")).items:
                if event["reason"] == reason and text in event["note"]:
                    return event
            await asyncio.sleep(0.05)


def scheduled(story: Callable[[Client], Awaitable[None]], *plugins: type[Plugin]) -> None:
    """A cluster whose scheduler has these plugins."""
    enabled = [{"name": plugin.__name__} for plugin in plugins]
    profile = {"schedulerName": "default-scheduler", "plugins": {"multiPoint": {"enabled": enabled}}}
    given = completed({"profiles": [profile]})
    others = Others({plugin.__name__: adapted(plugin.__name__, plugin) for plugin in plugins})

    async def main() -> None:
        async with heeler.Cluster(simulated_nodes=1, without=("scheduler",)) as cluster, Tasks() as tasks:
            scheduler = Scheduler(
                cluster.client, clock=SystemClock(), random=SystemRandom(), configuration=given, others=others
            )
            running = tasks.spawn(scheduler.run(), "scheduler")
            await story(cluster.client)
            assert not running.done()
            await tasks.stop()

    asyncio.run(main())


def test_an_extender_binds_what_it_says_that_it_binds() -> None:
    asked: list[Object] = []

    async def story() -> None:
        async with heeler.Cluster(simulated_nodes=1, without=("scheduler",)) as cluster, Tasks() as tasks:

            async def answer(request: Request) -> Response:
                body = json.loads(request.body)
                asked.append(body)
                if len(asked) == 1:
                    return Response(200, [], b'{"Error": "not yet"}')
                target = {"kind": "Node", "name": body["Node"]}
                binding = {"metadata": {"name": "p", "uid": body["PodUID"]}, "target": target}
                namespace, name = body["PodNamespace"], body["PodName"]
                await cluster.client.create(PODS, binding, namespace, name=name, subresource="binding")
                return Response(200, [], b"{}")

            server = await serve(answer)
            extender = {"urlPrefix": f"http://127.0.0.1:{server.port}", "bindVerb": "bind"}
            given, clock, random = completed({"extenders": [extender]}), SystemClock(), SystemRandom()
            tasks.spawn(Scheduler(cluster.client, clock=clock, random=random, configuration=given).run(), "scheduler")
            try:
                node = await bound(cluster.client)
                await told(cluster.client, "FailedScheduling", "binding rejected: not yet")
            finally:
                await tasks.stop()
                await server.close()
        assert [(one["PodName"], one["PodNamespace"], one["Node"]) for one in asked] == [("p", "default", node)] * 2

    asyncio.run(story())


def test_a_plugin_binds_or_leaves_it_to_the_next() -> None:
    seen: list[str] = []

    class Leaves(Plugin):
        async def bind(self, pod: Object, node: str) -> bool:
            seen.append(node)
            return False

    async def story(client: Client) -> None:
        assert [await bound(client)] == seen

    scheduled(story, Leaves)


@pytest.mark.parametrize(
    ("where", "note"),
    [
        ("reserve", "running Reserve plugin \"Clumsy\": KeyError: 'reserve'"),
        ("bind", "binding rejected: running Bind plugin \"Clumsy\": KeyError: 'bind'"),
    ],
)
def test_a_plugin_that_raises_around_a_binding_fails_an_attempt_and_not_the_scheduler(where: str, note: str) -> None:
    class Clumsy(Plugin):
        stumbled = False

        def stumble(self, here: str) -> None:
            if here == where and not self.stumbled:
                self.stumbled = True
                raise KeyError(here)

        def reserve(self, pod: Object, node: str) -> str:
            self.stumble("reserve")
            return ""

        def unreserve(self, pod: Object, node: str) -> None:
            raise KeyError("unreserve")

        async def bind(self, pod: Object, node: str) -> bool:
            self.stumble("bind")
            return False

        def post_bind(self, pod: Object, node: str) -> None:
            raise KeyError("post_bind")

    async def story(client: Client) -> None:
        await bound(client)
        await told(client, "FailedScheduling", note)
        await told(client, "Scheduled", "Successfully assigned default/p to ")

    scheduled(story, Clumsy)


async def condition(client: Client, name: str) -> tuple[str, str]:
    """Reason and message of a pod's PodScheduled, as soon as it says something."""
    async with asyncio.timeout(30):
        while True:
            status = (await client.get(PODS, name, "default")).get("status") or {}
            for one in status.get("conditions") or ():
                if one["type"] == "PodScheduled":
                    return one["reason"], one["message"]
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("where", "message", "most"),
    [
        # who is turned down in Reserve waits for what may help: for this plugin nothing does
        ("reserve", "0/1 nodes are available: 1 full moon.", 1),
        # and in PreBind for the end of a pause: 1 s, 2 s, 4 s, ...
        ("pre_bind", "full moon", 6),
    ],
)
def test_pods_that_a_plugin_turns_down_do_not_wake_each_other(where: str, message: str, most: int) -> None:
    asked: dict[str, int] = {}

    class Moonstruck(Plugin):
        hints = {}

        def answer(self, pod: Object, here: str) -> str:
            name = pod["metadata"]["name"]
            if here != where or name == "p":
                return ""
            asked[name] = asked.get(name, 0) + 1
            return "full moon"

        def reserve(self, pod: Object, node: str) -> str:
            return self.answer(pod, "reserve")

        async def pre_bind(self, pod: Object, node: str) -> str:
            return self.answer(pod, "pre_bind")

    async def story(client: Client) -> None:
        for name in ("a", "b"):
            await made(client, name)
        for name in ("a", "b"):
            assert await condition(client, name) == ("Unschedulable", message)
        await bound(client)
        assert sorted(asked) == ["a", "b"]
        assert max(asked.values()) <= most

    scheduled(story, Moonstruck)


def test_what_a_plugin_answers_is_looked_at_before_it_is_used() -> None:
    class Muddled(Plugin):
        hints = {}

        def prepare(self, pod: Object) -> str:
            return 5 if pod["metadata"]["name"] == "a" else ""  # type: ignore[return-value]

        def filter(self, pod: Object, node: object) -> str:
            if pod["metadata"]["name"] == "b":
                raise SystemExit(3)
            return ""

        def score(self, pod: Object, node: object) -> int:
            return 1

        async def pre_bind(self, pod: Object, node: str) -> str:
            if pod["metadata"]["name"] == "c":
                raise asyncio.CancelledError
            return ""

    async def story(client: Client) -> None:
        for name in ("a", "b", "c"):
            await made(client, name)
        told = {name: await condition(client, name) for name in ("a", "b", "c")}
        assert told == {
            "a": (
                "SchedulerError",
                'running "Muddled" PreFilter plugin: TypeError: the answer must be a text, and is int',
            ),
            "b": ("SchedulerError", 'running "Muddled" filter plugin: SystemExit: 3'),
            "c": ("SchedulerError", 'running PreBind plugin "Muddled": CancelledError: '),
        }
        await bound(client)

    scheduled(story, Muddled)


class Slow:
    """A client whose patches take a while."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def patch(self, *words: Any, **more: Any) -> Object:
        await asyncio.sleep(0.5)
        return await self._client.patch(*words, **more)


def test_a_pod_is_bound_after_it_was_told_why_an_earlier_attempt_failed() -> None:
    """Or the older condition, that it has no node, would be the last one."""

    async def condition(client: Client) -> Object:
        found = (await client.get(PODS, "p", "default"))["status"].get("conditions") or ()
        return next((dict(one) for one in found if one["type"] == "PodScheduled"), {})

    async def story() -> None:
        async with heeler.Cluster(simulated_nodes=1, without=("scheduler",)) as cluster, Tasks() as tasks:
            client = cluster.client
            scheduler = Scheduler(cast(Client, Slow(client)), clock=SystemClock(), random=SystemRandom())
            tasks.spawn(scheduler.run(), "scheduler")
            await made(client, "p", nodeSelector={"disk": "ssd"})
            await told(client, "FailedScheduling", "didn't match Pod's node affinity/selector")
            (node,) = (await client.list(NODES)).items
            await client.patch(NODES, node["metadata"]["name"], {"metadata": {"labels": {"disk": "ssd"}}})
            async with asyncio.timeout(30):
                while (await condition(client)).get("status") != "True":
                    await asyncio.sleep(0.05)
            await asyncio.sleep(1.0)
            last = await condition(client)
            assert (last["status"], last.get("reason")) == ("True", None)
            await tasks.stop()

    asyncio.run(story())
