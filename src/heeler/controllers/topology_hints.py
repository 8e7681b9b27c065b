"""Hints that keep a Service's traffic within zones, in proportion to the zones' processors (Topology Aware Routing). Pure.

https://kubernetes.io/docs/concepts/services-networking/topology-aware-routing/ — asked for by an annotation. Where it
can't be done safely, no endpoint has a hint.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from heeler.objects import quantities
from heeler.objects.value import Object, labels_of, meta
from heeler.workloads import pods
from heeler.workloads.endpoints import ZONE

ANNOTATION, OLD_ANNOTATION = "service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints"
#: So much more than its share an endpoint may get.
OVERLOAD = 0.2
#: Nodes with one of these labels take no part.
EXCLUDED = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")

NO_NODES = "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"
NO_ZONE = "One or more endpoints do not have a zone specified"
TOO_FEW = "Insufficient number of endpoints"
TOO_MUCH = "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold"
ENABLED, DISABLED = "Topology Aware Hints has been enabled", "Topology Aware Hints has been disabled"


class CanNotHint(Exception):
    """Why no hints are given, as an event says it."""


def is_wanted(service: Object) -> bool:
    """Does a Service ask for hints? The older annotation counts where the newer one isn't there."""
    notes = meta(service).get("annotations") or {}
    return notes.get(ANNOTATION, notes.get(OLD_ANNOTATION)) in ("Auto", "auto")


def counts(node: Object) -> tuple[bool, str, int]:
    """What of a node matters: whether it takes part, its zone and processors (in thousandths)."""
    part = pods.is_ready(node) and not any(label in labels_of(node) for label in EXCLUDED)
    cpu = ((node.get("status") or {}).get("allocatable") or {}).get("cpu")
    return part, labels_of(node).get(ZONE, ""), quantities.parse(str(cpu)).milli if cpu else 0


def shares(nodes: Iterable[Object]) -> dict[str, float]:
    """Each zone's share of all processors. Raises CanNotHint if nodes don't say enough, or are in one zone only."""
    found: dict[str, int] = {}
    for node in nodes:
        part, zone, cpu = counts(node)
        if not part:
            continue
        if not zone or not cpu:
            raise CanNotHint(NO_NODES)
        found[zone] = found.get(zone, 0) + cpu
    if len(found) < 2:
        raise CanNotHint(NO_NODES)
    total = sum(found.values())
    return {zone: found[zone] / total for zone in sorted(found)}


class _Part(NamedTuple):
    """Endpoints of a zone: at least, and as many as would be right."""

    least: int
    right: float


def parts(share: Mapping[str, float], number: int) -> dict[str, _Part]:
    """How many of so many endpoints each zone should have. Raises CanNotHint if some would get too much traffic."""
    shown = f"({number} endpoints, {len(share)} zones)"
    if number < len(share):
        raise CanNotHint(f"{TOO_FEW} {shown}")
    out = {}
    for zone, one in share.items():
        right = one * number
        least = math.ceil(right * (1 / (1 + OVERLOAD)))
        out[zone] = _Part(least, max(right, float(least)))
    if sum(part.least for part in out.values()) > number:
        raise CanNotHint(f"{TOO_MUCH} {shown}")
    return out


def hinted(found: Sequence[Object], share: Mapping[str, float]) -> list[Object]:
    """Endpoints of one Service and family with hints: each for its own zone, but for those that other zones lack.

    Raises CanNotHint.
    """
    ready = [one for one in found if one["conditions"]["ready"]]
    wanted = parts(share, len(ready))
    if any(not one.get("zone") for one in ready):
        raise CanNotHint(NO_ZONE)
    have: dict[str, int] = {}
    for one in ready:
        have[one["zone"]] = have.get(one["zone"], 0) + 1
    moves = _moves(wanted, have)
    out = []
    for one in found:
        plain = {key: value for key, value in one.items() if key != "hints"}
        if not one["conditions"]["ready"]:
            out.append(plain)
            continue
        given = moves.get(one["zone"])
        zone = given.pop(0) if given else one["zone"]
        out.append({**plain, "hints": {"forZones": [{"name": zone}]}})
    return out


def _moves(wanted: Mapping[str, _Part], have: Mapping[str, int]) -> dict[str, list[str]]:
    """For zones that have too much: the zones that get one of theirs each. The greatest need is met first."""
    over = {zone: have.get(zone, 0) - part.right for zone, part in wanted.items() if have.get(zone, 0) > part.right}
    under = {zone: part.right - have.get(zone, 0) for zone, part in wanted.items() if have.get(zone, 0) < part.right}
    out: dict[str, list[str]] = {}
    while over and under:
        giving, taking = max(over, key=over.__getitem__), max(under, key=under.__getitem__)
        if min(over[giving], under[taking]) < 0.5 or max(over[giving], under[taking]) < 1.0:
            break
        out.setdefault(giving, []).append(taking)
        over[giving] -= 1
        under[taking] -= 1
    return out


def without(found: Iterable[Object]) -> list[Object]:
    return [{key: value for key, value in one.items() if key != "hints"} for one in found]
