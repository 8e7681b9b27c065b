"""NodeRestriction: a node's agent writes its own node and the pods on it, and nothing of another's.

Source: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heeler.apiserver.authorize.node import NODES
from heeler.objects.status import forbidden

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write


async def check(write: Write) -> None:
    user = write.context.user
    if NODES not in user.groups or not user.name.startswith("system:node:"):
        return
    node = user.name.removeprefix("system:node:")
    kind = (write.kind.group, write.kind.plural)
    obj = write.new or write.old or {}
    name = write.context.info.name or obj.get("metadata", {}).get("name", "")
    if kind == ("", "nodes") and name != node:
        raise forbidden("nodes", "", name, f'node "{node}" is not allowed to modify node "{name}"')
    if kind == ("", "pods"):
        _check_pod(write, node, name)
    if kind == ("coordination.k8s.io", "leases") and (
        obj.get("metadata", {}).get("namespace") != "kube-node-lease" or name != node
    ):
        why = "can only access node lease with the same name as the requesting node"
        raise forbidden("leases", "coordination.k8s.io", name, why)


def _check_pod(write: Write, node: str, name: str) -> None:
    if write.subresource in ("exec", "attach", "portforward"):
        return
    pod = write.old or write.new or {}
    bound = (pod.get("spec") or {}).get("nodeName", "")
    if write.operation == "CREATE" and not write.subresource:
        annotations = pod["metadata"].get("annotations") or {}
        if "kubernetes.io/config.mirror" not in annotations:
            raise forbidden(
                "pods",
                "",
                name,
                f'pod does not have "kubernetes.io/config.mirror" annotation, node "{node}" can only create mirror pods',
            )
    if write.operation == "UPDATE" and write.subresource not in ("status", "resize"):
        raise forbidden("pods", "", name, f'node "{node}" can only update pod status')
    if bound != node:
        raise forbidden(
            "pods", "", name, f'node "{node}" can only {write.operation.lower()} pods with spec.nodeName set to itself'
        )
