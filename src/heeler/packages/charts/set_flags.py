r"""`--set` and its kin: text like `a.b[0]=1,c={x,y}` into values.

A text is a list of assignments. Each is a path (keys with dots, indexes in brackets, `\` before a sign that would end a key),
`=`, and a value, which the flag decides: typed text, text as it is, JSON, the content of a file, the rest of the text. They are
made one after the other into the same values.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from heeler.packages.charts.chart import ChartError
from heeler.packages.template.values import Int64, type_name

MAX_INDEX = 65536
MAX_DEPTH = 30

#: A path's steps: a key of a map, or an index of a list.
Step = str | int
_MISSING = object()


def typed(text: str) -> Any:
    """What `--set` makes of a value: a bool, null, a whole number, or text."""
    lower = text.lower()
    if lower in ("true", "false"):
        return lower == "true"
    if lower == "null":
        return None
    if text == "0":
        return Int64(0)
    if not text.startswith("0") and (number := _whole(text)) is not None:
        return number
    return text


def _whole(text: str) -> Int64 | None:
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not digits.isascii() or not digits.isdigit() or len(digits) > 19:
        return None
    value = int(text)
    return Int64(value) if -(1 << 63) <= value < 1 << 63 else None


class _End(Exception):
    """The text ended where more could have come."""


class _Unset(Exception):
    """The text ended after an index."""

    def __init__(self, steps: list[Step]) -> None:
        super().__init__()
        self.steps = steps


class _Text:
    """The text and how far it is read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def until(self, stops: str, escape: str = "\\") -> tuple[str, str]:
        """(what stands before the next of `stops`, that sign or "" at the end); after `escape` a sign is an ordinary one."""
        out: list[str] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            self.at += 1
            if char in stops:
                return "".join(out), char
            if char == escape:
                if self.at >= len(self.text):
                    return "".join(out), ""
                char = self.text[self.at]
                self.at += 1
            out.append(char)
        return "".join(out), ""

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    @property
    def ended(self) -> bool:
        return self.at >= len(self.text)


#: Reads the value that follows `=`; raises ChartError.
Reader = Callable[[_Text], Any]


def _scalar_or_list(make: Callable[[str], Any]) -> Reader:
    """The value of `--set`, `--set-string` and `--set-file`: `make` of the text to the next comma, or a list in braces."""

    def read(text: _Text) -> Any:
        if text.ended:
            return ""
        if text.peek() != "{":
            return make(text.until(",")[0])
        text.at += 1
        made: list[Any] = []
        while True:
            item, stop = text.until(",}")
            if not stop:
                raise ChartError("list must terminate with '}'")
            if stop == "}":
                if text.peek() == ",":
                    text.at += 1
                return [*made, make(item)]
            made.append(make(item))

    return read


def _literal(text: _Text) -> str:
    rest, text.at = text.text[text.at :], len(text.text)
    return rest


def _json(text: _Text) -> Any:
    from heeler.packages.charts.json_values import decode_at

    value, text.at = decode_at(text.text, text.at)
    return value


# ---- paths -----------------------------------------------------------------------------------------------------------


def _path(text: _Text, stops: str, escape: str) -> list[Step] | None:
    """The steps up to `=`; None where the text ends before any."""
    key, stop = text.until(stops, escape)
    steps: list[Step] = []
    depth = 0
    while True:
        if not stop:
            if not key:
                return None
            raise ChartError(f"key {_quoted(key)} has no value")
        if stop == ",":
            raise ChartError(f"key {_quoted(key)} has no value (cannot end with ,)")
        steps.append(key)
        while stop == "[":
            steps.append(_index(text))
            rest, stop = text.until(stops.replace(",", ""), escape)
            if rest:
                raise ChartError(f"unexpected data at end of array index: {_runes(rest)}")
            if not stop:  # a list without a value is an empty list
                raise _Unset(steps)
        if stop == "=":
            return steps
        depth += 1
        if depth > MAX_DEPTH:
            raise ChartError(f"value name nested level is greater than maximum supported nested level of {MAX_DEPTH}")
        key, stop = text.until(stops, escape)
        if not stop and not key:
            return None


def _index(text: _Text) -> int:
    shown, stop = text.until("]")
    if not stop:
        raise _End
    from heeler.packages.charts.json_values import atoi

    try:
        index = atoi(shown)
    except ValueError as error:
        raise ChartError(f"error parsing index: {error}") from None
    if index < 0:
        raise ChartError(f"negative {index} index not allowed")
    return index


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _runes(text: str) -> str:
    """Signs as Go's `%q` prints a list of them."""
    special = {"'": r"'\''", "\\": r"'\\'", '"': "'\"'"}
    return "[" + " ".join(special.get(c) or f"'{json.dumps(c, ensure_ascii=False)[1:-1]}'" for c in text) + "]"


