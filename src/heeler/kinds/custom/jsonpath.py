"""The part of kubectl's JSONPath that definitions use for printer columns and selectable fields.

Fields, quoted fields, indices, wildcards, and filters of the form `[?(@.type=="Ready")]`. Source:
https://kubernetes.io/docs/reference/kubectl/jsonpath/
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_STEP = re.compile(
    r"""\.?\[\s*'(?P<quoted>[^']*)'\s*\]
      | \.?\[\s*"(?P<double>[^"]*)"\s*\]
      | \[(?P<index>-?\d+)\]
      | \[(?P<star>\*)\]
      | \[\?\(\s*@(?P<path>[.\w-]*)\s*(?P<op>==|!=)\s*(?P<value>"[^"]*"|'[^']*'|[\w.+-]+)\s*\)\]
      | \.(?P<field>(?:[^.\[\]\\]|\\.)+)
    """,
    re.VERBOSE,
)


class JsonPathError(ValueError):
    """The text is no path that is understood."""


@lru_cache(maxsize=4096)
def parse(text: str) -> tuple[tuple[str, Any], ...]:
    """The steps of a path such as `.spec.replicas`. Raises JsonPathError."""
    path = text.strip()
    if path.startswith("{") and path.endswith("}"):
        path = path[1:-1]
    path = path.removeprefix("$")
    steps: list[tuple[str, Any]] = []
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None:
            raise JsonPathError(f"unrecognized character in action: {text}")
        at = found.end()
        parts = found.groupdict()
        if parts["field"] is not None:
            steps.append(("field", parts["field"].replace("\\.", ".")))
        elif parts["quoted"] is not None or parts["double"] is not None:
            steps.append(("field", parts["quoted"] if parts["quoted"] is not None else parts["double"]))
        elif parts["index"] is not None:
            steps.append(("index", int(parts["index"])))
        elif parts["star"] is not None:
            steps.append(("all", None))
        else:
            steps.append(("filter", (parse(parts["path"]), parts["op"], parts["value"].strip("\"'"))))
    return tuple(steps)


def find(value: Any, text: str) -> list[Any]:
    """All values that the path leads to."""
    return _walk([value], parse(text))


def _walk(found: list[Any], steps: tuple[tuple[str, Any], ...]) -> list[Any]:
    for kind, detail in steps:
        following: list[Any] = []
        for value in found:
            following += _one(value, kind, detail)
        found = following
    return found


def _one(value: Any, kind: str, detail: Any) -> list[Any]:
    if kind == "field":
        return [value[detail]] if isinstance(value, dict) and detail in value else []
    if kind == "index":
        inside = isinstance(value, list) and -len(value) <= detail < len(value)
        return [value[detail]] if inside else []
    if kind == "all":
        return list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, list) else []
    path, operator, wanted = detail
    kept = []
    for item in value if isinstance(value, list) else ():
        texts = [str(v).lower() if isinstance(v, bool) else str(v) for v in _walk([item], path)]
        if (wanted in texts) == (operator == "=="):
            kept.append(item)
    return kept
