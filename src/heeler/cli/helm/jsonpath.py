"""kubectl's JSONPath templates, as `helm show values --jsonpath` takes them: text with `{.path}`, `{range .list[*]}…{end}` and
`{"text"}`. Paths are those of `kinds/custom/jsonpath.py`; what isn't there is nothing."""

from __future__ import annotations

import json
import re
from typing import Any

from heeler.kinds.custom.jsonpath import JsonPathError, find
from heeler.packages.yaml import json as go_json

__all__ = ["JsonPathError", "execute"]

_TOKEN = re.compile(r'\{((?:"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|[^{}])*)\}|([^{}]+)|(.)', re.DOTALL)


def execute(template: str, data: Any) -> str:
    """What `template` writes of `data`. Raises `JsonPathError`."""
    actions: list[tuple[str, str]] = []
    for match in _TOKEN.finditer(template):
        if match[3]:
            raise JsonPathError("unclosed action")
        actions.append(("text", match[2]) if match[2] is not None else ("do", match[1].strip()))
    out: list[str] = []
    end = _run(actions, 0, data, data, out)
    if end < len(actions):
        raise JsonPathError("not in range, nothing to end")
    return "".join(out)


def _run(actions: list[tuple[str, str]], at: int, data: Any, here: Any, out: list[str]) -> int:
    """Write from action `at` on, to the end or to the `end` of this range; where that is."""
    while at < len(actions):
        kind, text = actions[at]
        if kind == "text":
            out.append(text)
        elif text == "end":
            return at
        elif text.startswith("range"):
            values = _values(text.removeprefix("range").strip(), data, here)
            close = at
            for value in values:
                close = _run(actions, at + 1, data, value, out)
            if not values:
                close = _run(actions, at + 1, data, None, [])
            if close >= len(actions):
                raise JsonPathError("unclosed action")
            at = close
        elif text[:1] in ("'", '"'):
            out.append(json.loads('"' + text[1:-1].replace("\\'", "'") + '"'))
        else:
            out.append(" ".join(_shown(value) for value in _values(text, data, here)))
        at += 1
    return at


def _values(path: str, data: Any, here: Any) -> list[Any]:
    if path.startswith("$"):
        path, here = path[1:], data
    path = path.removeprefix("@")
    if not path or path == ".":
        return [here]
    return find(here, path)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return go_json.dumps(value)
