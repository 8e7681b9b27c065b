"""NodeDeclaredFeatureValidator: a change of a pod on a node may not need what the node doesn't declare that it can do.

Source: https://kubernetes.io/docs/concepts/scheduling-eviction/node-declared-features/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heeler.workloads import node_features

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write


async def check(write: Write) -> None:
    new, old = write.new, write.old
    if (write.kind.group, write.kind.plural) != ("", "pods") or write.subresource not in ("", "resize"):
        return
    if new is None or old is None:
        return
    spec, was = new.get("spec") or {}, old.get("spec") or {}
    if not spec.get("nodeName"):
        return
    needed = node_features.needed_to_change(spec, was)
    if not needed:
        return
    node = write.context.server.lookup("", "nodes", "", spec["nodeName"])
    if node is None:
        raise write.refused(f'node "{spec["nodeName"]}" not found')
    declared = node_features.declared(node)
    lacking = [feature for feature in needed if feature not in declared]
    if lacking:
        words = f"pod update requires features {', '.join(lacking)} which are not available on node"
        raise write.refused(f'{words} "{spec["nodeName"]}"')
