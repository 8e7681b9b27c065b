"""A node that runs short evicts a pod, takes in no more, and has room again."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path

import pytest

from heeler.kubelet import eviction, pressure
from heeler.kubelet.pressure import Observation
from heeler.objects.value import Object
from tests.containers.node import WAIT, TestNode, pod, started


def held(node: TestNode, kind: str) -> bool:
    conditions = node.api.find("nodes", "n0", "")["status"]["conditions"]
    return any(c["type"] == kind and c["status"] == "True" for c in conditions)


def disrupted(status: Object) -> list[str]:
    return [c["reason"] for c in status["conditions"] if c["type"] == "DisruptionTarget"]


def test_pods_are_evicted_for_the_node_s_sake_and_for_their_own_limits(
    cluster: str, tmp_path: Path, archive: Path
) -> None:
    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            full = {
                "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "64Ki"}}],
                "container": {"volumeMounts": [{"name": "v", "mountPath": "/v"}]},
            }
            node.api.put("pods", pod("writes", f"head -c 300000 /dev/zero > /v/f; {WAIT}", **full))
            node.api.put("pods", pod("hungry", WAIT))
            asked = {"resources": {"requests": {"memory": "1Gi"}}}
            node.api.put("pods", pod("modest", WAIT, container=asked))
            for name in ("writes", "hungry", "modest"):
                await node.phase(name, "Running")
            keeper = node.node.eviction
            assert keeper is not None
            await node.until(lambda: (node.options.pods_dir).exists())
            while node.status("writes")["phase"] != "Failed":
                await keeper.look()
                await asyncio.sleep(0.05)
            assert node.status("writes")["message"] == 'Usage of EmptyDir volume "v" exceeds the limit "64Ki". '
            fine = eviction.observe(node.options.data_dir)
            keeper.observe = lambda: {**fine, "memory.available": Observation(1 << 20, 1 << 30)}
            await keeper.look()
            keeper.observe = lambda: fine
            status = await node.phase("hungry", "Failed")
            assert status["reason"] == "Evicted"
            text = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 1Mi. Container c was using "
            assert status["message"].startswith(text)
            assert disrupted(status) == ["TerminationByKubelet"]
            assert ("Evicted", status["message"]) in node.events("hungry")
            assert node.status("modest")["phase"] == "Running"
            await node.until(lambda: held(node, "MemoryPressure"))
            node.api.put("pods", pod("late", WAIT))
            assert (await node.phase("late", "Failed"))["reason"] == "Evicted"
            await node.until(lambda: "containerID" in node.container("hungry"))

    asyncio.run(main())


def test_a_full_disk_gets_room(cluster: str, tmp_path: Path, archive: Path) -> None:
    async def main(disk: Path) -> None:
        limits = pressure.Settings(pressure.thresholds("nodefs.available<16Mi"), transition=0.0)
        async with started(cluster, disk / "n", archive, eviction=limits) as node:
            for name in ("writes", "modest"):
                volume = {"volumes": [{"name": "v", "emptyDir": {}}]}
                mounts = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
                script = f"[ $HOSTNAME = modest ] || head -c 105000000 /dev/zero > /v/f; {WAIT}"
                node.api.put("pods", pod(name, script, container=mounts, **volume))
                await node.phase(name, "Running")
            keeper = node.node.eviction
            assert keeper is not None
            while node.status("writes")["phase"] != "Failed":
                await keeper.look()
                await asyncio.sleep(0.05)
            await node.until(lambda: held(node, "DiskPressure"))
            status = await node.phase("writes", "Failed")
            assert status["reason"] == "Evicted"
            assert re.fullmatch(
                r"The node was low on resource: ephemeral-storage\. Threshold quantity: 16Mi, available: \d+Ki\. "
                r"(Container c was using \d+Ki, request is 0, has larger consumption of ephemeral-storage\. )?",
                status["message"],
            )
            assert "EvictionThresholdMet" in dict(node.events("n0"))
            assert node.status("modest")["phase"] == "Running"
            await node.delete("writes")
            await keeper.look()
            await node.until(lambda: not held(node, "DiskPressure"))
            assert node.status("modest")["phase"] == "Running"

    disk = tmp_path / "d"  # the path of a socket is short
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=112m", "disk", str(disk)]).returncode:
        pytest.skip("no small disk")
    (disk / "n").mkdir()
    try:
        asyncio.run(main(disk))
    finally:
        subprocess.run(["umount", "--lazy", str(disk)])
