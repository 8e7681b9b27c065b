"""Plugins of others, in Python: a class with the methods that it needs, named by an entry point.

    [project.entry-points."heeler.scheduler.plugins"]
    Quiet = "my_package.quiet:Quiet"

A configuration enables it by that name like any of upstream's plugins. See docs/how-to/scheduler-plugins.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex

import numpy as np

from heeler.objects.value import Object, labels_of
from heeler.scheduler.events import Hint, Hints
from heeler.scheduler.plugins.lifecycle import Rejected
from heeler.scheduler.plugins.plugin import MAX_SCORE, Check, PluginError, Refusal, looped
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
    """A plugin of others in the form in which ours are asked. What it raises, and answers that are none, fail the attempt,
    not the scheduler. Raises ValueError for hints that are none."""

    def __init__(self, name: str, plugin: Plugin) -> None:
        self.name, self._plugin = name, plugin
        if plugin.hints is not None:
            self.hints = _guarded_hints(name, plugin.hints)

    def holds(self, pod: Object) -> str:
        try:
            with guarded():
                return _text(self._plugin.hold(pod))
        except PluginError as error:
            return str(error)

    def prepare(self, pod: PodInfo, table: Table) -> Check | Refusal | None:
        with guarded(f'running "{self.name}" PreFilter plugin: '):
            why = _text(self._plugin.prepare(pod.pod))
        if why:
            return Refusal((why,), True)
        if type(self._plugin).filter is Plugin.filter:
            return None

        def check(row: int) -> Refusal | None:
            with guarded(f'running "{self.name}" filter plugin: '):
                found = _text(self._plugin.filter(pod.pod, _node(table, row)))
            return Refusal((found,)) if found else None

        return looped(check)

    def rate(self, pod: PodInfo, table: Table, rows: Rows) -> Ints | None:
        with guarded(f'running "{self.name}" score plugin: '):
            found = [max(_number(self._plugin.score(pod.pod, _node(table, int(row)))), 0) for row in rows]
        top = max(found, default=0)
        return np.array([number * MAX_SCORE // top if top else 0 for number in found], np.int64)

    def reserve(self, pod: PodInfo, node: str) -> None:
        try:
            with guarded():
                why = _text(self._plugin.reserve(pod.pod, node))
        except PluginError as error:
            raise Rejected(str(error)) from error
        if why:
            raise Rejected(why, unschedulable=True)

    def unreserve(self, pod: PodInfo, node: str) -> None:
        self._noted("Unreserve", self._plugin.unreserve, pod, node)

    def needs_pre_bind(self, pod: PodInfo, node: str) -> bool:
        return True

    async def pre_bind(self, pod: PodInfo, node: str) -> None:
        try:
            with guarded():
                why = _text(await self._plugin.pre_bind(pod.pod, node))
        except PluginError as error:
            raise Rejected(str(error)) from error
        if why:
            raise Rejected(why, unschedulable=True)

    async def take_back(self, pod: PodInfo, node: str) -> None:
        """Plugins of others take everything back in `unreserve`."""

    async def bind(self, pod: PodInfo, node: str) -> bool:
        try:
            with guarded(f'running Bind plugin "{self.name}": '):
                return _flag(await self._plugin.bind(pod.pod, node))
        except PluginError as error:
            raise Rejected(str(error)) from error

    def post_bind(self, pod: PodInfo, node: str) -> None:
        self._noted("PostBind", self._plugin.post_bind, pod, node)

    def _noted(self, point: str, method: Callable[[Object, str], object], pod: PodInfo, node: str) -> None:
        """Where nothing can be turned down any more, what goes wrong is only told."""
        try:
            with guarded(f'running "{self.name}" {point} plugin: '):
                method(pod.pod, node)
        except PluginError as error:
            log.warning("%s: %s", pod.key, error)


@contextlib.contextmanager
def guarded(before: str = "") -> Iterator[None]:
    """Whatever is raised is a PluginError, which tells it after `before`; but for what stops the task or the program."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError) and _is_cancelled():
            raise
        raise PluginError(f"{before}{_words(error)}") from error


