"""Extended resources that nodes don't offer themselves: devices of a class that stands for them, by a claim of the pod's own.

Pure. The scheduler makes the claim when the pod has its node; until then it has a name that no claim can have.
https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/#extended-resource
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from heeler.objects.quantities import parse
from heeler.objects.value import Object
from heeler.workloads.extended_resources import ANNOTATION, is_special

IN_MEMORY = "<extended-resources>"


class Special(NamedTuple):
    """A pod's claim for one node, and which containers get which of its requests, as the pod's status tells it."""

    claim: Object
    mappings: list[Object]


def special_of(pod: Object, claims: Iterable[Object]) -> Object | None:
    """A claim that was made for a pod when it was tried before."""
    return next((claim for claim in claims if is_special(claim) and is_of(claim, pod["metadata"])), None)


def is_of(claim: Object, pod: Object) -> bool:
    """Is a pod, by its metadata, the controller of a claim?"""
    return any(
        ref.get("controller") and (ref.get("name"), ref.get("uid")) == (pod["name"], pod.get("uid"))
        for ref in claim["metadata"].get("ownerReferences") or ()
    )


def special_claim(pod: Object, resources: Mapping[str, str]) -> Special:
    """The claim of a pod for resources (name -> class), as long as it isn't written."""
    metadata = pod["metadata"]
    name, uid = metadata["name"], metadata.get("uid", "")
    owner = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid, "controller": True}
    requests, mappings = _requests(pod["spec"], resources)
    claim: Object = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {
            "name": IN_MEMORY,
            "namespace": metadata.get("namespace", ""),
            "generateName": f"{name}-extended-resources-",
            "uid": f"{IN_MEMORY}/{uid}",
            "annotations": {ANNOTATION: "true"},
            "ownerReferences": [owner],
        },
        "spec": {"devices": {"requests": requests}},
    }
    return Special(claim, mappings)


def to_create(claim: Object) -> Object:
    """The claim as it is asked for: the server names it."""
    metadata = {key: value for key, value in claim["metadata"].items() if key not in ("name", "uid")}
    return {**claim, "metadata": metadata}


class _Need(NamedTuple):
    """What one container asks for of a resource."""

    container: str
    request: str
    amount: int


def _requests(spec: Object, resources: Mapping[str, str]) -> tuple[list[Object], list[Object]]:
    requests: list[Object] = []
    mappings: list[Object] = []
    for resource, device_class in sorted(resources.items()):
        counts, uses = _shared_out(spec, resource)
        for name, count in counts.items():
            wish = {"deviceClassName": device_class, "allocationMode": "ExactCount", "count": count}
            requests.append({"name": name, "exactly": wish})
        mappings += [
            {"containerName": container, "resourceName": resource, "requestName": name} for container, name in uses
        ]
    return sorted(requests, key=lambda one: str(one["name"])), mappings


def _shared_out(spec: Object, resource: str) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Requests with their counts, and (container, request): who uses which.

    What runs beside others has devices of its own. An init container that ends before takes those of containers that start
    after it; what they all lack beyond is one request more, as large as the largest of them needs.
    """
    before = list(spec.get("initContainers") or ())
    containers = [*before, *(spec.get("containers") or ())]
    needs = [_need(at, container, resource) for at, container in enumerate(containers)]
    ends = [at < len(before) and one.get("restartPolicy") != "Always" for at, one in enumerate(containers)]
    lasting = [None if short else need for need, short in zip(needs, ends, strict=True)]
    counts = {need.request: need.amount for need in lasting if need is not None}
    uses = [(need.container, need.request) for need in lasting if need is not None]
    own: list[_Need] = []
    lent: list[tuple[str, str]] = []
    for at, need in enumerate(needs):
        if need is None or not ends[at]:
            continue
        lacking = _borrowed(need, [one for one in lasting[at:] if one is not None], lent)
        if lacking > 0:
            own.append(need._replace(amount=lacking))
            lent.append((need.container, need.request))
    if own:
        most = max(own, key=lambda one: one.amount)
        counts[most.request] = most.amount
        names = {one.request: most.request for one in own}
        lent = [(container, names.get(request, request)) for container, request in lent]
    return counts, [*uses, *lent]


def _borrowed(need: _Need, later: Sequence[_Need], lent: list[tuple[str, str]]) -> int:
    """Notes whose requests a container uses until it has enough; how much is lacking."""
    lacking = need.amount
    for one in later:
        if lacking <= 0:
            break
        lent.append((need.container, one.request))
        lacking -= one.amount
    return lacking


def _need(at: int, container: Object, resource: str) -> _Need | None:
    """Named by the places of the container and of the resource among all that it asks for, by name."""
    asked = (container.get("resources") or {}).get("requests") or {}
    if resource not in asked:
        return None
    amount = parse(str(asked[resource])).ceil
    if amount == 0:
        return None
    return _Need(container["name"], f"container-{at}-request-{sorted(asked).index(resource)}", amount)
