"""DeviceTaintRules: whose devices they taint.

https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/#device-taints-and-tolerations
"""

from __future__ import annotations

from heeler.objects.value import Object


def selects(rule: Object, device: tuple[str, str, str]) -> bool:
    """Is a rule about a device (driver, pool, device)? One without a selector is about none; what a selector doesn't name
    may be anything."""
    selector = rule["spec"].get("deviceSelector")
    if selector is None:
        return False
    wanted = (selector.get("driver"), selector.get("pool"), selector.get("device"))
    return all(one is None or one == given for one, given in zip(wanted, device, strict=True))
