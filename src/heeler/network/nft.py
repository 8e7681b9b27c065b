"""nft's words in JSON: what rules are made of, and a whole table as plain values. Pure.

Source: `man 5 libnftables-json`
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Rule = list[Json]


@dataclass(slots=True)
class Ruleset:
    """All of one table: sets (name -> definition), chains (name -> rules), base chains (name -> definition), and
    elements of verdict maps (map -> key -> chain) and of sets (chain "")."""

    sets: dict[str, Json] = field(default_factory=dict)
    bases: dict[str, Json] = field(default_factory=dict)
    chains: dict[str, list[Rule]] = field(default_factory=dict)
    elements: dict[str, dict[tuple[Any, ...], str]] = field(default_factory=dict)


def payload(protocol: str, name: str) -> Json:
    return {"payload": {"protocol": protocol, "field": name}}


def match(left: Json, right: Any, op: str = "==") -> Json:
    return {"match": {"op": op, "left": left, "right": right}}


def meta(key: str) -> Json:
    return {"meta": {"key": key}}


def prefix(cidr: str) -> Json:
    address, _, length = cidr.partition("/")
    return {"prefix": {"addr": address, "len": int(length)}}


def jump(chain: str) -> Json:
    return {"jump": {"target": chain}}


def goto(chain: str) -> Json:
    return {"goto": {"target": chain}}


SOURCE, TARGET, PORT = payload("ip", "saddr"), payload("ip", "daddr"), payload("th", "dport")
PROTOCOL = meta("l4proto")


def vmap(key: Json, data: Any) -> Json:
    return {"vmap": {"key": key, "data": data}}
