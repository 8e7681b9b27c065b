"""What the scheduler knows of claims, classes and slices of devices, and which claims it is allocating just now."""

from __future__ import annotations

from heeler.objects.value import Object, labels_of, name_of
from heeler.scheduler.devices.allocator import Use
from heeler.scheduler.devices.pools import Published
from heeler.scheduler.devices.selecting import Selecting, SelectorError
from heeler.workloads import affinity
from heeler.workloads.extended_resources import CLASS_PREFIX, by_resource


class MissingClaim(ValueError):
    """A claim of a pod isn't there, or isn't for it."""


class Devices:
    """Kept by events (`changed_…`). By key (`namespace/name`) or name."""

    def __init__(self) -> None:
        self.claims: dict[str, Object] = {}
        self.classes: dict[str, Object] = {}
        self.slices: dict[str, Object] = {}
        #: DeviceTaintRules.
        self.rules: dict[str, Object] = {}
        #: Claims whose allocation is decided and not written yet: uid -> allocation.
        self.pending: dict[str, Object] = {}
        self._published: Published | None = None
        self._use: Use | None = None
        self._by_resource: dict[str, Object] | None = None

    def changed(self) -> None:
        """Any of the objects changed."""
        self._published = self._use = self._by_resource = None

    def class_for(self, resource: str) -> Object | None:
        """The class whose devices are had for an extended resource, where a node doesn't offer it itself."""
        if resource.startswith(CLASS_PREFIX):
            return self.classes.get(resource.removeprefix(CLASS_PREFIX))
        if self._by_resource is None:
            self._by_resource = by_resource(self.classes.values())
        return self._by_resource.get(resource)

    @property
    def published(self) -> Published:
        if self._published is None:
            self._published = Published(self.slices.values(), self.rules.values())
        return self._published

    @property
    def use(self) -> Use:
        """What is taken by claims that are allocated, or are being so."""
        if self._use is None:
            self._use = Use()
            written = (c for c in self.claims.values() if c["metadata"].get("uid", "") not in self.pending)
            for found in (*map(allocation_of, written), *self.pending.values()):
                for result in ((found or {}).get("devices") or {}).get("results") or ():
                    self._use.add_result(result)
        return self._use

    def totals(self, device_class: Object, node: Object, selecting: Selecting) -> tuple[int, int]:
        """How many devices of a class a node has, and how many of them are taken; none if that can't be said."""
        has = taken = 0
        selectors = device_class["spec"].get("selectors") or []
        try:
            for pool in self.published.for_node(node):
                for device in pool.devices:
                    if selecting.matches(selectors, device):
                        has += 1
                        taken += self.use.is_used(device.id)
        except SelectorError:
            return 0, 0
        return has, taken

    def set_pending(self, claim: Object, allocation: Object) -> None:
        self.pending[claim["metadata"]["uid"]] = allocation
        self._use = None

    def drop_pending(self, claim: Object) -> None:
        if self.pending.pop(claim["metadata"]["uid"], None) is not None:
            self._use = None

    def written(self, old: Object, new: Object) -> None:
        """A claim that had no name yet is there: it is still being allocated."""
        found = self.pending.pop(old["metadata"]["uid"], None)
        if found is not None:
            self.set_pending(new, found)

    def claims_of(self, pod: Object) -> list[Object]:
        """The claims of a pod. Raises MissingClaim."""
        namespace = pod["metadata"].get("namespace", "")
        out = []
        for one in pod["spec"].get("resourceClaims") or ():
            name, generated = _name(pod, one)
            if name is None:
                continue
            claim = self.claims.get(f"{namespace}/{name}")
            if claim is None:
                raise MissingClaim(f'resourceclaim.resource.k8s.io "{name}" not found')
            if "deletionTimestamp" in claim["metadata"]:
                raise MissingClaim(f'resourceclaim "{name}" is being deleted')
            if generated and not _is_for(claim, pod):
                text = f"ResourceClaim {namespace}/{name} was not created for Pod {namespace}/{name_of(pod)}"
                raise MissingClaim(f"{text} (Pod is not owner)")
            out.append(claim)
        return out


def _name(pod: Object, one: Object) -> tuple[str | None, bool]:
    """(the claim's name, was it made for this pod); None where none is needed. Raises MissingClaim."""
    if one.get("resourceClaimName"):
        return one["resourceClaimName"], False
    for status in (pod.get("status") or {}).get("resourceClaimStatuses") or ():
        if status.get("name") == one["name"]:
            return status.get("resourceClaimName"), True
    namespace = pod["metadata"].get("namespace", "")
    raise MissingClaim(f'pod "{namespace}/{name_of(pod)}": ResourceClaim not created yet')


def _is_for(claim: Object, pod: Object) -> bool:
    references = claim["metadata"].get("ownerReferences") or ()
    return any(ref.get("controller") and ref.get("uid") == pod["metadata"].get("uid") for ref in references)


def allocation_of(claim: Object) -> Object | None:
    return (claim.get("status") or {}).get("allocation")


def reserved_for(claim: Object) -> list[Object]:
    return (claim.get("status") or {}).get("reservedFor") or []


def usable_on(allocation: Object, node: Object) -> bool:
    """Can an allocated claim be used on a node?"""
    terms = (allocation.get("nodeSelector") or {}).get("nodeSelectorTerms")
    if terms is None:
        return True
    return any(affinity.term_matches(term, labels_of(node), name_of(node)) for term in terms)
