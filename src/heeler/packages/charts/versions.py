"""Versions and ranges as charts use them: the templates' semver, with the answers that charts need."""

from __future__ import annotations

import re
from functools import total_ordering

from heeler.packages.functions import versions as semver
from heeler.packages.template.values import GoError

_STRICT = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*)){2}(?![.0-9])", re.ASCII)


def is_version(text: str) -> bool:
    """Whether `text` is a version, leniently: a leading v and missing parts pass."""
    try:
        semver.version(text)
    except GoError:
        return False
    return True


def is_strict_version(text: str) -> bool:
    """Whether `text` is a version of SemVer 2: three numbers, no leading v."""
    return _STRICT.match(text) is not None and is_version(text)


@total_ordering
class Version:
    """A version among others: they sort as SemVer 2 says, builds of the same are equal."""

    __slots__ = ("_version",)

    def __init__(self, version: semver.Version) -> None:
        self._version = version

    @classmethod
    def parse(cls, text: str) -> Version:
        """`ValueError` for what is none."""
        try:
            return cls(semver.version(text))
        except GoError as error:
            raise ValueError(str(error)) from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._version.compare(other._version) == 0

    def __hash__(self) -> int:
        found = self._version
        return hash((found.major, found.minor, found.patch, found.prerelease))

    def __lt__(self, other: Version) -> bool:
        return self._version.compare(other._version) < 0

    def __str__(self) -> str:
        return str(self._version)


#: Stands for what is no version: before all others.
NO_VERSION = Version.parse("0.0.0")


def check_range(text: str) -> None:
    """`ValueError` for what is no range."""
    try:
        semver.constraints(text)
    except GoError as error:
        raise ValueError(str(error)) from None


def in_range(range_: str, version: str) -> bool:
    """Whether `version` is one that `range_` allows; where one of them can't be read it isn't."""
    try:
        return semver.meets(range_, version)
    except GoError:
        return False


def compatible(range_: str, version: str) -> bool:
    """As `in_range`, without what stands after the version's numbers."""
    return in_range(range_, re.split(r"[-+]", version)[0])
