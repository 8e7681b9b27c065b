"""RuntimeClass: a pod gets the overhead, node selector and tolerations of its runtime class, which must be there.

Source: https://kubernetes.io/docs/concepts/containers/runtime-class/#scheduling and #pod-overhead
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heeler.objects.quantities import parse
from heeler.objects.value import Object
from heeler.workloads.taints import merged

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write


MISMATCH = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"


async def admit(write: Write) -> None:
    if write.operation != "CREATE" or not write.of("", "pods") or write.new is None:
        return
    spec = write.new.setdefault("spec", {})
    found = await _class(write, spec)
    if found is None:
        return
    overhead = (found.get("overhead") or {}).get("podFixed")
    if overhead and not spec.get("overhead"):
        spec["overhead"] = dict(overhead)
    elif overhead and not _same(spec["overhead"], overhead):
        raise write.refused(MISMATCH)
    scheduling = found.get("scheduling") or {}
    selector = spec.get("nodeSelector") or {}
    for key, value in (scheduling.get("nodeSelector") or {}).items():
        if selector.get(key, value) != value:
            text = f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
            raise write.refused(f"{text}pod.spec.nodeSelector[{key}] = {selector[key]}")
        selector = {**selector, key: value}
    if selector:
        spec["nodeSelector"] = selector
    if more := scheduling.get("tolerations"):
        spec["tolerations"] = merged(spec.get("tolerations") or (), more)


async def check(write: Write) -> None:
    if write.operation != "CREATE" or not write.of("", "pods") or write.new is None:
        return
    spec = write.new.get("spec") or {}
    found = await _class(write, spec)
    wanted, given = ((found or {}).get("overhead") or {}).get("podFixed") or {}, spec.get("overhead") or {}
    if given and not wanted:
        raise write.refused("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
    if not _same(given, wanted):
        raise write.refused(MISMATCH)


def _same(one: Object, other: Object) -> bool:
    return {k: parse(str(v)).nano for k, v in one.items()} == {k: parse(str(v)).nano for k, v in other.items()}


async def _class(write: Write, spec: Object) -> Object | None:
    """The pod's runtime class; None if it names none. Raises 403 if it isn't there."""
    name = spec.get("runtimeClassName")
    if not name:
        return None
    found = await write.context.server.lookup_fresh("node.k8s.io", "runtimeclasses", "", name)
    if found is None:
        raise write.refused(f'pod rejected: RuntimeClass "{name}" not found')
    return found
