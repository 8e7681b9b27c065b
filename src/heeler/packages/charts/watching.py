"""What templates read of the values while they are rendered: which value, by which file, line and column.

Maps of the values are put into ones that are known by their identity (`render.sources` takes `Watch.values`); `template/` tells
a `Watch` of each field that is read of them. What templates make themselves of values (`merge`, `deepCopy`) is known no more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from heeler.packages.charts.origins import Path
from heeler.packages.objects import Values

if TYPE_CHECKING:
    from heeler.packages.template.execution import Frame
    from heeler.packages.template.nodes import Node

#: Reads that are kept for whoever asks what was read last.
RECENT = 50


@dataclass(frozen=True, slots=True)
class Read:
    """A value was read at `place` (`app/templates/a.yaml:3:12`) by `text` (`.Values.image.tag`)."""

    path: Path
    place: str
    text: str

    @property
    def line(self) -> str:
        """The place without its column."""
        return self.place.rpartition(":")[0]


class _Watched(dict[Any, Any]):
    """A map of the values that tells what functions look up in it."""

    watch: Watch

    def get(self, key: Any, default: Any = None) -> Any:
        self.watch.looked(self, key)
        return dict.get(self, key, default)

    def __contains__(self, key: object) -> bool:
        self.watch.looked(self, key)
        return dict.__contains__(self, key)

    def __getitem__(self, key: Any) -> Any:
        self.watch.looked(self, key)
        return dict.__getitem__(self, key)


class _Map(_Watched):
    """Not of the class dict itself: reading a field takes the way on which it is noted."""


class _Values(_Watched, Values):
    """`.Values` of a chart."""


_Known = TypeVar("_Known", bound=_Watched)


class Watch:
    """What was read: the last reads, and all of the paths in `wanted` and of what holds them."""

    def __init__(self, wanted: Iterable[Path] = ()) -> None:
        self.recent: deque[Read] = deque(maxlen=RECENT)
        self.readers: dict[Path, dict[Read, None]] = {path: {} for path in wanted}
        self._paths: dict[int, Path] = {}
        self._kept: list[Any] = []
        self._node: Node | None = None
        self._place = self._text = ""

    def known(self, table: dict[str, Any], path: Path) -> _Map:
        """The same map, known by its path."""
        return self._note(_Map({key: self._inside(value, (*path, key)) for key, value in table.items()}), path)

    def values(self, table: dict[str, Any], path: Path) -> Values:
        """The same as templates' `.Values`."""
        return self._note(_Values(self.known(table, path).items()), path)

    def _note(self, made: _Known, path: Path) -> _Known:
        made.watch = self
        self._paths[id(made)] = path
        self._kept.append(made)
        return made

    def _inside(self, value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            return self.known(value, path)
        if type(value) is list:
            return [self._inside(item, (*path, number)) for number, item in enumerate(value)]
        return value

    def __call__(self, frame: Frame, node: Node, receiver: Any, name: str) -> None:
        """A field is read."""
        fresh = node is not self._node
        if fresh:
            self._node, self._place, self._text = node, frame.source.place(node.at), str(node)
        if id(receiver) in self._paths:
            self._read((*self._paths[id(receiver)], name), fresh)

    def looked(self, receiver: _Watched, key: Any) -> None:
        """A function looks into a map."""
        path = (*self._paths[id(receiver)], str(key))
        if not self.recent or self.recent[-1].path != path:
            self._read(path, False)

    def _read(self, path: Path, fresh: bool) -> None:
        read = Read(path, self._place, self._text)
        last = self.recent[-1] if self.recent else None
        if not fresh and last is not None and path[:-1] == last.path:  # a step further of the same chain
            self.recent[-1] = read
            for readers in self.readers.values():
                readers.pop(last, None)
        else:
            self.recent.append(read)
        for wanted, readers in self.readers.items():
            if wanted[: len(path)] == path or path[: len(wanted)] == wanted:
                readers[read] = None
