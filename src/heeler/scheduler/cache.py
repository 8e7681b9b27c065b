"""What the scheduler knows of nodes and of the pods on them. Kept by events, ahead of them by guesses.

A pod that was just placed counts on its node at once; the watch confirms it, or the assumption is taken back.
"""

from __future__ import annotations

from heeler.client.informer import key_of
from heeler.objects.value import Object
from heeler.scheduler.pod import PodInfo, Templates, pod_info, template_key
from heeler.scheduler.storage import Storage
from heeler.scheduler.table import Table
from heeler.workloads import pods


class Cache:
    """The table of nodes, and where pods are, are being bound to, or were promised room."""

    def __init__(self) -> None:
        self.table = Table()
        self.storage = Storage()
        self._templates = Templates()
        self._places: dict[str, tuple[PodInfo, int]] = {}
        self._assumed: dict[str, str] = {}
        self._promised: dict[str, tuple[PodInfo, str]] = {}
        self._namespaces: dict[str, dict[str, str]] = {}

    def info(self, pod: Object) -> PodInfo:
        namespace = pod["metadata"].get("namespace", "")
        return pod_info(pod, self._namespaces.setdefault(namespace, {}), self._templates)

    def sizes(self) -> dict[str, int]:
        """How much is known."""
        return {"nodes": len(self.table), "pods": len(self._places), "assumed_pods": len(self._assumed)}

    # namespaces

    def set_namespace(self, name: str, labels: dict[str, str]) -> None:
        known = self._namespaces.setdefault(name, {})
        if known != labels:
            known.clear()
            known.update(labels)
            self.table.namespace_changed()

    def drop_namespace(self, name: str) -> None:
        self._namespaces.pop(name, None)

    # promises

    def promise(self, info: PodInfo, node: str) -> None:
        """Pods make room for this one on a node: what is not more important leaves that room alone."""
        self._promised[info.key] = (info, node)

    def release(self, key: str) -> None:
        self._promised.pop(key, None)

    def promised_to(self, pod: PodInfo) -> str:
        """The node where room was made for a pod, or ""."""
        return self._promised.get(pod.key, (pod, ""))[1]

    def promised_on(self, node: str, below: int) -> list[PodInfo]:
        """Pods of less priority that were promised room on a node."""
        return [info for info, place in self._promised.values() if place == node and info.priority < below]

    def nominated(self, pod: PodInfo) -> dict[int, list[PodInfo]]:
        """By row, the pods that were promised room there and are no less important than this one."""
        out: dict[int, list[PodInfo]] = {}
        for info, node in self._promised.values():
            row = self.table.row(node)
            if info.key == pod.key or info.priority < pod.priority or row is None or info.key in self.table.pods[row]:
                continue
            out.setdefault(row, []).append(info)
        return out

    # nodes

    def set_node(self, node: Object) -> None:
        self.table.set_node(node)

    def drop_node(self, name: str) -> None:
        self.table.drop_node(name)

    # pods

    def assume(self, info: PodInfo, node: str) -> None:
        """The pod is being bound to a node."""
        self._assumed[info.key] = info.uid
        self._promised.pop(info.key, None)
        self._place(info, node)

    def forget(self, info: PodInfo) -> None:
        """Binding failed. Another pod of that name may be here by now, and stays."""
        if self._assumed.get(info.key) == info.uid:
            del self._assumed[info.key]
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
        known = self._places.get(key)
        if known is not None and self._is_same(known[0], pod) and self.table.names[known[1]] == node:
            known[0].pod = pod
            return
        self._place(self.info(pod), node)

    def _is_same(self, known: PodInfo, pod: Object) -> bool:
        """Does a pod count as before?"""
        return (
            known.uid == pod["metadata"].get("uid", "")
            and known.terminating == pods.is_terminating(pod)
            and known.template.key == template_key(pod)
        )

    def drop_pod(self, key: str) -> None:
        self._assumed.pop(key, None)
        self._promised.pop(key, None)
        self._unplace(key)

    def _place(self, info: PodInfo, node: str) -> None:
        self._unplace(info.key)
        self._places[info.key] = info, self.table.place(info, node)

    def _unplace(self, key: str) -> None:
        known = self._places.pop(key, None)
        if known is not None:
            self.table.take(*known)
