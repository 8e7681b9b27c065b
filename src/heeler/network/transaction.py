"""From one set of rules to the next in one nft transaction: all of it happens or nothing. Pure.

Order matters to nft: what is referred to must be there, what is removed must not be referred to any more.
Source: `man 5 libnftables-json`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from heeler.network.nft import Json, Rule, Ruleset, goto


class Commands:
    """nft commands on one table, collected into one transaction."""

    def __init__(self, table: str) -> None:
        self._table = {"family": "ip", "table": table}
        self.list: list[Json] = []

    def table(self) -> None:
        """Make the table anew, empty."""
        whole = {"family": "ip", "name": self._table["table"]}
        self.list += [{"add": {"table": whole}}, {"delete": {"table": whole}}, {"add": {"table": whole}}]

    def set(self, verb: str, name: str, definition: Json) -> None:
        kind = "map" if "map" in definition else "set"
        body = {**self._table, "name": name} if verb == "delete" else {**self._table, "name": name, **definition}
        self.list.append({verb: {kind: body}})

    def chain(self, verb: str, name: str, definition: Mapping[str, Any] | None = None) -> None:
        self.list.append({verb: {"chain": {**self._table, "name": name, **(definition or {})}}})

    def rules(self, chain: str, rules: Sequence[Rule]) -> None:
        for rule in rules:
            self.list.append({"add": {"rule": {**self._table, "chain": chain, "expr": rule}}})

    def elements(self, verb: str, name: str, entries: Mapping[tuple[Any, ...], str]) -> None:
        if entries:
            elements = [_element(key, chain) for key, chain in entries.items()]
            self.list.append({verb: {"element": {**self._table, "name": name, "elem": elements}}})

    def document(self) -> Json:
        return {"nftables": self.list}


def _element(key: tuple[Any, ...], chain: str) -> Any:
    """One entry of a verdict map, or of a set where there is no chain."""
    what = key[0] if len(key) == 1 else {"concat": list(key)}
    return [what, goto(chain)] if chain else what


def full(table: str, wanted: Ruleset) -> Json:
    """The transaction that makes the table anew. Counts on nothing."""
    return _transaction(table, Ruleset(), wanted, anew=True)


def delta(table: str, have: Ruleset, wanted: Ruleset) -> Json | None:
    """The transaction from one ruleset to the next; None when nothing differs."""
    made = _transaction(table, have, wanted, anew=False)
    return made if made["nftables"] else None


def _transaction(table: str, have: Ruleset, wanted: Ruleset, anew: bool) -> Json:
    commands = Commands(table)
    if anew:
        commands.table()
    for name, definition in wanted.sets.items():
        if name not in have.sets:
            commands.set("add", name, definition)
    changed = [n for n, rules in wanted.chains.items() if have.chains.get(n) != rules]
    gone = [n for n in have.chains if n not in wanted.chains]
    for name in changed:
        if name not in have.chains:
            commands.chain("add", name, wanted.bases.get(name))
    for name in [*(n for n in changed if n in have.chains), *gone]:
        commands.chain("flush", name)
    for name in wanted.elements:
        old, new = have.elements.get(name, {}), wanted.elements[name]
        commands.elements("delete", name, {k: v for k, v in old.items() if new.get(k) != v})
        commands.elements("add", name, {k: v for k, v in new.items() if old.get(k) != v})
    for name in changed:
        commands.rules(name, wanted.chains[name])
    for name in gone:
        commands.chain("delete", name)
    for name, definition in have.sets.items():
        if name not in wanted.sets:
            commands.set("delete", name, definition)
    return commands.document()
