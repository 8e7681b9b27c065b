"""What objects use of a ResourceQuota, which quotas count them, and what is over.

Amounts are by the names that a quota's `spec.hard` has: pods, requests.cpu, count/deployments.apps, … Source:
https://kubernetes.io/docs/concepts/policy/resource-quotas/ and recorded answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from heeler.base.clock import parse_rfc3339
from heeler.kinds.core.pod import qos_class
from heeler.objects.quantities import Quantity, of
from heeler.objects.value import Object
from heeler.workloads import pods, quota_devices
from heeler.workloads.limits import Amounts, amounts_of_pod, parsed
from heeler.workloads.quota_devices import DEVICES, Around, is_extended

#: Names of core kinds that count without the prefix "count/".
PLAIN_COUNTS = (
    "pods",
    "services",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
)
RESOURCE_CLAIMS = ("resource.k8s.io", "resourceclaims")
#: Resources of pods that a quota may name without "requests.".
_BARE_REQUESTS = ("cpu", "memory", "ephemeral-storage")
#: A quota of these makes every container say what it wants.
_TO_BE_NAMED = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")


def usage(group: str, plural: str, obj: Object, now: float, around: Around | None = None) -> Amounts:
    """What one object uses at `now` (seconds since the epoch), by all the names that a quota may have for it.

    Without `around` devices are counted by their class only."""
    out: Amounts = {f"count/{plural}.{group}" if group else f"count/{plural}": of(1)}
    if (group, plural) == RESOURCE_CLAIMS:
        return {**out, **quota_devices.of_claim(obj, around, lambda pod: usage("", "pods", pod, now))}
    if group:
        return out
    if plural == "pods":
        return out if _is_over(obj, now) else {**out, **_of_pod(obj)}
    if plural in PLAIN_COUNTS:
        out[plural] = of(1)
    if plural == "services":
        out |= _of_service(obj)
    elif plural == "persistentvolumeclaims":
        out |= _of_claim(obj)
    return out


def _is_over(pod: Object, now: float) -> bool:
    """It has ended, or should have long ago: one that is stuck on a lost node doesn't keep its successor out."""
    metadata = pod.get("metadata") or {}
    deleted, grace = metadata.get("deletionTimestamp"), metadata.get("deletionGracePeriodSeconds")
    if deleted is not None and grace is not None and now > parse_rfc3339(deleted) + grace:
        return True
    return pods.is_finished(pod)


def _of_pod(pod: Object) -> Amounts:
    out: Amounts = {"pods": of(1)}
    overhead = parsed(pod["spec"].get("overhead"))
    asked = amounts_of_pod(pod["spec"], "requests")
    for name, amount in overhead.items():
        asked[name] = asked[name] + amount if name in asked else amount
    for name, amount in asked.items():
        out[f"requests.{name}"] = amount
        if name in _BARE_REQUESTS or name.startswith("hugepages-"):
            out[name] = amount
    for name, amount in amounts_of_pod(pod["spec"], "limits").items():
        out[f"limits.{name}"] = amount + overhead[name] if name in overhead else amount
    return out


def _of_service(service: Object) -> Amounts:
    spec = service["spec"]
    kind, ports = spec.get("type", "ClusterIP"), len(spec.get("ports") or ())
    balanced = kind == "LoadBalancer"
    on_nodes = kind == "NodePort" or (balanced and spec.get("allocateLoadBalancerNodePorts", True))
    return {"services.nodeports": of(ports if on_nodes else 0), "services.loadbalancers": of(1 if balanced else 0)}


def _of_claim(claim: Object) -> Amounts:
    size = parsed((claim["spec"].get("resources") or {}).get("requests")).get("storage")
    out: Amounts = {} if size is None else {"requests.storage": size}
    named = claim["spec"].get("storageClassName") or (claim["metadata"].get("annotations") or {}).get(
        "volume.beta.kubernetes.io/storage-class"
    )
    if named:
        prefix = f"{named}.storageclass.storage.k8s.io"
        out[f"{prefix}/persistentvolumeclaims"] = of(1)
        if size is not None:
            out[f"{prefix}/requests.storage"] = size
    return out


