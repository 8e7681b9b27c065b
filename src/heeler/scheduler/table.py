"""The nodes as arrays: a row a node, a column for each thing that decisions look at. Pods on them are counted as they come.

A decision is a few vector operations on columns. Counts of pods that match a selector, and of pods that hold a wish about
others, are kept as pods come and go; they are made at the first question. Nothing here knows of plugins.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from heeler.objects.value import Object, labels_of, name_of
from heeler.scheduler.pod import ZONE, Constraint, PodInfo, Template, Term
from heeler.workloads import node_features, resources

Rows = npt.NDArray[np.intp]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

FIRST_ROWS = 64
#: Amounts beyond are this: sums of them still fit into 64 bits.
LARGEST = 1 << 60
#: Counts and topology keys that are kept; the least recently used go, and are made again when they are asked for.
MAX_COUNTS, MAX_DOMAINS = 1024, 64
PODS = "pods"
REGION = "topology.kubernetes.io/region"


class Column:
    """One number for each row."""

    __slots__ = ("a",)

    def __init__(self, rows: int, fill: int = 0, dtype: Any = np.int64) -> None:
        self.a: Any = np.full(rows, fill, dtype)

    def grow(self, rows: int, fill: int = 0) -> None:
        larger = np.full(rows, fill, self.a.dtype)
        larger[: len(self.a)] = self.a
        self.a = larger


class Domains:
    """The domain of each row for one topology key: a number for each value of the label, -1 without it."""

    def __init__(self, key: str, rows: int) -> None:
        self.key = key
        self.ids = Column(rows, -1)
        self.values: dict[str, int] = {}

    def set(self, row: int, labels: Mapping[str, str]) -> None:
        value = labels.get(self.key)
        self.ids.a[row] = -1 if value is None else self.values.setdefault(value, len(self.values))

    def sums(self, counts: Ints, rows: Rows | None = None) -> Ints:
        """Counts of rows summed by domain (of some rows only, if given), and last a place for what has none: always 0."""
        ids = self.ids.a
        if rows is not None:
            ids, counts = ids[rows], counts[rows]
        there = ids >= 0
        out = np.bincount(ids[there], weights=counts[there], minlength=len(self.values) + 1)
        return out.astype(np.int64)


class CountKey(NamedTuple):
    """Which pods are counted: of these namespaces, with labels that match; `terms`: that match all of them."""

    terms: tuple[Term, ...]
    #: Pods that are being deleted don't count.
    lasting: bool

    def counts(self, info: PodInfo) -> bool:
        template = info.template
        return all(one.matches(template.labels, template.namespace, info.namespace_labels) for one in self.terms)


class _Count:
    __slots__ = ("column", "key")

    def __init__(self, key: CountKey, rows: int) -> None:
        self.key, self.column = key, Column(rows)


class Held:
    """A wish that pods on nodes have: how many of them on each row."""

    __slots__ = ("column", "term", "total", "weight")

    def __init__(self, term: Term, weight: int, rows: int) -> None:
        self.term, self.weight, self.total = term, weight, 0
        self.column = Column(rows)


#: Kinds of wishes of pods that are there: required distance, required nearness, preferences.
FAR, NEAR, PREFERRED = "far", "near", "preferred"


class Table:
    """All nodes. Rows are reused; `order` names the living ones in the order in which they are tried."""

    def __init__(self) -> None:
        self.size = FIRST_ROWS
        self.names: list[str] = [""] * self.size
        self.nodes: list[Object | None] = [None] * self.size
        self.pods: list[dict[str, PodInfo]] = [{} for _ in range(self.size)]
        self.row_of: dict[str, int] = {}
        self._spare = list(range(self.size - 1, -1, -1))
        #: Of each resource what rows have, what is taken of it, and the difference. The number of pods is one of them.
        self.allocatable: dict[str, Column] = {}
        self.requested: dict[str, Column] = {}
        self._free: dict[str, Column] = {}
        self.scored_cpu, self.scored_memory = Column(self.size), Column(self.size)
        self.unschedulable = Column(self.size, dtype=np.bool_)
        self.cordoned = 0
        #: Which set of taints a row has; `taint_sets` are the sets.
        self.taints = Column(self.size)
        self.taint_sets: list[list[Object]] = [[]]
        self._taint_ids: dict[bytes, int] = {b"[]": 0}
        #: What nodes declare that they can do, as `node_features.bits`.
        self.features = Column(self.size)
        #: When a row's labels were last changed, and the clock of that.
        self.labelled = Column(self.size)
        self.version = 0
        #: By name: the size that was told first, and the rows that have it.
        self.images: dict[str, tuple[int, dict[int, None]]] = {}
        #: How many pods have which priority.
        self.priorities: dict[int, int] = {}
        #: (protocol, port) -> row -> address -> how many pods.
        self.ports: dict[tuple[str, int], dict[int, dict[str, int]]] = {}
        self._domains: OrderedDict[str, Domains] = OrderedDict()
        self._counts: OrderedDict[CountKey, _Count] = OrderedDict()
        # a new object for each version: templates remember what they found in one of them
        self._counts_version = object()
        self._held_versions: dict[str, object] = {FAR: object(), NEAR: object(), PREFERRED: object()}
        self.held: dict[str, dict[tuple[Term, int], Held]] = {FAR: {}, NEAR: {}, PREFERRED: {}}
        self._order: Rows | None = None
        self._zones: list[str] = [""] * self.size

    def __len__(self) -> int:
        return len(self.order)

    @property
    def order(self) -> Rows:
        """Living rows, one of each zone in turn, so that the first so many of them are spread over zones."""
        if self._order is None:
            zones: dict[str, list[int]] = {}
            for row in self.row_of.values():
                if self.nodes[row] is not None:
                    zones.setdefault(self._zones[row], []).append(row)
            out: list[int] = []
            depth = max(map(len, zones.values()), default=0)
            for at in range(depth):
                out += [rows[at] for rows in zones.values() if at < len(rows)]
            self._order = np.array(out, np.intp)
        return self._order

    def node(self, row: int) -> Object:
        found = self.nodes[row]
        assert found is not None, f"row {row} has no node"
        return found

    def row(self, name: str) -> int | None:
        """The row of a node that is there."""
        row = self.row_of.get(name)
        return row if row is not None and self.nodes[row] is not None else None

    # nodes

    def set_node(self, node: Object) -> None:
        name = name_of(node)
        row = self.row_of.get(name)
        if row is None:
            row = self._new_row(name)
        before = self.nodes[row]
        self.nodes[row] = node
        labels, spec, status = labels_of(node), node.get("spec") or {}, node.get("status") or {}
        if before is None:
            self._order = None
        if before is None or labels_of(before) != labels:
            self.version += 1
            self.labelled.a[row] = self.version
            for domains in self._domains.values():
                domains.set(row, labels)
            zone = f"{labels.get(REGION, '')}:\0:{labels.get(ZONE, '')}"
            if zone != self._zones[row]:
                self._zones[row], self._order = zone, None
        self._set_cordoned(row, bool(spec.get("unschedulable")))
        self.taints.a[row] = self._taint_id(spec.get("taints") or [])
        self.features.a[row] = node_features.bits(node_features.declared(node))
        had = {} if before is None else _allocatable(before)
        has = status.get("allocatable") or status.get("capacity") or {}
        if before is None or had != has:
            amounts = resources.amounts(has)
            for resource in [*self.allocatable, *(one for one in amounts if one not in self.allocatable)]:
                self._set_has(resource, row, min(amounts.get(resource, 0), LARGEST))
        self._set_images(row, before, status.get("images") or ())

    def drop_node(self, name: str) -> None:
        """Its pods may still be known for a moment; the row is free when they are gone."""
        row = self.row_of.get(name)
        if row is None or self.nodes[row] is None:
            return
        self._set_images(row, self.nodes[row], ())
        self.nodes[row], self._order = None, None
        self._set_cordoned(row, False)
        for resource in self.allocatable:
            self._set_has(resource, row, 0)
        self._release(row)

    def _set_cordoned(self, row: int, cordoned: bool) -> None:
        self.cordoned += cordoned - int(self.unschedulable.a[row])
        self.unschedulable.a[row] = cordoned

    def _set_has(self, resource: str, row: int, amount: int) -> None:
        column = self._column(self.allocatable, resource)
        self._column(self._free, resource).a[row] += amount - column.a[row]
        column.a[row] = amount

    def _release(self, row: int) -> None:
        if self.nodes[row] is None and not self.pods[row]:
            del self.row_of[self.names[row]]
            self.names[row] = ""
            self.version += 1
            self.labelled.a[row] = self.version
            for domains in self._domains.values():
                domains.ids.a[row] = -1
            self._spare.append(row)

    def _new_row(self, name: str) -> int:
        if not self._spare:
            self._grow()
        row = self._spare.pop()
        self.names[row] = name
        self.row_of[name] = row
        return row

    def _grow(self) -> None:
        old, self.size = self.size, self.size * 2
        more = self.size - old
        self.names += [""] * more
        self.nodes += [None] * more
        self.pods += [{} for _ in range(more)]
        self._zones += [""] * more
        self._spare = list(range(self.size - 1, old - 1, -1))
        for column in self._columns():
            column.grow(self.size)
        for domains in self._domains.values():
            domains.ids.grow(self.size, -1)

    def _columns(self) -> Iterator[Column]:
        yield from (self.scored_cpu, self.scored_memory)
        yield from (self.unschedulable, self.taints, self.features, self.labelled)
        yield from self.allocatable.values()
        yield from self.requested.values()
        yield from self._free.values()
        yield from (count.column for count in self._counts.values())
        for held in self.held.values():
            yield from (one.column for one in held.values())

    def _column(self, of: dict[str, Column], resource: str) -> Column:
        found = of.get(resource)
        if found is None:
            found = of[resource] = Column(self.size)
        return found

    def has(self, resource: str) -> Ints:
        """What each row can give of a resource."""
        return self._column(self.allocatable, resource).a  # type: ignore[no-any-return]

    def free(self, resource: str) -> Ints:
        """What each row has left of it."""
        return self._column(self._free, resource).a  # type: ignore[no-any-return]

    def used(self, resource: str) -> Ints:
        return self._column(self.requested, resource).a  # type: ignore[no-any-return]

    def _taint_id(self, taints: Sequence[Object]) -> int:
        if not taints:
            return 0
        key = orjson.dumps([[t.get("key"), t.get("value"), t.get("effect")] for t in taints])
        found = self._taint_ids.get(key)
        if found is None:
            found = self._taint_ids[key] = len(self.taint_sets)
            self.taint_sets.append(list(taints))
        return found

    def _set_images(self, row: int, before: Object | None, images: Sequence[Object]) -> None:
        had = [] if before is None else (before.get("status") or {}).get("images") or []
        if had == list(images):
            return
        for name in [name for image in had for name in image.get("names") or ()]:
            _, rows = self.images.get(name, (0, {}))
            rows.pop(row, None)
            if not rows:
                self.images.pop(name, None)
        for image in images:
            for name in image.get("names") or ():
                self.images.setdefault(name, (int(image.get("sizeBytes") or 0), {}))[1][row] = None

    # topology

    def domains(self, key: str) -> Domains:
        found = self._domains.get(key)
        if found is None:
            found = self._domains[key] = Domains(key, self.size)
            for row in self.row_of.values():
                node = self.nodes[row]
                if node is not None:
                    found.set(row, labels_of(node))
            if len(self._domains) > MAX_DOMAINS:
                self._domains.popitem(last=False)
        else:
            self._domains.move_to_end(key)
        return found

    # pods

    def add(self, info: PodInfo, row: int) -> None:
        self.pods[row][info.key] = info
        self._account(info, row, 1)

    def remove(self, info: PodInfo, row: int) -> None:
        del self.pods[row][info.key]
        self._account(info, row, -1)

    def place(self, info: PodInfo, node: str) -> int:
        """Add a pod by the name of its node, which may not be known yet; the row."""
        row = self.row_of.get(node)
        if row is None:
            row = self._new_row(node)
        self.add(info, row)
        return row

    def take(self, info: PodInfo, row: int) -> None:
        """Remove a pod for good."""
        self.remove(info, row)
        self._release(row)

    @contextmanager
    def trial(self) -> Iterator[Trial]:
        """Changes that are taken back at the end."""
        tried = Trial(self)
        try:
            yield tried
        finally:
            tried.undo()

    def _account(self, info: PodInfo, row: int, sign: int) -> None:
        template = info.template
        for resource, amount in template.requests.items():
            self._use(resource, row, sign * min(amount, LARGEST))
        cpu, memory = template.scored
        self.scored_cpu.a[row] += sign * cpu
        self.scored_memory.a[row] += sign * memory
        self._use(PODS, row, sign)
        self.priorities[template.priority] = self.priorities.get(template.priority, 0) + sign
        if not self.priorities[template.priority]:
            del self.priorities[template.priority]
        for protocol, address, port in template.ports:
            taken = self.ports.setdefault((protocol, port), {}).setdefault(row, {})
            taken[address] = taken.get(address, 0) + sign
            if not taken[address]:
                del taken[address]
        for count in self._counting(info):
            if not (count.key.lasting and info.terminating):
                count.column.a[row] += sign
        if template.is_choosy:
            self._hold(template, row, sign)

    def _use(self, resource: str, row: int, amount: int) -> None:
        self._column(self.requested, resource).a[row] += amount
        self._column(self._free, resource).a[row] -= amount

    def _hold(self, template: Template, row: int, sign: int) -> None:
        for kind, term, weight in (
            *((FAR, term, 0) for term in template.far),
            *((NEAR, term, 0) for term in template.near),
            *((PREFERRED, one.term, one.weight) for one in template.preferred),
        ):
            key = (term, weight)
            held = self.held[kind].get(key)
            if held is None:
                held = self.held[kind][key] = Held(term, weight, self.size)
                self._held_versions[kind] = object()
            held.column.a[row] += sign
            held.total += sign
            if not held.total:
                del self.held[kind][key]
                self._held_versions[kind] = object()

    def wishes_about(self, kind: str, info: PodInfo) -> tuple[Held, ...]:
        """The wishes of pods on nodes that a pod meets."""
        version, found = info.template.wished.get(kind, (None, ()))
        if version is not self._held_versions[kind]:
            labels, namespace = info.template.labels, info.template.namespace
            found = tuple(
                held for held in self.held[kind].values() if held.term.matches(labels, namespace, info.namespace_labels)
            )
            info.template.wished[kind] = self._held_versions[kind], found
        return found

    # counts

    def count(self, key: CountKey) -> Ints:
        """How many of the pods that are meant each row has."""
        found = self._counts.get(key)
        if found is None:
            found = self._counts[key] = _Count(key, self.size)
            self._counts_version = object()
            for row in self.row_of.values():
                for info in self.pods[row].values():
                    if not (key.lasting and info.terminating) and key.counts(info):
                        found.column.a[row] += 1
            if len(self._counts) > MAX_COUNTS:
                self._counts.popitem(last=False)
        else:
            self._counts.move_to_end(key)
        return found.column.a  # type: ignore[no-any-return]

    def count_constraint(self, constraint: Constraint, namespace: str) -> Ints:
        """Pods that a spread constraint is about."""
        return self.count(CountKey((Term(constraint.selector, "", (namespace,), None),), True))

    def count_terms(self, *terms: Term) -> Ints:
        """Pods that match all of these terms, whatever their topology."""
        return self.count(CountKey(tuple(term._replace(topology="") for term in terms), False))

    def namespace_changed(self) -> None:
        """Labels of a namespace changed: counts that ask for them start anew."""
        for key in [key for key in self._counts if any(term.namespace_selector is not None for term in key.terms)]:
            del self._counts[key]
        self._counts_version = object()
        self._held_versions = {kind: object() for kind in self._held_versions}

    def _counting(self, info: PodInfo) -> tuple[_Count, ...]:
        version, found = info.template.counted
        if version is not self._counts_version:
            found = tuple(count for count in self._counts.values() if count.key.counts(info))
            info.template.counted = self._counts_version, found
        return found


class Trial:
    """Pods taken off and put on rows, to be undone."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._done: list[tuple[PodInfo, int, bool]] = []

    def add(self, info: PodInfo, row: int) -> None:
        self._table.add(info, row)
        self._done.append((info, row, True))

    def remove(self, info: PodInfo, row: int) -> None:
        self._table.remove(info, row)
        self._done.append((info, row, False))

    def undo(self) -> None:
        while self._done:
            info, row, added = self._done.pop()
            if added:
                self._table.remove(info, row)
            else:
                self._table.add(info, row)


def _allocatable(node: Object) -> Object:
    status = node.get("status") or {}
    return status.get("allocatable") or status.get("capacity") or {}
