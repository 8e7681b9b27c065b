"""PodTopologyLabels: a pod gets the zone and region of its node as labels, when it is bound or made for a node.

Source: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#podtopologylabels
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heeler.objects.value import labels_of

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write
    from heeler.apiserver.server import ApiServer

LABELS = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")


def of_node(server: ApiServer, name: str) -> dict[str, str]:
    """The labels that a node's pods get; none if the node isn't known."""
    node = server.lookup("", "nodes", "", name)
    if node is None:
        return {}
    labels = labels_of(node)
    return {label: labels[label] for label in LABELS if label in labels}


async def admit(write: Write) -> None:
    if write.operation != "CREATE" or not write.of("", "pods") or write.new is None:
        return
    node = (write.new.get("spec") or {}).get("nodeName")
    found = of_node(write.context.server, node) if node else {}
    if found:
        metadata = write.new["metadata"]
        metadata["labels"] = {**(metadata.get("labels") or {}), **found}
