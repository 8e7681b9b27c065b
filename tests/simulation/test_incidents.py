"""What an incident does: processes that die in the middle of something, nodes that crash or are cut off, clocks that jump."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heeler.base.random import SeededRandom
from heeler.client.faulty import CALLER
from heeler.controllers.resources import DEPLOYMENTS, NODES, PODS
from heeler.objects.status import StatusError
from heeler.testing.simulation import CALM, Simulation, deployment, simulate_cluster
from heeler.testing.simulation.disk import Slowness
from heeler.testing.simulation.faults import Incident, Plan, draw
from heeler.testing.simulation.incidents import happen
from heeler.testing.simulation.plane import APISERVER, CONTROLLERS, PROCESSES, SCHEDULER
from heeler.workloads import pods


async def pods_of(cluster: Simulation) -> list[dict]:
    return (await cluster.client.list(PODS, "default")).items


async def ready(cluster: Simulation, number: int) -> bool:
    found = [pod for pod in await pods_of(cluster) if pods.is_active(pod)]
    return len(found) == number and all(pods.is_ready(pod) for pod in found)


@pytest.mark.parametrize("name", [APISERVER, CONTROLLERS, SCHEDULER])
def test_a_process_that_died_goes_on_where_it_was(name):
    async def story(cluster: Simulation) -> None:
        await cluster.client.create(DEPLOYMENTS, deployment("web", 5), "default")
        await cluster.clock.sleep(0.02)
        await cluster.kill(name)
        await cluster.clock.sleep(30)
        if name == APISERVER:
            with pytest.raises(ConnectionRefusedError):
                await cluster.client.list(PODS)
        await cluster.start(name)
        await cluster.until(lambda: ready(cluster, 5), seconds=60)

    for seed in range(3):
        simulate_cluster(story, seed=seed, shuffle=True, faults=replace(CALM, delay=0.05))


def test_a_server_that_died_in_a_commit_has_made_it_or_not_and_what_it_answered_is_true():
    answers: list[bool] = []
    outcomes: list[int] = []

    async def story(cluster: Simulation) -> None:
        cluster.weather(CALM, Slowness(1.0, 2.0))
        work = cluster.tasks.spawn(attempt(cluster), "attempt")
        await cluster.clock.sleep(1.0 + cluster.random.fraction())
        await cluster.kill(APISERVER)
        await cluster.clock.sleep(10)
        assert work.done()
        cluster.weather(CALM)
        await cluster.start(APISERVER)
        outcomes.append(len((await cluster.client.list(DEPLOYMENTS, "default")).items))

    async def attempt(cluster: Simulation) -> None:
        answered = False
        try:
            await cluster.client.create(DEPLOYMENTS, deployment("web", 1), "default")
            answered = True
        except (ConnectionResetError, StatusError):
            pass
        answers.append(answered)

    for seed in range(20):
        simulate_cluster(story, seed=seed)
    assert set(zip(answers, outcomes)) == {(False, 0), (False, 1), (True, 1)}


def test_what_was_on_its_way_when_its_sender_died_arrives_or_not_as_the_plan_says():
    made = {}

    def story_of(straggling: float):
        async def story(cluster: Simulation) -> None:
            callers: list[str] = []
            cluster.store.history.listen(lambda changes: callers.append(CALLER.get()))
            await cluster.client.create(DEPLOYMENTS, deployment("web", 20), "default")
            await cluster.clock.sleep(8.0)
            await cluster.kill(CONTROLLERS)
            before = len(callers)
            await cluster.clock.sleep(10)
            made[straggling] = sum("controller" in name for name in callers[before:])

        return story

    for straggling in (0.0, 1.0):
        simulate_cluster(story_of(straggling), seed=2, faults=replace(CALM, delay=2.0, straggling=straggling))
    assert made[0.0] == 0 < made[1.0]


def test_a_crashed_node_starts_its_containers_again():
    async def story(cluster: Simulation) -> None:
        await cluster.client.create(DEPLOYMENTS, deployment("web", 3), "default")
        await cluster.until(lambda: ready(cluster, 3))
        node = pods.node_name((await pods_of(cluster))[0])
        before = {pod["metadata"]["uid"] for pod in await pods_of(cluster)}
        cluster.nodes.crash(node)
        assert cluster.nodes.running()[node] == {}
        await cluster.clock.sleep(20)
        cluster.nodes.revive(node)
        await cluster.clock.sleep(5)
        found = await pods_of(cluster)
        assert {pod["metadata"]["uid"] for pod in found} == before
        assert [pods.restarts(pod)[0] for pod in found] == [int(pods.node_name(pod) == node) for pod in found]
        assert sum(map(len, cluster.nodes.running().values())) == 3

    simulate_cluster(story)


def test_what_runs_on_a_node_that_is_cut_off_runs_on_until_the_node_hears_of_it():
    async def story(cluster: Simulation) -> None:
        await cluster.client.create(DEPLOYMENTS, deployment("web", 3), "default")
        await cluster.until(lambda: ready(cluster, 3))
        pod = (await pods_of(cluster))[0]
        node, uid, name = pods.node_name(pod), pod["metadata"]["uid"], pod["metadata"]["name"]
        cluster.nodes.kill(node)
        await cluster.client.delete(PODS, name, "default", grace_seconds=0)
        await cluster.clock.sleep(5)
        assert uid in cluster.nodes.running()[node]
        cluster.nodes.revive(node)
        assert uid not in cluster.nodes.running()[node]

    simulate_cluster(story)


def test_a_node_that_was_removed_comes_back_as_a_new_one():
    async def story(cluster: Simulation) -> None:
        await cluster.clock.sleep(1)
        before = (await cluster.client.get(NODES, "node-1"))["metadata"]["uid"]
        await happen(cluster, Plan(incidents=(Incident(5, "remove-node", "node-1", 30),), until=60))
        await cluster.clock.sleep(10)
        node = await cluster.client.get(NODES, "node-1")
        assert node["metadata"]["uid"] != before and pods.is_ready(node)

    simulate_cluster(story)


def test_a_clock_that_was_set_shows_in_what_its_process_writes():
    async def story(cluster: Simulation) -> None:
        cluster.set_clock(APISERVER, 3600)
        await cluster.client.create(DEPLOYMENTS, deployment("web", 1), "default")
        made = await cluster.client.get(DEPLOYMENTS, "web", "default")
        assert made["metadata"]["creationTimestamp"].startswith("2026-01-01T01:00")
        await cluster.until(lambda: ready(cluster, 1))

    simulate_cluster(story)


def test_plans_are_drawn_with_and_without_each_kind_of_fault_and_end_in_time():
    plans = [draw(SeededRandom(seed), ["node-0", "node-1"], 300.0) for seed in range(300)]
    seen = {name for plan in plans for name in plan.features()}
    for name in (
        "lost",
        "straggling",
        "late",
        "stalled",
        "slow",
        "kill-apiserver",
        "crash-node",
        "remove-node",
        "set-clock",
    ):
        assert name in seen
        assert any(name not in plan.features() for plan in plans)
    assert all(one.at + one.seconds <= 300.0 + 1e-6 for plan in plans for one in plan.incidents)
    assert {one.target for plan in plans for one in plan.incidents if one.kind == "kill"} < set(PROCESSES)
