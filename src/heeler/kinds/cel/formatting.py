"""`'%s has %d'.format([...])`: the clauses of the extension for texts.

Source: https://pkg.go.dev/github.com/google/cel-go/ext#Strings (section Format)
"""

from __future__ import annotations

import math
import re
from typing import Any

from heeler.kinds.cel.standard import bounded
from heeler.kinds.cel.values import (
    Duration,
    EvaluationError,
    Timestamp,
    TypeValue,
    Uint,
    duration_text,
    float_text,
    time_text,
    type_name,
)

CLAUSE = re.compile(r"%(?:%|(?:\.(\d+))?([a-zA-Z])?)")
#: Digits behind the point that a clause may ask for.
_MAX_PRECISION = 1000


def formatted(text: str, given: list[Any]) -> str:
    """Raises EvaluationError for a clause without a value, or with one that does not fit."""
    values = iter(enumerate(given))

    def clause(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        at, value = next(values, (len(given), None))
        if at >= len(given):
            raise EvaluationError(f"index {at} out of range")
        precision = int(found[1]) if found[1] else 6
        if precision > _MAX_PRECISION:
            raise EvaluationError(f"precision {precision} is greater than the maximum {_MAX_PRECISION}")
        return _clause(found[2] or "", precision, value)

    return bounded(CLAUSE.sub(clause, text))


def _clause(verb: str, precision: int, value: Any) -> str:
    if verb == "s":
        return as_text(value, outermost=True)
    if verb in "xX" and isinstance(value, (str, bytes)):
        raw = value.encode() if isinstance(value, str) else value
        return raw.hex().upper() if verb == "X" else raw.hex()
    if verb == "b" and isinstance(value, bool):
        return "1" if value else "0"
    if verb in ("f", "e") and isinstance(value, (int, float)) and not isinstance(value, bool):
        return _fraction(verb, precision, float(value))
    if verb == "d" and isinstance(value, float) and not math.isfinite(value):
        return _fraction("f", precision, value)
    if verb in ("d", "b", "o", "x", "X") and isinstance(value, int) and not isinstance(value, bool):
        return format(int(value), verb)
    raise EvaluationError(_refusal(verb, type_name(value)))


def _refusal(verb: str, kind: str) -> str:
    if verb in _WANTED:
        return f"error during formatting: {_WANTED[verb]}, was given {kind}"
    return f'could not parse formatting clause: unrecognized formatting clause "{verb}"'


def misfit(verb: str, kind: str) -> str | None:
    """What is wrong with a clause for a value of this type; None if nothing is, or only the value will tell."""
    wanted = VERBS.get(verb)
    return None if (kind == "dyn" and wanted) or (wanted is not None and kind in wanted) else _refusal(verb, kind)


#: What values each clause takes, by types.
VERBS: dict[str, tuple[str, ...]] = {
    "s": (
        *("list", "map", "int", "uint", "double", "bool", "string", "timestamp", "bytes", "duration", "type"),
        "null_type",
    ),
    "d": ("int", "uint"),
    "f": ("double", "string"),
    "e": ("double", "string"),
    "b": ("int", "uint", "bool"),
    "x": ("int", "uint", "string", "bytes"),
    "X": ("int", "uint", "string", "bytes"),
    "o": ("int", "uint"),
}
_WANTED = {
    "s": "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, "
    "and timestamps",
    "d": "decimal clause can only be used on integers",
    "b": "only integers and bools can be formatted as binary",
    "o": "octal clause can only be used on integers",
    "x": "only integers, byte buffers, and strings can be formatted as hex",
    "X": "only integers, byte buffers, and strings can be formatted as hex",
    "f": "fixed-point clause can only be used on doubles",
    "e": "scientific clause can only be used on doubles",
}


def _fraction(verb: str, precision: int, value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if verb == "f":
        return f"{value:.{precision}f}"
    mantissa, _, exponent = f"{value:.{precision}e}".partition("e")
    return f"{mantissa}×10{(exponent.removeprefix('+')).translate(_RAISED)}"


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def as_text(value: Any, *, outermost: bool = False) -> str:
    """A value as `%s` shows it; texts inside of lists and maps stand in quotes."""
    if isinstance(value, str):
        return value if outermost else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return float_text(value) if outermost else _fraction("f", 6, value)
    if isinstance(value, (int, Uint)):
        return str(int(value))
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, list):
        return f"[{', '.join(map(as_text, value))}]"
    if isinstance(value, dict):
        rows = sorted((as_text(key), as_text(item)) for key, item in value.items())
        return f"{{{', '.join(f'{key}:{item}' for key, item in rows)}}}"
    if isinstance(value, Timestamp):
        return time_text(value) if outermost else f'timestamp("{time_text(value)}")'
    if isinstance(value, Duration):
        return duration_text(value) if outermost else f'duration("{duration_text(value)}")'
    if isinstance(value, TypeValue):
        return value.name
    raise EvaluationError(_refusal("s", type_name(value)))
