"""kube-scheduler's decisions beside ours: drawn nodes, and drawn pods one after the other.

    python -m tests.peers.scheduling_differential [--seed N] [--rounds N] [--record FILE]

Upstream's scheduler (`make peers` builds it) runs on Heeler's API server; each of its decisions is held against what we would
have decided in the same state (`tests/unit/scheduler/beside.py`). --record keeps the rounds for the tests. Exit code 1: some
differ.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import heeler
from heeler.client.client import Client
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource
from tests.peers.test_upstream_programs import start
from tests.unit.scheduler.beside import differences

Object = dict[str, Any]
NODES, PODS, SERVICES, ACCOUNTS = (
    GroupVersionResource("", "v1", name) for name in ("nodes", "pods", "services", "serviceaccounts")
)
PRIORITIES = GroupVersionResource("scheduling.k8s.io", "v1", "priorityclasses")
HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
WITHOUT = ("controller-manager", "scheduler", "simulated-nodes")
PODS_A_ROUND = 14
#: What pods may need and nodes declare.
FEATURE = "RestartAllContainersOnContainerExits"
#: Seconds that kube-scheduler has for a decision.
PATIENCE = 10.0


class Draw:
    """Nodes and pods by a seed."""

    def __init__(self, seed: int) -> None:
        self._r = random.Random(seed)

    def one(self, *of: Any) -> Any:
        return self._r.choice(of)

    def sometimes(self, share: float) -> bool:
        return self._r.random() < share

    def number(self, low: int, high: int) -> int:
        return self._r.randint(low, high)

    def node(self, name: str) -> Object:
        labels = {HOST: name, "disk": self.one("ssd", "hdd")}
        if zone := self.one("1", "2", "3", None):
            labels[ZONE] = zone
        if self.sometimes(0.3):
            labels["num"] = str(self.number(1, 9))
        effects = ("NoSchedule", "PreferNoSchedule", "PreferNoSchedule", "NoExecute")
        taints = {(self.one("x", "y"), self.one(*effects)): None for _ in range(self.one(0, 0, 0, 1, 1, 2))}
        has = {
            "cpu": self.one("1", "2", "4", "3500m"),
            "memory": self.one("1Gi", "4Gi", "8Gi", "7777Mi"),
            "pods": self.one("3", "110", "110"),
        }
        if self.sometimes(0.3):
            has["example.com/gpu"] = str(self.number(1, 3))
        sizes = [(f"reg/img{at}:v1", self.one(50, 200, 500, 900) << 20) for at in range(3) if self.sometimes(0.4)]
        return {
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "taints": [{"key": key, "effect": effect} for key, effect in taints],
                **({"unschedulable": True} if self.sometimes(0.1) else {}),
            },
            "status": {
                "allocatable": has,
                "capacity": has,
                "images": [{"names": [image], "sizeBytes": size} for image, size in sizes],
                "conditions": [{"type": "Ready", "status": "True"}],
                **({"declaredFeatures": [FEATURE, "Other"]} if self.sometimes(0.4) else {}),
            },
        }

    def pod(self, name: str, *, important: bool) -> Object:
        labels = {}
        if self.sometimes(0.8):
            labels["app"] = self.one("a", "b")
        if self.sometimes(0.3):
            labels["svc"] = "a"
        spec: Object = {"containers": self._containers()}
        if self.sometimes(0.2):
            asked = {"requests": {"cpu": self.one("200m", "2")}}
            sidecar = {"restartPolicy": "Always"} if self.sometimes(0.3) else {}
            spec["initContainers"] = [{"name": "i", "image": "reg/img1:v1", "resources": asked, **sidecar}]
        if self.sometimes(0.15):
            spec["nodeSelector"] = {"disk": self.one("ssd", "hdd")}
        if self.sometimes(0.5):
            spec["tolerations"] = [self._toleration() for _ in range(self.one(1, 2))]
        affinity = {
            kind: found
            for kind in ("nodeAffinity", "podAffinity", "podAntiAffinity")
            if (found := self._affinity(kind))
        }
        if affinity:
            spec["affinity"] = affinity
        if self.sometimes(0.35):
            found = [self._constraint() for _ in range(self.one(1, 1, 2))]
            by_key = {(one["topologyKey"], one["whenUnsatisfiable"]): one for one in found}
            spec["topologySpreadConstraints"] = list(by_key.values())
        if self.sometimes(0.5 if important else 0.2):
            spec["priorityClassName"] = self.one("p10", "p100", "p100") if important else "p10"
        return {"metadata": {"name": name, "labels": labels}, "spec": spec}

    def _containers(self) -> list[Object]:
        asked, limits = {}, {}
        if self.sometimes(0.7):
            asked["cpu"] = self.one("100m", "500m", "1", "1500m")
        if self.sometimes(0.6):
            asked["memory"] = self.one("100Mi", "512Mi", "1Gi", "3Gi")
        if self.sometimes(0.1):
            asked["example.com/gpu"] = limits["example.com/gpu"] = "1"
        first: Object = {
            "name": "c",
            "image": f"reg/img{self.number(0, 3)}:v1",
            "resources": {"requests": asked, "limits": limits},
        }
        if self.sometimes(0.1):
            first["ports"] = [{"containerPort": 80, "hostPort": self.one(80, 81)}]
        if self.sometimes(0.1):
            rule = {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [7]}}
            first.update(restartPolicy="Never", restartPolicyRules=[rule])
        if self.sometimes(0.8):
            return [first]
        more = {"name": "d", "image": f"reg/img{self.number(0, 3)}:v1", "resources": {"requests": {"cpu": "50m"}}}
        return [first, more]

    def _toleration(self) -> Object:
        effect = {"effect": self.one("NoSchedule", "PreferNoSchedule")} if self.sometimes(0.4) else {}
        return {"key": self.one("x", "y"), "operator": "Exists", **effect}

    def _affinity(self, kind: str) -> Object:
        if not self.sometimes(0.3):
            return {}
        on_nodes = kind == "nodeAffinity"
        out: Object = {}
        if self.sometimes(0.4):
            terms = [self._node_term() if on_nodes else self._pod_term() for _ in range(self.one(1, 2))]
            wanted = {"nodeSelectorTerms": terms} if on_nodes else terms
            out["requiredDuringSchedulingIgnoredDuringExecution"] = wanted
        if self.sometimes(0.7):
            out["preferredDuringSchedulingIgnoredDuringExecution"] = [
                {
                    "weight": self.number(1, 100),
                    **({"preference": self._node_term()} if on_nodes else {"podAffinityTerm": self._pod_term()}),
                }
                for _ in range(self.one(1, 2))
            ]
        return out

    def _node_term(self) -> Object:
        found: Object = self.one(
            {"key": "disk", "operator": "In", "values": [self.one("ssd", "hdd")]},
            {"key": "num", "operator": self.one("Gt", "Lt"), "values": [str(self.number(2, 7))]},
            {"key": ZONE, "operator": self.one("Exists", "DoesNotExist")},
            {"key": ZONE, "operator": "NotIn", "values": ["1"]},
        )
        return {"matchExpressions": [found]}

    def _pod_term(self) -> Object:
        selector: Object = {"matchLabels": {"app": self.one("a", "b")}}
        if self.sometimes(0.3):
            operator = self.one("In", "NotIn", "Exists", "DoesNotExist")
            values = {"values": ["a"]} if operator.endswith("In") else {}
            selector = {"matchExpressions": [{"key": "app", "operator": operator, **values}]}
        return {"topologyKey": self.one(HOST, ZONE), "labelSelector": selector}

    def _constraint(self) -> Object:
        out: Object = {
            "topologyKey": self.one(HOST, ZONE),
            "whenUnsatisfiable": self.one("DoNotSchedule", "ScheduleAnyway", "ScheduleAnyway"),
            "maxSkew": self.number(1, 3),
            "labelSelector": {"matchLabels": {"app": self.one("a", "b")}},
        }
        if out["whenUnsatisfiable"] == "DoNotSchedule" and self.sometimes(0.3):
            out["minDomains"] = self.number(1, 3)
        for policy in ("nodeTaintsPolicy", "nodeAffinityPolicy"):
            if self.sometimes(0.3):
                out[policy] = self.one("Honor", "Ignore")
        return out


async def decided(client: Client, pod: Object) -> Object:
    """Create a pod; what kube-scheduler made of it, as a step."""
    made = await client.create(PODS, pod, "default")
    kept = {
        "metadata": {**pod["metadata"], "namespace": "default", "uid": made["metadata"]["uid"]},
        "spec": dict(pod["spec"]),
    }
    kept["spec"]["priority"] = made["spec"].get("priority", 0)
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await client.get(PODS, pod["metadata"]["name"], "default")
            for condition in (found.get("status") or {}).get("conditions") or ():
                if condition["type"] == "PodScheduled":
                    if found["spec"].get("nodeName"):
                        return {"pod": kept, "node": found["spec"]["nodeName"]}
                    return {"pod": kept, "message": condition["message"]}
            await asyncio.sleep(0.01)


async def played(client: Client, draw: Draw, number: int) -> Object:
    """One round; everything is gone afterwards."""
    nodes = [draw.node(f"r{number}n{at}") for at in range(draw.number(1, 7))]
    for node in nodes:
        await client.create(NODES, node)
        await client.patch(NODES, node["metadata"]["name"], {"spec": {"taints": node["spec"]["taints"] or None}})
    await asyncio.sleep(0.2)  # kube-scheduler hears of them
    steps: list[Object] = []
    for at in range(PODS_A_ROUND):
        try:
            step = await decided(client, draw.pod(f"r{number}p{at}", important=number % 2 == 1 and at > 3))
        except StatusError:
            continue  # a pod that validation refuses
        steps.append(step)
        if "message" in step:
            if "preempting" in step["message"]:
                break  # nobody ends the victims here
            await client.delete(PODS, step["pod"]["metadata"]["name"], "default", grace_seconds=0)
    for step in steps:
        try:
            await client.delete(PODS, step["pod"]["metadata"]["name"], "default", grace_seconds=0)
        except StatusError:
            continue
    for node in nodes:
        await client.delete(NODES, node["metadata"]["name"])
    await asyncio.sleep(0.2)
    return {"nodes": nodes, "steps": steps}


async def rounds(seed: int, count: int, folder: Path) -> list[Object]:
    async with heeler.Cluster(simulated_nodes=0, without=WITHOUT) as cluster:
        client = cluster.client
        await client.create(ACCOUNTS, {"metadata": {"name": "default"}}, "default")
        service = {"metadata": {"name": "a"}, "spec": {"selector": {"svc": "a"}, "ports": [{"port": 80}]}}
        await client.create(SERVICES, service, "default")
        for name, value in (("p10", 10), ("p100", 100)):
            await client.create(PRIORITIES, {"metadata": {"name": name}, "value": value})
        program = start("kube-scheduler", cluster.kubeconfig, folder / "scheduler.log", "--leader-elect=false")
        try:
            await asyncio.sleep(2)
            draw = Draw(seed)
            return [await played(client, draw, number) for number in range(count)]
        finally:
            program.terminate()
            program.wait(20)


def compared(
    about: str,
    play: Callable[[int, int, Path], Coroutine[Any, Any, list[Object]]],
    differ: Callable[[Object], list[str]],
) -> int:
    """Play rounds by the command line's flags, tell where they differ; the exit code."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--record", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(play(given.seed, given.rounds, Path(folder)))
    different = 0
    for number, one in enumerate(found):
        for line in differ(one):
            different += 1
            print(f"round {number}: {line}")
    print(f"{sum(len(one['steps']) for one in found)} decisions, {different} of them otherwise")
    if given.record:
        text = "".join(json.dumps(one, separators=(",", ":")) + "\n" for one in found)
        given.record.write_bytes(gzip.compress(text.encode(), mtime=0))
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(compared(__doc__ or "", rounds, differences))
