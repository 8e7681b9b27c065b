"""Indentation as Helm's post-rendering leaves it: maps two blanks below their key, lists right below it.

Lines are moved as they are, so comments, quotes and all else stay. What isn't the same value afterwards isn't moved at all.
"""

from __future__ import annotations

from typing import Any

from heeler.packages.template.values import GoError
from heeler.packages.yaml import read

STEP = 2


class _Odd(Exception):
    """A text whose lines can't be moved one by one."""


def tidied(text: str) -> str:
    """A document of YAML in that form, or as it is."""
    import yaml

    try:
        root: Any = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        if root is None or root.id != "mapping" or root.flow_style or not root.value:
            return text
        lines = text.split("\n")
        moved = _Lines(lines)
        moved.mapping(root, 0, 0, len(lines))
        made = moved.text()
        return made if made == text or read.parse(made) == read.parse(text) else text
    except (yaml.YAMLError, RecursionError, ValueError, GoError, _Odd):
        return text


class _Lines:
    """Lines with how far each is moved."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.shifts = [0] * len(lines)
        self.dashes: dict[int, tuple[int, int]] = {}

    def _move(self, first: int, end: int, shift: int) -> None:
        for number in range(first, min(end, len(self.lines))):
            self.shifts[number] = shift

    def mapping(self, node: Any, target: int, first: int, end: int) -> None:
        """Move a block map, whose lines are `first` up to `end`, to the column `target`."""
        column = node.value[0][0].start_mark.column
        self._move(first, end, target - column)
        starts = [key.start_mark.line for key, _ in node.value]
        for (key, value), start, after in zip(node.value, starts, [*starts[1:], end], strict=True):
            if key.start_mark.column != column or key.id != "scalar":
                raise _Odd
            self._value(value, target, start, after)

    def _value(self, value: Any, target: int, line: int, end: int) -> None:
        """Move what stands below a key, which stands at `target` on `line`."""
        if value.start_mark.line <= line and not (value.id == "scalar" and value.style in ("|", ">")):
            return
        if value.id == "mapping" and not value.flow_style and value.value:
            if value.start_mark.line > line:
                self.mapping(value, target + STEP, line + 1, end)
        elif value.id == "sequence" and not value.flow_style and value.value:
            self._sequence(value, target, line + 1, end)
        elif value.id == "scalar" and value.style in ("|", ">"):
            self._block(line + 1, min(end, value.end_mark.line), target + STEP)

    def _block(self, first: int, end: int, target: int) -> None:
        """Move the text of a block scalar."""
        if any(letter.isdigit() for letter in self.lines[first - 1].partition(":")[2][:4]):
            raise _Odd  # it says itself how far it is indented
        indents = [len(line) - len(line.lstrip(" ")) for line in self.lines[first:end] if line.strip()]
        if indents:
            self._move(first, end, target - min(indents))

    def _sequence(self, node: Any, target: int, first: int, end: int) -> None:
        column = node.start_mark.column
        self._move(first, end, target - column)
        starts = [item.start_mark.line for item in node.value]
        for item, start, after in zip(node.value, starts, [*starts[1:], end], strict=True):
            if self.lines[start][column : column + 2].strip() != "-":
                raise _Odd
            if item.id == "sequence" and not item.flow_style:
                raise _Odd
            inner = item.start_mark.column
            if item.id == "mapping" and not item.flow_style and item.value:
                self.mapping(item, target + STEP, start + 1, after)
                self.shifts[start] = target - column
            elif item.id == "scalar" and item.style in ("|", ">"):
                self._block(start + 1, min(after, item.end_mark.line), target + STEP)
            self.dashes[start] = (column, inner)

    def text(self) -> str:
        made = []
        for number, line in enumerate(self.lines):
            if number in self.dashes:
                column, inner = self.dashes[number]
                line = f"{line[: column + 1]} {line[inner:]}"
            shift = self.shifts[number]
            if not line.strip():
                made.append(line)
            elif shift < 0:
                made.append(line[min(-shift, len(line) - len(line.lstrip(" "))) :])
            else:
                made.append(" " * shift + line)
        return "\n".join(made)
