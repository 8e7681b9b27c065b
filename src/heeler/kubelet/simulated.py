"""Simulated nodes: they register, keep their leases, and take pods as a kubelet does, but nothing runs.

A pod that comes to such a node is Running and ready after a moment, with an address; one that is deleted is gone after
a moment; how containers end by themselves is in `simulated_ends`. Many nodes share one watch of pods. Probes, exec and
logs have nothing to answer them.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from heeler.base.clock import Clock, rfc3339, rfc3339_micro
from heeler.base.random import Random
from heeler.base.tasks import Tasks, together
from heeler.client.client import Client
from heeler.client.events import Recorder
from heeler.client.informer import Informer, key_of
from heeler.client.queue import WorkQueue
from heeler.kubelet import simulated_ends as ends
from heeler.kubelet.pods import admit
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object, meta, name_of
from heeler.workloads import pods, resources

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
#: After so long without a lease somebody may have called the node unknown.
SILENCE_SECONDS = 1.5 * RENEW_SECONDS
#: Leases are renewed in so small portions at the least.
TICK_SECONDS = 0.1
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
    """What every simulated node offers, and how quick it is (seconds): a pod takes `start`, and up to `spread` more."""

    capacity: tuple[tuple[str, str], ...] = (
        ("cpu", "4"),
        ("ephemeral-storage", "100Gi"),
        ("memory", "8Gi"),
        ("pods", "110"),
    )
    start: float = 0.0
    spread: float = 0.0
    stop: float = 0.05
    pod_network: str = "10.244.0.0/16"
    node_network: str = "198.18.0.0/16"
    labels: tuple[tuple[str, str], ...] = ()
    #: A pod that asks for more than is left is rejected, as a kubelet does. Off: whoever tests may write other amounts
    #: into a Node's status, which the simulated node doesn't read.
    rejects: bool = False
    #: They stand beside real nodes.
    mixed: bool = False


@dataclass(slots=True)
class _Node:
    name: str
    client: Client
    address: str
    pod_range: ipaddress.IPv4Network
    shape: Shape
    addresses: dict[str, str] = field(default_factory=dict)  # by pod uid
    taken: dict[str, None] = field(default_factory=dict)
    #: the pods whose containers run here, by uid: `namespace/name`.
    running: dict[str, str] = field(default_factory=dict)
    #: pods whose containers were lost when the machine went down, by uid.
    lost: dict[str, None] = field(default_factory=dict)
    dead: bool = False
    crashed: bool = False
    status_told: float = 0.0
    #: When its lease was renewed last.
    renewed: float = 0.0

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
    nodes = SimulatedNodes(names, make_client, reader, clock=clock, shape=shape, random=random)
    tasks.spawn(nodes.run(registered.set), "simulated nodes")
    await registered.wait()
    return nodes


def is_simulated(node: Object) -> bool:
    return bool(((node.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion") == VERSION)


class SimulatedNodes:
    """`reader` watches all pods; `make_client` gives the client of a node by its name (it acts as its node).

    `shapes`: of nodes that differ from `shape`, whose networks are everybody's."""

    def __init__(
        self,
        names: Sequence[str],
        make_client: Callable[[str], Client],
        reader: Client,
        *,
        clock: Clock,
        shape: Shape | None = None,
        shapes: Mapping[str, Shape] | None = None,
        random: Random | None = None,
    ) -> None:
        self._clock, self._shape, self._random = clock, shape or Shape(), random
        hosts = ipaddress.IPv4Network(self._shape.node_network).hosts()
        ranges = ipaddress.IPv4Network(self._shape.pod_network).subnets(new_prefix=24)
        self._nodes = {
            name: _Node(name, make_client(name), str(host), pod_range, (shapes or {}).get(name, self._shape))
            for name, host, pod_range in zip(names, hosts, ranges)
        }
        if len(self._nodes) < len(names):
            raise ValueError(f"the network {self._shape.pod_network} has room for {len(self._nodes)} nodes only")
        self._pods = Informer(reader, PODS, clock=clock, field_selector="spec.nodeName!=")
        self._pods.add_index("node", lambda pod: [pods.node_name(pod)])
        self._queue: WorkQueue[str] = WorkQueue()
        self._returning: WorkQueue[str] = WorkQueue(first_delay=1.0, max_delay=10.0)
        #: when what takes a while will be done, by what it is and the pod's uid.
        self._moments: dict[tuple[str, str], float] = {}
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
            tasks.spawn(self._return(), "simulated nodes that return")
            if self._events is not None:
                tasks.spawn(self._events.run(), "simulated nodes' events")
            for number in range(WORKERS):
                tasks.spawn(self._work(), f"simulated nodes {number}")
            await self._pods.wait_synced()
            ready()
            await tasks.wait()

    def kill(self, name: str) -> None:
        """The node falls silent: no lease, no pod is started or stopped. What runs on it runs on."""
        self._nodes[name].dead = True

    def crash(self, name: str) -> None:
        """The machine goes down, and everything that ran on it with it."""
        node = self._nodes[name]
        node.dead = node.crashed = True
        node.lost.update(dict.fromkeys(node.running))
        node.running.clear()

    def revive(self, name: str) -> None:
        """The node is back and looks at its pods. One that had crashed starts their containers again, or says they failed."""
        node = self._nodes[name]
        node.dead = False
        mine = self._pods.by_index("node", name)
        there = {pod["metadata"]["uid"] for pod in mine}
        node.running = {uid: key for uid, key in node.running.items() if uid in there}
        node.lost = {uid: None for uid in node.lost if uid in there}
        for pod in mine:
            self._queue.add(key_of(pod))
        self._returning.add(name)

    def running(self) -> dict[str, dict[str, str]]:
        """What runs where, whatever the API server knows of it: `namespace/name` by pod uid, by node."""
        return {name: dict(node.running) for name, node in self._nodes.items()}

    # nodes

    async def _register(self, node: _Node) -> None:
        labels = {
            "kubernetes.io/hostname": node.name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "beta.kubernetes.io/os": "linux",
            "beta.kubernetes.io/arch": "amd64",
            **dict(node.shape.labels),
        }
        obj: Object = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": node.name, "labels": labels},
            "spec": {
                "podCIDR": str(node.pod_range),
                "podCIDRs": [str(node.pod_range)],
                **({"taints": [dict(TAINT)]} if node.shape.mixed else {}),
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
        amounts = dict(node.shape.capacity)
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
        """Leases, spread over the period; of many nodes some at once, so that a busy server doesn't make the last ones late."""
        now = self._clock.monotonic()
        for node in self._nodes.values():
            node.status_told = node.renewed = now
        nodes = list(self._nodes.values())
        rounds = max(1, min(len(nodes), round(RENEW_SECONDS / TICK_SECONDS)))
        while True:
            for tick in range(rounds):
                await self._clock.sleep(RENEW_SECONDS / rounds)
                group = nodes[tick * len(nodes) // rounds : (tick + 1) * len(nodes) // rounds]
                await together(*(self._heartbeat(node) for node in group if not node.dead))

    async def _heartbeat(self, node: _Node) -> None:
        """That the node is there; now and then, and after a silence that may have been noticed, the whole status."""
        silent = self._clock.monotonic() - node.renewed >= SILENCE_SECONDS
        try:
            await self._write_lease(node)
            if silent or self._clock.monotonic() - node.status_told >= STATUS_SECONDS:
                await self._write_node_status(node)
                node.status_told = self._clock.monotonic()
            node.renewed = self._clock.monotonic()
        except (StatusError, OSError):
            return  # the next round tries again; the controllers judge the silence

    async def _return(self) -> None:
        """Nodes that are back tell their status at once; a machine that was started again registers if it must."""
        while True:
            name = await self._returning.get()
            node = self._nodes[name]
            try:
                if node.crashed and not node.dead:
                    await self._register(node)
                    node.crashed = False
                elif not node.dead:
                    await self._write_lease(node)
                    await self._write_node_status(node)
            except (StatusError, OSError):
                self._returning.add_failed(name)
            else:
                self._returning.forget(name)
            finally:
                self._returning.done(name)

    # pods

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        pod = new or old or {}
        node = self._nodes.get(pods.node_name(pod))
        if node is None:
            return
        uid = pod["metadata"]["uid"]
        if new is None:
            self._forget(node, uid)
            return
        ip = (new.get("status") or {}).get("podIP")
        if pods.is_finished(new):
            self._forget(node, uid)
        elif ip and uid not in node.addresses:  # it ran before we came
            node.addresses[uid] = ip
            node.taken[ip] = None
            node.running[uid] = key_of(new)
        if pods.is_terminating(new) or pods.phase(new) == "Pending" or ends.planned(new) or given_up(new):
            self._queue.add(key_of(new))

    def _forget(self, node: _Node, uid: str) -> None:
        """The pod is over. A node that is cut off doesn't know yet, so that its containers run on."""
        node.free(uid)
        self._moments.pop(("start", uid), None)
        self._moments.pop(("stop", uid), None)
        if not node.dead:
            node.running.pop(uid, None)
            node.lost.pop(uid, None)

    def _takes(self, what: str, pod: Object, seconds: float) -> bool:
        """True while something is under way: the pod comes again when it is done."""
        if seconds <= 0:
            return False
        name = (what, pod["metadata"]["uid"])
        left = self._moments.setdefault(name, self._clock.monotonic() + seconds) - self._clock.monotonic()
        if left > 1e-6:
            self._queue.add_after(key_of(pod), left)
            return True
        del self._moments[name]
        return False

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
        elif pod["metadata"]["uid"] in node.lost:
            await self._start_again(node, pod)
        elif given_up(pod):
            ready = _condition("Ready", "True", rfc3339(self._clock.time()))
            await self._write_pod_status(node, pod, {"conditions": [ready]})
        else:
            await self._go_on(node, key, pod)

    async def _start(self, node: _Node, pod: Object) -> None:
        uid, seconds = pod["metadata"]["uid"], node.shape.start
        if self._random is not None and node.shape.spread and ("start", uid) not in self._moments:
            seconds += self._random.fraction() * node.shape.spread
        if self._takes("start", pod, seconds):
            return
        if node.shape.rejects:
            others = [p for p in self._pods.by_index("node", node.name) if pods.phase(p) == "Running"]
            if rejected := admit.misfit(pod, others, *_room(node.shape)):
                reason, message = rejected
                await self._write_pod_status(node, pod, {"phase": "Failed", "reason": reason, "message": message})
                return
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
        node.running[uid] = key_of(pod)
        await self._write_pod_status(node, pod, running(pod, node.address, ip, rfc3339(self._clock.time())))

    async def _start_again(self, node: _Node, pod: Object) -> None:
        """The machine had gone down under the pod."""
        uid = pod["metadata"]["uid"]
        status = ends.rebooted(pod, self._clock.time())
        if status is not None:
            await self._write_pod_status(node, pod, status)
            if status.get("phase") != "Failed":
                node.running[uid] = key_of(pod)
        node.lost.pop(uid, None)

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
        if grace != 0 and self._takes("stop", pod, min(node.shape.stop, float(grace or node.shape.stop))):
            return
        node.running.pop(pod["metadata"]["uid"], None)
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


@functools.lru_cache(maxsize=64)
def _room(shape: Shape) -> tuple[int, int, int]:
    """Thousandths of a CPU, bytes, pods."""
    room = resources.amounts(dict(shape.capacity))
    return room.get("cpu", 0), room.get("memory", 0), room.get("pods", 0)


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
