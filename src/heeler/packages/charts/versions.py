"""Versions and ranges as charts use them (Masterminds' semver), on what templates' functions have."""

from __future__ import annotations

import importlib
import re
from typing import Any

_VERSION = re.compile(
    r"v?(0|[1-9]\d*)(?:\.(0|[1-9]\d*))?(?:\.(0|[1-9]\d*))?"
    r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?\Z",
    re.ASCII,
)


def is_version(text: str) -> bool:
    """Whether `text` is a version, leniently: a leading v and missing parts pass."""
    match = _VERSION.match(text)
    return match is not None and all(int(part) < 1 << 64 for part in match.groups()[:3] if part)


def in_range(range_: str, version: str) -> bool:
    """Whether `version` is one that `range_` allows; an empty range allows all, one that can't be read none."""
    semver: Any = importlib.import_module("heeler.packages.functions.semver")
    return bool(semver.satisfies(range_, version))


def compatible(range_: str, version: str) -> bool:
    """As `in_range`, without what stands after the version's numbers."""
    return in_range(range_, re.split(r"[-+]", version)[0])
