"""What the scheduler knows of nodes: what they have, what is taken, by whom. Kept by events, ahead of them by guesses.

A pod that was just placed counts on its node at once; the watch confirms it, or the assumption is taken back.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from heeler.client.informer import key_of
from heeler.objects.value import Object, labels_of, name_of
from heeler.scheduler.storage import Storage
from heeler.workloads import owners, pods, resources
from heeler.workloads.resources import Amounts

#: What a pod without requests counts with when nodes are compared (not when they are filtered).
DEFAULT_MILLI_CPU = 100
DEFAULT_MEMORY = 200 * 1024 * 1024


@dataclass(slots=True)
class PodInfo:
    """A pod and what is worked out of it once."""

    pod: Object
    key: str
    uid: str
    requests: Amounts
    scored: Amounts
    ports: list[tuple[str, str, int]]
    labels: dict[str, str]
    namespace: str
    owner: str
    priority: int
    #: the labels of its namespace; shared, and kept current by the cache.
    namespace_labels: dict[str, str]
    #: what is known of claims and volumes; shared, and kept current by the scheduler.
    storage: Storage = field(default_factory=Storage, repr=False)

    @property
    def has_affinity(self) -> bool:
        affinity = self.pod["spec"].get("affinity") or {}
        return "podAffinity" in affinity or "podAntiAffinity" in affinity


def pod_info(pod: Object, namespace_labels: dict[str, str] | None = None, storage: Storage | None = None) -> PodInfo:
    requests = resources.requests(pod)
    return PodInfo(
        pod,
        key_of(pod),
        pod["metadata"].get("uid", ""),
        requests,
        {
            "cpu": requests.get("cpu") or DEFAULT_MILLI_CPU * max(1, len(pod["spec"].get("containers") or ())),
            "memory": requests.get("memory") or DEFAULT_MEMORY * max(1, len(pod["spec"].get("containers") or ())),
        },
        resources.host_ports(pod),
        labels_of(pod),
        pod["metadata"].get("namespace", ""),
        owners.controller_uid(pod),
        int(pod["spec"].get("priority") or 0),
        {} if namespace_labels is None else namespace_labels,
        Storage() if storage is None else storage,
    )


@dataclass(slots=True)
class NodeInfo:
    """One node. `node` is None while pods are known on a node that isn't."""

    name: str
    node: Object | None = None
    labels: dict[str, str] = field(default_factory=dict)
    taints: list[Object] = field(default_factory=list)
    unschedulable: bool = False
    allocatable: Amounts = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)
    pods: dict[str, PodInfo] = field(default_factory=dict)
    requested: Amounts = field(default_factory=dict)
    scored: Amounts = field(default_factory=lambda: {"cpu": 0, "memory": 0})
    owners: dict[str, int] = field(default_factory=dict)
    #: those of the pods that have wishes about other pods.
    choosy: dict[str, PodInfo] = field(default_factory=dict)
    ports: dict[tuple[str, int], dict[str, int]] = field(default_factory=dict)

    def set_node(self, node: Object) -> None:
        spec, status = node.get("spec") or {}, node.get("status") or {}
        self.node = node
        self.labels = labels_of(node)
        self.taints = spec.get("taints") or []
        self.unschedulable = bool(spec.get("unschedulable"))
        self.allocatable = resources.amounts(status.get("allocatable") or status.get("capacity"))
        self.images = {
            name: int(image.get("sizeBytes") or 0)
            for image in status.get("images") or ()
            for name in image.get("names") or ()
        }

    def copy(self) -> NodeInfo:
        """One that can be changed by itself (the pods' own infos are shared)."""
        return replace(
            self,
            pods=dict(self.pods),
            requested=dict(self.requested),
            scored=dict(self.scored),
            owners=dict(self.owners),
            choosy=dict(self.choosy),
            ports={key: dict(taken) for key, taken in self.ports.items()},
        )

    def add(self, info: PodInfo) -> None:
        self.pods[info.key] = info
        if info.has_affinity:
            self.choosy[info.key] = info
        self._count(info, 1)

    def remove(self, key: str) -> None:
        info = self.pods.pop(key, None)
        self.choosy.pop(key, None)
        if info is not None:
            self._count(info, -1)

    def _count(self, info: PodInfo, sign: int) -> None:
        for name, amount in info.requests.items():
            self.requested[name] = self.requested.get(name, 0) + sign * amount
        for name, amount in info.scored.items():
            self.scored[name] += sign * amount
        if info.owner:
            self.owners[info.owner] = self.owners.get(info.owner, 0) + sign
            if not self.owners[info.owner]:
                del self.owners[info.owner]
        for protocol, address, port in info.ports:
            taken = self.ports.setdefault((protocol, port), {})
            taken[address] = taken.get(address, 0) + sign
            if not taken[address]:
                del taken[address]


