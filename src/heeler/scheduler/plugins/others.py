"""Plugins of others, in Python: a class with the methods that it needs, named by an entry point.

    [project.entry-points."heeler.scheduler.plugins"]
    Quiet = "my_package.quiet:Quiet"

A configuration enables it by that name like any of upstream's plugins. See docs/how-to/scheduler-plugins.md.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from heeler.objects.value import Object, labels_of
from heeler.scheduler.events import Hints
from heeler.scheduler.plugins.lifecycle import Rejected
from heeler.scheduler.plugins.plugin import Check, PluginError, Refusal, looped, normalised
from heeler.scheduler.plugins.registry import Tools
from heeler.scheduler.pod import PodInfo
from heeler.scheduler.table import Ints, Rows, Table

log = logging.getLogger(__name__)

GROUP = "heeler.scheduler.plugins"


@dataclass(frozen=True, slots=True)
class Node:
    """A node as a plugin sees it. Amounts: CPU in thousandths, everything else in units."""

    name: str
    object: Object
    pods: Sequence[Object]
    allocatable: Mapping[str, int]
    requested: Mapping[str, int]

    @property
    def labels(self) -> Mapping[str, str]:
        return labels_of(self.object)


class Plugin:
    """To be derived from. What a class overrides is what it is asked; pods are objects as the API has them.

    `arguments` are those of the configuration's `pluginConfig`. Set `hints` to say which changes may help a pod that was
    refused (`heeler.scheduler.events`); without, any change makes it be tried again.
    """

    hints: Hints | None = None

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self.arguments = arguments

    def hold(self, pod: Object) -> str:
        """Why a pod may not be tried yet, or ""."""
        return ""

    def prepare(self, pod: Object) -> str:
        """Why no node at all is for a pod, or "". Asked before `filter`."""
        return ""

    def filter(self, pod: Object, node: Node) -> str:
        """Why a node is not for a pod, or ""."""
        return ""

    def score(self, pod: Object, node: Node) -> int:
        """How good a node is for a pod, from 0 on; the ratings are scaled so that the highest is 100."""
        return 0

    def reserve(self, pod: Object, node: str) -> str:
        """A node was chosen. Why it won't do after all, or ""."""
        return ""

    def unreserve(self, pod: Object, node: str) -> None:
        """The pod doesn't come to the node after all."""

    async def pre_bind(self, pod: Object, node: str) -> str:
        """Make ready what the pod needs. Why it can't be bound, or ""."""
        return ""

    async def bind(self, pod: Object, node: str) -> bool:
        """Bind the pod; False leaves it to the next."""
        return False

    def post_bind(self, pod: Object, node: str) -> None:
        """The pod is bound."""


#: Methods and the extension points that they stand for.
POINTS = {
    "hold": "preEnqueue",
    "prepare": "preFilter",
    "filter": "filter",
    "score": "score",
    "reserve": "reserve",
    "pre_bind": "preBind",
    "bind": "bind",
    "post_bind": "postBind",
}


def extension_points(plugin: type[Plugin]) -> tuple[str, ...]:
    """Those whose methods a class has of its own."""
    return tuple(point for method, point in POINTS.items() if getattr(plugin, method) is not getattr(Plugin, method))


class Adapted:
    """A plugin of others in the form in which ours are asked. What it raises fails the attempt, not the scheduler."""

    def __init__(self, name: str, plugin: Plugin) -> None:
        self.name, self._plugin = name, plugin
        if plugin.hints is not None:
            self.hints = plugin.hints

    def holds(self, pod: Object) -> str:
        try:
            return self._plugin.hold(pod)
        except Exception as error:
            return f"{error.__class__.__name__}: {error}"

    def prepare(self, pod: PodInfo, table: Table) -> Check | Refusal | None:
        why = self._called("PreFilter", self._plugin.prepare, pod.pod)
        if why:
            return Refusal((why,), True)
        if type(self._plugin).filter is Plugin.filter:
            return None

        def check(row: int) -> Refusal | None:
            found = self._called("filter", self._plugin.filter, pod.pod, _node(table, row))
            return Refusal((found,)) if found else None

        return looped(check)

    def rate(self, pod: PodInfo, table: Table, rows: Rows) -> Ints | None:
        found = [int(self._called("score", self._plugin.score, pod.pod, _node(table, int(row)))) for row in rows]
        return normalised(np.maximum(np.array(found, np.int64), 0))

    def reserve(self, pod: PodInfo, node: str) -> None:
        try:
            why = self._called("Reserve", self._plugin.reserve, pod.pod, node)
        except PluginError as error:
            raise Rejected(str(error)) from error
        if why:
            raise Rejected(f'running Reserve plugin "{self.name}": {why}', unschedulable=True)

    def unreserve(self, pod: PodInfo, node: str) -> None:
        self._noted("Unreserve", self._plugin.unreserve, pod, node)

    def needs_pre_bind(self, pod: PodInfo, node: str) -> bool:
        return True

    async def pre_bind(self, pod: PodInfo, node: str) -> None:
        try:
            why = await self._plugin.pre_bind(pod.pod, node)
        except Exception as error:
            raise Rejected(f"{error.__class__.__name__}: {error}") from error
        if why:
            raise Rejected(why, unschedulable=True)

    async def take_back(self, pod: PodInfo, node: str) -> None:
        """Plugins of others take everything back in `unreserve`."""

    async def bind(self, pod: PodInfo, node: str) -> bool:
        try:
            return await self._plugin.bind(pod.pod, node)
        except Exception as error:
            raise Rejected(f'running Bind plugin "{self.name}": {error.__class__.__name__}: {error}') from error

    def post_bind(self, pod: PodInfo, node: str) -> None:
        self._noted("PostBind", self._plugin.post_bind, pod, node)

    def _noted(self, point: str, method: Any, pod: PodInfo, node: str) -> None:
        """Where nothing can be turned down any more, what goes wrong is only told."""
        try:
            self._called(point, method, pod.pod, node)
        except PluginError as error:
            log.warning("%s: %s", pod.key, error)

    def _called(self, point: str, method: Any, *given: Any) -> Any:
        try:
            return method(*given)
        except Exception as error:
            raise PluginError(f'running "{self.name}" {point} plugin: {error.__class__.__name__}: {error}') from error


def _node(table: Table, row: int) -> Node:
    pods = [info.pod for info in table.pods[row].values()]
    allocatable = {name: int(column.a[row]) for name, column in table.allocatable.items()}
    requested = {name: int(column.a[row]) for name, column in table.requested.items()}
    return Node(table.names[row], table.node(row), pods, allocatable, requested)


def adapted(name: str, plugin: type[Plugin]) -> tuple[Any, tuple[str, ...]]:
    """How a class is made into a plugin of a profile, and the points that it extends."""

    def make(tools: Tools, arguments: Mapping[str, Any]) -> Adapted:
        return Adapted(name, plugin(arguments))

    return make, extension_points(plugin)


def installed() -> dict[str, tuple[Any, tuple[str, ...]]]:
    """The plugins of packages that are installed here, by name. Raises ValueError for one that is no Plugin."""
    from importlib.metadata import entry_points

    out = {}
    for point in entry_points(group=GROUP):
        found = point.load()
        if not (isinstance(found, type) and issubclass(found, Plugin)):
            raise ValueError(f"{point.value} ({point.name}) is no heeler.scheduler.plugins.others.Plugin")
        out[point.name] = adapted(point.name, found)
    return out
