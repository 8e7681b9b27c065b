"""sprig's functions of regular expressions: Go's regexp, which is RE2. The library is loaded at the first use.

`regexMatch` takes a pattern that is none for one that doesn't match; the others panic, and those with `must` tell the error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

from heeler.packages.functions.convert import data, undata
from heeler.packages.functions.strings import MOST_BYTES
from heeler.packages.template.values import Function, GoError, GoPanic, NilSlice, Slice, go

#: What the library calls a fault, and what Go does.
_FAULTS: Final = {
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid repetition size": "invalid repeat count",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid named capture group": "invalid named capture",
    "invalid UTF-8": "invalid UTF-8",
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "trailing \\": "trailing backslash at end of expression",
}


def compiled(pattern: str) -> Any:
    """The pattern, compiled for bytes. Raises `GoError` in regexp's words."""
    result = _compile(pattern)
    if isinstance(result, str):
        raise GoError(f"error parsing regexp: {result}")
    return result


#: What RE2 knows and Go's port doesn't.
_ANY_BYTE = re.compile(r"(?<!\\)(?:\\\\)*\\C")


@lru_cache(maxsize=512)
def _compile(pattern: str) -> Any:
    """The pattern, or what is wrong with it."""
    import re2

    options = re2.Options()
    options.log_errors = False
    if any("\ud800" <= sign <= "\udfff" for sign in pattern):
        return f"invalid UTF-8: `{pattern}`"
    if _ANY_BYTE.search(pattern):
        return "invalid escape sequence: `\\C`"
    try:
        return re2.compile(data(pattern), options)
    except re2.error as error:
        told = error.args[0] if error.args else ""
        return _in_go_words(told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told), pattern)


def _in_go_words(told: str, pattern: str) -> str:
    what, colon, where = told.partition(": ")
    if what == "pattern too large - compile failed":
        return f"expression too large: `{pattern}`"
    what = _FAULTS.get(what, what)
    if what == "trailing backslash at end of expression":
        return what + ": ``"
    if what in ("missing closing )", "unexpected )"):
        return f"{what}: `{pattern}`"
    return f"{what}: `{where}`" if colon else f"{what}: `{pattern}`"


def must_compile(pattern: str) -> Any:
    """The pattern, compiled. Raises `GoPanic` as regexp.MustCompile."""
    result = _compile(pattern)
    if isinstance(result, str):
        shown = f"`{pattern}`" if "`" not in pattern else '"' + pattern.replace('"', '\\"') + '"'
        raise GoPanic(f"regexp: Compile({shown}): error parsing regexp: {result}")
    return result


# ---- matching --------------------------------------------------------------------------------------------------------


MOST_MATCHES: Final = 1_000_000
"""Matches that one call looks at: seconds of work."""


def matches(pattern: Any, text: bytes) -> Iterator[Any]:
    """The matches one after the other; an empty one right behind another doesn't count. Raises `GoError` for too many."""
    at = count = 0
    end = -1
    while at <= len(text):
        found = pattern.search(text, at)
        if found is None:
            return
        start, stop = found.span()
        if stop == start == end:
            at = stop + _width(text, stop)
            continue
        count += 1
        if count > MOST_MATCHES:
            raise GoError("regexp: too many matches")
        yield found
        end = stop
        at = stop if stop > start else stop + _width(text, stop)


def _width(text: bytes, at: int) -> int:
    """How many bytes the character at `at` takes."""
    byte = text[at] if at < len(text) else 0
    return 1 if byte < 0xC0 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4


def found(pattern: Any, text: str) -> str:
    match = pattern.search(data(text))
    return undata(match.group(0)) if match else ""


def found_all(pattern: Any, text: str, count: int) -> Slice:
    result = []
    if count != 0:
        for match in matches(pattern, data(text)):
            result.append(undata(match.group(0)))
            if len(result) == count:
                break
    return Slice("[]string", result) if result else NilSlice("[]string")


