"""What pods and resource claims want of each other, pure.

https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from heeler.objects.value import Object, meta, name_of
from heeler.workloads import owners, pods

FINALIZER = "resource.kubernetes.io/delete-protection"
ANNOTATION = "resource.kubernetes.io/pod-claim-name"
#: Consumers of one claim at most (the API's own limit).
MAX_CONSUMERS = 256
#: A generated name's base, so that five random characters fit into 63.
MAX_BASE = 57


class PodClaim(NamedTuple):
    """One entry of a pod's `spec.resourceClaims`.

    `claim` is the ResourceClaim's name: "" while it isn't known yet, None when none is needed. `template` is "" for a
    claim that was made by hand.
    """

    name: str
    template: str
    claim: str | None


def pod_claims(pod: Object) -> list[PodClaim]:
    """The claims that a pod names, and those that were made for it."""
    made = {
        one["name"]: one.get("resourceClaimName")
        for one in (pod.get("status") or {}).get("resourceClaimStatuses") or ()
    }
    out = []
    for entry in (pod.get("spec") or {}).get("resourceClaims") or ():
        name, template = entry["name"], entry.get("resourceClaimTemplateName") or ""
        if template:
            out.append(PodClaim(name, template, made.get(name, "")))
        else:
            out.append(PodClaim(name, "", entry.get("resourceClaimName") or ""))
    return out


def extended_claim(pod: Object) -> str:
    """The claim that the scheduler made for a pod's extended resources, or ""."""
    found = (pod.get("status") or {}).get("extendedResourceClaimStatus") or {}
    return str(found.get("resourceClaimName") or "")


def is_done(pod: Object) -> bool:
    """None of its containers runs or ever will."""
    return pods.is_finished(pod) or (pods.is_terminating(pod) and not pods.node_name(pod))


def owner_pod(claim: Object) -> Object | None:
    """The reference to the pod that a claim was made for."""
    ref = owners.controller_of(claim)
    return ref if ref is not None and (ref["apiVersion"], ref["kind"]) == ("v1", "Pod") else None


def is_for(claim: Object, pod: Object) -> bool:
    """Was the claim made for this pod?"""
    ref = owner_pod(claim)
    return ref is not None and ref["uid"] == pod["metadata"]["uid"]


def made_for(pod: Object, entry: str, owned: Iterable[Object]) -> Object | None:
    """The claim of an entry among those that a pod owns: it may be there though the pod doesn't say so yet."""
    return next((c for c in owned if (meta(c).get("annotations") or {}).get(ANNOTATION) == entry), None)


def base_name(pod: str, entry: str) -> str:
    """What the generated name begins with; of long names both parts are cut in proportion (upstream's lose a short one)."""
    base = f"{pod}-{entry}-"
    if len(base) <= MAX_BASE:
        return base
    first, second = (max(1, len(part) * MAX_BASE // len(base)) for part in (pod, entry))
    return f"{pod[:first]}-{entry[:second]}"


def new_claim(pod: Object, entry: str, template: Object) -> Object:
    """The claim of a template for an entry of a pod."""
    spec = template["spec"]
    given = spec.get("metadata") or {}
    metadata: Object = {
        "generateName": base_name(name_of(pod), entry),
        "namespace": pod["metadata"]["namespace"],
        "annotations": {**(given.get("annotations") or {}), ANNOTATION: entry},
        "ownerReferences": [
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": name_of(pod),
                "uid": pod["metadata"]["uid"],
                "controller": True,
            }
        ],
    }
    if given.get("labels"):
        metadata["labels"] = given["labels"]
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": metadata,
        "spec": spec["spec"],
    }


def consumers(claim: Object) -> list[Object]:
    return (claim.get("status") or {}).get("reservedFor") or []


def is_reserved_for(claim: Object, pod: Object) -> bool:
    return any(one.get("uid") == pod["metadata"]["uid"] for one in consumers(claim))


def to_be_reserved(claim: Object, pod: Object) -> bool:
    """Allocated and not reserved for a pod that is on a node: the scheduler didn't see it, so the controller reserves."""
    allocated = (claim.get("status") or {}).get("allocation") is not None
    return allocated and not is_reserved_for(claim, pod) and len(consumers(claim)) < MAX_CONSUMERS


def reserved(claim: Object, pod: Object) -> Object:
    """The claim with the pod as one more consumer."""
    entry = {"resource": "pods", "name": name_of(pod), "uid": pod["metadata"]["uid"]}
    return {**claim, "status": {**(claim.get("status") or {}), "reservedFor": [*consumers(claim), entry]}}


def is_stale(consumer: Object, found: Mapping[str, Object | None]) -> bool:
    """Whether a consumer will not use the claim any more. `found`: the pods of these names, None for those not there."""
    pod = found.get(consumer["name"])
    return pod is None or pod["metadata"]["uid"] != consumer["uid"] or is_done(pod)


class Step(NamedTuple):
    """What becomes of a claim: its new status (None: as it is), and whether its finalizer goes."""

    status: Object | None
    release: bool


def step(claim: Object, valid: list[Object]) -> Step:
    """`valid` are the consumers that remain. A claim that has lost the last one is free again for any node."""
    status = claim.get("status") or {}
    held = FINALIZER in (meta(claim).get("finalizers") or ())
    going = "deletionTimestamp" in meta(claim)
    if len(valid) < len(consumers(claim)):
        left = {key: value for key, value in status.items() if key != "reservedFor"}
        if valid:
            left["reservedFor"] = valid
        elif held:
            left.pop("allocation", None)
        return Step(left, held and "allocation" not in left)
    if held and going and not valid:
        free = {key: value for key, value in status.items() if key != "allocation"}
        return Step(free if "allocation" in status else None, True)
    return Step(None, False)


def released(claim: Object) -> Object:
    """The claim without its finalizer."""
    left = [one for one in meta(claim).get("finalizers") or () if one != FINALIZER]
    metadata = {key: value for key, value in meta(claim).items() if key != "finalizers"}
    if left:
        metadata["finalizers"] = left
    return {**claim, "metadata": metadata}