class Cache:
    """All nodes, by name in the order in which they came."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeInfo] = {}
        self._places: dict[str, str] = {}
        self._assumed: dict[str, str] = {}
        self._promised: dict[str, tuple[PodInfo, str]] = {}
        self._namespaces: dict[str, dict[str, str]] = {}
        self.storage = Storage()

    def info(self, pod: Object) -> PodInfo:
        return pod_info(pod, self._namespaces.setdefault(pod["metadata"].get("namespace", ""), {}), self.storage)

    def set_namespace(self, name: str, labels: dict[str, str]) -> None:
        known = self._namespaces.setdefault(name, {})
        known.clear()
        known.update(labels)

    def drop_namespace(self, name: str) -> None:
        self._namespaces.pop(name, None)

    def promise(self, info: PodInfo, node: str) -> None:
        """Pods make room for this one on a node: what is not more important leaves that room alone."""
        self._promised[info.key] = (info, node)

    def release(self, key: str) -> None:
        self._promised.pop(key, None)

    def promised_to(self, pod: PodInfo) -> str:
        """The node where room was made for a pod, or ""."""
        return self._promised.get(pod.key, (pod, ""))[1]

    def with_promises(self, pod: PodInfo) -> list[NodeInfo]:
        """The nodes as a pod may use them: pods that were promised room and are no less important count as there."""
        if not self._promised:
            return self.nodes
        changed: dict[str, NodeInfo] = {}
        for info, node in self._promised.values():
            known = self._nodes.get(node)
            if info.key == pod.key or info.priority < pod.priority or known is None or info.key in known.pods:
                continue
            changed.setdefault(node, known.copy()).add(info)
        return [changed.get(info.name, info) for info in self.nodes]

    @property
    def nodes(self) -> list[NodeInfo]:
        return [info for info in self._nodes.values() if info.node is not None]

    def node(self, name: str) -> NodeInfo | None:
        return self._nodes.get(name)

    def set_node(self, node: Object) -> None:
        name = name_of(node)
        self._nodes.setdefault(name, NodeInfo(name)).set_node(node)

    def drop_node(self, name: str) -> None:
        info = self._nodes.get(name)
        if info is None:
            return
        if info.pods:
            info.node = None
        else:
            del self._nodes[name]

    def assume(self, info: PodInfo, node: str) -> None:
        """The pod is being bound to a node."""
        self._assumed[info.key] = info.uid
        self._promised.pop(info.key, None)
        self._place(info, node)

    def forget(self, info: PodInfo) -> None:
        """Binding failed."""
        if self._assumed.pop(info.key, None) is not None:
            self._unplace(info.key)

    def is_assumed(self, key: str) -> bool:
        return key in self._assumed

    def set_pod(self, pod: Object) -> None:
        """A pod as the server has it; only those on a node that have not ended count."""
        key, node = key_of(pod), pods.node_name(pod)
        if not node:
            return
        self._assumed.pop(key, None)
        if pods.is_finished(pod):
            self._unplace(key)
            return
        known = self._nodes[node].pods.get(key) if self._places.get(key) == node else None
        if known is not None and known.uid == pod["metadata"].get("uid") and known.pod["spec"] == pod["spec"]:
            known.pod, known.labels = pod, labels_of(pod)
            return
        self._place(self.info(pod), node)

    def drop_pod(self, key: str) -> None:
        self._assumed.pop(key, None)
        self._promised.pop(key, None)
        self._unplace(key)

    def _place(self, info: PodInfo, node: str) -> None:
        self._unplace(info.key)
        self._nodes.setdefault(node, NodeInfo(node)).add(info)
        self._places[info.key] = node

    def _unplace(self, key: str) -> None:
        node = self._places.pop(key, None)
        if node is None:
            return
        info = self._nodes[node]
        info.remove(key)
        if info.node is None and not info.pods:
            del self._nodes[node]