def split(pattern: Any, text: str, count: int) -> Slice:
    """The parts between matches, at most `count` of them if that isn't negative."""
    if count == 0:
        return NilSlice("[]string")
    if pattern.pattern and not text:
        return Slice("[]string", [""])
    raw = data(text)
    parts: list[str] = []
    begin = end = 0
    for match in matches(pattern, raw):
        if len(parts) == count - 1:
            break
        end = match.start()
        if match.end() != 0:
            parts.append(undata(raw[begin:end]))
        begin = match.end()
    if end != len(raw):
        parts.append(undata(raw[begin:]))
    return Slice("[]string", parts)


_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})")


def replaced(pattern: Any, text: str, replacement: str, *, literal: bool) -> str:
    """Text with each match replaced; `$1`, `${name}` stand for groups unless `literal`."""
    raw, new = data(text), data(replacement)
    expand = None if literal or "$" not in replacement else _template(pattern, replacement)
    out: list[bytes] = []
    at = size = 0
    for match in matches(pattern, raw):
        put = expand(match) if expand else new
        size += len(put)
        if size > MOST_BYTES:
            raise GoError("regexp: the text gets too long")
        out += [raw[at : match.start()], put]
        at = match.end()
    return undata(b"".join([*out, raw[at:]]))


def _template(pattern: Any, new: str) -> Callable[[Any], bytes]:
    """What makes a match's replacement. A group that isn't there is empty; `$1x` is the group `1x`."""
    names = {undata(name) if isinstance(name, bytes) else name: place for name, place in pattern.groupindex.items()}

    def place_of(name: str) -> int | None:
        if name.isascii() and name.isdigit() and (name == "0" or name[0] != "0"):
            return int(name) if len(name) < 9 and int(name) <= pattern.groups else None
        return names.get(name)

    parts: list[bytes | int] = []
    at = 0
    for reference in _REFERENCE.finditer(new):
        parts.append(data(new[at : reference.start()]))
        at = reference.end()
        place = place_of(reference[1] or reference[2] or "")
        if reference[0] == "$$":
            parts.append(b"$")
        elif place is not None:
            parts.append(place)
    parts.append(data(new[at:]))

    def expand(match: Any) -> bytes:
        return b"".join([part if isinstance(part, bytes) else match.group(part) or b"" for part in parts])

    return expand


def quoted(text: str) -> str:
    """The text with RE2's special signs escaped."""
    return re.sub(r"[\\.+*?()|\[\]{}^$]", lambda sign: "\\" + sign[0], text)


def is_match(pattern: str, text: str) -> bool:
    result = _compile(pattern)
    return not isinstance(result, str) and result.search(data(text)) is not None


def _both(signature: str, call: Callable[..., Any]) -> list[Function]:
    """A function that takes a pattern first, and its twin with `must` before it."""
    name = signature[0].upper() + signature[1:]
    return [
        go(signature)(lambda pattern, *rest: call(must_compile(pattern), *rest)),
        go("must" + name)(lambda pattern, *rest: call(compiled(pattern), *rest)),
    ]


FUNCTIONS: Final[list[Function]] = [
    go("regexMatch(string, string) bool")(is_match),
    go("mustRegexMatch(string, string) bool")(
        lambda pattern, text: compiled(pattern).search(data(text)) is not None,
    ),
    *_both("regexFind(string, string) string", found),
    *_both("regexFindAll(string, string, int) []string", found_all),
    *_both(
        "regexReplaceAll(string, string, string) string",
        lambda pattern, text, new: replaced(pattern, text, new, literal=False),
    ),
    *_both(
        "regexReplaceAllLiteral(string, string, string) string",
        lambda pattern, text, new: replaced(pattern, text, new, literal=True),
    ),
    *_both("regexSplit(string, string, int) []string", split),
    go("regexQuoteMeta(string) string")(quoted),
]
