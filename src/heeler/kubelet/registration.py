"""The node in the API: its Node object, its status and its lease.

Source: https://kubernetes.io/docs/reference/node/node-status/
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from heeler.base.clock import Clock, rfc3339, rfc3339_micro
from heeler.client.client import Client
from heeler.kubelet.machine import Machine
from heeler.kubelet.options import NodeOptions
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object
from heeler.workloads import local_path

log = logging.getLogger(__name__)

NODES = GroupVersionResource("", "v1", "nodes")
LEASES = GroupVersionResource("coordination.k8s.io", "v1", "leases")
LEASE_NAMESPACE = "kube-node-lease"
#: Seconds: a lease's life, its renewal; how often the status is looked at, how often it is written unchanged.
LEASE_SECONDS, RENEW, STATUS_CHECK, STATUS_REPORT = 40, 10.0, 10.0, 300.0
#: Bytes that are kept for the system: a kubelet's default eviction threshold; the share of the disk likewise.
MEMORY_RESERVED, DISK_SHARE = 100 << 20, 0.9
#: Where the API server finds the kubelet when it isn't at the node's InternalIP.
KUBELET_ADDRESS = "heeler.dev/kubelet-address"
#: Says that the node answers DNS questions at its InternalIP (`controllers/cluster_dns.py`).
CLUSTER_DNS = "heeler.dev/cluster-dns"
MAX_IMAGES = 50


def node(options: NodeOptions, machine: Machine) -> Object:
    """The Node object as it is registered (status apart)."""
    labels = {
        "beta.kubernetes.io/arch": machine.architecture,
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": machine.architecture,
        "kubernetes.io/hostname": options.node,
        "kubernetes.io/os": "linux",
        **options.labels,
    }
    notes = {
        KUBELET_ADDRESS: options.kubelet_address,
        local_path.FOLDER_ANNOTATION: str(options.local_path_dir),
        "volumes.kubernetes.io/controller-managed-attach-detach": "true",
    }
    if options.dns_address:
        notes[CLUSTER_DNS] = "true"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": options.node, "labels": labels, "annotations": notes},
        "spec": {"podCIDR": str(options.pods), "podCIDRs": [str(options.pods)]},
    }


def quantities(options: NodeOptions, machine: Machine) -> tuple[Object, Object]:
    """(capacity, allocatable)."""
    capacity = {
        "cpu": str(machine.cpus),
        "ephemeral-storage": f"{machine.disk // 1024}Ki",
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "memory": f"{machine.memory // 1024}Ki",
        "pods": str(options.max_pods),
    }
    allocatable = {
        **capacity,
        "ephemeral-storage": str(int(machine.disk * DISK_SHARE)),
        "memory": f"{max(0, machine.memory - MEMORY_RESERVED) // 1024}Ki",
    }
    return capacity, allocatable


CONDITIONS = {
    "MemoryPressure": (
        ("False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("True", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
    ),
    "DiskPressure": (
        ("False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("True", "KubeletHasDiskPressure", "kubelet has disk pressure"),
    ),
    "PIDPressure": (
        ("False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("True", "KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
    ),
}


def status(
    options: NodeOptions,
    machine: Machine,
    *,
    port: int,
    runtime: str,
    problem: str,
    pressure: dict[str, bool],
    images: list[Object],
    old: Object,
    now: float,
) -> Object:
    """The node's status. `problem` says why it is not ready ("" if it is)."""
    capacity, allocatable = quantities(options, machine)
    before = {c.get("type"): c for c in old.get("conditions") or []}
    conditions = []
    for kind, (fine, bad) in CONDITIONS.items():
        conditions.append(_condition(kind, *(bad if pressure.get(kind) else fine), before, now))
    ready = (
        ("False", "KubeletNotReady", problem)
        if problem
        else ("True", "KubeletReady", "kubelet is posting ready status")
    )
    conditions.append(_condition("Ready", *ready, before, now))
    out: Object = {
        "capacity": capacity,
        "allocatable": allocatable,
        "conditions": conditions,
        "addresses": [
            {"type": "InternalIP", "address": options.node_ip},
            {"type": "Hostname", "address": options.node},
        ],
        "nodeInfo": {
            "machineID": machine.machine_id,
            "systemUUID": machine.system_uuid,
            "bootID": machine.boot_id,
            "kernelVersion": machine.kernel,
            "osImage": machine.os_image,
            "containerRuntimeVersion": runtime,
            "kubeletVersion": options.version,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": machine.architecture,
            "swap": {"capacity": machine.swap},
        },
        "images": images[:MAX_IMAGES],
    }
    if port:
        out["daemonEndpoints"] = {"kubeletEndpoint": {"Port": port}}
    return out


def _condition(kind: str, value: str, reason: str, message: str, before: dict[Any, Object], now: float) -> Object:
    was = before.get(kind) or {}
    same = was.get("status") == value and was.get("lastTransitionTime")
    return {
        "type": kind,
        "status": value,
        "lastHeartbeatTime": rfc3339(now),
        "lastTransitionTime": was["lastTransitionTime"] if same else rfc3339(now),
        "reason": reason,
        "message": message,
    }


