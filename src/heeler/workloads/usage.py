"""What pods and nodes use, as numbers, and as metrics.k8s.io shows them; what pods that only seem to run would use. Pure.

A simulated pod uses what it requests, or what its annotation `heeler.dev/usage` says: "cpu=250m,memory=64Mi" for each
container, "web/cpu=1" for the container web. So autoscaling can be tried without load.
Source: https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from heeler.base.clock import duration_text, rfc3339
from heeler.objects.quantities import Quantity, QuantityError, parse
from heeler.objects.value import Object, labels_of, meta, name_of, namespace_of

API_VERSION = "metrics.k8s.io/v1beta1"
ANNOTATION = "heeler.dev/usage"
#: What a simulated container uses that requests nothing: billionths of a CPU, bytes.
IDLE_CPU, IDLE_MEMORY = 1_000_000, 8 << 20
#: Seconds that a simulated figure stands for.
SIMULATED_WINDOW = 10.0


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU in billionths of one, averaged over `window` seconds; memory in bytes; `time` in seconds since the epoch."""

    cpu: int
    memory: int
    time: float
    window: float


def _amounts(used: Usage) -> Object:
    return {"cpu": f"{used.cpu}n", "memory": f"{used.memory // 1024}Ki"}


def _head(kind: str, obj: Object, times: Iterable[Usage], now: float) -> Object:
    """The oldest of the figures gives time and window, as metrics-server has it."""
    first = min(times, key=lambda used: used.time)
    metadata: Object = {"name": name_of(obj)}
    if namespace_of(obj):
        metadata["namespace"] = namespace_of(obj)
    metadata["creationTimestamp"] = rfc3339(now)
    if labels_of(obj):
        metadata["labels"] = dict(labels_of(obj))
    return {
        "kind": kind,
        "apiVersion": API_VERSION,
        "metadata": metadata,
        "timestamp": rfc3339(first.time),
        "window": duration_text(first.window),
    }


def node_metrics(node: Object, used: Usage, now: float) -> Object:
    """A NodeMetrics."""
    return {**_head("NodeMetrics", node, [used], now), "usage": _amounts(used)}


def pod_metrics(pod: Object, containers: Mapping[str, Usage], now: float) -> Object | None:
    """A PodMetrics of the containers that there are figures of; None where there is none."""
    if not containers:
        return None
    shown = [{"name": name, "usage": _amounts(used)} for name, used in containers.items()]
    return {**_head("PodMetrics", pod, containers.values(), now), "containers": shown}


def _running(pod: Object) -> list[str]:
    """Names of the containers that run."""
    status = pod.get("status") or {}
    if status.get("phase") != "Running":
        return []
    found = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return [c["name"] for c in found if "running" in (c.get("state") or {})]


def told(text: str) -> dict[tuple[str, str], int]:
    """The annotation's figures by (container or "", resource); what can't be read is left out."""
    out: dict[tuple[str, str], int] = {}
    for part in text.split(","):
        key, equals, value = part.strip().partition("=")
        container, _, resource = key.rpartition("/")
        if not equals or resource not in ("cpu", "memory"):
            continue
        try:
            amount = parse(value.strip())
        except QuantityError:
            continue
        out[container, resource] = max(0, amount.nano if resource == "cpu" else amount.ceil)
    return out


def simulated(pod: Object, now: float) -> dict[str, Usage]:
    """What the running containers of a simulated pod use, by name."""
    said = told(str((meta(pod).get("annotations") or {}).get(ANNOTATION, "")))
    spec = pod.get("spec") or {}
    specs = {c["name"]: c for c in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]}
    out = {}
    for name in _running(pod):
        requests = ((specs.get(name) or {}).get("resources") or {}).get("requests") or {}
        cpu = _one(said, name, "cpu", requests, IDLE_CPU)
        out[name] = Usage(cpu, _one(said, name, "memory", requests, IDLE_MEMORY), now, SIMULATED_WINDOW)
    return out


def _one(said: Mapping[tuple[str, str], int], name: str, resource: str, requests: Object, idle: int) -> int:
    for key in ((name, resource), ("", resource)):
        if key in said:
            return said[key]
    if resource not in requests:
        return idle
    amount: Quantity = parse(str(requests[resource]))
    return amount.nano if resource == "cpu" else amount.ceil


def total(parts: Iterable[Usage], now: float) -> Usage:
    """All together."""
    found = list(parts)
    return Usage(sum(u.cpu for u in found), sum(u.memory for u in found), now, SIMULATED_WINDOW)
