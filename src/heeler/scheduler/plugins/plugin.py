"""What a scheduling plugin is: it may look at the pod once, refuse nodes, and rate those that are left.

https://kubernetes.io/docs/concepts/scheduling-eviction/scheduling-framework/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from heeler.scheduler.cache import NodeInfo, PodInfo

#: The best rating of a node.
MAX_SCORE = 100


class Refusal(NamedTuple):
    """Why a node is not for a pod. `final`: also not if other pods left it."""

    reasons: tuple[str, ...]
    final: bool = False


class Check(Protocol):
    """One pod's question to nodes, prepared by `prepare`."""

    def __call__(self, node: NodeInfo) -> Refusal | None: ...


class Filter(Protocol):
    """`prepare` gives the pod's check, or None if the plugin has nothing against any node."""

    name: str

    def prepare(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Check | None: ...


class Score(Protocol):
    """`rate` gives a number from 0 to MAX_SCORE for each node, or None if all are equal to it."""

    name: str
    weight: int

    def rate(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> list[int] | None: ...


def normalised(numbers: Sequence[int], *, reverse: bool = False) -> list[int]:
    """Numbers on the scale from 0 to MAX_SCORE; `reverse`: the smallest is the best."""
    top = max(numbers, default=0)
    if top == 0:
        return [MAX_SCORE if reverse else 0] * len(numbers)
    scaled = [MAX_SCORE * number // top for number in numbers]
    return [MAX_SCORE - number for number in scaled] if reverse else scaled
