"""Semantic versions and constraints on them, as Masterminds' semver has them.

A version may lack its minor and patch numbers; a constraint is groups parted by `||`, of conditions parted by blanks or
commas. Versions with a prerelease meet a group only if some condition in it has one. `Constraints` is Helm's for dependencies
and Kubernetes versions too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, Final

from heeler.packages.template.formatting import quote
from heeler.packages.template.values import Function, GoError, Struct, Uint64, go
from heeler.packages.yaml.scalars import decimal

_PRERELEASE = r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
_METADATA = r"(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
_VERSION = re.compile(rf"v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?{_PRERELEASE}{_METADATA}\Z")


@dataclass(frozen=True, slots=True, eq=False)
class Version(Struct):
    """A version; `original` is the text it was read from."""

    major: int
    minor: int
    patch: int
    prerelease: str = ""
    metadata: str = ""
    original: str = ""

    go_type: ClassVar[str] = "*semver.Version"
    go_fields: ClassVar[Mapping[str, str]] = {
        "major": "major",
        "minor": "minor",
        "patch": "patch",
        "pre": "prerelease",
        "metadata": "metadata",
        "original": "original",
    }

    def __str__(self) -> str:
        prerelease = f"-{self.prerelease}" if self.prerelease else ""
        metadata = f"+{self.metadata}" if self.metadata else ""
        return f"{self.major}.{self.minor}.{self.patch}{prerelease}{metadata}"

    def compare(self, other: Version) -> int:
        """Less than, equal to or greater than 0; metadata doesn't count."""
        one, two = (self.major, self.minor, self.patch), (other.major, other.minor, other.patch)
        if one != two:
            return -1 if one < two else 1
        return _compare_prereleases(self.prerelease, other.prerelease)

    def json_form(self) -> str:
        return str(self)

    yaml_form = json_form


def _compare_prereleases(one: str, other: str) -> int:
    if one == other:
        return 0
    if not one or not other:
        return 1 if not one else -1
    left, right = (list(map(_part_order, text.split("."))) for text in (one, other))
    return (left > right) - (left < right)


def _part_order(part: str) -> tuple[int, int, str]:
    """Numbers by value and before others, which go by their characters."""
    return (0, decimal(part), "") if part.isdigit() else (1, 0, part)


@lru_cache(maxsize=1024)
def version(text: str) -> Version:
    """The version out of its text. Raises `GoError`."""
    found = _VERSION.match(text)
    if not found:
        raise GoError("invalid semantic version")
    major, minor, patch, prerelease, metadata = found.groups()
    numbers = [decimal(part or "0") for part in (major, minor, patch)]
    for number, part in zip(numbers, (major, minor, patch)):
        if number >= 1 << 64:
            told = f'strconv.ParseUint: parsing "{part}": value out of range'
            raise GoError(f"error parsing version segment: {told}")
    for part in (prerelease or "").split("."):
        if len(part) > 1 and part[0] == "0" and part.isdigit():
            raise GoError("version segment starts with 0")
    numbers = [Uint64(number) for number in numbers]
    return Version(numbers[0], numbers[1], numbers[2], prerelease or "", metadata or "", text)


# ---- constraints -----------------------------------------------------------------------------------------------------

_OPERATOR = r"(=|!=|>=|=>|<=|=<|>|<|~>|~|\^|)"
_NUMBERS = r"v?([0-9|xX*]+)(\.[0-9|xX*]+)?(\.[0-9|xX*]+)?"
_PATTERN = rf"{_NUMBERS}(-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
_CONDITION = re.compile(rf"{_OPERATOR}\s*{_PATTERN}")
_PLAIN_PATTERN = re.sub(r"\((?!\?)", "(?:", _PATTERN)
_PLAIN_CONDITION = re.sub(r"\((?!\?)", "(?:", rf"{_OPERATOR}\s*+{_PATTERN}")
#: Blanks are taken whole and not given back: of many there would be too many ways to part them.
_GROUP = re.compile(rf"\s*+{_PLAIN_CONDITION}(?:(?:\s*+,\s*+|\s++){_PLAIN_CONDITION})*+\s*+\Z")
_RANGE = re.compile(rf"\s*({_PLAIN_PATTERN})\s+-\s+({_PLAIN_PATTERN})\s*")

