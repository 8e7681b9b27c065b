"""What is said of a name: records, "no such name", "nothing of that type", or that others know. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from heeler.network.dns.records import Records, Srv, reverse

#: Seconds for which an answer about the cluster may be kept; the same for "there is none".
TTL = 5
#: Names that point to names: so many steps.
MAX_CHAIN = 8
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5


class Line(NamedTuple):
    """One record: name, type, value, seconds."""

    name: str
    type: str
    value: str | Srv
    ttl: int = TTL


@dataclass(slots=True)
class Answer:
    """`authority` is the zone whose SOA goes with it, "" for none. `chase` is a name outside the cluster that the last
    answer points to: its records belong to the answer."""

    code: int = NOERROR
    lines: list[Line] = field(default_factory=list)
    extra: list[Line] = field(default_factory=list)
    authority: str = ""
    chase: str = ""


def answer(records: Records, name: str, type: str, own: Sequence[ipaddress.IPv4Network] = ()) -> Answer | None:
    """What the cluster says of `name` (without the dot at the end, as it was asked); None: the cluster knows nothing of it.

    `own` are the cluster's ranges: addresses in them are nobody else's to name.
    """
    labels = name.lower().split(".") if name else []
    if labels[-1:] == ["arpa"]:
        return _reverse(records, name, labels, type, own)
    zone = records.domain.split(".")
    if labels[-len(zone) :] != zone:
        return None
    out = Answer()
    for _ in range(MAX_CHAIN):
        node = records.node(labels[: -len(zone)])
        if node is None:
            out.code, out.authority = NXDOMAIN, records.domain
            return out
        if "CNAME" in node and type != "CNAME":
            target = str(node["CNAME"][0])
            out.lines.append(Line(name, "CNAME", target))
            name, labels = target, target.split(".")
            if labels[-len(zone) :] != zone:
                out.chase = target
                return out
            continue
        if type == "SOA" and len(labels) == len(zone):
            out.lines.append(Line(name, "SOA", records.domain))
            return out
        found = node.get(type, [])
        out.lines += [Line(name, type, value) for value in found]
        out.extra += _targets(records, found, zone)
        if not found:
            out.authority = records.domain
        return out
    out.code = SERVFAIL
    return out


def _targets(records: Records, found: Sequence[str | Srv], zone: list[str]) -> list[Line]:
    """The addresses of the names that SRV records point to."""
    out = []
    names = dict.fromkeys(value.target for value in found if isinstance(value, Srv))
    for name in names:
        node = records.node(name.split(".")[: -len(zone)]) or {}
        out += [Line(name, kind, value) for kind in ("A", "AAAA") for value in node.get(kind, [])]
    return out


def _reverse(
    records: Records, name: str, labels: list[str], type: str, own: Sequence[ipaddress.IPv4Network]
) -> Answer | None:
    address = reverse(labels)
    if not address:
        return None
    found = records.names(address)
    if not found:
        inside = ":" not in address and any(ipaddress.IPv4Address(address) in network for network in own)
        return Answer(NXDOMAIN, authority=".".join(labels[-2:])) if inside else None
    if type != "PTR":
        return Answer(authority=".".join(labels[-2:]))
    return Answer(lines=[Line(name, "PTR", target) for target in found])