def counts(quota: Object, group: str, plural: str, obj: Object) -> bool:
    """Do the quota's scopes take in the object? Only pods (and claims by their class) have scopes."""
    spec = quota["spec"]
    wanted = [{"scopeName": scope, "operator": "Exists"} for scope in spec.get("scopes") or ()]
    wanted += (spec.get("scopeSelector") or {}).get("matchExpressions") or []
    if not wanted:
        return True
    if group or plural not in ("pods", "persistentvolumeclaims"):
        return False
    return all(_in_scope(scope, plural, obj) for scope in wanted)


def _in_scope(scope: Object, plural: str, obj: Object) -> bool:
    spec = obj["spec"]
    name = scope["scopeName"]
    if plural == "persistentvolumeclaims":
        return name == "VolumeAttributesClass" and _selects(scope, spec.get("volumeAttributesClassName") or "")
    match name:
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort":
            return qos_class(obj) == "BestEffort"
        case "NotBestEffort":
            return qos_class(obj) != "BestEffort"
        case "PriorityClass":
            return _selects(scope, spec.get("priorityClassName") or "")
        case "CrossNamespacePodAffinity":
            return any(_other_namespaces(spec.get("affinity") or {}))
    return False


def _selects(scope: Object, value: str) -> bool:
    values = scope.get("values") or ()
    match scope["operator"]:
        case "Exists":
            return bool(value)
        case "DoesNotExist":
            return not value
        case "In":
            return value in values
        case "NotIn":
            return value not in values
    return False


def _other_namespaces(affinity: Object) -> Iterator[bool]:
    for kind in ("podAffinity", "podAntiAffinity"):
        found = affinity.get(kind) or {}
        terms = list(found.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        preferred = found.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        terms += [p["podAffinityTerm"] for p in preferred]
        yield from (bool(term.get("namespaces")) or term.get("namespaceSelector") is not None for term in terms)


def unnamed(hard: Iterable[str], spec: Object) -> str:
    """What a pod's containers must say and don't, as "requests.cpu for: a,b; …", or ""."""
    if spec.get("resources"):
        return ""
    missing: dict[str, list[str]] = {}
    for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
        resources = container.get("resources") or {}
        for name in hard:
            if name not in _TO_BE_NAMED:
                continue
            part, _, resource = name.rpartition(".")
            if resource not in (resources.get(part or "requests") or {}):
                missing.setdefault(name, []).append(container["name"])
    return "; ".join(f"{name} for: {','.join(sorted(names))}" for name, names in sorted(missing.items()))


def over(hard: Amounts, used: Amounts, asked: Amounts) -> str:
    """ "requested: …, used: …, limited: …" of what would be over, or ""."""
    names = [
        name
        for name in sorted(asked)
        if name in hard and asked[name].nano > 0 and hard[name] < used.get(name, of(0)) + asked[name]
    ]
    if not names:
        return ""
    parts = (("requested", asked), ("used", used), ("limited", hard))
    return ", ".join(f"{what}: {_shown(names, amounts)}" for what, amounts in parts)


def _shown(names: list[str], amounts: Mapping[str, Quantity]) -> str:
    return ",".join(f"{name}={amounts.get(name, of(0))}" for name in names)


def difference(new: Amounts, old: Amounts) -> Amounts:
    """What the new amounts have more than the old ones (less is negative)."""
    return {name: new.get(name, of(0)) - old.get(name, of(0)) for name in {**new, **old}}


def total(amounts: Iterable[Amounts], names: Iterable[str]) -> Amounts:
    """Sums by name, each name at least zero."""
    out = {name: of(0) for name in names}
    for one in amounts:
        for name in out.keys() & one.keys():
            out[name] = out[name] + one[name]
    return out


def resources_of(hard: Iterable[str]) -> list[tuple[str, str]]:
    """The (group, plural) of the objects that the names of a quota are about."""
    out: dict[tuple[str, str], None] = {}
    for name in hard:
        if name.startswith("count/"):
            plural, _, group = name.removeprefix("count/").partition(".")
            out[group, plural] = None
        elif name in PLAIN_COUNTS:
            out["", name] = None
        elif name.endswith(DEVICES):
            out[RESOURCE_CLAIMS] = None
        elif name.startswith("services."):
            out["", "services"] = None
        elif name == "requests.storage" or ".storageclass.storage.k8s.io/" in name:
            out["", "persistentvolumeclaims"] = None
        elif is_extended(name):
            out["", "pods"] = out[RESOURCE_CLAIMS] = None
        else:
            out["", "pods"] = None
    return list(out)


__all__ = ["counts", "difference", "over", "resources_of", "total", "unnamed", "usage"]