#: How long a constraint may be; finding ranges in it takes time with its square.
MOST_CHARACTERS: Final = 1024


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition. `dirty` if some number is left open, `any_minor` and `any_patch` say from which on."""

    text: str
    operator: str
    bound: Version
    dirty: bool
    any_minor: bool
    any_patch: bool

    def met_by(self, version: Version, prereleases: bool) -> bool:
        if version.prerelease and not prereleases:
            return False
        return _CHECKS[self.operator](self, version)


def _same(condition: Condition, version: Version) -> bool:
    if condition.dirty:
        return _near(condition, version)
    return version.compare(condition.bound) == 0


def _other(condition: Condition, version: Version) -> bool:
    bound = condition.bound
    if condition.dirty:
        if version.major != bound.major:
            return True
        if condition.any_minor:
            return False
        if version.minor != bound.minor:
            return True
        if condition.any_patch:
            return _compare_prereleases(version.prerelease, bound.prerelease) != 0
    return version.compare(bound) != 0


def _above(condition: Condition, version: Version) -> bool:
    bound = condition.bound
    if condition.dirty and version.major != bound.major:
        return version.major > bound.major
    if condition.any_minor:
        return False
    if condition.any_patch:
        return version.minor > bound.minor
    return version.compare(bound) > 0


def _up_to(condition: Condition, version: Version) -> bool:
    bound = condition.bound
    if not condition.dirty:
        return version.compare(bound) <= 0
    if version.major != bound.major:
        return version.major < bound.major
    return version.minor <= bound.minor or condition.any_minor


def _near(condition: Condition, version: Version) -> bool:
    """`~1.2.3`: the same minor number, from the bound on."""
    bound = condition.bound
    if version.compare(bound) < 0:
        return False
    if (bound.major, bound.minor, bound.patch) == (0, 0, 0) and not (condition.any_minor or condition.any_patch):
        return True
    return version.major == bound.major and (version.minor == bound.minor or condition.any_minor)


def _compatible(condition: Condition, version: Version) -> bool:
    """`^1.2.3`: from the bound on, while the first number that isn't 0 stays."""
    bound = condition.bound
    if version.compare(bound) < 0:
        return False
    if bound.major > 0 or condition.any_minor:
        return version.major == bound.major
    if version.major > 0:
        return False
    if bound.minor > 0 or condition.any_patch:
        return version.minor == bound.minor
    return version.minor == 0 and version.patch == bound.patch


_CHECKS: Final[dict[str, Callable[[Condition, Version], bool]]] = {
    "": _same,
    "=": _same,
    "!=": _other,
    ">": _above,
    "<": lambda condition, version: version.compare(condition.bound) < 0,
    ">=": lambda condition, version: version.compare(condition.bound) >= 0,
    "=>": lambda condition, version: version.compare(condition.bound) >= 0,
    "<=": _up_to,
    "=<": _up_to,
    "~": _near,
    "~>": _near,
    "^": _compatible,
}


def _condition(found: re.Match[str]) -> Condition:
    operator, major, minor, patch, prerelease, metadata = (part or "" for part in found.groups())
    minor, patch = minor.removeprefix("."), patch.removeprefix(".")
    open_signs = ("", "x", "X", "*")
    any_minor = any_patch = False
    dirty = True
    if major in open_signs:
        text = "0.0.0"
    elif minor in open_signs:
        text, any_minor = f"{major}.0.0", True
    elif patch in open_signs:
        text, any_patch = f"{major}.{minor}.0", True
    else:
        text, dirty = f"{major}.{minor}.{patch}", False
    try:
        bound = version(text + prerelease + ("" if dirty else metadata))
    except GoError:
        raise GoError("constraint parser error") from None
    return Condition(found[0], operator, bound, dirty, any_minor, any_patch)


@dataclass(frozen=True, slots=True)
class Constraints:
    """Groups of conditions, one of which a version has to meet whole."""

    groups: tuple[tuple[Condition, ...], ...]

    def met_by(self, version: Version) -> bool:
        for group in self.groups:
            prereleases = any(condition.bound.prerelease for condition in group)
            if all(condition.met_by(version, prereleases) for condition in group):
                return True
        return False


