"""Flags as Helm's command line reads them (pflag's rules): what a command's help text lists is what it accepts.

`Table` is read from help texts, `parse` reads arguments by it. A fault is a `HelmError` in pflag's words.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from heeler.objects import go_duration


class HelmError(Exception):
    """What ends a command with exit code 1; `str()` is what follows `Error: `, unless all has been said (`quiet`)."""

    def __init__(self, message: str = "", *, quiet: bool = False) -> None:
        super().__init__(message)
        self.quiet = quiet


class UnreachableError(HelmError):
    """The cluster doesn't answer, or there is none."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag. `bare` is what `--flag` without a value means (None: it needs one); `deprecated` is said when it is used."""

    name: str
    shorthand: str
    kind: str
    default: str
    bare: str | None
    deprecated: str = ""

    @property
    def shown(self) -> str:
        return f"-{self.shorthand}, --{self.name}" if self.shorthand else f"--{self.name}"


_LINE = re.compile(r"\s+(?:-(\S), |    )?--([\w-]+)(?: ([^\s\[]+))?(?:\[=(\S+)\])?\s{3,}(.*)")
_DEFAULT = re.compile(r'\(default (?:"(.*)"|(.*))\)$')

#: Flags that no help text shows: (command, name) -> what is said when they are used. All are bool.
DEPRECATED: Mapping[tuple[str, str], str] = {
    ("template", "validate"): "use '--dry-run=server' instead",
    ("template", "hide-notes"): "this flag has no effect for 'helm template' and will be removed in Helm 5",
    ("template", "render-subchart-notes"): "this flag has no effect for 'helm template' and will be removed in Helm 5",
    **{(command, "atomic"): "use --rollback-on-failure instead" for command in ("template", "install", "upgrade")},
    **{(command, "force"): "use --force-replace instead" for command in ("template", "install", "upgrade", "rollback")},
}


def read_flags(text: str, command: str = "") -> list[Flag]:
    """The flags that stand in the sections `Flags:` and `Global Flags:` of a help text, and `command`'s hidden ones."""
    flags = []
    inside = False
    for line in text.split("\n"):
        if line in ("Flags:", "Global Flags:"):
            inside = True
        elif inside and (match := _LINE.match(line)):
            shorthand, name, kind, bare, usage = match.groups()
            default = _DEFAULT.search(usage)
            value = (default[1] if default[1] is not None else default[2]) if default else ""
            bare = bare.strip('"') if bare else None if kind else "true"
            flags.append(Flag(name, shorthand or "", kind or "bool", "" if value == "[]" else value, bare))
        else:
            inside = False
    for (owner, name), message in DEPRECATED.items():
        if owner == command:
            flags.append(Flag(name, "", "bool", "", "true", message))
    return flags


# ---- values ----------------------------------------------------------------------------------------------------------

_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")


def quoted(text: str) -> str:
    """Go's `%q`, for what command lines hold."""
    import json

    return json.dumps(text, ensure_ascii=False).replace("\\u007f", "\\x7f")


def parse_bool(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise HelmError(f"strconv.ParseBool: parsing {quoted(text)}: invalid syntax")


_INT = re.compile(
    r"[+-]?(?:0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO]?(?:_?[0-7])+|(?:0|[1-9](?:_?[0-9])*))\Z", re.ASCII
)


def parse_int(text: str, *, low: int = -(1 << 63), high: int = (1 << 63) - 1, name: str = "ParseInt") -> int:
    if not _INT.match(text) or (low == 0 and text[:1] in "+-"):
        raise HelmError(f"strconv.{name}: parsing {quoted(text)}: invalid syntax")
    digits = text.lower().replace("_", "")
    if re.match(r"[+-]?0[0-7]", digits):
        value = int(digits, 8)
    else:
        value = int(digits, 0)
    if not low <= value <= high:
        raise HelmError(f"strconv.{name}: parsing {quoted(text)}: value out of range")
    return value


def parse_float(text: str) -> float:
    try:
        if text != text.strip():
            raise ValueError
        return float(text)
    except ValueError:
        raise HelmError(f"strconv.ParseFloat: parsing {quoted(text)}: invalid syntax") from None


def parse_duration(text: str) -> int:
    """Nanoseconds of Go's `1h2m3.5s`."""
    try:
        return go_duration.parse(text)
    except ValueError as error:
        raise HelmError(str(error)) from None


def _fields(text: str) -> list[str]:
    """One line of CSV, as flags of many values are written."""
    if not text:
        return []
    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error:
        raise HelmError(
            f'parse error on line 1, column {len(text.encode()) + 1}: extraneous or missing " in quoted-field'
        ) from None


def _pairs(text: str) -> dict[str, str]:
    parts = _fields(text) if text.count("=") > 1 or ("," in text and text.count("=") != 1) else [text.strip('"')]
    pairs = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals:
            raise HelmError(f"{part} must be formatted as key=value")
        pairs[key] = value
    return pairs


def _format(text: str) -> str:
    if text not in ("table", "json", "yaml"):
        raise HelmError("invalid format type")
    return text


def _wait(text: str) -> str:
    if text in ("true", "watcher"):
        return "watcher"
    if text in ("false", "hookOnly"):
        return "hookOnly"
    if text == "legacy":
        return text
    raise HelmError(f"invalid wait input {quoted(text)}. Valid inputs are watcher, hookOnly, and legacy")


_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "bool": parse_bool,
    "int": parse_int,
    "uint": lambda text: parse_int(text, low=0, high=(1 << 64) - 1, name="ParseUint"),
    "float32": parse_float,
    "duration": parse_duration,
    "format": _format,
    "WaitStrategy": _wait,
    "strings": _fields,
    "stringToString": _pairs,
    "stringArray": lambda text: [text],
    "postRendererArgsSlice": lambda text: [text],
}
_MANY = ("strings", "stringArray", "postRendererArgsSlice")
_ZERO: Mapping[str, Any] = {"bool": False, "int": 0, "uint": 0, "float32": 0.0, "duration": 0}


