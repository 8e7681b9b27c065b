"""What ResourceClaims use of a ResourceQuota: devices by class, and by the extended resources that classes stand for.

What a pod asks for by such a resource is counted with the pod; the claim that a scheduler makes for it counts only what is
more. https://kubernetes.io/docs/concepts/policy/resource-quotas/#quota-for-extended-resources
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from heeler.objects.quantities import of
from heeler.objects.value import Object
from heeler.workloads.extended_resources import CLASS_PREFIX, is_special
from heeler.workloads.limits import Amounts
from heeler.workloads.owners import controller_of

#: After a class's name: its devices, as claims ask for them.
DEVICES = ".deviceclass.resource.k8s.io/devices"
#: As so many a request for all devices counts: more a claim can't have.
MAX_DEVICES = 32
REQUESTS = "requests."
COUNT = "count/resourceclaims.resource.k8s.io"


class Around(Protocol):
    """What else is there."""

    def device_classes(self) -> Iterable[Object]: ...

    def pod(self, namespace: str, name: str) -> Object | None: ...

    def claims(self, namespace: str) -> Iterable[Object]:
        """ResourceClaims."""
        ...


def is_extended(name: str) -> bool:
    """Does a quota's name stand for an extended resource?"""
    resource = name.removeprefix(REQUESTS)
    return resource != name and (
        resource.startswith(CLASS_PREFIX) or ("/" in resource and "kubernetes.io/" not in resource)
    )


def concerns(hard: Iterable[str], around: Around) -> bool:
    """Is a quota with these names one of ResourceClaims? Names of extended resources are only if there is a class for them."""
    classes = list(around.device_classes())
    known = {f"{REQUESTS}{CLASS_PREFIX}{one['metadata']['name']}" for one in classes}
    known |= {
        f"{REQUESTS}{one['spec']['extendedResourceName']}" for one in classes if one["spec"].get("extendedResourceName")
    }
    return any(name == COUNT or name.endswith(DEVICES) or name in known for name in hard)


def of_claim(claim: Object, around: Around | None, of_pod: Callable[[Object], Amounts]) -> Amounts:
    """By the names that a quota may have; `of_pod`: what a pod uses. Without `around` only devices by class."""
    devices = _by_class(claim)
    out: Amounts = {f"{name}{DEVICES}": of(number) for name, number in devices.items()}
    if around is None or not devices:
        return out
    extended: Amounts = {f"{REQUESTS}{CLASS_PREFIX}{name}": of(number) for name, number in devices.items()}
    for one in around.device_classes():
        name, resource = one["metadata"]["name"], one["spec"].get("extendedResourceName")
        if name in devices and resource:
            key = f"{REQUESTS}{resource}"
            extended[key] = extended.get(key, of(0)) + of(devices[name])
    pod = _pod_of(claim, around)
    counted = of_pod(pod) if pod is not None else {}
    left = {name: amount - counted.get(name, of(0)) for name, amount in extended.items()}
    return {**out, **{name: amount for name, amount in left.items() if amount.nano > 0}}


def _by_class(claim: Object) -> dict[str, int]:
    """Of alternatives the most that each class could have to give."""
    out: dict[str, int] = {}
    for request in (claim["spec"].get("devices") or {}).get("requests") or ():
        most: dict[str, int] = {}
        for wish in [request["exactly"]] if "exactly" in request else request.get("firstAvailable") or ():
            name, is_all = wish.get("deviceClassName", ""), wish.get("allocationMode") == "All"
            most[name] = max(most.get(name, 0), MAX_DEVICES if is_all else int(wish.get("count") or 1))
        for name, number in most.items():
            out[name] = out.get(name, 0) + number
    return out


def _pod_of(claim: Object, around: Around) -> Object | None:
    """The pod for whose extended resources the claim is; only one claim of a pod is that."""
    metadata, owner = claim["metadata"], controller_of(claim)
    if not is_special(claim) or owner is None or (owner.get("kind"), owner.get("apiVersion")) != ("Pod", "v1"):
        return None
    namespace = metadata.get("namespace", "")
    pod = around.pod(namespace, owner["name"])
    if pod is None or pod["metadata"].get("uid") != owner.get("uid"):
        return None
    told = (pod.get("status") or {}).get("extendedResourceClaimStatus")
    if told is not None:
        return pod if told.get("resourceClaimName") == metadata["name"] else None
    others = [one for one in around.claims(namespace) if is_special(one) and _same(controller_of(one), owner)]
    first = min((_age(one) for one in others), default=_age(claim))
    return pod if _age(claim) <= first else None


def _same(a: Object | None, b: Object) -> bool:
    return a is not None and all(a.get(part) == b.get(part) for part in ("kind", "apiVersion", "uid"))


def _age(claim: Object) -> tuple[str, str]:
    metadata = claim["metadata"]
    return metadata.get("creationTimestamp") or "", metadata.get("name", "")
