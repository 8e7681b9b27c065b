"""Versions and ranges as charts use them (Masterminds' semver v3): `>=1.2 <2 || ^3.1`, `~1.2`, `1.x`, `1.2 - 1.4`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache, total_ordering
from typing import NamedTuple

_VERSION = re.compile(
    r"v?(0|[1-9]\d*)(?:\.(0|[1-9]\d*))?(?:\.(0|[1-9]\d*))?"
    r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?\Z",
    re.ASCII,
)
_PART = (
    r"(?:v?(0|[1-9]\d*|[xX*])(?:\.(0|[1-9]\d*|[xX*]))?(?:\.(0|[1-9]\d*|[xX*]))?(-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)"
)
_ONE = re.compile(rf"\s*(=|!=|>=|=>|<=|=<|>|<|~>|~|\^)?\s*{_PART}\s*,?", re.ASCII)
_HYPHEN = re.compile(rf"\s*({_PART})\s+-\s+({_PART})\s*", re.ASCII)
_MAX_LENGTH = 256


def is_version(text: str) -> bool:
    """Whether `text` is a version, leniently: a leading v and missing parts pass."""
    match = _VERSION.match(text)
    return match is not None and all(int(part) < 1 << 64 for part in match.groups()[:3] if part)


def is_strict_version(text: str) -> bool:
    """Whether `text` is a version of SemVer 2: three numbers, no leading v."""
    match = _VERSION.match(text)
    return match is not None and not text.startswith("v") and match[2] is not None and match[3] is not None


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    numbers: tuple[int, int, int]
    release: str = ""
    build: str = ""

    @classmethod
    def parse(cls, text: str) -> Version:
        """`ValueError` for what is none."""
        match = _VERSION.match(text)
        if match is None or len(text) > _MAX_LENGTH:
            raise ValueError("invalid semantic version")
        major, minor, patch, release, build = match.groups()
        return cls((int(major), int(minor or 0), int(patch or 0)), release or "", build or "")

    def _key(self) -> tuple[object, ...]:
        if not self.release:
            return (*self.numbers, 1)
        parts = ((0, int(one), "") if one.isdigit() else (1, 0, one) for one in self.release.split("."))
        return (*self.numbers, 0, tuple(parts))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __lt__(self, other: Version) -> bool:
        return self._key() < other._key()

    def __str__(self) -> str:
        text = ".".join(map(str, self.numbers))
        return text + (f"-{self.release}" if self.release else "") + (f"+{self.build}" if self.build else "")


class _Limit(NamedTuple):
    """One comparison; `given` says how many numbers were written before a wildcard or the end."""

    sign: str
    version: Version
    given: int

    def allows(self, version: Version) -> bool:
        if version.release and not self.version.release:
            return False
        sign, limit, given = self.sign, self.version, self.given
        if given == 0:
            return sign not in ("<", ">", "!=")
        start = limit.numbers
        if sign in ("", "="):
            return version == limit if given == 3 else version.numbers[:given] == start[:given]
        if sign == "!=":
            return version != limit if given == 3 else version.numbers[:given] != start[:given]
        if sign == ">":
            return version > limit if given == 3 else version.numbers[:given] > start[:given]
        if sign in (">=", "=>"):
            return version >= limit
        if sign == "<":
            return version < limit
        if sign in ("<=", "=<"):
            return version <= limit if given == 3 else version.numbers[:given] <= start[:given]
        if version < limit:
            return False
        if sign in ("~", "~>"):
            kept = min(given, 2)
            return version.numbers[:kept] == start[:kept]
        first = next((place for place, number in enumerate(start) if number), given - 1)
        kept = min(first, given - 1) + 1
        return version.numbers[:kept] == start[:kept]


@lru_cache(maxsize=256)
def _limits(text: str) -> tuple[tuple[_Limit, ...], ...]:
    """Groups of limits, of which one must hold. `ValueError` for what is no range."""
    if len(text) > 4 * _MAX_LENGTH:
        raise ValueError(f'improper constraint: "{text}"')
    groups: list[tuple[_Limit, ...]] = []
    for group in text.split("||"):
        if (hyphen := _HYPHEN.fullmatch(group)) is not None:
            groups.append((_limit(">=", hyphen.groups()[1:5]), _limit("<=", hyphen.groups()[6:10])))
            continue
        limits, at = [], 0
        while at < len(group.rstrip()):
            match = _ONE.match(group, at)
            if match is None or match.end() == at:
                raise ValueError(f'improper constraint: "{text}"')
            limits.append(_limit(match[1] or "", match.groups()[1:5]))
            at = match.end()
        if not limits:
            raise ValueError(f'improper constraint: "{text}"')
        groups.append(tuple(limits))
    return tuple(groups)


def _limit(sign: str, parts: tuple[str | None, ...]) -> _Limit:
    numbers: list[int] = []
    for part in parts[:3]:
        if part is None or part in "xX*":
            break
        numbers.append(int(part))
    given = len(numbers)
    major, minor, patch = (*numbers, 0, 0, 0)[:3]
    return _Limit(sign, Version((major, minor, patch), (parts[3] or "")[1:] if given == 3 else ""), given)


def check_range(text: str) -> None:
    """`ValueError` for what is no range."""
    _limits(text)


def in_range(range_: str, version: str) -> bool:
    """Whether `version` is one that `range_` allows; where one of them can't be read it isn't."""
    try:
        found = Version.parse(version)
        return any(all(limit.allows(found) for limit in group) for group in _limits(range_))
    except ValueError:
        return False


def compatible(range_: str, version: str) -> bool:
    """As `in_range`, without what stands after the version's numbers."""
    return in_range(range_, re.split(r"[-+]", version)[0])
