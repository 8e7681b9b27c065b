"""Node selectors and node affinity: what a node must have, and what it had better have.

What a selector means to each node is remembered, and worked out again for nodes whose labels changed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

import numpy as np

from heeler.objects.value import Object, labels_of
from heeler.scheduler.events import ADD, LABEL, NODE, Hints
from heeler.scheduler.plugins.plugin import Check, Refusal, by_code, normalised
from heeler.scheduler.pod import PodInfo
from heeler.scheduler.table import Ints, Rows, Table
from heeler.workloads import affinity

REFUSAL = Refusal(("node(s) didn't match Pod's node affinity/selector",), True)
ADDED = Refusal(("node(s) didn't match scheduler-enforced node affinity",), True)
NOT_NAMED = Refusal(("node(s) didn't satisfy plugin(s) [NodeAffinity]",), True)
CONFLICT = Refusal(("pod affinity terms conflict",), True)
CODES = {1: REFUSAL, 2: ADDED, 3: NOT_NAMED}
#: Different selectors that are remembered.
MAX_KNOWN = 256


class _Known:
    """Codes of refusals and sums of preferred weights, by row, as of a version of the table."""

    __slots__ = ("codes", "version", "weights")

    def __init__(self, rows: int) -> None:
        self.codes, self.weights = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
        self.version = -1


class NodeAffinity:
    """`added`: node affinity that every pod of the profile has beside its own (`addedAffinity`)."""

    name = "NodeAffinity"

    def __init__(self, added: Object | None = None) -> None:
        self._added = added or {}
        self._known: OrderedDict[tuple[int, bytes], _Known] = OrderedDict()
        self.hints: Hints = {(NODE, ADD): self._matches_now, (NODE, LABEL): self._matches_now}

    def prepare(self, pod: PodInfo, table: Table) -> Check | Refusal | None:
        terms = affinity.required_terms(pod.pod)
        if not pod.template.spec.get("nodeSelector") and terms is None and not self._added:
            return None
        if named_nodes(terms) == {}:
            return CONFLICT
        codes = self._of(pod, table).codes
        return lambda rows: by_code(codes[rows], CODES)

    def allowed(self, pod: PodInfo, table: Table) -> Ints:
        """By row: 0 where the pod's own selector and affinity allow it."""
        return self._of(pod, table).codes

    def rate(self, pod: PodInfo, table: Table, rows: Rows) -> Ints | None:
        preferred = "preferredDuringSchedulingIgnoredDuringExecution"
        if not affinity.preferred_terms(pod.pod) and not self._added.get(preferred):
            return None
        return normalised(self._of(pod, table).weights[rows])

    def _of(self, pod: PodInfo, table: Table) -> _Known:
        key = (id(table), pod.template.node_key)
        known = self._known.get(key)
        if known is None or len(known.codes) != table.size:
            known = self._known[key] = _Known(table.size)
            if len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        if known.version != table.version:
            named = named_nodes(affinity.required_terms(pod.pod))
            for row in np.flatnonzero(table.labelled.a > known.version):
                node = table.nodes[row]
                if node is not None:
                    known.codes[row] = self._code(pod, node, named)
                    known.weights[row] = self._weight(pod, node)
            known.version = table.version
        return known

    def _code(self, pod: PodInfo, node: Object, named: dict[str, None] | None) -> int:
        if named is not None and node["metadata"]["name"] not in named:
            return 3
        if not self._added_allows(node):
            return 2
        return 0 if affinity.node_allowed(pod.pod, node) else 1

    def _added_allows(self, node: Object) -> bool:
        required = self._added.get("requiredDuringSchedulingIgnoredDuringExecution")
        return required is None or _any_matches(required.get("nodeSelectorTerms") or (), node)

    def _weight(self, pod: PodInfo, node: Object) -> int:
        more = {"spec": {"affinity": {"nodeAffinity": self._added}}}
        return affinity.preference(pod.pod, node) + (affinity.preference(more, node) if self._added else 0)

    def _matches_now(self, pod: PodInfo, old: Object | None, new: Object | None) -> bool:
        """A node helps if it matches now, and did not before."""

        def fits(node: Object) -> bool:
            return self._added_allows(node) and affinity.node_allowed(pod.pod, node)

        return new is not None and fits(new) and (old is None or not fits(old))


def _any_matches(terms: Iterable[Object], node: Object) -> bool:
    return any(affinity.term_matches(term, labels_of(node), node["metadata"]["name"]) for term in terms)


def named_nodes(terms: list[Object] | None) -> dict[str, None] | None:
    """The nodes that affinity names, if every term names some; None if it doesn't."""
    if not terms:
        return None
    found: dict[str, None] = {}
    for term in terms:
        names: dict[str, None] | None = None
        for one in term.get("matchFields") or ():
            if one.get("key") == "metadata.name" and one.get("operator") == "In":
                values = dict.fromkeys(one.get("values") or ())
                names = values if names is None else {name: None for name in names if name in values}
        if names is None:
            return None
        found.update(names)
    return found
