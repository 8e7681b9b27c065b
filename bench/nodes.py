"""Figures of a real node: idle, images, and many pods at once beside what containerd alone needs for them."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import HEELER, NAME, ROOT, Figures, cluster, run

PODS = 50
#: Started at the same time, as the node does.
WORKERS = 8


def _root(name: str) -> bool:
    if os.geteuid() != 0:
        print(f"  ({name}: needs root)")
    return os.geteuid() == 0


def _status(environment: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run([*HEELER, "status", "--name", NAME, "-o", "json"], environment))
    one: dict[str, Any] = found["clusters"][0]
    return one


def _socket() -> Path:
    found = sorted((Path("/run/heeler") / NAME).glob("*/containerd.sock"))
    return found[0]


def _ticks(pids: list[int]) -> int:
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total


def _memory(pid: int) -> int:
    """Bytes that are the process's own (proportional set size)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def idle_node(figures: Figures) -> None:
    """Control plane, node agent and containerd together, with nothing to do."""
    if not _root("idle_node"):
        return
    with cluster("--nodes", "1", "--no-uplink") as environment:
        pids = {c["name"]: int(c["pid"]) for c in _status(environment)["components"]}
        pids["containerd"] = int(_socket().with_name("containerd.pid").read_text())
        time.sleep(10)
        before, began = _ticks(list(pids.values())), time.perf_counter()
        time.sleep(20)
        share = (_ticks(list(pids.values())) - before) / os.sysconf("SC_CLK_TCK") / (time.perf_counter() - began)
        each = {name: _memory(pid) / 2**20 for name, pid in pids.items()}
    for name, amount in each.items():
        figures.add(f"idle with one real node, memory of {name}", amount, "MiB")
    figures.add("idle with one real node, memory in all", sum(each.values()), "MiB", "<= 150")
    figures.add("idle with one real node, share of a core", 100 * share, "%", "<= 2")


def images(figures: Figures) -> None:
    """An image of 50 MiB loaded, and loaded again."""
    if not _root("images"):
        return
    sys.path.insert(0, str(ROOT / "src"))
    from heeler.images import layout

    with cluster("--nodes", "1", "--no-uplink") as environment:
        archive = Path(environment["HOME"]) / "big.tar"
        content = random.Random(1).randbytes(50 << 20)
        entries = [layout.Entry("data", content)]
        layout.write(archive, "big:1", [layout.Image(layout.machine_architecture(), entries)])
        for name, aim in (("loaded", "<= 1.5"), ("loaded again", "<= 0.2")):
            began = time.perf_counter()
            run([*HEELER, "image", "load", "--name", NAME, str(archive)], environment)
            figures.add(f"an image of 50 MiB {name}", time.perf_counter() - began, "s", aim)


def fifty_pods(figures: Figures) -> None:
    """Many pods created at once until all are Running, and the same containers by CRI alone on the same node."""
    if not _root("fifty_pods"):
        return
    with cluster("--nodes", "1", "--no-uplink") as environment:
        recipe = str(ROOT / "examples/guestbook/image")
        run([*HEELER, "image", "build", recipe, "--load", "--name", NAME], environment)
        alone = asyncio.run(_alone(_socket(), "warm", 8)) and asyncio.run(_alone(_socket(), "alone", PODS))
        access = Path(environment["KUBECONFIG"])
        asyncio.run(_created(access, "warm", 4))
        ours = asyncio.run(_created(access, "p", PODS))
    figures.add(f"{PODS} pods on one node by containerd alone", alone, "s")
    figures.add(f"{PODS} pods on one node, created to Running", ours, "s", f"<= {1.3 * alone:.1f}")
    figures.add(f"{PODS} pods: times what containerd alone needs", ours / alone, "x", "<= 1.3")


async def _created(access: Path, name: str, count: int) -> float:
    """Seconds from the first request to create pods until the API tells of the last one that it is Running."""
    sys.path.insert(0, str(ROOT / "src"))
    from heeler.client.https import HttpsClient
    from heeler.objects.value import GroupVersionResource

    pods, client = GroupVersionResource("", "v1", "pods"), HttpsClient.from_kubeconfig(access)
    spec = {
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "c", "image": "guestbook:1", "command": ["sleep", "1000"]}],
    }

    async def create(number: int) -> None:
        made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"{name}{number}"}, "spec": spec}
        await client.create(pods, made, "default")

    began = time.perf_counter()
    await asyncio.gather(*(create(number) for number in range(count)))
    running: set[str] = set()
    while len(running) < count:
        async for event in client.watch(pods, "default", resource_version="0"):
            found = event.object
            if found["metadata"]["name"].startswith(name) and found.get("status", {}).get("phase") == "Running":
                running.add(found["metadata"]["name"])
            if len(running) == count:
                break
    took = time.perf_counter() - began
    await client.close()
    return took


async def _alone(socket: Path, name: str, count: int) -> float:
    """Seconds for the same sandboxes and containers (as the node would ask for them) by CRI alone; they are removed."""
    sys.path.insert(0, str(ROOT / "src"))
    from heeler.kubelet.cgroups import Cgroups, remove_all
    from heeler.kubelet.pods import config
    from heeler.kubelet.runtime.cri import Runtime

    runtime, groups = Runtime(socket), Cgroups(f"/heeler.{NAME}/alone")
    image = await runtime.image("guestbook:1")
    workers = asyncio.Semaphore(WORKERS)
    made: list[str] = []
    container = {"name": "c", "image": "guestbook:1", "command": ["sleep", "1000"]}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "file").touch()
        inside = ("/etc/hosts", "/dev/termination-log", "/var/run/secrets")
        mounts = [config.Mounted(f"{folder}/file", where) for where in inside[:2]]
        mounts.append(config.Mounted(folder, inside[2], True))

        async def one(number: int) -> None:
            pod = {
                "metadata": {"name": f"{name}{number}", "namespace": "default", "uid": f"{name}-{number}"},
                "spec": {"containers": [container]},
            }
            group = groups.pod(pod)
            settings = config.sandbox(pod, 0, "alone", Path(folder), group, config.Dns((), "", (), (), ()))
            making = config.Making(0, "alone", str(image.id), config.ImageUser(0), (), mounts, 8 << 30)
            async with workers:
                await asyncio.to_thread(groups.make, pod)
                found = await runtime.run_sandbox(settings)
            made.append(found)
            async with workers:
                await runtime.start_container(
                    await runtime.create_container(found, config.container(pod, container, making), settings)
                )

        began = time.perf_counter()
        await asyncio.gather(*(one(number) for number in range(count)))
        took = time.perf_counter() - began
        for found in made:
            await runtime.stop_sandbox(found)
            await runtime.remove_sandbox(found)
    await runtime.close()
    for base in (f"/heeler.{NAME}", "/heeler.alone"):  # what the sandboxes' own cgroups were made below
        remove_all(base)
    return took
