"""Which slices to make, change and delete so that a set of endpoints is in them; slices change as little as may be.

An endpoint stays in the slice where it is; new ones fill slices that have room; a slice holds at most LIMIT endpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from heeler.objects.value import Object, meta
from heeler.workloads.endpoints import Port, identity, slice_ports

LIMIT = 100


class Wanted(NamedTuple):
    """Endpoints of one address type and one set of ports."""

    address_type: str
    ports: tuple[Port, ...]
    endpoints: list[Object]


class Changes(NamedTuple):
    """`create`: (address type, ports, endpoints); `update`: (slice, ports, endpoints)."""

    create: list[tuple[str, list[Object], list[Object]]]
    update: list[tuple[Object, list[Object], list[Object]]]
    delete: list[Object]


def plan(wanted: Sequence[Wanted], slices: Sequence[Object], placeholder: str = "") -> Changes:
    """`placeholder` is the address type of the empty slice that stands for "no endpoints at all"; "": none."""
    changes = Changes([], [], [])
    left = {meta(one)["name"]: one for one in slices}
    groups = list(wanted)
    if not any(group.endpoints for group in groups):
        groups = [Wanted(placeholder, (), [])] if placeholder else []
    for group in groups:
        ports = slice_ports(group.ports)
        mine = [s for s in slices if s.get("addressType") == group.address_type and same_ports(s, ports)]
        for one in mine:
            left.pop(meta(one)["name"], None)
        _group(group, ports, mine, changes, keep_empty=not group.endpoints)
    changes.delete.extend(left.values())
    return changes


def same_ports(one: Object, ports: Sequence[Object]) -> bool:
    def key(entries: Sequence[Object]) -> list[bytes]:
        return sorted(
            orjson.dumps([p.get("name") or "", p.get("port"), p.get("protocol") or "TCP", p.get("appProtocol") or ""])
            for p in entries
        )

    return key(one.get("ports") or ()) == key(ports)


def _group(group: Wanted, ports: list[Object], slices: Sequence[Object], changes: Changes, keep_empty: bool) -> None:
    missing = {identity(one): one for one in group.endpoints}
    kept: list[tuple[Object, list[Object], bool]] = []
    for one in slices:
        before = one.get("endpoints") or []
        after = [missing.pop(identity(e)) for e in before if identity(e) in missing]
        kept.append((one, after, after != before))
    rest = list(missing.values())
    # Slices that change anyway take new endpoints first, then the fullest one that has room.
    order = sorted(range(len(kept)), key=lambda i: (not kept[i][2], -len(kept[i][1])))
    for i in order:
        one, after, changed = kept[i]
        room = LIMIT - len(after)
        if rest and room > 0 and (changed or len(rest) <= room):
            kept[i] = (one, after + rest[:room], True)
            rest = rest[room:]
    empty_left = keep_empty
    for one, after, changed in kept:
        if not after and not empty_left:
            changes.delete.append(one)
            continue
        if not after:
            empty_left = False
        if changed:
            changes.update.append((one, ports, after))
    if keep_empty and not slices:
        changes.create.append((group.address_type, ports, []))
    for start in range(0, len(rest), LIMIT):
        changes.create.append((group.address_type, ports, rest[start : start + LIMIT]))


def contents(ports: Sequence[Object], found: Sequence[Object]) -> Object:
    """The parts of a slice that a plan decides; what is empty is left out."""
    out: Object = {}
    if found:
        out["endpoints"] = list(found)
    if ports:
        out["ports"] = list(ports)
    return out


def bare(obj: Object) -> Object:
    """A slice without these parts."""
    return {key: value for key, value in obj.items() if key not in ("endpoints", "ports")}
