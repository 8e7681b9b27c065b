"""The numbers and the selector that a custom object's scale subresource shows must be what a Scale can hold.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#scale-subresource
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from heeler.objects import go_text
from heeler.objects.faults import Fault, invalid
from heeler.objects.value import Object

_MOST = 2**31 - 1


def faults_of(obj: Object, paths: Object, *, status_only: bool = False) -> Iterator[Fault]:
    """`paths`: the scale subresource's, {} without one. `status_only`: only the status was written."""
    if not status_only:
        yield from _replicas(obj, paths.get("specReplicasPath"))
    yield from _replicas(obj, paths.get("statusReplicasPath"))
    selector = paths.get("labelSelectorPath")
    if selector:
        _, faults = _look_up(obj, selector, "string", "")
        yield from faults


def _replicas(obj: Object, path: str | None) -> Iterator[Fault]:
    if not path:
        return
    found, faults = _look_up(obj, path, "int64", 0)
    yield from faults
    if faults or found is None:
        return
    if found < 0:
        yield invalid(path, found, "should be a non-negative integer")
    if found > _MOST:
        yield invalid(path, found, f"should be less than or equal to {_MOST}")


def _look_up(obj: Object, path: str, wanted: str, shown: Any) -> tuple[Any, list[Fault]]:
    """What stands at the path (None: nothing), or the fault that something else than the wanted Go type does."""
    here: Any = obj
    for step in path.removeprefix(".").split("."):
        if not isinstance(here, dict):
            return None, [_unfit(path, here, "map[string]interface{}", shown)]
        if here.get(step) is None:
            return None, []
        here = go_text.decoded(here[step])
    return (here, []) if go_text.kind(here) == wanted else (None, [_unfit(path, here, wanted, shown)])


def _unfit(path: str, value: Any, wanted: str, shown: Any) -> Fault:
    words = f"{path} accessor error: {go_text.plain(value)} is of the type {go_text.kind(value)}, expected {wanted}"
    return invalid(path, shown, words)