# ---- assigning -------------------------------------------------------------------------------------------------------


def _mismatch(found: Any, wanted: str) -> ChartError:
    if found is None:
        said = f"interface conversion: interface {{}} is nil, not {wanted}"
    else:
        said = f"interface conversion: interface {{}} is {type_name(found)}, not {wanted}"
    return ChartError(f"unable to parse key: {said}")


def assign(values: dict[str, Any], steps: list[Step], value: Any) -> None:
    """Put `value` at `steps`, making maps and lists on the way."""
    holder: Any = values
    entered: list[tuple[str, Any]] = []
    for number, step in enumerate(steps):
        final = number == len(steps) - 1
        following = value if final else [] if isinstance(steps[number + 1], int) else {}
        if isinstance(step, int):
            if step > MAX_INDEX:
                raise ChartError(f"index of {step} is greater than maximum supported index of {MAX_INDEX}")
            if len(holder) <= step:
                holder.extend([None] * (step + 1 - len(holder)))
            found = holder[step]
            fresh = final or found is None
        else:
            found = holder.get(step, _MISSING)
            fresh = final or found is _MISSING
        if fresh:
            if step != "":  # an empty key is dropped, with what stands under it
                holder[step] = following
            holder = following
        elif isinstance(found, list if isinstance(following, list) else dict):
            holder = found
        else:
            raise _mismatch(found, "[]interface {}" if isinstance(following, list) else "map[string]interface {}")
        if not final and isinstance(step, str) and isinstance(holder, dict):
            entered.append((step, holder))
    for key, inner in reversed(entered):
        if not inner:
            raise ChartError(f"key map {_quoted(key)} has no value")


def _into(values: dict[str, Any], given: str, read: Reader, stops: str = "[=,.", escape: str = "\\") -> None:
    text = _Text(given)
    try:
        while not text.ended:
            steps = _path(text, stops, escape)
            if steps is None:
                return
            if text.ended and (below := _below_an_index(steps)):
                _make_list(values, steps[:below])  # nothing at the end of the text doesn't get into a list's maps
                return
            _check(values, steps)
            if text.ended and "" in steps[1:]:
                return  # nothing at the end of the text, under a key that is dropped
            assign(values, steps, read(text))
    except _End:
        return
    except _Unset as unset:
        steps = unset.steps
        while isinstance(steps[-1], int):
            steps = steps[:-1]
        assign(values, steps, [])


def _check(values: dict[str, Any], steps: list[Step]) -> None:
    """Refuse a path through what is neither map nor list, before the value is looked at."""
    holder: Any = values
    for step, following in pairwise(steps):
        if isinstance(step, int):
            holder = holder[step] if step < len(holder) else None
            if holder is None:
                return
        elif step in holder:
            holder = holder[step]
        else:
            return
        if not isinstance(holder, list if isinstance(following, int) else dict):
            raise _mismatch(holder, "[]interface {}" if isinstance(following, int) else "map[string]interface {}")


def _below_an_index(steps: list[Step]) -> int:
    """Where the first index stands that a key follows; 0 if there is none."""
    pairs = enumerate(pairwise(steps))
    return next((place for place, (one, two) in pairs if isinstance(one, int) and isinstance(two, str)), 0)


def _make_list(values: dict[str, Any], steps: list[Step]) -> None:
    while isinstance(steps[-1], int):
        steps = steps[:-1]
    holder: Any = values
    for step in steps:
        if not isinstance(holder, dict) or step not in holder:
            assign(values, steps, [])
            return
        holder = holder[step]


def set_typed(values: dict[str, Any], text: str) -> None:
    """`--set`."""
    _into(values, text, _scalar_or_list(typed))


def set_string(values: dict[str, Any], text: str) -> None:
    """`--set-string`: as `--set`, but everything is text."""
    _into(values, text, _scalar_or_list(str))


def set_json(values: dict[str, Any], text: str) -> None:
    """`--set-json`: values in JSON, or one JSON object whose members are merged."""
    _into(values, text, _json)


def set_file(values: dict[str, Any], text: str, read: Callable[[str], str]) -> None:
    """`--set-file`: the value is the content of the file that is named; `read` gives it."""
    _into(values, text, _scalar_or_list(read))


def set_literal(values: dict[str, Any], text: str) -> None:
    """`--set-literal`: everything after the first `=` is the value."""
    _into(values, text, _literal, "[=.", "")


FLAGS: Mapping[str, Callable[[dict[str, Any], str], None]] = {
    "--set-json": set_json,
    "--set": set_typed,
    "--set-string": set_string,
    "--set-literal": set_literal,
}
