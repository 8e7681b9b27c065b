"""Random `kill -9` of all that a cluster consists of, by a seed, under changes whose clients note what was acknowledged.

    python -m tests.containers.chaos --seconds 600 --seed 1

`heeler up --foreground` keeps the cluster up meanwhile. At the end all must converge, hold what was acknowledged, and once
everything is deleted leave what was there before and no more. Prints figures as JSON; ends with 1 when something is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from heeler.client.https import HttpsClient
from heeler.local.layout import port_is_free
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object
from tests.cluster import LocalCluster
from tests.conftest import HEELER
from tests.containers import machine

CONFIG_MAPS = GroupVersionResource("", "v1", "configmaps")
DEPLOYMENTS = GroupVersionResource("apps", "v1", "deployments")
INGRESSES = GroupVersionResource("networking.k8s.io", "v1", "ingresses")
NAMESPACES = GroupVersionResource("", "v1", "namespaces")
NODES = GroupVersionResource("", "v1", "nodes")
PODS = GroupVersionResource("", "v1", "pods")
SERVICES = GroupVersionResource("", "v1", "services")
SLICES = GroupVersionResource("discovery.k8s.io", "v1", "endpointslices")

SLEEP = "trap 'exit 0' TERM; while :; do sleep 1; done"
#: Deployments of one client at a time, replicas of each.
MOST_DEPLOYMENTS, MOST_REPLICAS = 2, 2
#: Seconds for one request, until all has converged, and until all is cleared away.
REQUEST, CONVERGE, CLEAR = 20.0, 180.0, 90.0
#: What may be lost on the way: the answer, not the write. Too busy or not there for a moment.
UNANSWERED = (OSError, TimeoutError, EOFError)


def deployment(name: str, replicas: int, version: str) -> Object:
    labels = {"app": name}
    container = {"name": "c", "image": "busybox:1", "imagePullPolicy": "Never", "command": ["sh", "-c", SLEEP]}
    pod = {"automountServiceAccountToken": False, "terminationGracePeriodSeconds": 1, "containers": [container]}
    template = {"metadata": {"labels": labels, "annotations": {"version": version}}, "spec": pod}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def value_of(resource: GroupVersionResource, obj: Object) -> str:
    """What a client wrote into an object."""
    spec = obj.get("spec") or {}
    if resource is DEPLOYMENTS:
        return f"{spec['replicas']}/{spec['template']['metadata']['annotations']['version']}"
    return str(spec["ports"][0]["port"] if resource is SERVICES else obj["data"]["value"])


@dataclass
class Writer:
    """One client with a namespace of its own: what it wrote and was told that it is done, by resource and name.

    A write without an answer may be done or not: the object is read until there is an answer, and must be one of both."""

    client: HttpsClient
    namespace: str
    chance: random.Random
    known: dict[tuple[GroupVersionResource, str], str | None] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    figures: collections.Counter[str] = field(default_factory=collections.Counter)
    number: int = 0

    async def run(self, ended: asyncio.Event) -> None:
        while not ended.is_set():
            await self._step()
            await asyncio.sleep(self.chance.uniform(0.05, 0.4))

    async def _step(self) -> None:
        kind = self.chance.choices((CONFIG_MAPS, DEPLOYMENTS, SERVICES), (6, 3, 1))[0]
        there = [name for (resource, name), value in self.known.items() if resource is kind and value is not None]
        most = MOST_DEPLOYMENTS if kind is DEPLOYMENTS else 10
        what = self.chance.choices(("create", "change", "delete"), (3, 5, 1))[0]
        if (what == "create" and len(there) < most) or not there:
            self.number += 1
            await self._create(kind, f"{kind.resource[0]}{self.number}")
        elif what == "delete":
            name = self.chance.choice(there)
            await self._write(kind, name, None, lambda: self.client.delete(kind, name, self.namespace))
        else:
            await self._change(kind, self.chance.choice(there))

    async def _create(self, kind: GroupVersionResource, name: str) -> None:
        value = str(self.chance.randrange(1, 60000))
        if kind is DEPLOYMENTS:
            obj = deployment(name, self.chance.randint(0, MOST_REPLICAS), value)
        elif kind is SERVICES:
            spec = {"selector": {"app": "d1"}, "ports": [{"port": int(value)}]}
            obj = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
        else:
            obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value}}
        await self._write(kind, name, value_of(kind, obj), lambda: self.client.create(kind, obj, self.namespace))

    async def _change(self, kind: GroupVersionResource, name: str) -> None:
        fresh = str(self.chance.randrange(1, 60000))
        value, patch = fresh, {"data": {"value": fresh}}
        if kind is DEPLOYMENTS:
            replicas, version = str(self.known[kind, name]).split("/")
            if self.chance.random() < 0.5:
                count = self.chance.randint(0, MOST_REPLICAS)
                value, patch = f"{count}/{version}", {"spec": {"replicas": count}}  # type: ignore[dict-item]
            else:
                value = f"{replicas}/{fresh}"
                patch = {"spec": {"template": {"metadata": {"annotations": {"version": fresh}}}}}  # type: ignore[dict-item]
        elif kind is SERVICES:
            patch = {"spec": {"ports": [{"port": int(fresh)}]}}  # type: ignore[dict-item]
        await self._write(kind, name, value, lambda: self.client.patch(kind, name, patch, self.namespace))

    async def _write(
        self, kind: GroupVersionResource, name: str, value: str | None, call: Callable[[], Awaitable[Object]]
    ) -> None:
        before = self.known.get((kind, name))
        try:
            async with asyncio.timeout(REQUEST):
                await call()
            self.known[kind, name] = value
            self.figures["acknowledged"] += 1
            return
        except UNANSWERED:
            self.figures["unanswered"] += 1
        except StatusError as error:
            self.figures[f"answered {error.code} {error.reason}"] += 1
            if error.code < 500 and error.code != 429:
                self.lost.append(f"{self.namespace}/{name}: {value} refused: {error.message}")
        found = await self.read(kind, name)
        if found not in (before, value):
            self.lost.append(f"{self.namespace} {kind.resource}/{name}: is {found}, was {before}, then {value}")
        self.known[kind, name] = found

    async def read(self, kind: GroupVersionResource, name: str) -> str | None:
        """What is there, however long an answer takes."""
        while True:
            try:
                async with asyncio.timeout(REQUEST):
                    return value_of(kind, await self.client.get(kind, name, self.namespace))
            except UNANSWERED:
                pass
            except StatusError as error:
                if error.code == 404:
                    return None
            await asyncio.sleep(0.2)

    async def check(self) -> None:
        for (kind, name), value in self.known.items():
            found = await self.read(kind, name)
            if found != value:
                self.lost.append(f"{self.namespace} {kind.resource}/{name}: is {found}, acknowledged was {value}")


async def killing(name: str, chance: random.Random, ended: asyncio.Event, killed: collections.Counter[str]) -> None:
    """One process after the other; each sort that runs has the same chance."""
    while not ended.is_set():
        await asyncio.sleep(chance.uniform(0.5, 4.0))
        found = await asyncio.to_thread(machine.processes, name)
        sorts = [sort for sort in machine.SORTS[1:] if found[sort]]
        if sorts:
            sort = chance.choice(sorts)
            machine.kill([chance.choice(found[sort])])
            killed[sort] += 1


async def unsettled(client: HttpsClient, namespaces: list[str]) -> list[str]:
    """What hasn't converged."""
    try:
        async with asyncio.timeout(REQUEST):
            nodes = (await client.list(NODES)).items
            deployments = [d for n in namespaces for d in (await client.list(DEPLOYMENTS, n)).items]
            pods = [p for n in namespaces for p in (await client.list(PODS, n)).items]
            slices = [s for n in namespaces for s in (await client.list(SLICES, n)).items]
    except (*UNANSWERED, StatusError) as error:
        return [f"the API server: {error!r}"]
    out = [f"node {n['metadata']['name']}" for n in nodes if not _condition(n, "Ready")]
    wanted = 0
    for one in deployments:
        spec, status = one["spec"], one.get("status") or {}
        wanted += spec["replicas"]
        counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")]
        current = status.get("observedGeneration") == one["metadata"]["generation"]
        if counts != [spec["replicas"]] * 4 or not current:
            out.append(f"{one['metadata']['namespace']}/{one['metadata']['name']}: {status}")
    for pod in pods:
        if not _condition(pod, "Ready") or "deletionTimestamp" in pod["metadata"]:
            out.append(f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']}: {pod.get('status')}")
    if len(pods) != wanted:
        out.append(f"{len(pods)} pods instead of {wanted}")
    there = {(pod["metadata"]["namespace"], pod["status"].get("podIP")) for pod in pods}
    for one in slices:
        if one["metadata"]["name"] == "kubernetes":
            continue
        for endpoint in one.get("endpoints") or []:
            if (one["metadata"]["namespace"], endpoint["addresses"][0]) not in there:
                out.append(f"an endpoint without a pod: {one['metadata']['name']} {endpoint['addresses']}")
    return out


def _condition(obj: Object, wanted: str) -> bool:
    return any(c["type"] == wanted and c["status"] == "True" for c in (obj.get("status") or {}).get("conditions") or ())


async def until_none(look: Callable[[], Awaitable[list[str]]], seconds: float) -> tuple[float, list[str]]:
    """(seconds until nothing was left, what is left at the end)."""
    began = time.monotonic()
    while True:
        left = await look()
        took = time.monotonic() - began
        if not left or took > seconds:
            return round(took, 1), left
        await asyncio.sleep(0.5)


@contextlib.contextmanager
def kept_up(cluster: LocalCluster, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """The cluster under `heeler up --foreground`; deleted at the end.

    Its port is not one that another `heeler up` on this machine would choose while the control plane is dead."""
    log = cluster.folder / "up.log"
    port = next(port for port in range(20_000 + os.getpid() % 10_000, 32_000) if port_is_free(port))
    with log.open("w") as file:
        process = subprocess.Popen(
            [*HEELER, "up", "--name", cluster.name, "--no-uplink", "--port", str(port), "--foreground", *flags],
            env=cluster.environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
    try:
        cluster.wait(lambda: "Running;" in log.read_text() or process.poll() is not None, 90)
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.kill()
        cluster.heeler("delete", "--name", cluster.name, check=False)


async def storm(cluster: LocalCluster, seconds: float, seed: int, clients: int) -> Object:
    """Everything, on a cluster that is up and has busybox:1: the figures, `wrong` among them (empty if all is well)."""
    access = cluster.layout / "admin.kubeconfig"
    client = HttpsClient.from_kubeconfig(access)
    writers = [
        Writer(HttpsClient.from_kubeconfig(access), f"writer-{i}", random.Random(f"{seed}/{i}")) for i in range(clients)
    ]
    names = [writer.namespace for writer in writers]
    try:
        await _prepare(client)
        before = await asyncio.to_thread(machine.traces, cluster.name, cluster.layout)
        usage = await asyncio.to_thread(_usage, cluster.name)
        for name in names:
            await client.create(NAMESPACES, {"metadata": {"name": name}})
        killed: collections.Counter[str] = collections.Counter()
        ended, dead = asyncio.Event(), asyncio.Event()
        killer = asyncio.create_task(killing(cluster.name, random.Random(f"{seed}/kill"), dead, killed))
        work = [asyncio.create_task(writer.run(ended)) for writer in writers]
        await asyncio.sleep(seconds)
        ended.set()
        await asyncio.sleep(1)
        dead.set()
        await asyncio.gather(killer, *work)
        converged, left = await until_none(lambda: unsettled(client, names), CONVERGE)
        wrong = [f"not converged: {one}" for one in left]
        for writer in writers:
            await writer.check()
            wrong += [f"lost: {one}" for one in writer.lost]
        cleared, left = await _clear(client, cluster, names, before)
        wrong += [f"left behind: {one}" for one in left]
        figures: collections.Counter[str] = sum((w.figures for w in writers), collections.Counter())
        return {
            "seconds": seconds,
            "seed": seed,
            "killed": dict(sorted(killed.items())),
            "writes": dict(sorted(figures.items())),
            "objects checked": sum(len(writer.known) for writer in writers),
            "seconds to converge": converged,
            "seconds to clear": cleared,
            "open files and KiB before": usage,
            "open files and KiB after": await asyncio.to_thread(_usage, cluster.name),
            "wrong": wrong,
        }
    finally:
        for one in [client, *(writer.client for writer in writers)]:
            await one.close()


def _usage(name: str) -> dict[str, tuple[int, int]]:
    return {sort: machine.usage(pids) for sort, pids in machine.processes(name).items() if pids}


async def _prepare(client: HttpsClient) -> None:
    """An Ingress, so that there is an Envoy; and one pod that has come and gone."""
    spec = {"defaultBackend": {"service": {"name": "none", "port": {"number": 80}}}}
    await client.create(INGRESSES, {"metadata": {"name": "any"}, "spec": spec}, "default")
    await client.create(DEPLOYMENTS, deployment("first", 1, "1"), "default")
    _, left = await until_none(lambda: unsettled(client, ["default"]), 60)
    assert not left, left
    await client.delete(DEPLOYMENTS, "first", "default", propagation="Foreground")

    async def pods() -> list[str]:
        return [pod["metadata"]["name"] for pod in (await client.list(PODS, "default")).items]

    _, left = await until_none(pods, 60)
    assert not left, left
    await asyncio.sleep(2)


async def _clear(
    client: HttpsClient, cluster: LocalCluster, namespaces: list[str], before: dict[str, set[str]]
) -> tuple[float, list[str]]:
    """Delete the namespaces; what the machine has more of than before."""
    for name in namespaces:
        await client.delete(NAMESPACES, name)

    async def left() -> list[str]:
        there = [n["metadata"]["name"] for n in (await client.list(NAMESPACES)).items]
        still = [f"namespace {name}" for name in there if name in namespaces]
        if still:
            return still
        now = await asyncio.to_thread(machine.traces, cluster.name, cluster.layout)
        return machine.fresh(before, now)

    return await until_none(left, CLEAR)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--keep", type=Path, help="Where the logs of a run that found something are kept.")
    told = parser.parse_args()
    from heeler.images import build
    from tests.containers.conftest import RECIPE

    with tempfile.TemporaryDirectory() as folder:
        cluster = LocalCluster(Path(folder), f"chaos{os.getpid()}", "kubectl")
        with kept_up(cluster, "--nodes", str(told.nodes)):
            archive = asyncio.run(build.build(RECIPE, Path(folder) / "images")).archive
            cluster.heeler("image", "load", str(archive), "--name", cluster.name)
            found = asyncio.run(storm(cluster, told.seconds, told.seed, told.clients))
            if found["wrong"] and told.keep:
                told.keep.mkdir(parents=True, exist_ok=True)
                for log in [*(cluster.layout / "logs").glob("*"), cluster.folder / "up.log"]:
                    (told.keep / log.name).write_bytes(log.read_bytes())
        left = machine.traces(cluster.name, cluster.layout)
        found["wrong"] += [f"after delete: {one}" for one in machine.fresh({}, left)]
    json.dump(found, sys.stdout, indent=2)
    print()
    return bool(found["wrong"])


if __name__ == "__main__":
    sys.exit(main())
