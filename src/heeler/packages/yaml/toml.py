"""TOML as Helm writes and reads it: BurntSushi's forms (a level of tables is a level of indentation) and its words for faults.

Source: https://toml.io/en/v1.0.0
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

from heeler.objects import go_duration
from heeler.packages.template.values import Duration, GoError, GoPanic, Struct
from heeler.packages.yaml.json import json_form
from heeler.packages.yaml.numbers import general

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")
_TO_ESCAPE = re.compile('[\x00-\x1f"\\\\\x7f]')
_ESCAPES: Final = {"\t": "\\t", "\n": "\\n", "\r": "\\r", '"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f"}
INDENT: Final = "  "


def _escape(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[0]) or f"\\u{ord(found[0]):04x}"


def _quoted(text: str) -> str:
    return '"' + _TO_ESCAPE.sub(_escape, text) + '"'


def _key(text: str) -> str:
    return text if _BARE.match(text) else _quoted(text)


# ---- writing ---------------------------------------------------------------------------------------------------------


def dumps(value: Any) -> str:
    """The map as TOML. Raises `GoError` for what TOML can't hold."""
    if value is None:
        raise GoPanic("reflect: call of reflect.Value.Type on zero Value")
    if isinstance(value, Struct):
        value = json_form(value)
    out: list[str] = []
    try:
        if _is_table_list(value):
            raise GoError("toml: top-level values must be Go maps or structs")
        if not isinstance(value, dict):
            return _inline(value)
        _table(value, [], out)
    except RecursionError:
        raise GoError("toml: tables nest too deeply") from None
    return "".join(out)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, Struct) and isinstance(json_form(value), dict))


def _is_table_list(value: Any) -> bool:
    """Whether a list is written as `[[name]]`: it has tables only."""
    return isinstance(value, list) and bool(value) and all(map(_is_table, value))


def _table(value: Any, path: list[str], out: list[str]) -> None:
    """Write a table's plain keys, then the tables in it."""
    if isinstance(value, Struct):
        value = json_form(value)
    margin = INDENT * len(path)
    tables = []
    for key in sorted(value):
        item = value[key]
        if item is None:
            continue
        if _is_table(item) or _is_table_list(item):
            tables.append(key)
        else:
            out.append(f"{margin}{_key(str(key))} = {_inline(item)}\n")
    for key in tables:
        item = value[key]
        deeper = [*path, _key(str(key))]
        lead = INDENT * (len(deeper) - 1)
        for one in item if isinstance(item, list) else [item]:
            if out and (len(deeper) == 1 or isinstance(item, list)):
                out.append("\n")
            name = ".".join(deeper)
            out.append(f"{lead}[[{name}]]\n" if isinstance(item, list) else f"{lead}[{name}]\n")
            _table(one, deeper, out)


def _inline(value: Any) -> str:
    """A value in one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, Duration):
        return _quoted(go_duration.text(value))
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, bytes):
        return "[" + ", ".join(map(str, value)) + "]"
    if isinstance(value, list):
        if any(item is None for item in value):
            raise GoError("toml: cannot encode array with nil element")
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, Struct):
        form = json_form(value)
        return str(form) if value.go_type == "time.Time" else _inline(form)
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (_is_table(value[key]) or _is_table_list(value[key]), key))
        # a key without a value leaves the comma of the one before it
        pairs = [
            f"{_key(str(key))} = {_inline(value[key])}" + (", " if key != keys[-1] else "")
            for key in keys
            if value[key] is not None
        ]
        return "{" + "".join(pairs) + "}"
    raise GoError(f"toml: unsupported type: {type(value).__name__}")


def _float(value: float) -> str:
    if value != value:
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    text = general(value)
    return text if "." in text or "e" in text else text + ".0"


# ---- reading ---------------------------------------------------------------------------------------------------------


def loads(text: str) -> dict[str, Any]:
    """The tables of a TOML text: whole numbers are int64, tables in lists of tables maps. Raises `GoError`."""
    from heeler.packages.yaml.toml_reader import Reader

    return Reader(text).document()
