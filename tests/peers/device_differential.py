"""kube-scheduler's allocations of devices beside ours: drawn slices and claims, pod after pod.

    python -m tests.peers.device_differential [--seed N] [--rounds N] [--record FILE]

As in `scheduling_differential`: what upstream's scheduler allocates is held against what we would have allocated in
the same state.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import heeler
from heeler.client.client import Client
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource
from tests.peers.scheduling_differential import ACCOUNTS, HOST, NODES, PODS, WITHOUT, Draw, compared, decided
from tests.peers.test_upstream_programs import start
from tests.unit.scheduler.beside_devices import differences

Object = dict[str, Any]
CLAIMS, SLICES, CLASSES = (
    GroupVersionResource("resource.k8s.io", "v1", name)
    for name in ("resourceclaims", "resourceslices", "deviceclasses")
)
DRIVER = "gpu.example.com"
PODS_A_ROUND = 7
LARGE = {"cel": {"expression": f'device.attributes["{DRIVER}"].model == "l"'}}
SELECTORS = (
    f'device.attributes["{DRIVER}"].model == "s"',
    f'device.attributes["{DRIVER}"].?numa.orValue(9) > 0',
    f'device.capacity["{DRIVER}"].mem.compareTo(quantity("4Gi")) >= 0',
    f'device.attributes["{DRIVER}"].ver.isGreaterThan(semver("1.1.0"))',
)
POLICIES: tuple[Object, ...] = (
    {"default": "1Gi"},
    {"default": "1Gi", "validRange": {"min": "1Gi"}},
    {"default": "1Gi", "validRange": {"min": "1Gi", "max": "2Gi", "step": "512Mi"}},
    {"default": "1Gi", "validValues": ["1Gi", "2Gi"]},
)


#: What the class `gpu-l` is for; nodes may also have some of their own.
RESOURCE, OWN_NAME = "example.com/gpu", "deviceclass.resource.kubernetes.io/gpu"


class DeviceDraw(Draw):
    def asking(self, name: str) -> Object:
        """A container that may ask for extended resources."""
        asked = {"cpu": "100m"} if self.sometimes(0.5) else {}
        if self.sometimes(0.6):
            asked[RESOURCE] = str(self.one(1, 1, 2, 3))
        if self.sometimes(0.25):
            asked[OWN_NAME] = "1"
        return {"name": name, "image": "i", "resources": {"requests": asked, "limits": asked}}

    def extended(self) -> Object:
        """A spec whose containers share devices of classes."""
        before = []
        for at in range(self.one(0, 0, 1, 2, 3)):
            sidecar = {"restartPolicy": "Always"} if self.sometimes(0.4) else {}
            before.append({**self.asking(f"i{at}"), **sidecar})
        after = [self.asking(f"c{at}") for at in range(self.one(1, 1, 2))]
        return {"initContainers": before, "containers": after}

    def device(self, name: str, *, counted: bool) -> Object:
        numa = {} if self.sometimes(0.15) else {"numa": {"int": self.number(0, 2)}}
        memory: Object = {"value": self.one("2Gi", "4Gi", "8Gi")}
        out: Object = {
            "name": name,
            "attributes": {
                "model": {"string": self.one("s", "l")},
                "ver": {"version": self.one("1.0.0", "1.2.0")},
                **numa,
            },
            "capacity": {"mem": memory},
        }
        if self.sometimes(0.15):
            out["taints"] = [{"key": self.one("x", "y"), "effect": self.one("NoSchedule", "NoExecute", "None")}]
        if self.sometimes(0.25):
            out["allowMultipleAllocations"] = True
            if self.sometimes(0.7):
                memory["requestPolicy"] = self.one(*POLICIES)
        if counted and self.sometimes(0.6):
            used = {"c": {"value": str(self.number(1, 3))}}
            out["consumesCounters"] = [{"counterSet": "s", "counters": used}]
        return out

    def slices(self, node: str) -> list[Object]:
        out = []
        for at in range(self.one(1, 1, 2)):
            name, counted = f"{node}-p{at}", self.sometimes(0.3)
            missing = not counted and self.sometimes(0.08)
            pool = {"name": name, "generation": 1, "resourceSliceCount": 1 + (counted or missing)}
            spec = {"driver": DRIVER, "nodeName": node, "pool": pool}
            devices = [self.device(f"d{number}", counted=counted) for number in range(self.number(1, 4))]
            out.append({"metadata": {"name": f"{name}-a"}, "spec": {**spec, "devices": devices}})
            if counted:
                counters = [{"name": "s", "counters": {"c": {"value": str(self.number(1, 5))}}}]
                out.append({"metadata": {"name": f"{name}-c"}, "spec": {**spec, "sharedCounters": counters}})
        return out

    def wish(self) -> Object:
        out: Object = {"deviceClassName": self.one("gpu", "gpu", "gpu-l")}
        if self.sometimes(0.15):
            out["allocationMode"] = "All"
        else:
            out["count"] = self.one(1, 1, 1, 2, 3)
        if self.sometimes(0.35):
            out["selectors"] = [{"cel": {"expression": self.one(*SELECTORS)}}]
        if self.sometimes(0.25):
            out["tolerations"] = [{"key": self.one("x", "y"), "operator": "Exists"}]
        if self.sometimes(0.25):
            out["capacity"] = {"requests": {"mem": self.one("512Mi", "1Gi", "1500Mi", "3Gi")}}
        return out

    def claim(self, name: str) -> Object:
        requests: list[Object] = []
        for at in range(self.one(1, 1, 2, 3)):
            if self.sometimes(0.25):
                ways = [{"name": f"s{way}", **self.wish()} for way in range(self.one(1, 2, 3))]
                requests.append({"name": f"r{at}", "firstAvailable": ways})
            else:
                requests.append({"name": f"r{at}", "exactly": self.wish()})
        devices: Object = {"requests": requests}
        if self.sometimes(0.35):
            kind = self.one("matchAttribute", "matchAttribute", "distinctAttribute")
            constraint: Object = {kind: f"{DRIVER}/{self.one('model', 'numa')}"}
            if self.sometimes(0.5):
                constraint["requests"] = [one["name"] for one in requests[:2]]
            devices["constraints"] = [constraint]
        return {"metadata": {"name": name}, "spec": {"devices": devices}}


async def quietly(work: Awaitable[Any]) -> None:
    """What is gone already needn't be removed."""
    try:
        await work
    except StatusError:
        return


