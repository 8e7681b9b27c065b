"""How fast pods that are there find their nodes: API server, store on disk and scheduler in one process.

The pods exist before the scheduler starts; the time ends when the last binding was answered (each is on disk by then).

    python -m bench.scheduling [--nodes N] [--pods N] [--wishes] [--profile]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heeler.client.client import Client

ROOT = Path(__file__).parent.parent
ZONES, APPS = 3, 20


def node(number: int) -> dict[str, Any]:
    name = f"n{number:05}"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "topology.kubernetes.io/zone": f"z{number % ZONES}",
                "disk": "ssd" if number % 2 else "hdd",
            },
        },
        "status": {
            key: {"cpu": "4", "memory": "32Gi", "pods": "110", "ephemeral-storage": "100Gi"}
            for key in ("capacity", "allocatable")
        },
    }


def pod(number: int, *, wishes: bool) -> dict[str, Any]:
    """A plain pod; with `wishes` one that is spread over zones, keeps away from its like, and has a favourite disk."""
    app = f"app{number % APPS}"
    like = {"labelSelector": {"matchLabels": {"app": app}}}
    spec: dict[str, Any] = {
        "containers": [
            {
                "name": "c",
                "image": "registry.k8s.io/pause:3.10",
                "resources": {"requests": {"cpu": "100m", "memory": "500Mi"}},
            }
        ]
    }
    if wishes:
        host = "kubernetes.io/hostname"
        spec["topologySpreadConstraints"] = [
            {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule", **like}
        ]
        disk = {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
        spec["affinity"] = {
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": host, **like}],
            },
            "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 10, "preference": disk}]},
        }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"p{number}", "labels": {"app": app}},
        "spec": spec,
    }


async def _fill(client: Client, nodes: int, pods: int, *, wishes: bool) -> None:
    from heeler.objects.value import GroupVersionResource

    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    await client.create(GroupVersionResource("", "v1", "serviceaccounts"), account, "default")
    for number in range(nodes):
        await client.create(GroupVersionResource("", "v1", "nodes"), node(number))

    async def some(first: int) -> None:
        for number in range(first, pods, 32):
            await client.create(GroupVersionResource("", "v1", "pods"), pod(number, wishes=wishes), "default")

    await asyncio.gather(*(some(first) for first in range(32)))
    for one in (await client.list(GroupVersionResource("", "v1", "nodes"))).items:
        await client.patch(GroupVersionResource("", "v1", "nodes"), one["metadata"]["name"], {"spec": {"taints": None}})


async def measured(nodes: int, pods: int, *, wishes: bool, profile: bool = False) -> tuple[float, float]:
    """Pods a second, and a second of this process' processor time (what it would be on a machine with nothing else to do)."""
    from heeler.base.clock import SystemClock
    from heeler.base.random import SystemRandom
    from heeler.base.tasks import Tasks
    from heeler.cluster import Cluster
    from heeler.objects.value import GroupVersionResource
    from heeler.scheduler.scheduler import Scheduler

    with tempfile.TemporaryDirectory(prefix="heeler-bench-") as folder:
        without = ("controller-manager", "scheduler", "simulated-nodes")
        async with Cluster(data_dir=Path(folder), without=without) as cluster, Tasks() as tasks:
            client = cluster.client
            await _fill(client, nodes, pods, wishes=wishes)
            scheduler = Scheduler(client, clock=SystemClock(), random=SystemRandom())
            synced = asyncio.Event()
            profiler = None
            if profile:
                import cProfile

                profiler = cProfile.Profile()
            tasks.spawn(scheduler.run(synced.set), "scheduler")
            await synced.wait()
            began, spent = time.perf_counter(), time.process_time()
            if profiler is not None:
                profiler.enable()
            while len(scheduler.queue):
                await asyncio.sleep(0.02)
            seconds, busy = time.perf_counter() - began, time.process_time() - spent
            if profiler is not None:
                import pstats

                profiler.disable()
                pstats.Stats(profiler).sort_stats("cumulative").print_stats(90)
            left = [
                one
                for one in (await client.list(GroupVersionResource("", "v1", "pods"))).items
                if not one["spec"].get("nodeName")
            ]
            if left:
                raise RuntimeError(f"{len(left)} of {pods} pods have no node: {left[0].get('status')}")
            await tasks.stop()
            return pods / seconds, pods / busy


def scheduling(figures: Any) -> None:
    """Each in a process of its own."""
    for nodes, pods, wishes, aim in ((1000, 3000, False, 1200), (5000, 3000, False, 800), (5000, 2000, True, 300)):
        words = [sys.executable, "-m", "bench.scheduling", "--nodes", str(nodes), "--pods", str(pods)]
        done = subprocess.run(
            [*words, *(["--wishes"] if wishes else [])], cwd=ROOT, check=True, capture_output=True, text=True
        )
        name = f"pods scheduled, {nodes:,} nodes{', with affinity and spreading' if wishes else ''}"
        peer = "680 to 810 at 5,000 nodes" if not wishes else ""
        figures.add(name, json.loads(done.stdout)["pods_per_second"], "pods/s", f">= {aim:,}", peer)


def main() -> None:
    import uvloop

    from heeler.base import memory

    memory.for_servers()  # as `heeler up` does
    sys.setswitchinterval(0.0005)
    sys.path.insert(0, str(ROOT / "src"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=3000)
    parser.add_argument("--wishes", action="store_true")
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        speed, busy = runner.run(measured(given.nodes, given.pods, wishes=given.wishes, profile=given.profile))
    print(json.dumps({"pods_per_second": round(speed, 1), "per_second_of_processor": round(busy, 1)}))


if __name__ == "__main__":
    main()
