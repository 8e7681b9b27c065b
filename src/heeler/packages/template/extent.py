"""How large a value is when it is written out, before anything is: shared parts count each time they are met.

A few lines of a template make a value that doubles by sharing: thirty steps on it is larger than any memory, while it takes no
room itself. What walks values (`toYaml`, `toJson`, `deepCopy`, `merge`…) asks here first; Helm would go on until it is killed.
"""

from __future__ import annotations

from typing import Any, Final

from heeler.packages.template.values import GoError

A_MEMBER: Final = 64
"""What an item of a list or a pair of a map counts for, in characters."""

MAX_EXTENT: Final = 64 << 20
"""Characters of all texts in a value, and `A_MEMBER` for each member: a million members, far above any chart's values."""


def check_extent(value: Any, done: str = "written") -> None:
    """Raise `GoError` for a value that is too large to be `done`. Time is linear in what the value really holds."""
    if isinstance(value, dict | list) and value:
        try:
            total = _extent(value, {})
        except RecursionError:
            return  # whoever asked has words of its own for what nests too deeply or holds itself
        if total > MAX_EXTENT:
            raise GoError(f"value is too large to be {done}")


def _extent(value: dict[Any, Any] | list[Any], known: dict[int, int]) -> int:
    known[id(value)] = 0  # a part that holds itself counts no further
    total = A_MEMBER * len(value)
    for item in value.values() if isinstance(value, dict) else value:
        if type(item) is str:
            total += len(item)
        elif isinstance(item, dict | list) and item:
            inner = known.get(id(item))
            total += _extent(item, known) if inner is None else inner
    known[id(value)] = total
    return total
