"""JSON as `--set-json` reads it, and Go's `strconv.Atoi`, with their messages."""

from __future__ import annotations

import json
import re
from typing import Any

from heeler.packages.charts.chart import ChartError

_SPACE = re.compile(r"[ \t\r\n]*")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[^",{}\[\]]+|.', re.DOTALL)


def _no_constant(name: str) -> Any:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_int=float, parse_constant=_no_constant)


def decode_at(text: str, at: int) -> tuple[Any, int]:
    """(the JSON value that begins at `at`, where the next assignment begins). Raises `ChartError`."""
    start = _end(_SPACE.match(text, at))
    if start >= len(text):
        raise ChartError("EOF")
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        raise ChartError(_fault(text[start:])) from None
    after = text[end:]
    if after and not after.startswith(","):
        raise ChartError(
            _fault(text[start:]) if False else f"invalid character {_char(after[0])} after top-level value"
        )
    return value, end + (1 if after else 0)


def decode_map(text: str) -> dict[str, Any]:
    """A whole text as a JSON object. Raises `ChartError`."""
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError):
        raise ChartError(_fault(text)) from None
    if not isinstance(value, dict):
        raise ChartError("json: cannot unmarshal into Go value of type map[string]interface {}")
    return value


def _end(match: re.Match[str] | None) -> int:
    assert match is not None
    return match.end()


def _char(char: str) -> str:
    return {"'": r"'\''", '"': "'\"'"}.get(char, f"'{char}'")


def _fault(text: str) -> str:
    """Why `text` doesn't begin with a JSON value, in the words of Go's scanner."""
    try:
        _DECODER.raw_decode(text)
    except RecursionError:
        return "exceeded max depth"
    except json.JSONDecodeError as error:
        if error.pos >= len(text) or error.msg.startswith("Unterminated"):
            return "unexpected EOF"
        char = text[error.pos]
        if error.msg.startswith("Expecting property name"):
            return f"invalid character {_char(char)} looking for beginning of object key string"
        if error.msg.startswith("Expecting value"):
            return _literal_fault(text, error.pos)
        if error.msg.startswith("Expecting ':'"):
            return f"invalid character {_char(char)} after object key"
        if error.msg.startswith("Expecting ','"):
            where = "array element" if _in_list(text[: error.pos]) else "object key:value pair"
            return f"invalid character {_char(char)} after {where}"
        return f"invalid character {_char(char)} in string literal"
    except ValueError as error:
        return f"invalid character {_char(str(error)[0])} looking for beginning of value"
    return "unexpected EOF"


def _literal_fault(text: str, at: int) -> str:
    for word in ("true", "false", "null"):
        if text[at] == word[0]:
            for offset, wanted in enumerate(word):
                if at + offset >= len(text):
                    return "unexpected EOF"
                if text[at + offset] != wanted:
                    return f"invalid character {_char(text[at + offset])} in literal {word} (expecting '{wanted}')"
    if text[at] == "-" and at + 1 < len(text):
        return f"invalid character {_char(text[at + 1])} in numeric literal"
    return f"invalid character {_char(text[at])} looking for beginning of value"


def _in_list(text: str) -> bool:
    """Whether the place after `text` is in a list rather than an object."""
    open_ = []
    for token in _TOKEN.findall(text):
        if token in "[{":
            open_.append(token)
        elif token in "]}" and open_:
            open_.pop()
    return bool(open_) and open_[-1] == "["


def atoi(text: str) -> int:
    """A whole number in decimal. `ValueError` in Go's words."""
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise ValueError(f"strconv.Atoi: parsing {json.dumps(text, ensure_ascii=False)}: invalid syntax")
    value = int(text) if len(text) < 25 else 1 << 63
    if not -(1 << 63) <= value < 1 << 63:
        raise ValueError(f"strconv.Atoi: parsing {json.dumps(text, ensure_ascii=False)}: value out of range")
    return value
