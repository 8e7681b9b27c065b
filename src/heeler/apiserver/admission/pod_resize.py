"""PodResizeValidator: a pod on a node may not ask for more than the node has, nor be resized where nodes can't do that.

Source: https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/#limitations
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heeler.objects.status import StatusError
from heeler.objects.value import labels_of
from heeler.workloads import resources

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write

_OS = "kubernetes.io/os"


async def check(write: Write) -> None:
    new, old = write.new, write.old
    if (write.kind.group, write.kind.plural, write.subresource) != ("", "pods", "resize") or new is None or old is None:
        return
    name = (new.get("spec") or {}).get("nodeName")
    if not name or new["metadata"].get("generation") == old["metadata"].get("generation"):
        return
    node = write.context.server.lookup("", "nodes", "", name)
    if node is None:
        raise _refusal(write, f'node "{name}" not found')
    system = labels_of(node).get(_OS, "linux")
    if system != "linux":
        why = f'pod resize is only supported on linux nodes, node "{name}" is "{system}"'
        raise _refusal(write, why, "UnsupportedPlatform")
    wanted, there = resources.requests(new), resources.amounts((node.get("status") or {}).get("allocatable"))
    short = [
        f"{kind}, requested: {wanted[kind]}, allocatable: {there.get(kind, 0)}"
        for kind in ("cpu", "memory")
        if wanted.get(kind, 0) > there.get(kind, 0)
    ]
    if short:
        raise _refusal(write, f"node didn't have enough allocatable resources: {'; '.join(short)}", "NodeCapacity")


def _refusal(write: Write, why: str, reason: str = "") -> StatusError:
    error = write.refused(why)
    if reason and error.details is not None:
        error.details["causes"] = [{"reason": reason}]
    return error