class Registration:
    """Keeps the node's object, status and lease. `look` gives the changing parts of `status` when asked."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        options: NodeOptions,
        machine: Machine,
        look: Callable[[], Any],
        tell: Callable[[str, str, str], None] = lambda kind, reason, message: None,
    ) -> None:
        self._tell = tell
        self._client, self._clock, self._options, self._machine, self._look = client, clock, options, machine, look
        self._lease: Object | None = None
        self._reported = 0.0
        self._hurried = asyncio.Event()
        #: The Node object as it was last seen.
        self.node: Object = {}

    def hurry(self) -> None:
        """Something of the status has changed that others should know soon."""
        self._hurried.set()

    async def register(self) -> None:
        """Create the node, or bring its labels and addresses up to date. Raises StatusError, OSError."""
        wanted = node(self._options, self._machine)
        try:
            self.node = await self._client.create(NODES, wanted)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                raise
            metadata = {"labels": wanted["metadata"]["labels"], "annotations": wanted["metadata"]["annotations"]}
            self.node = await self._client.patch(NODES, self._options.node, {"metadata": metadata})
        await self.report(force=True)

    async def report(self, force: bool = False) -> None:
        """Write the status where it differs, or once in a while."""
        now = self._clock.time()
        fresh = status(self._options, self._machine, old=self.node.get("status") or {}, now=now, **await self._look())
        old = self.node.get("status") or {}
        moment = self._clock.monotonic()
        if not force and moment - self._reported < STATUS_REPORT and _same(old, fresh):
            return
        changes = {"status": fresh}
        for reason in turned(old, fresh):
            self._tell("Normal", reason, f"Node {self._options.node} status is now: {reason}")
        self.node = await self._client.patch(
            NODES,
            self._options.node,
            changes,
            type="application/strategic-merge-patch+json",
            subresource="status",
        )
        self._reported = moment

    async def renew(self) -> None:
        """Make or renew the lease."""
        name, now = self._options.node, rfc3339_micro(self._clock.time())
        if self._lease is None:
            try:
                self._lease = await self._client.get(LEASES, name, LEASE_NAMESPACE)
            except StatusError as error:
                if error.code != 404:
                    raise
                self._lease = await self._client.create(LEASES, self._new_lease(now), LEASE_NAMESPACE)
                return
        renewed = {**self._lease, "spec": {**(self._lease.get("spec") or {}), "renewTime": now, "holderIdentity": name}}
        try:
            self._lease = await self._client.update(LEASES, renewed)
        except StatusError:
            self._lease = None
            raise

    def _new_lease(self, now: str) -> Object:
        name = self._options.node
        owner = {
            "apiVersion": "v1",
            "kind": "Node",
            "name": name,
            "uid": (self.node.get("metadata") or {}).get("uid", ""),
        }
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name, "namespace": LEASE_NAMESPACE, "ownerReferences": [owner]},
            "spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now},
        }

    async def run(self) -> None:
        """Renew and report until cancelled; failures are logged and tried again."""
        since_status = 0.0
        while True:
            wait = RENEW
            try:
                await self.renew()
                if since_status >= STATUS_CHECK:
                    since_status = 0.0
                    await self.report()
            except (StatusError, OSError) as error:
                log.warning("node %s: %s", self._options.node, error)
                if isinstance(error, StatusError) and error.code == 404 and error.message.startswith("nodes "):
                    await self._again()
                wait = 1.0
            if await self._pause(wait):
                since_status = STATUS_CHECK
            else:
                since_status += wait

    async def _pause(self, seconds: float) -> bool:
        """Wait; True where there is a reason to report before."""
        waiting = asyncio.ensure_future(self._hurried.wait())
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait([waiting, sleeping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            sleeping.cancel()
        hurried = self._hurried.is_set()
        self._hurried.clear()
        return hurried

    async def _again(self) -> None:
        """Somebody deleted the node: it comes back."""
        try:
            await self.register()
        except (StatusError, OSError) as error:
            log.warning("node %s: %s", self._options.node, error)


def turned(old: Object, fresh: Object) -> list[str]:
    """What Events tell of conditions that have changed: their reasons, and whether the node is ready."""
    before = {c.get("type"): c.get("status") for c in old.get("conditions") or []}
    out = []
    for condition in fresh["conditions"]:
        if before.get(condition["type"]) == condition["status"]:
            continue
        if condition["type"] != "Ready":
            out.append(str(condition["reason"]).replace("Kubelet", "Node", 1))
        else:
            out.append("NodeReady" if condition["status"] == "True" else "NodeNotReady")
    return out


def _same(old: Object, fresh: Object) -> bool:
    """Whether a status says nothing new (heartbeats apart)."""

    def plain(condition: Object) -> Object:
        return {k: v for k, v in condition.items() if k != "lastHeartbeatTime"}

    for key, value in fresh.items():
        if key == "conditions":
            have = {c.get("type"): plain(c) for c in old.get(key) or []}
            if any(have.get(c["type"]) != plain(c) for c in value):
                return False
        elif old.get(key) != value:
            return False
    return True
