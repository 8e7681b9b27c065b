"""The arithmetic of rolling updates: how many pods may be too many, how many too few, and who gets how much.

https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-update-deployment
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from heeler.objects.value import Object, Value

#: The letters of hashes in names: those of generated names, so that no words come about.
HASH_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


class Bounds(NamedTuple):
    """Pods over and under the wanted number."""

    surge: int
    unavailable: int


def scaled(value: int | str | None, total: int, *, round_up: bool) -> int:
    """A number, or a percentage of `total`."""
    if value is None:
        return 0
    if isinstance(value, str) and value.endswith("%"):
        share = int(value[:-1]) * total / 100
        return math.ceil(share) if round_up else math.floor(share)
    return int(value)


def bounds(strategy: Object, replicas: int) -> Bounds:
    """Of a rolling update of so many replicas; both zero would stand still, so that one may then be missing."""
    if strategy.get("type") != "RollingUpdate":
        return Bounds(0, 0)
    rolling = strategy.get("rollingUpdate") or {}
    surge = scaled(rolling.get("maxSurge"), replicas, round_up=True)
    unavailable = scaled(rolling.get("maxUnavailable"), replicas, round_up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Bounds(surge, min(unavailable, replicas) if replicas else 0)


def new_replicas(strategy: Object, wanted: int, current_new: int, all_replicas: int) -> int:
    """The size of the new set: as far up as the surge lets it."""
    if strategy.get("type") != "RollingUpdate":
        return wanted
    room = wanted + bounds(strategy, wanted).surge - all_replicas
    return current_new + min(room, wanted - current_new) if room > 0 else current_new


def proportional(sizes: Sequence[int], bases: Sequence[int], wanted: int, surge: int, total: int) -> list[int]:
    """New sizes of several sets that share a change of scale.

    `sizes` in the order in which they are served, `bases` the largest number of pods when each was last scaled.
    The first one gets what rounding leaves.
    """
    allowed = wanted + surge if wanted > 0 else 0
    change = allowed - total
    if change == 0:
        return list(sizes)
    added = 0
    out: list[int] = []
    for size, base in zip(sizes, bases, strict=True):
        part = 0
        if size and change != added:
            share = -size if wanted == 0 else _round(size * (wanted + surge) / base) - size if base else size
            part = min(share, change - added) if change > 0 else max(share, change - added)
        out.append(size + part)
        added += part
    if out:
        out[0] = max(0, out[0] + change - added)
    return out


def _round(number: float) -> int:
    """Half away from zero."""
    return math.floor(number + 0.5) if number >= 0 else math.ceil(number - 0.5)


def template_hash(template: Object, collisions: int | None) -> str:
    """A short name of a pod template, stable as long as its meaning is; `collisions` makes another one."""
    content = orjson.dumps([without_nulls(template), collisions], option=orjson.OPT_SORT_KEYS)
    return "".join(HASH_LETTERS[byte % len(HASH_LETTERS)] for byte in hashlib.sha256(content).digest()[:10])


def without_nulls(value: Value) -> Value:
    """The same value without keys that are null (JSON of the same object may or may not write them)."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def same_template(left: Object, right: Object) -> bool:
    """Equal but for the label that a Deployment adds, and for keys that are null. Asked for each set at each look."""
    mine, theirs = left.get("metadata") or {}, right.get("metadata") or {}
    return (
        _labels(mine) == _labels(theirs)
        and _same(mine, theirs, ignored="labels")
        and _same(left, right, ignored="metadata")
    )


def _labels(metadata: Object) -> Object:
    return {k: v for k, v in (metadata.get("labels") or {}).items() if v is not None and k != HASH_LABEL}


def _same(left: Value, right: Value, ignored: str = "") -> bool:
    if not ignored and left == right:
        return True
    if isinstance(left, dict) and isinstance(right, dict):
        return all(_same(left.get(key), right.get(key)) for key in dict.fromkeys((*left, *right)) if key != ignored)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return False


HASH_LABEL = "pod-template-hash"