def _is_cancelled() -> bool:
    """Is it this task that is to end, and not only a plugin that says so?"""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _words(error: BaseException) -> str:
    try:
        return _clean(f"{error.__class__.__name__}: {error}")
    except Exception:  # an exception that can't be told
        return error.__class__.__name__


def _clean(text: str) -> str:
    """Without what no JSON can hold."""
    return text.encode("utf-8", "replace").decode()


# what plugins may answer


def _text(answer: object) -> str:
    """A reason; None is none. Raises TypeError."""
    if answer is None:
        return ""
    if not isinstance(answer, str):
        raise TypeError(f"the answer must be a text, and is {answer.__class__.__name__}")
    return _clean(answer)


def _flag(answer: object) -> bool:
    """Raises TypeError."""
    if answer is not None and not isinstance(answer, bool):
        raise TypeError(f"the answer must be True or False, and is {answer.__class__.__name__}")
    return bool(answer)


def _number(answer: object) -> int:
    """A rating, which fits into 64 bits. Raises TypeError, ValueError and OverflowError."""
    if not isinstance(answer, SupportsIndex | float):
        raise TypeError(f"the rating must be a number, and is {answer.__class__.__name__}")
    number = int(answer) if isinstance(answer, float) else operator.index(answer)
    if not -(2**63) <= number < 2**63:
        raise OverflowError("the rating doesn't fit into 64 bits")
    return number


def _guarded_hints(name: str, hints: object) -> Hints:
    if not isinstance(hints, Mapping):
        raise ValueError(f"hints must be a mapping, and are {hints.__class__.__name__}")
    for change, hint in hints.items():
        if hint is not None and not callable(hint):
            raise ValueError(f"the hint for {change} must be a function, and is {hint.__class__.__name__}")
    return {change: None if hint is None else _guarded_hint(name, hint) for change, hint in hints.items()}


def _guarded_hint(name: str, hint: Hint) -> Hint:
    """One that can't say whether a change helps doesn't keep the pod from being tried."""

    def asked(pod: PodInfo, old: Object | None, new: Object | None) -> bool:
        try:
            with guarded(f'a hint of plugin "{name}": '):
                return bool(hint(pod, old, new))
        except PluginError as error:
            log.warning("%s: %s", pod.key, error)
            return True

    return asked


def _node(table: Table, row: int) -> Node:
    pods = [info.pod for info in table.pods[row].values()]
    allocatable = {name: int(column.a[row]) for name, column in table.allocatable.items()}
    requested = {name: int(column.a[row]) for name, column in table.requested.items()}
    return Node(table.names[row], table.node(row), pods, allocatable, requested)


def adapted(name: str, plugin: type[Plugin]) -> tuple[Any, tuple[str, ...]]:
    """How a class is made into a plugin of a profile, and the points that it extends."""

    def make(tools: Tools, arguments: Mapping[str, Any]) -> Adapted:
        try:
            with guarded():
                made = plugin(arguments)
        except PluginError as error:
            raise ValueError(str(error)) from error
        return Adapted(name, made)

    return make, extension_points(plugin)


def installed() -> dict[str, tuple[Any, tuple[str, ...]]]:
    """The plugins of packages that are installed here, by name. Raises ValueError for one that is none or can't be loaded."""
    from importlib.metadata import entry_points

    out = {}
    for point in entry_points(group=GROUP):
        try:
            with guarded():
                found = point.load()
        except PluginError as error:
            raise ValueError(f"{point.value} ({point.name}) can't be loaded: {error}") from error
        if not (isinstance(found, type) and issubclass(found, Plugin)):
            raise ValueError(f"{point.value} ({point.name}) is no heeler.scheduler.plugins.others.Plugin")
        out[point.name] = adapted(point.name, found)
    return out
