"""Where the values of a YAML text stand in it: the line of a path, looked up step by step (aliases aren't unfolded)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from heeler.packages.template.values import GoError
from heeler.packages.yaml.read import key_text
from heeler.packages.yaml.scalars import resolve

#: Merges (`<<`) that are followed within one another.
_MAX_MERGES = 20


class Positions:
    """The lines of a text of one or more documents, of which later ones count more. What can't be read has no lines."""

    def __init__(self, text: str | bytes) -> None:
        import yaml
        from yaml import CSafeLoader

        self._documents: list[Any] = []
        try:
            self._documents += [node for node in yaml.compose_all(text, Loader=CSafeLoader) if node is not None]
        except (yaml.YAMLError, RecursionError, UnicodeError):
            pass  # who reads the values tells of it

    def line(self, path: Sequence[str | int]) -> int | None:
        """The line, counted from 1, where what stands at `path` begins (its key, in maps)."""
        for document in reversed(self._documents):
            node, line = document, document.start_mark.line
            for step in path:
                found = _step(node, step, 0)
                if found is None:
                    break
                node, line = found
            else:
                return int(line) + 1
        return None


def _step(node: Any, step: str | int, merges: int) -> tuple[Any, int] | None:
    """(the node, the line) one step below."""
    if node.id == "sequence":
        if isinstance(step, int) and 0 <= step < len(node.value):
            item = node.value[step]
            return item, item.start_mark.line
        return None
    if node.id != "mapping" or merges > _MAX_MERGES:
        return None
    for key, value in reversed(node.value):
        if _text(key) == str(step):
            return value, key.start_mark.line
    for key, value in node.value:
        if key.id == "scalar" and key.value == "<<":
            for merged in value.value if value.id == "sequence" else [value]:
                if (found := _step(merged, step, merges + 1)) is not None:
                    return found
    return None


def _text(key: Any) -> str | None:
    """A key as the values have it; None for what is no key."""
    if key.id != "scalar":
        return None
    if key.style:
        return str(key.value)
    try:
        return key_text(resolve(key.value), None)
    except GoError:
        return None
