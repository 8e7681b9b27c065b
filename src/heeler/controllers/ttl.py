"""How long nodes may keep Secrets and ConfigMaps before they look again: an annotation that grows with the cluster.

https://kubernetes.io/docs/reference/labels-annotations-taints/#node-alpha-kubernetes-io-ttl
"""

from __future__ import annotations

from typing import NamedTuple

from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.resources import NODES
from heeler.objects.status import StatusError
from heeler.objects.value import Object, meta, name_of

ANNOTATION = "node.alpha.kubernetes.io/ttl"


class Size(NamedTuple):
    """Clusters of `least` to `most` nodes, and their seconds. Neighbours overlap: a node more or less changes nothing."""

    least: int
    most: float
    seconds: int


SIZES = (
    Size(0, 100, 0),
    Size(90, 500, 15),
    Size(450, 1000, 30),
    Size(900, 2000, 60),
    Size(1800, float("inf"), 300),
)


def fitting(current: int, nodes: int) -> int:
    """The index into SIZES for so many nodes, coming from `current`."""
    while nodes > SIZES[current].most:
        current += 1
    while nodes < SIZES[current].least:
        current -= 1
    return current


class TtlController:
    """Keys are nodes. A change of size reaches a node when something about it changes next, as upstream's does."""

    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._client = context.client
        self._nodes = context.informers.get(NODES)
        self._size = 0
        self._nodes.add_handler(self._node_changed)

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is None:
            self._size = fitting(self._size, len(self._nodes))
        if new is not None and (meta(new).get("annotations") or {}).get(ANNOTATION) != self._seconds:
            self.queue.add(key_of(new))

    @property
    def _seconds(self) -> str:
        return str(SIZES[self._size].seconds)

    async def reconcile(self, key: str) -> None:
        node = self._nodes.get(key)
        if node is None or (meta(node).get("annotations") or {}).get(ANNOTATION) == self._seconds:
            return
        patch: Object = {"metadata": {"annotations": {ANNOTATION: self._seconds}}}
        try:
            done = await self._client.patch(NODES, name_of(node), patch, type="application/strategic-merge-patch+json")
        except StatusError as error:
            if error.code != 404:
                raise
            return
        self._nodes.assume(done)
