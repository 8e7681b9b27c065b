"""Lets a plan happen to a cluster. What is done is told to a listener, for the timeline."""

from __future__ import annotations

from collections.abc import Callable

from heeler.base.tasks import Tasks
from heeler.controllers.resources import NODES
from heeler.objects.status import StatusError
from heeler.testing.simulation.faults import Incident, Plan
from heeler.testing.simulation.plane import CALM, QUICK, Simulation

#: Told (seconds since the beginning, the incident, whether it begins).
Listener = Callable[[float, Incident, bool], None]


async def happen(cluster: Simulation, plan: Plan, told: Listener = lambda *_: None) -> None:
    """Everything in its time; returns once it is calm."""
    cluster.weather(plan.weather, plan.slowness)
    async with Tasks() as tasks:
        for incident in plan.incidents:
            tasks.spawn(_one(cluster, incident, told), f"incident {incident.kind}")
        await cluster.clock.sleep(plan.until - cluster.clock.monotonic())
        await tasks.wait()
    cluster.weather(CALM, QUICK)


async def _one(cluster: Simulation, incident: Incident, told: Listener) -> None:
    await cluster.clock.sleep(incident.at - cluster.clock.monotonic())
    told(cluster.clock.monotonic(), incident, True)
    await _begin(cluster, incident)
    await cluster.clock.sleep(incident.at + incident.seconds - cluster.clock.monotonic())
    await _end(cluster, incident)
    told(cluster.clock.monotonic(), incident, False)


async def _begin(cluster: Simulation, incident: Incident) -> None:
    target = incident.target
    match incident.kind:
        case "kill":
            await cluster.kill(target)
        case "crash-node":
            cluster.nodes.crash(target)
        case "cut-node":
            cluster.nodes.kill(target)
        case "remove-node":
            cluster.nodes.crash(target)
            await _delete_node(cluster, target)
        case "set-clock":
            cluster.set_clock(target, incident.by)


async def _end(cluster: Simulation, incident: Incident) -> None:
    target = incident.target
    match incident.kind:
        case "kill":
            await cluster.start(target)
        case "set-clock":
            cluster.set_clock(target, -incident.by)
        case _:
            cluster.nodes.revive(target)


async def _delete_node(cluster: Simulation, name: str) -> None:
    try:
        await cluster.persist(lambda client: client.delete(NODES, name))
    except StatusError as error:
        if error.code != 404:
            raise
