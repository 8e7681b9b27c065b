"""A pod's resources as the kernel takes them: CPU shares and quotas, memory limits, OOM scores, its quality class.

Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/ and the kernel's cgroup documentation.
"""

from __future__ import annotations

from typing import Any

from heeler.kubelet.pods.views import init_containers, is_sidecar, main_containers, spec_of
from heeler.objects.quantities import parse
from heeler.objects.value import Object

#: Microseconds of a CPU period; the least shares and quota that the kernel takes.
PERIOD = 100_000
MIN_SHARES, MAX_SHARES = 2, 262_144
MIN_QUOTA = 1000


def milli_cpu(text: Any) -> int:
    """Thousandths of a CPU. Raises QuantityError."""
    return parse(str(text)).milli


def count(text: Any) -> int:
    """Bytes or pieces, rounded up. Raises QuantityError."""
    return parse(str(text)).ceil


def shares(milli: int) -> int:
    """cgroup v1's cpu.shares."""
    return max(MIN_SHARES, min(MAX_SHARES, milli * 1024 // 1000))


def weight(cpu_shares: int) -> int:
    """cgroup v2's cpu.weight of v1's shares."""
    return 1 + (cpu_shares - 2) * 9999 // 262142


def quota(milli: int) -> int:
    """Microseconds of CPU in each period."""
    return max(MIN_QUOTA, milli * PERIOD // 1000)


def qos_class(pod: Object) -> str:
    """Guaranteed, Burstable or BestEffort. The API server's word, else found out."""
    told = (pod.get("status") or {}).get("qosClass")
    if told:
        return str(told)
    whole = spec_of(pod).get("resources") or {}
    pieces = [whole] if whole else [c.get("resources") or {} for c in init_containers(pod) + main_containers(pod)]
    asked = False
    guaranteed = True
    for resources in pieces:
        limits = {k: v for k, v in (resources.get("limits") or {}).items() if k in ("cpu", "memory") and count(v)}
        requests = {k: v for k, v in (resources.get("requests") or {}).items() if k in ("cpu", "memory") and count(v)}
        asked = asked or bool(limits or requests)
        same = all(parse(str(requests.get(k, v))).value == parse(str(v)).value for k, v in limits.items())
        if set(limits) != {"cpu", "memory"} or not same:
            guaranteed = False
    if not asked:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _amount(container: Object, kind: str, resource: str) -> int:
    resources = container.get("resources") or {}
    value = (resources.get(kind) or {}).get(resource)
    if value is None and kind == "requests":
        value = (resources.get("limits") or {}).get(resource)
    if value is None:
        return 0
    return milli_cpu(value) if resource == "cpu" else count(value)


def pod_amount(pod: Object, kind: str, resource: str) -> int:
    """What a whole pod asks for or may use: containers and sidecars together, or the greatest init container.

    For limits 0 means none (one container without a limit makes the pod unlimited)."""
    whole = ((spec_of(pod).get("resources") or {}).get(kind) or {}).get(resource)
    if whole is not None:
        return milli_cpu(whole) if resource == "cpu" else count(whole)
    beside = greatest = 0
    unlimited = False
    for container in init_containers(pod):
        amount = _amount(container, kind, resource)
        unlimited = unlimited or not amount
        if is_sidecar(container):
            beside += amount
            greatest = max(greatest, beside)
        else:
            greatest = max(greatest, beside + amount)
    together = beside
    for container in main_containers(pod):
        amount = _amount(container, kind, resource)
        unlimited = unlimited or not amount
        together += amount
    if kind == "limits" and unlimited:
        return 0
    overhead = (spec_of(pod).get("overhead") or {}).get(resource)
    extra = 0 if overhead is None else (milli_cpu(overhead) if resource == "cpu" else count(overhead))
    return max(together, greatest) + extra


def oom_score(pod: Object, container: Object, node_memory: int) -> int:
    """The less a container asked for, the earlier it goes when memory runs out."""
    quality = qos_class(pod)
    if quality == "Guaranteed":
        return -997
    if quality == "BestEffort":
        return 1000
    asked = _amount(container, "requests", "memory")
    score = 1000 - (1000 * asked) // max(1, node_memory)
    return max(3, min(999, score))


def container_resources(pod: Object, container: Object, node_memory: int) -> Object:
    """CRI's LinuxContainerResources."""
    requested = _amount(container, "requests", "cpu")
    limit = _amount(container, "limits", "cpu")
    memory = _amount(container, "limits", "memory")
    out: Object = {
        "cpu_period": str(PERIOD),
        "cpu_shares": str(shares(requested)),
        "oom_score_adj": str(oom_score(pod, container, node_memory)),
    }
    if limit:
        out["cpu_quota"] = str(quota(limit))
    if memory:
        out["memory_limit_in_bytes"] = str(memory)
        # No swap beyond the limit.
        out["memory_swap_limit_in_bytes"] = str(memory)
    return out