@lru_cache(maxsize=512)
def constraints(text: str) -> Constraints:
    """The constraint out of its text. Raises `GoError`."""
    if len(text) > MOST_CHARACTERS:
        raise GoError(f"improper constraint: {quote(text)}")
    text = _RANGE.sub(lambda found: f">= {found[1]}, <= {found[2]} ", text)
    groups = []
    for group in text.split("||"):
        if not _GROUP.match(group):
            raise GoError(f"improper constraint: {quote(group)}")
        groups.append(tuple(map(_condition, _CONDITION.finditer(group))))
    return Constraints(tuple(groups))


def meets(constraint: str, text: str) -> bool:
    """Whether the version meets the constraint. Raises `GoError` for text that is neither."""
    allowed = constraints(constraint)
    return allowed.met_by(version(text))


# ---- what templates call ---------------------------------------------------------------------------------------------


def _raised(value: Version, part: str) -> Version:
    """The next version. Of a prerelease the next patch is the version itself."""
    match part:
        case "major":
            numbers = (value.major + 1, 0, 0)
        case "minor":
            numbers = (value.major, value.minor + 1, 0)
        case _:
            numbers = (value.major, value.minor, value.patch + (0 if value.prerelease else 1))
    prefix = "v" if value.original.startswith("v") else ""
    raised = [Uint64(number) for number in numbers]
    return Version(raised[0], raised[1], raised[2], original=prefix + ".".join(map(str, numbers)))


def _with_prerelease(value: Version, prerelease: str) -> Version:
    """Raises `GoError` for text that no prerelease can be."""
    if prerelease and not re.fullmatch(_PRERELEASE, "-" + prerelease):
        raise GoError("invalid prerelease string")
    changed = replace(value, prerelease=prerelease)
    return replace(changed, original=("v" if value.original.startswith("v") else "") + str(changed))


def _with_metadata(value: Version, metadata: str) -> Version:
    """Raises `GoError` for text that no metadata can be."""
    if metadata and not re.fullmatch(_METADATA, "+" + metadata):
        raise GoError("invalid metadata string")
    changed = replace(value, metadata=metadata)
    return replace(changed, original=("v" if value.original.startswith("v") else "") + str(changed))


def _method(signature: str, call: Callable[..., Any]) -> tuple[str, Function]:
    function = go(signature)(call)
    return function.name, function


_SELF: Final = "*semver.Version"
Version.go_methods = dict(
    [
        _method(f"Major({_SELF}) uint64", lambda value: Uint64(value.major)),
        _method(f"Minor({_SELF}) uint64", lambda value: Uint64(value.minor)),
        _method(f"Patch({_SELF}) uint64", lambda value: Uint64(value.patch)),
        _method(f"Prerelease({_SELF}) string", lambda value: value.prerelease),
        _method(f"Metadata({_SELF}) string", lambda value: value.metadata),
        _method(f"Original({_SELF}) string", lambda value: value.original),
        _method(f"String({_SELF}) string", str),
        _method(f"IncMajor({_SELF}) *semver.Version", lambda value: _raised(value, "major")),
        _method(f"IncMinor({_SELF}) *semver.Version", lambda value: _raised(value, "minor")),
        _method(f"IncPatch({_SELF}) *semver.Version", lambda value: _raised(value, "patch")),
        _method(f"SetPrerelease({_SELF}, string) *semver.Version", _with_prerelease),
        _method(f"SetMetadata({_SELF}, string) *semver.Version", _with_metadata),
        _method(f"Compare({_SELF}, {_SELF}) int", lambda value, other: value.compare(other)),
        _method(f"Equal({_SELF}, {_SELF}) bool", lambda value, other: value.compare(other) == 0),
        _method(f"GreaterThan({_SELF}, {_SELF}) bool", lambda value, other: value.compare(other) > 0),
        _method(f"GreaterThanEqual({_SELF}, {_SELF}) bool", lambda value, other: value.compare(other) >= 0),
        _method(f"LessThan({_SELF}, {_SELF}) bool", lambda value, other: value.compare(other) < 0),
        _method(f"LessThanEqual({_SELF}, {_SELF}) bool", lambda value, other: value.compare(other) <= 0),
    ]
)

FUNCTIONS: Final[list[Function]] = [
    # each call gives a pointer of its own
    go("semver(string) *semver.Version")(lambda text: replace(version(text))),
    go("semverCompare(string, string) bool")(meets),
]
