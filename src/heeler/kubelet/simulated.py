"""Simulated nodes: they register, keep their leases, and take pods as a kubelet does, but nothing runs.

A pod that comes to such a node is Running and ready after a moment, with an address; one that is deleted is gone after
a moment; how containers end by themselves is in `simulated_ends`. Many nodes share one watch of pods. Probes, exec and
logs have nothing to answer them.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from heeler.base.clock import Clock, rfc3339, rfc3339_micro
from heeler.base.random import Random
from heeler.base.tasks import Tasks, together
from heeler.client.client import Client
from heeler.client.events import Recorder
from heeler.client.informer import Informer, key_of
from heeler.client.queue import WorkQueue
from heeler.kubelet import simulated_ends as ends
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object, meta, name_of
from heeler.workloads import pods

log = logging.getLogger(__name__)

PODS = GroupVersionResource("", "v1", "pods")
NODES = GroupVersionResource("", "v1", "nodes")
LEASES = GroupVersionResource("coordination.k8s.io", "v1", "leases")
LEASE_NAMESPACE = "kube-node-lease"

LEASE_SECONDS = 40
#: Half of the lease, twice a kubelet's period: most of a quiet cluster's writes are these.
RENEW_SECONDS = 20.0
#: A node tells its status at least this often.
STATUS_SECONDS = 300.0
WORKERS = 8
#: So many nodes speak at the same time.
AT_ONCE = 16
#: Seconds until a pod that got no address is tried again.
NO_ADDRESS_SECONDS = 1.0
VERSION = "v1.37.2-heeler-simulated"
#: The taint of simulated nodes beside real ones: what is to run for real doesn't land there by itself.
TAINT = {"key": "heeler.dev/simulated", "effect": "NoSchedule"}


@dataclass(frozen=True, slots=True)
class Shape:
    """What every simulated node offers, and how quick it is (seconds)."""

    capacity: tuple[tuple[str, str], ...] = (
        ("cpu", "4"),
        ("ephemeral-storage", "100Gi"),
        ("memory", "8Gi"),
        ("pods", "110"),
    )
    start: float = 0.0
    stop: float = 0.05
    pod_network: str = "10.244.0.0/16"
    node_network: str = "198.18.0.0/16"
    labels: tuple[tuple[str, str], ...] = ()
    #: They stand beside real nodes.
    mixed: bool = False


@dataclass(slots=True)
class _Node:
    name: str
    client: Client
    address: str
    pod_range: ipaddress.IPv4Network
    addresses: dict[str, str] = field(default_factory=dict)  # by pod uid
    taken: dict[str, None] = field(default_factory=dict)
    dead: bool = False
    returned: bool = False

    def address_for(self, uid: str) -> str:
        """The pod's address; "" if all are taken."""
        found = self.addresses.get(uid)
        if found is None:
            found = next((str(ip) for ip in self.pod_range.hosts() if str(ip) not in self.taken), "")
            if found:
                self.addresses[uid] = found
                self.taken[found] = None
        return found

    def free(self, uid: str) -> None:
        found = self.addresses.pop(uid, None)
        if found is not None:
            self.taken.pop(found, None)


async def start(
    names: Sequence[str],
    make_client: Callable[[str], Client],
    tasks: Tasks,
    *,
    reader: Client,
    clock: Clock,
    random: Random,
    shape: Shape | None = None,
) -> SimulatedNodes:
    """Start simulated nodes as a task; returns them once they are registered."""
    registered = asyncio.Event()
    nodes = SimulatedNodes(names, make_client, reader, clock=clock, shape=shape)
    del random  # nothing is drawn so far
    tasks.spawn(nodes.run(registered.set), "simulated nodes")
    await registered.wait()
    return nodes


