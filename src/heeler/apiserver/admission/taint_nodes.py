"""TaintNodesByCondition: a new node is tainted as not ready until its agent has shown that it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write

NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


async def admit(write: Write) -> None:
    if write.operation != "CREATE" or not write.of("", "nodes") or write.new is None:
        return
    spec = write.new.setdefault("spec", {})
    taints = spec.setdefault("taints", [])
    if not any(t.get("key") == NOT_READY["key"] and t.get("effect") == NOT_READY["effect"] for t in taints):
        spec["taints"] = [*taints, dict(NOT_READY)]