@dataclass(slots=True)
class Flags:
    """What a call's flags say; the accessors of another type than the flag's are faults of ours."""

    table: Mapping[str, Flag]
    given: dict[str, Any] = field(default_factory=dict)

    def changed(self, name: str) -> bool:
        return name in self.given

    def _value(self, name: str) -> Any:
        if name in self.given:
            return self.given[name]
        flag = self.table.get(name)
        if flag is None:
            return None
        if flag.kind in _MANY:
            return _fields(flag.default) if flag.default else []
        if flag.kind == "stringToString":
            return {}
        return _PARSERS.get(flag.kind, str)(flag.default) if flag.default else _ZERO.get(flag.kind, "")

    def text(self, name: str) -> str:
        value = self._value(name)
        return "" if value is None else str(value)

    def on(self, name: str) -> bool:
        return bool(self._value(name))

    def many(self, name: str) -> list[str]:
        return list(self._value(name) or ())

    def pairs(self, name: str) -> dict[str, str]:
        return dict(self._value(name) or {})

    def number(self, name: str) -> int:
        return int(self._value(name) or 0)


def parse(table: Iterable[Flag], arguments: Iterable[str], say: Callable[[str], None]) -> tuple[Flags, list[str]]:
    """(flags, what is left) of a command's arguments; `say` gets a line for each deprecated flag that is used."""
    by_name = {flag.name: flag for flag in table}
    by_letter = {flag.shorthand: flag for flag in by_name.values() if flag.shorthand}
    flags = Flags(by_name)
    left: list[str] = []
    rest = list(arguments)
    rest.reverse()

    def put(flag: Flag, value: str) -> None:
        try:
            if flag.kind == "postRendererString" and flags.given.get(flag.name):
                raise HelmError(f"cannot specify --{flag.name} flag more than once")
            parsed = _PARSERS.get(flag.kind, str)(value)
        except HelmError as error:
            raise HelmError(f"invalid argument {quoted(value)} for {quoted(flag.shown)} flag: {error}") from None
        if flag.kind in _MANY and flag.name in flags.given:
            flags.given[flag.name] += parsed
        elif flag.kind == "stringToString":
            flags.given.setdefault(flag.name, {}).update(parsed)
        else:
            flags.given[flag.name] = parsed
        if flag.deprecated:
            say(f"Flag --{flag.name} has been deprecated, {flag.deprecated}")

    while rest:
        word = rest.pop()
        if word == "--":
            left += reversed(rest)
            break
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if not name or name.startswith("-"):
                raise HelmError(f"bad flag syntax: {word}")
            flag = by_name.get(name)
            if flag is None:
                raise HelmError(f"unknown flag: --{name}")
            if equals:
                put(flag, value)
            elif flag.bare is not None:
                put(flag, flag.bare)
            elif rest:
                put(flag, rest.pop())
            else:
                raise HelmError(f"flag needs an argument: {word}")
        elif word.startswith("-") and word != "-":
            letters = word[1:]
            while letters:
                letter, tail = letters[0], letters[1:]
                flag = by_letter.get(letter)
                if flag is None:
                    raise HelmError(f"unknown shorthand flag: {letter!r} in -{letters}")
                if len(tail) > 1 and tail.startswith("="):
                    put(flag, tail[1:])
                    break
                if flag.bare is not None:
                    put(flag, flag.bare)
                elif tail:
                    put(flag, tail)
                    break
                elif rest:
                    put(flag, rest.pop())
                else:
                    raise HelmError(f"flag needs an argument: {letter!r} in -{letters}")
                letters = tail
        else:
            left.append(word)
    return flags, left
