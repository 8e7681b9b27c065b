"""The kinds that a server serves, found by path or by kind. `built_in()` has every kind of a default kube-apiserver.

The facts are read at the first question; the hand-written modules are imported one by one, when their kind is first
asked for, so that a command starts fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, partial
from importlib import import_module
from typing import Any

from heeler.kinds.kind import Kind, Own
from heeler.kinds.types import read_schema

#: Served subresource kinds without a resource of their own, and their OpenAPI names.
SUBRESOURCE_TYPES = {
    ("autoscaling", "v1", "Scale"): "io.k8s.api.autoscaling.v1.Scale",
    ("policy", "v1", "Eviction"): "io.k8s.api.policy.v1.Eviction",
    ("authentication.k8s.io", "v1", "TokenRequest"): "io.k8s.api.authentication.v1.TokenRequest",
    ("", "v1", "Binding"): "io.k8s.api.core.v1.Binding",
}


class Kinds:
    """An ordered set of kinds, in the order in which discovery names them."""

    def __init__(self, kinds: list[Kind]) -> None:
        self._by_path: dict[tuple[str, str, str], Kind] = {}
        self._by_kind: dict[tuple[str, str, str], Kind] = {}
        self._all: list[Kind] = []
        for kind in kinds:
            self.add(kind)

    def add(self, kind: Kind) -> None:
        """Serve a kind; one of the same group and plural is replaced."""
        self.remove(kind.group, kind.plural)
        self._all.append(kind)
        for version in kind.versions:
            self._by_path[kind.group, version, kind.plural] = kind
            self._by_kind[kind.group, version, kind.kind] = kind

    def remove(self, group: str, plural: str) -> None:
        """Serve it no longer (nothing happens if it is unknown)."""
        gone = [k for k in self._all if (k.group, k.plural) == (group, plural)]
        for kind in gone:
            self._all.remove(kind)
            for version in kind.versions:
                self._by_path.pop((kind.group, version, kind.plural), None)
                self._by_kind.pop((kind.group, version, kind.kind), None)

    def by_path(self, group: str, version: str, plural: str) -> Kind | None:
        return self._by_path.get((group, version, plural))

    def by_kind(self, group: str, version: str, kind: str) -> Kind | None:
        return self._by_kind.get((group, version, kind))

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def is_custom(self, group: str) -> bool:
        """Are the kinds of this group custom ones?"""
        return any(kind.custom for kind in self._all if kind.group == group)

    def groups(self) -> list[tuple[str, list[str]]]:
        """Groups with their served versions, in discovery's order; the core group is "" and stands first."""
        out: dict[str, list[str]] = {}
        for kind in self._all:
            versions = out.setdefault(kind.group, [])
            versions += [v for v in kind.versions if v not in versions]
        return list(out.items())


@cache
def built_in() -> Kinds:
    """The kinds of kube-apiserver 1.37 with its default settings."""
    return Kinds(list(_built_in()))


def _built_in() -> Iterator[Kind]:
    schema = read_schema("kinds.json.gz")
    order: dict[str, list[str]] = dict(schema["groups"])
    rows: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in schema["kinds"]:
        if row["served"]:
            _name_types(row, schema["kinds"])
            rows.setdefault((row["group"], row["plural"]), []).append(row)
    for group, versions in order.items():
        for key in sorted(k for k in rows if k[0] == group):
            facts = sorted(rows[key], key=lambda row: versions.index(row["version"]))
            yield Kind(facts, partial(own, facts[0]["group"], facts[0]["kind"]))


def _name_types(row: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    for entry in row["subresources"].values():
        gvk = (entry["group"], entry["version"], entry["kind"])
        entry["type"] = SUBRESOURCE_TYPES.get(gvk) or next(
            (r["type"] for r in rows if (r["group"], r["version"], r["kind"]) == gvk), ""
        )


def own(group: str, kind: str) -> Own:
    """What is written by hand about a kind; the harmless defaults if nothing is."""
    from heeler.kinds.plain import PLAIN

    found = PLAIN.get((group, kind))
    if isinstance(found, Own):
        return found
    if isinstance(found, str):
        module, _, name = found.partition(":")
        record = getattr(import_module(f"heeler.kinds.{module}"), name or "OWN")
        assert isinstance(record, Own)
        return record
    return Own(group, kind)


def __getattr__(name: str) -> Any:
    """`BUILT_IN` is `built_in()`, made at first use."""
    if name == "BUILT_IN":
        return built_in()
    raise AttributeError(name)
