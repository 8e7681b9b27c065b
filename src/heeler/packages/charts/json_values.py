"""JSON as `--set-json` reads it, and Go's `strconv.Atoi`."""

from __future__ import annotations

import json
import re
from typing import Any

from heeler.packages.charts.chart import ChartError

_SPACE = re.compile(r"[ \t\r\n]*")


def _no_constant(name: str) -> Any:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_int=float, parse_constant=_no_constant)


def decode_at(text: str, at: int) -> tuple[Any, int]:
    """(the JSON value that begins at `at`, where the next assignment begins). Raises `ChartError`."""
    match = _SPACE.match(text, at)
    assert match is not None
    if text[match.end() : match.end() + 1] in ("", ","):  # nothing at all is null
        return None, match.end() + 1
    try:
        value, end = _DECODER.raw_decode(text, match.end())
    except (ValueError, RecursionError):
        raise ChartError(f"no JSON value at {text[at:]}") from None
    end = _SPACE.match(text, end).end()  # type: ignore[union-attr]
    if end < len(text) and text[end] != ",":
        raise ChartError(f"something follows the JSON value: {text[end:]}")
    return value, end + 1


def decode_map(text: str) -> dict[str, Any]:
    """A whole text as a JSON object. Raises `ChartError`."""
    try:
        value = _DECODER.decode(text.strip(" \t\r\n"))
    except (ValueError, RecursionError):
        raise ChartError(f"no JSON object: {text}") from None
    if not isinstance(value, dict):
        raise ChartError(f"no JSON object: {text}")
    return value


def atoi(text: str) -> int:
    """A whole number in decimal. `ValueError` in Go's words."""
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise ValueError(f"strconv.Atoi: parsing {json.dumps(text, ensure_ascii=False)}: invalid syntax")
    value = int(text) if len(text) < 25 else 1 << 63
    if not -(1 << 63) <= value < 1 << 63:
        raise ValueError(f"strconv.Atoi: parsing {json.dumps(text, ensure_ascii=False)}: value out of range")
    return value
