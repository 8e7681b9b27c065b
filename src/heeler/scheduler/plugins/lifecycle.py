"""What plugins may do around a binding, in order: reserve (at once), permit, pre-bind (may take long), bind, post-bind.

A plugin that reserved something gets `unreserve` when the pod doesn't come to the node after all, and before it `take_back` if
it wrote something.
"""

from __future__ import annotations

from typing import Protocol

from heeler.scheduler.pod import PodInfo


class Rejected(Exception):
    """A plugin turns a pod away after a node was chosen. `unschedulable`: it waits for a change; else it is tried again."""

    def __init__(self, message: str, *, unschedulable: bool = False) -> None:
        super().__init__(message)
        self.message, self.unschedulable = message, unschedulable


class Reserve(Protocol):
    @property
    def name(self) -> str: ...

    def reserve(self, pod: PodInfo, node: str) -> None:
        """Set something apart for a pod. Raises Rejected."""
        ...

    def unreserve(self, pod: PodInfo, node: str) -> None:
        """Take it back; also called if nothing was reserved."""
        ...


class Permit(Protocol):
    @property
    def name(self) -> str: ...

    def permit(self, pod: PodInfo, node: str) -> None:
        """A last word before the binding. Raises Rejected."""
        ...


class PreBind(Protocol):
    @property
    def name(self) -> str: ...

    def needs_pre_bind(self, pod: PodInfo, node: str) -> bool:
        """Is there anything to do? If so, the binding may take long, and others go on meanwhile."""
        ...

    async def pre_bind(self, pod: PodInfo, node: str) -> None:
        """Make ready what the pod needs on its node. Raises Rejected, StatusError or OSError."""
        ...

    async def take_back(self, pod: PodInfo, node: str) -> None:
        """What was written for the pod, after pre_bind began: it doesn't come to the node. Comes before `unreserve`."""
        ...


class Bind(Protocol):
    @property
    def name(self) -> str: ...

    async def bind(self, pod: PodInfo, node: str) -> bool:
        """Bind a pod; False: somebody else shall. Raises Rejected, StatusError or OSError."""
        ...


class PostBind(Protocol):
    @property
    def name(self) -> str: ...

    def post_bind(self, pod: PodInfo, node: str) -> None:
        """The pod is bound."""
        ...
