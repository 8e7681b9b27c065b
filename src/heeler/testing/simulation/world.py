"""What the store holds, write by write, as invariants look at it: objects by kind, who owns what, what runs where. Pure.

It knows the whole truth at once; what the controllers know of it may be behind.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from heeler.objects.value import Object, meta, uid_of
from heeler.store.store import Change
from heeler.workloads import owners, pods

#: Kinds that nobody judges, and that make most of a quiet cluster's writes.
UNSEEN = ("leases", "events")


@functools.lru_cache(maxsize=16384)
def plural_of(key: str) -> str:
    """The plural of a stored object's kind; with the group, if that isn't one of Kubernetes': others have services, too."""
    group, plural = key.split("/", 4)[2:4]
    return plural if "." not in group or group.endswith(".k8s.io") else f"{plural}.{group}"


class Step(NamedTuple):
    """One write. `at`: seconds since the run began; `caller`: the user's name, "" for the API server's own writes."""

    plural: str
    key: str
    old: Object | None
    new: Object | None
    at: float
    caller: str

    @property
    def obj(self) -> Object:
        """The object after the write, or as it was before it went."""
        found = self.new if self.new is not None else self.old
        assert found is not None
        return found

    @property
    def name(self) -> str:
        """`plural/namespace/name`, for messages."""
        return "/".join(self.key.split("/")[3:])

    def by(self, account: str) -> bool:
        """Was it this controller (a service account of kube-system)?"""
        return self.caller == f"system:serviceaccount:kube-system:{account}"


@dataclass(slots=True)
class World:
    """`lag`: seconds that a part's picture may be behind (see `Plan.lag`)."""

    lag: float = 0.0
    objects: dict[str, dict[str, Object]] = field(default_factory=dict)
    #: keys of pods, ReplicaSets, Jobs… by the uid of their controller, with their plurals.
    owned: dict[str, dict[str, str]] = field(default_factory=dict)
    #: keys of pods by their node.
    on_node: dict[str, dict[str, None]] = field(default_factory=dict)
    uids: dict[str, tuple[str, str]] = field(default_factory=dict)

    def apply(self, change: Change, at: float, caller: str) -> Step | None:
        """Take in a write; None for one that nobody judges."""
        plural = plural_of(change.key)
        if plural in UNSEEN:
            return None
        known = self.objects.setdefault(plural, {})
        old = known.get(change.key)
        new: Object | None = None
        if change.type == "delete":
            known.pop(change.key, None)
        else:
            new = orjson.loads(change.value)
            known[change.key] = new
        self._index(plural, change.key, old, new)
        return Step(plural, change.key, old, new, at, caller)

    def _index(self, plural: str, key: str, old: Object | None, new: Object | None) -> None:
        before, after = _owner(old), _owner(new)
        if before != after and before:
            self._drop(self.owned, before, key)
        if after:
            self.owned.setdefault(after, {})[key] = plural
        if (uid := uid_of(old or {})) and (new is None or uid_of(new) != uid):
            self.uids.pop(uid, None)
        if new is not None:
            self.uids[uid_of(new)] = (plural, key)
        if plural == "pods":
            was, now = pods.node_name(old or {}), pods.node_name(new or {})
            if was != now and was:
                self._drop(self.on_node, was, key)
            if now:
                self.on_node.setdefault(now, {})[key] = None

    @staticmethod
    def _drop(index: dict[str, dict[str, str]] | dict[str, dict[str, None]], name: str, key: str) -> None:
        found = index.get(name)
        if found is not None:
            found.pop(key, None)
            if not found:
                del index[name]

    def all(self, plural: str) -> Iterator[Object]:
        return iter(list(self.objects.get(plural, {}).values()))

    def of(self, uid: str, plural: str) -> list[Object]:
        """What an owner controls of a kind."""
        known = self.objects.get(plural, {})
        return [known[key] for key, kind in self.owned.get(uid, {}).items() if kind == plural]

    def pods_on(self, node: str) -> list[Object]:
        known = self.objects.get("pods", {})
        return [known[key] for key in self.on_node.get(node, {})]

    def by_uid(self, uid: str) -> Object | None:
        found = self.uids.get(uid)
        return None if found is None else self.objects[found[0]][found[1]]

    def node(self, name: str) -> Object | None:
        return self.objects.get("nodes", {}).get(f"/registry/core/nodes/{name}")


def _owner(obj: Object | None) -> str:
    return owners.controller_uid(obj) if obj is not None else ""


def generation(obj: Object) -> int:
    return int(meta(obj).get("generation") or 0)


def observed(obj: Object) -> int:
    return int((obj.get("status") or {}).get("observedGeneration") or 0)
