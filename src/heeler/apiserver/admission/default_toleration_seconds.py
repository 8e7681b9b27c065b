"""DefaultTolerationSeconds: pods stay 300 seconds on a node that is not ready or unreachable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write

SECONDS = 300
KEYS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


async def admit(write: Write) -> None:
    if write.operation == "DELETE" or not write.of("", "pods") or write.new is None:
        return
    spec = write.new.get("spec") or {}
    given: list[Object] = spec.get("tolerations") or []
    added = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS}
        for key in KEYS
        if not any(t.get("key", "") in (key, "") and t.get("effect", "") in ("NoExecute", "") for t in given)
    ]
    if added:
        spec["tolerations"] = [*given, *added]