def is_simulated(node: Object) -> bool:
    return bool(((node.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion") == VERSION)


class SimulatedNodes:
    """`reader` watches all pods; `make_client` gives the client of a node by its name (it acts as its node)."""

    def __init__(
        self,
        names: Sequence[str],
        make_client: Callable[[str], Client],
        reader: Client,
        *,
        clock: Clock,
        shape: Shape | None = None,
    ) -> None:
        self._clock, self._shape = clock, shape or Shape()
        hosts = ipaddress.IPv4Network(self._shape.node_network).hosts()
        ranges = ipaddress.IPv4Network(self._shape.pod_network).subnets(new_prefix=24)
        self._nodes = {
            name: _Node(name, make_client(name), str(host), pod_range)
            for name, host, pod_range in zip(names, hosts, ranges)
        }
        if len(self._nodes) < len(names):
            raise ValueError(f"the network {self._shape.pod_network} has room for {len(self._nodes)} nodes only")
        self._pods = Informer(reader, PODS, clock=clock, field_selector="spec.nodeName!=")
        self._queue: WorkQueue[str] = WorkQueue()
        first = next(iter(self._nodes.values()), None)
        self._events = Recorder(first.client, "kubelet", clock=clock) if first is not None else None

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Be these nodes until cancelled."""
        self._pods.add_handler(self._pod_changed)
        async with Tasks() as tasks:
            nodes = list(self._nodes.values())
            for at in range(0, len(nodes), AT_ONCE):
                await together(*(self._register(node) for node in nodes[at : at + AT_ONCE]))
            tasks.spawn(self._pods.run(), "simulated nodes' pods")
            tasks.spawn(self._renew(), "simulated nodes' leases")
            if self._events is not None:
                tasks.spawn(self._events.run(), "simulated nodes' events")
            for number in range(WORKERS):
                tasks.spawn(self._work(), f"simulated nodes {number}")
            await self._pods.wait_synced()
            ready()
            await tasks.wait()

    def kill(self, name: str) -> None:
        """The node falls silent: no lease, no pod is started or stopped."""
        self._nodes[name].dead = True

    def revive(self, name: str) -> None:
        """The node is back and looks at its pods."""
        self._nodes[name].dead, self._nodes[name].returned = False, True
        for pod in self._pods:
            if pods.node_name(pod) == name:
                self._queue.add(key_of(pod))

    # nodes

    async def _register(self, node: _Node) -> None:
        labels = {
            "kubernetes.io/hostname": node.name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "beta.kubernetes.io/os": "linux",
            "beta.kubernetes.io/arch": "amd64",
            **dict(self._shape.labels),
        }
        obj: Object = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": node.name, "labels": labels},
            "spec": {
                "podCIDR": str(node.pod_range),
                "podCIDRs": [str(node.pod_range)],
                **({"taints": [dict(TAINT)]} if self._shape.mixed else {}),
            },
            "status": self._node_status(node),
        }
        while True:
            try:
                try:
                    await node.client.create(NODES, obj)
                except StatusError as error:
                    if error.code != 409:
                        raise
                    await self._write_node_status(node)
                await self._write_lease(node)
            except (StatusError, OSError) as error:
                if isinstance(error, StatusError) and error.code in (401, 403, 422):
                    raise  # trying again would not help
                await self._clock.sleep(1.0)
            else:
                return

    def _node_status(self, node: _Node) -> Object:
        now = rfc3339(self._clock.time())
        conditions = [
            ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
        ]
        amounts = dict(self._shape.capacity)
        return {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [
                {
                    "type": kind,
                    "status": value,
                    "lastHeartbeatTime": now,
                    "lastTransitionTime": now,
                    "reason": reason,
                    "message": message,
                }
                for kind, value, reason, message in conditions
            ],
            "addresses": [
                {"type": "InternalIP", "address": node.address},
                {"type": "Hostname", "address": node.name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
            "nodeInfo": {
                "machineID": node.name,
                "systemUUID": node.name,
                "bootID": node.name,
                "kernelVersion": "simulated",
                "osImage": "Heeler's simulated node",
                "containerRuntimeVersion": "simulated://1",
                "kubeletVersion": VERSION,
                "kubeProxyVersion": VERSION,
                "operatingSystem": "linux",
                "architecture": "amd64",
            },
        }

    async def _write_node_status(self, node: _Node) -> None:
        patch: Object = {"status": self._node_status(node)}
        await node.client.patch(
            NODES, node.name, patch, type="application/strategic-merge-patch+json", subresource="status"
        )

    async def _write_lease(self, node: _Node) -> None:
        spec = {
            "holderIdentity": node.name,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": rfc3339_micro(self._clock.time()),
        }
        try:
            await node.client.patch(LEASES, node.name, {"spec": spec}, LEASE_NAMESPACE)
        except StatusError as error:
            if error.code != 404:
                raise
            obj = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": node.name, "namespace": LEASE_NAMESPACE},
                "spec": spec,
            }
            await node.client.create(LEASES, obj, LEASE_NAMESPACE)

    async def _renew(self) -> None:
        """Leases, spread over the period, some at once: a busy server must not make the last ones late."""
        told = {name: self._clock.monotonic() for name in self._nodes}
        nodes = list(self._nodes.values())
        groups = [nodes[at : at + AT_ONCE] for at in range(0, len(nodes), AT_ONCE)]
        while True:
            for group in groups:
                await self._clock.sleep(RENEW_SECONDS * len(group) / len(nodes))
                await together(*(self._say(node, told) for node in group if not node.dead))

    async def _say(self, node: _Node, told: dict[str, float]) -> None:
        """That the node is there; now and then the whole status."""
        try:
            await self._write_lease(node)
            if node.returned or self._clock.monotonic() - told[node.name] >= STATUS_SECONDS:
                await self._write_node_status(node)
                told[node.name] = self._clock.monotonic()
                node.returned = False
        except (StatusError, OSError):
            return  # the next round tries again; the controllers judge the silence

    # pods

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        pod = new or old or {}
        node = self._nodes.get(pods.node_name(pod))
        if node is None:
            return
        if new is None:
            node.free(pod["metadata"]["uid"])
            return
        ip = (new.get("status") or {}).get("podIP")
        uid = new["metadata"]["uid"]
        if pods.is_finished(new):
            node.free(uid)
        elif ip and uid not in node.addresses:  # it ran before we came
            node.addresses[uid] = ip
            node.taken[ip] = None
        if pods.is_terminating(new) or pods.phase(new) == "Pending" or ends.planned(new) or given_up(new):
            self._queue.add(key_of(new))

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                await self._reconcile(key)
            except (StatusError, OSError):
                self._queue.add_failed(key)
            except Exception:
                log.exception("simulated nodes: pod %s failed", key)
                self._queue.add_failed(key)
            else:
                self._queue.forget(key)
            finally:
                self._queue.done(key)

    async def _reconcile(self, key: str) -> None:
        pod = self._pods.get(key)
        node = self._nodes.get(pods.node_name(pod)) if pod is not None else None
        if pod is None or node is None or node.dead:
            return
        if pods.is_terminating(pod):
            await self._stop(node, pod)
        elif pods.phase(pod) == "Pending":
            await self._start(node, pod)
        elif given_up(pod):
            ready = _condition("Ready", "True", rfc3339(self._clock.time()))
            await self._write_pod_status(node, pod, {"conditions": [ready]})
        else:
            await self._go_on(node, key, pod)

    async def _start(self, node: _Node, pod: Object) -> None:
        if self._shape.start:
            await self._clock.sleep(self._shape.start)
        if why := ends.problem(pod):
            if self._events is not None:
                self._events.record(pod, "Warning", "Failed", f"Error: {why}")
            await self._write_pod_status(node, pod, refused(pod, node.address, why))
            return
        host = bool(pod["spec"].get("hostNetwork"))
        ip = node.address if host else node.address_for(pod["metadata"]["uid"])
        if not ip:
            if self._events is not None:
                why = f"no address is free in {node.pod_range}"
                self._events.record(pod, "Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {why}")
            self._queue.add_after(key_of(pod), NO_ADDRESS_SECONDS)
            return
        await self._write_pod_status(node, pod, running(pod, node.address, ip, rfc3339(self._clock.time())))

    async def _go_on(self, node: _Node, key: str, pod: Object) -> None:
        """A pod whose containers end by themselves."""
        following = ends.step(pod, self._clock.time())
        if following.wait is not None:
            self._queue.add_after(key, following.wait)
        elif following.status is not None:
            await self._write_pod_status(node, pod, following.status)

    async def _write_pod_status(self, node: _Node, pod: Object, status: Object) -> None:
        try:
            done = await node.client.patch(
                PODS,
                name_of(pod),
                {"status": status},
                pod["metadata"]["namespace"],
                type="application/strategic-merge-patch+json",
                subresource="status",
            )
        except StatusError as error:
            if error.code != 404:
                raise
        else:
            self._pods.assume(done)

    async def _stop(self, node: _Node, pod: Object) -> None:
        grace = meta(pod).get("deletionGracePeriodSeconds")
        if grace != 0 and self._shape.stop:
            await self._clock.sleep(min(self._shape.stop, float(grace or self._shape.stop)))
        name, namespace = name_of(pod), pod["metadata"]["namespace"]
        try:
            if meta(pod).get("finalizers") and not pods.is_finished(pod):
                patch: Object = {"status": ended(pod, rfc3339(self._clock.time()))}
                await node.client.patch(
                    PODS, name, patch, namespace, type="application/strategic-merge-patch+json", subresource="status"
                )
            if grace == 0 and meta(pod).get("finalizers"):
                return  # only its finalizers hold it now
            await node.client.delete(PODS, name, namespace, uid=pod["metadata"]["uid"], grace_seconds=0)
        except StatusError as error:
            if error.code not in (404, 409):
                raise


def running(pod: Object, host_ip: str, pod_ip: str, now: str) -> Object:
    """The status of a pod all of whose containers run and are ready."""
    spec = pod["spec"]
    gates = [gate.get("conditionType") for gate in spec.get("readinessGates") or ()]
    open_gates = [gate for gate in gates if not pods.has_condition(pod, gate)]
    names = ("PodReadyToStartContainers", "Initialized", "ContainersReady", "PodScheduled")
    conditions = [_condition(name, "True", now) for name in names]
    ready = _condition("Ready", "True", now)
    if open_gates:
        ready = _condition("Ready", "False", now)
        ready["reason"] = "ReadinessGatesNotReady"
        ready["message"] = "; ".join(
            f'corresponding condition of pod readiness gate "{gate}" does not exist.' for gate in open_gates
        )
    scheduled = pods.condition(pod, "PodScheduled")
    if scheduled is not None and scheduled.get("status") == "True":
        conditions = [c for c in conditions if c["type"] != "PodScheduled"]
    uid = pod["metadata"]["uid"]
    status: Object = {
        "phase": "Running",
        "conditions": [*conditions, ready],
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "podIP": pod_ip,
        "podIPs": [{"ip": pod_ip}],
        "startTime": now,
        "containerStatuses": [_container(c, uid, {"running": {"startedAt": now}}, True) for c in spec["containers"]],
    }
    if spec.get("initContainers"):
        done = {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}
        status["initContainerStatuses"] = [
            _container(c, uid, {"running": {"startedAt": now}}, True)
            if c.get("restartPolicy") == "Always"
            else _container(c, uid, {"terminated": {**done, "containerID": _id(c, uid)}}, True)
            for c in spec["initContainers"]
        ]
    return status


def given_up(pod: Object) -> bool:
    """Somebody thought the node dead and says that the pod isn't ready, though its containers are (agents give a reason)."""
    ready = pods.condition(pod, "Ready") or {}
    said = ready.get("status") == "False" and not ready.get("reason")
    return said and pods.phase(pod) == "Running" and pods.has_condition(pod, "ContainersReady")


def refused(pod: Object, host_ip: str, why: str) -> Object:
    """The status of a pod that can't be started as it is."""
    waiting = {"waiting": {"reason": "CreateContainerConfigError", "message": why}}
    uid = pod["metadata"]["uid"]
    containers = [{**_container(c, uid, waiting, False), "containerID": ""} for c in pod["spec"]["containers"]]
    return {"phase": "Pending", "hostIP": host_ip, "containerStatuses": containers}


def ended(pod: Object, now: str) -> Object:
    """The status of a pod that was stopped but is held by finalizers."""
    uid = pod["metadata"]["uid"]
    state = {"exitCode": 143, "reason": "Error", "startedAt": now, "finishedAt": now}
    no = [{**_condition(name, "False", now), "reason": "PodFailed"} for name in ("Ready", "ContainersReady")]
    return {
        "phase": "Failed",
        "conditions": no,
        "containerStatuses": [
            _container(c, uid, {"terminated": {**state, "containerID": _id(c, uid)}}, False)
            for c in pod["spec"]["containers"]
        ],
    }


def _condition(kind: str, value: str, now: str) -> Object:
    return {"type": kind, "status": value, "lastProbeTime": None, "lastTransitionTime": now}


def _id(container: Object, uid: str) -> str:
    return f"simulated://{uid}/{container['name']}"


def _container(container: Object, uid: str, state: Object, ready: bool) -> Object:
    image = container.get("image") or ""
    return {
        "name": container["name"],
        "state": state,
        "lastState": {},
        "ready": ready,
        "restartCount": 0,
        "image": image,
        "imageID": f"simulated://{image}",
        "containerID": _id(container, uid),
        "started": "running" in state,
    }