async def allocated(client: Client, draw: DeviceDraw, name: str) -> Object | None:
    """A pod with claims; what kube-scheduler made of it, as a step. None: validation refuses a claim."""
    claims: list[Object] = []
    extended = draw.sometimes(0.35)
    for at in range(draw.one(0, 0, 0, 1) if extended else draw.one(1, 1, 2)):
        try:
            made = await client.create(CLAIMS, draw.claim(f"{name}c{at}"), "default")
        except StatusError:
            return None
        kept = {key: made["metadata"][key] for key in ("name", "namespace", "uid")}
        claims.append({"metadata": kept, "spec": made["spec"]})
    await asyncio.sleep(0.05)  # kube-scheduler hears of them
    names = [claim["metadata"]["name"] for claim in claims]
    used = [{"name": f"x{at}", "resourceClaimName": claim} for at, claim in enumerate(names)]
    containers = draw.extended() if extended else {"containers": [{"name": "c", "image": "i"}]}
    spec = {**containers, "resourceClaims": used}
    step = {**await decided(client, {"metadata": {"name": name, "labels": {}}, "spec": spec}), "claims": claims}
    if "node" in step:
        status = [(await client.get(CLAIMS, claim, "default"))["status"] for claim in names]
        step["devices"] = {
            claim: found["allocation"]["devices"]["results"] for claim, found in zip(names, status, strict=True)
        }
        told = (await client.get(PODS, name, "default"))["status"].get("extendedResourceClaimStatus")
        if told is not None:
            made = await client.get(CLAIMS, told["resourceClaimName"], "default")
            results = made["status"]["allocation"]["devices"]["results"]
            step["extended"] = {
                "claim": told["resourceClaimName"],
                "requests": made["spec"]["devices"]["requests"],
                "mappings": told["requestMappings"],
                "devices": results,
            }
    return step


async def removed(client: Client, step: Object) -> None:
    await quietly(client.delete(PODS, step["pod"]["metadata"]["name"], "default", grace_seconds=0))
    more = [step["extended"]["claim"]] if "extended" in step else []
    for name in (*(claim["metadata"]["name"] for claim in step["claims"]), *more):
        await quietly(client.patch(CLAIMS, name, {"metadata": {"finalizers": None}}, "default"))
        await quietly(client.delete(CLAIMS, name, "default"))


async def played(client: Client, draw: DeviceDraw, classes: list[Object], number: int) -> Object:
    """One round; everything is gone afterwards."""
    nodes, slices = [], []
    for at in range(draw.one(1, 2, 2, 3)):
        name, has = f"r{number}n{at}", {"cpu": "64", "memory": "64Gi", "pods": "110"}
        if draw.sometimes(0.2):
            has[RESOURCE] = str(draw.one(0, 1, 2))
        status = {"allocatable": has, "capacity": has, "conditions": [{"type": "Ready", "status": "True"}]}
        nodes.append({"metadata": {"name": name, "labels": {HOST: name}}, "spec": {}, "status": status})
        await client.create(NODES, nodes[-1])
        await client.patch(NODES, name, {"spec": {"taints": None}})
        for one in draw.slices(name):
            await client.create(SLICES, one)
            slices.append(one)
    await asyncio.sleep(0.3)
    steps: list[Object] = []
    for at in range(PODS_A_ROUND):
        step = await allocated(client, draw, f"r{number}p{at}")
        if step is not None:
            steps.append(step)
            if "message" in step:
                await removed(client, step)
    for step in steps:
        await removed(client, step)
    for one in slices:
        await client.delete(SLICES, one["metadata"]["name"])
    for node in nodes:
        await client.delete(NODES, node["metadata"]["name"])
    await asyncio.sleep(0.2)
    return {"nodes": nodes, "slices": slices, "classes": classes, "steps": steps}


async def rounds(seed: int, count: int, folder: Path) -> list[Object]:
    async with heeler.Cluster(simulated_nodes=0, without=WITHOUT) as cluster:
        client = cluster.client
        await client.create(ACCOUNTS, {"metadata": {"name": "default"}}, "default")
        classes: list[Object] = [
            {"metadata": {"name": "gpu"}, "spec": {}},
            {"metadata": {"name": "gpu-l"}, "spec": {"selectors": [LARGE], "extendedResourceName": RESOURCE}},
        ]
        for one in classes:
            await client.create(CLASSES, one)
        program = start("kube-scheduler", cluster.kubeconfig, folder / "scheduler.log", "--leader-elect=false")
        try:
            await asyncio.sleep(2)
            draw = DeviceDraw(seed)
            return [await played(client, draw, classes, number) for number in range(count)]
        finally:
            program.terminate()
            program.wait(20)


if __name__ == "__main__":
    sys.exit(compared(__doc__ or "", rounds, differences))
