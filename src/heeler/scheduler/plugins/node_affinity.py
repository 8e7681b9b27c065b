"""Node selectors and node affinity: what a node must have, and what it had better have."""

from __future__ import annotations

from collections.abc import Sequence

from heeler.objects.value import Object
from heeler.scheduler.cache import NodeInfo, PodInfo
from heeler.scheduler.plugins.plugin import Check, Refusal, normalised
from heeler.workloads import affinity

REFUSAL = Refusal(("node(s) didn't match Pod's node affinity/selector",), True)
NOT_NAMED = Refusal(("node(s) didn't satisfy plugin(s) [NodeAffinity]",), True)


class NodeAffinity:
    name = "NodeAffinity"
    weight = 2

    def prepare(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Check | None:
        spec = pod.pod["spec"]
        terms = affinity.required_terms(pod.pod)
        if not spec.get("nodeSelector") and terms is None:
            return None
        named = named_nodes(terms)

        def check(node: NodeInfo) -> Refusal | None:
            if named is not None and node.name not in named:
                return NOT_NAMED
            return None if affinity.node_allowed(pod.pod, node.node or {}) else REFUSAL

        return check

    def rate(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> list[int] | None:
        if not affinity.preferred_terms(pod.pod):
            return None
        return normalised([affinity.preference(pod.pod, node.node or {}) for node in nodes])


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
