"""Which API versions a Kubernetes minor serves by default: facts in `served.txt`.

Source: https://kubernetes.io/docs/reference/using-api/deprecation-guide/ and the release notes. Since 1.24 new beta
versions aren't served unless somebody turns them on; those are not in the table.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from heeler.packages.charts.lint.templates import deprecation, is_deprecated

#: The minors that the table is made for.
OLDEST, NEWEST = 16, 37


@lru_cache(maxsize=1)
def table() -> dict[tuple[str, str], tuple[int, int]]:
    """(apiVersion, kind) -> (the minor since which it is served, the one from which it isn't any more or 0)."""
    found = {}
    for line in (Path(__file__).parent / "served.txt").read_text().splitlines():
        if not line.startswith("#"):
            version, kind, since, gone = line.split(" ")
            found[version, kind] = (int(since), int(gone))
    return found


def minor(version: str) -> int:
    """37 of `1.37`, `v1.37` or `1.37.4`. Raises ValueError for what is no version, or none that the table knows."""
    match = re.fullmatch(r"v?1\.(\d{1,3})(\.\d+)?", version.strip())
    if match is None:
        raise ValueError(f"{version!r} is no version of Kubernetes: 1.{NEWEST} is one")
    found = int(match[1])
    if not OLDEST <= found <= NEWEST:
        raise ValueError(f"Kubernetes 1.{found} isn't known here: 1.{OLDEST} to 1.{NEWEST} are")
    return found


def api_versions(of: int) -> list[str]:
    """What `.Capabilities.APIVersions` has: group versions, and each with its kinds."""
    served = [name for name in table() if is_served(*name, of)]
    return [*dict.fromkeys(version for version, _ in served), *(f"{version}/{kind}" for version, kind in served)]


def is_known(api_version: str, kind: str) -> bool:
    """Is it one of Kubernetes' own, whatever the minor?"""
    return (api_version, kind) in table() or is_deprecated(api_version, kind)


def is_served(api_version: str, kind: str, of: int) -> bool:
    since, gone = table().get((api_version, kind), (NEWEST + 1, 0))
    return since <= of and (not gone or of < gone)


def fault(api_version: str, kind: str, of: int) -> str:
    """Why a minor doesn't serve one of Kubernetes' own kinds in this version; "" if it does."""
    if is_served(api_version, kind, of):
        return ""
    title = f"{api_version} {kind}"
    if (api_version, kind) not in table():
        return f"{title} isn't served unless it is turned on"
    since, gone = table()[api_version, kind]
    if of < since:
        return f"{title} isn't served before 1.{since}"
    others = [
        version
        for (version, other), _ in table().items()
        if other == kind and is_served(version, kind, of) and _same(version, api_version)
    ]
    return f"{title} isn't served since 1.{gone}" + (f": use {others[0]}" if others else "")


#: Groups that kinds moved out of, and where they went.
_MOVED = {"extensions": ("apps", "networking.k8s.io", "policy")}


def _same(version: str, api_version: str) -> bool:
    group, old = version.rpartition("/")[0], api_version.rpartition("/")[0]
    return group == old or group in _MOVED.get(old, ())


def warning(api_version: str, kind: str, of: int) -> str:
    """That a version is deprecated in a minor that still serves it; "" if it isn't."""
    return deprecation(api_version, kind, f"1.{of}") if is_served(api_version, kind, of) else ""
