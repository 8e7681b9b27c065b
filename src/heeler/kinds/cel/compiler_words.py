"""The compiler's errors in the words of Kubernetes' compiler, which is another implementation of the same language.

What differs: some words, places of dotted names, the order of errors, how a member's target is shown ("string.(int)"), and
that nothing is said of what follows from another error.
Source: recorded answers, and comparison of both on the same expressions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from heeler.kinds.cel.two_variables import Shown

_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*?)\n \| ([^\n]*)\n \| \.*\^", re.DOTALL)
#: (what the compiler says, what is said here)
_WORDS = (
    (r"(undefined field '[^']*') not found in struct '[^']*'", r"\1"),
    (r"cannot be the range of a comprehension", "cannot be range of a comprehension"),
    (
        r"expression of type '(.*)' cannot be the operand of a select operation",
        r"type '\1' does not support field selection",
    ),
    (r"has\(\) argument must be a field selection", "invalid argument to has() macro"),
    (r"\w+\(\) variable name must be a simple identifier", "argument must be a simple name"),
    (r"\bnull_type\b", "null"),
    (r"\\u003F", "?"),
)
_DOTTED = re.compile(r"undeclared reference to '(\w+)(\.[\w.]*)'")
_NO_OVERLOAD = re.compile(r"(found no matching overload for '([^']*)' applied to )'\((.*)\)'", re.DOTALL)


def told(words: str, shown: Shown) -> str:
    """All errors, sorted by their places, in the text as it was written."""
    rows = sorted(_errors(words, shown.text), key=lambda row: row[0])
    return "\n".join(dict.fromkeys(shown.error(place, text) for place, text in rows))


def _errors(words: str, text: str) -> Iterator[tuple[int, str]]:
    lines = text.split("\n")
    for found in _ERROR.finditer(words):
        row, column, said, line = int(found[1]), int(found[2]) - 1, found[3], found[4]
        if "'*error*'" in said:
            continue  # it follows from another one
        for pattern, better in _WORDS:
            said = re.sub(pattern, better, said, flags=re.DOTALL)
        said, column = _by_first_name(said, line, column)
        said = _with_target(said, line, column)
        column = _at_brace(said, line, column)
        yield sum(len(before) + 1 for before in lines[: row - 1]) + column, said


def _by_first_name(said: str, line: str, column: int) -> tuple[str, int]:
    """A path that begins with an unknown name is told of by that name, and where it stands."""
    found = _DOTTED.search(said)
    if found is None:
        return said, column
    start = line.rfind(found[1], 0, column + 1)
    return _DOTTED.sub(rf"undeclared reference to '{found[1]}'", said), start if start >= 0 else column


def _at_brace(said: str, line: str, column: int) -> int:
    """An unknown type of an object is told of where its fields begin."""
    found = re.search(r"undeclared reference to '([\w.]+)'", said)
    made = re.compile(rf"{re.escape(found[1])}\s*(\{{)").match(line, column) if found else None
    return made.start(1) if made else column


def _with_target(said: str, line: str, column: int) -> str:
    """The types of a call: those of a member's target stand before the parentheses."""
    found = _NO_OVERLOAD.search(said)
    if found is None:
        return said
    name, types = found[2], _split(found[3])
    before = line[:column]
    if "." in name or not types or re.search(rf"\.\s*{re.escape(name)}\s*$", before) is None:
        return said
    return f"{said[: found.start()]}{found[1]}'{types[0]}.({', '.join(types[1:])})'{said[found.end() :]}"


def _split(text: str) -> list[str]:
    """Types, at the commas that stand in no parentheses."""
    out, depth, begun = [], 0, 0
    for at, char in enumerate(text):
        depth += (char in "(<") - (char in ")>")
        if char == "," and depth == 0:
            out.append(text[begun:at].strip())
            begun = at + 1
    rest = text[begun:].strip()
    return [*out, rest] if rest else out
