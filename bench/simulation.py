"""Simulated time: a seed with faults, a day of a small cluster, four hours of a large one; and real time: idle simulated nodes.

Run as a program with the name of one part it measures that in a fresh process and prints JSON.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SEEDS = 20
#: Nodes that idle in this process, and for how long they are looked at (real seconds).
IDLE_NODES, IDLE_SECONDS = 5000, 60.0


def seed() -> dict[str, float]:
    """10 nodes, 10 simulated minutes, drawn workload and faults; the first seed of a process pays for the imports."""
    from heeler.testing.seeds import run_seed, set_up

    set_up()
    run_seed(1000)
    times = []
    for number in range(SEEDS):
        began = time.perf_counter()
        run_seed(number)
        times.append(time.perf_counter() - began)
    return {"mean": statistics.mean(times), "median": statistics.median(times)}


def day() -> dict[str, float]:
    """The example of a shop."""
    from heeler.base.memory import for_servers
    from heeler.testing.simulation.play import play
    from heeler.testing.simulation.scenario import load

    for_servers()
    result = play(load(ROOT / "examples" / "simulation" / "shop.yaml"), 1)
    return {"seconds": result.took, "held": float(not result.broken)}


def large() -> dict[str, float]:
    """Four hours of 100 nodes: ten Deployments of 20 pods, a rolling update every twenty minutes, a failure every fifteen."""
    from heeler.base.memory import for_servers
    from heeler.testing.simulation.play import play
    from heeler.testing.simulation.scenario import read

    for_servers()
    names = [f"web-{number}" for number in range(10)]
    rollouts = [
        {"at": f"{20 * (number + 1)}m", "set-image": f"deployment/{name}", "image": "app:2"}
        for number, name in enumerate(names)
    ]
    scenario = read(
        {
            "duration": "4h",
            "nodes": [{"count": 100, "cpu": 4, "memory": "16Gi"}],
            "actions": rollouts,
            "faults": {"random": {"every": "15m", "kinds": ["crash-node", "cut-node", "kill"]}},
        },
        ROOT,
    )
    result = play(replace(scenario, objects=tuple(map(_deployment, names))), 1)
    return {
        "seconds": result.took,
        "held": float(not result.broken),
        "writes": result.told.writes if result.told else 0,
    }


def _deployment(name: str) -> dict[str, Any]:
    labels = {"app": name}
    containers = [{"name": "app", "image": "app:1", "resources": {"requests": {"cpu": "100m"}}}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    spec = {"replicas": 20, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def idle_nodes() -> dict[str, float]:
    """Simulated nodes that have nothing to do, with the whole control plane, in real time."""
    from heeler.base.memory import for_servers, resident
    from heeler.cluster import Cluster

    async def look() -> dict[str, float]:
        async with Cluster(simulated_nodes=IDLE_NODES):
            await asyncio.sleep(45.0)  # until they have all been seen, and all of it was said once
            used, began = time.process_time(), time.perf_counter()
            await asyncio.sleep(IDLE_SECONDS)
            share = (time.process_time() - used) / (time.perf_counter() - began)
            return {"share": share, "memory": float(resident())}

    for_servers()
    try:
        import uvloop

        return uvloop.run(look())
    except ImportError:
        return asyncio.run(look())


PARTS: dict[str, Callable[[], dict[str, float]]] = {"seed": seed, "day": day, "large": large, "idle_nodes": idle_nodes}


def simulation(figures: Any) -> None:
    """`bench/run.py`'s part."""
    found = {name: _in_a_process(name) for name in PARTS}
    figures.add("a seed: 10 nodes, 10 minutes, faults (mean of 20)", found["seed"]["mean"], "s", "<= 0.5")
    figures.add("a simulated day of a shop on 3 nodes", found["day"]["seconds"], "s")
    figures.add("4 simulated hours, 100 nodes, rollouts, failures", found["large"]["seconds"], "s", "<= 30")
    figures.add("5,000 idle simulated nodes, share of a core", 100 * found["idle_nodes"]["share"], "%", "<= 20")
    figures.add("5,000 idle simulated nodes, memory", found["idle_nodes"]["memory"] / 2**20, "MiB", "<= 400")


def _in_a_process(name: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, name], check=True, capture_output=True, text=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


if __name__ == "__main__":
    print(json.dumps(PARTS[sys.argv[1]]()))
