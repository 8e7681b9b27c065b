"""What the scheduler knows of claims, volumes and storage classes, and which volumes it has promised to pods under way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from heeler.objects import selectors
from heeler.objects.quantities import parse
from heeler.objects.value import Object, name_of
from heeler.scheduler.pod import PodInfo
from heeler.workloads import volumes


class Bindings(NamedTuple):
    """What has to be bound before a pod goes to its node: (claim, volume) pairs, and claims to be provisioned there."""

    static: tuple[tuple[Object, Object], ...] = ()
    provision: tuple[Object, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.static or self.provision)


#: Why claims can't be bound on a node: there is no volume and none can be made, or no room to make one.
NO_VOLUME, NO_SPACE = "no volume", "no space"


@dataclass(slots=True)
class Storage:
    """By key (`namespace/name`) or name. `promised`: volumes that are being bound, with the key of the claim."""

    claims: dict[str, Object] = field(default_factory=dict)
    volumes: dict[str, Object] = field(default_factory=dict)
    classes: dict[str, Object] = field(default_factory=dict)
    csi_nodes: dict[str, Object] = field(default_factory=dict)
    csi_drivers: dict[str, Object] = field(default_factory=dict)
    #: What drivers say of the room that they have, CSIStorageCapacities.
    capacities: dict[str, Object] = field(default_factory=dict)
    promised: dict[str, str] = field(default_factory=dict)

    def claim(self, namespace: str, name: str) -> Object | None:
        return self.claims.get(f"{namespace}/{name}")

    def class_of(self, claim: Object) -> Object | None:
        return self.classes.get(volumes.class_of(claim))

    def is_delayed(self, claim: Object) -> bool:
        """Not bound yet, and only to be bound with its first pod."""
        return not claim["spec"].get("volumeName") and volumes.waits_for_consumer(self.class_of(claim))

    def claims_of(self, pod: PodInfo) -> Iterator[Object]:
        """The claims of a pod that are there."""
        for _, name, _ in pod.claims:
            claim = self.claim(pod.namespace, name)
            if claim is not None:
                yield claim

    def volume_of(self, claim: Object) -> Object | None:
        return self.volumes.get(claim["spec"].get("volumeName") or "")

    def choose(self, pod: PodInfo, node: Object) -> Bindings | str:
        """How the pod's delayed claims would be bound on a node, or why they can't be."""
        delayed = [claim for claim in self.claims_of(pod) if self.is_delayed(claim)]
        taken = dict.fromkeys(self.promised)
        static: list[tuple[Object, Object]] = []
        provision: list[Object] = []
        for claim in sorted(delayed, key=lambda one: (volumes.requested(one).value, name_of(one))):
            chosen = volumes.notes_of(claim).get(volumes.SELECTED_NODE)
            if chosen:
                if chosen != name_of(node):
                    return NO_VOLUME
                provision.append(claim)
                continue
            volume = volumes.best_match(claim, self.volumes.values(), node=node, taken=taken)
            if volume is not None:
                taken[name_of(volume)] = None
                static.append((claim, volume))
            elif not self._provisions(claim, node):
                return NO_VOLUME
            elif not self._has_room(claim, node):
                return NO_SPACE
            else:
                provision.append(claim)
        return Bindings(tuple(static), tuple(provision))

    def _provisions(self, claim: Object, node: Object) -> bool:
        """Can a volume for the claim be made on the node?"""
        storage_class = self.class_of(claim) or {}
        if storage_class.get("provisioner") in (None, "", volumes.NO_PROVISIONER):
            return False
        allowed = storage_class.get("allowedTopologies")
        return not allowed or any(_topology_matches(term, node["metadata"].get("labels") or {}) for term in allowed)

    def _has_room(self, claim: Object, node: Object) -> bool:
        """Does the driver have room for the claim near the node? Most don't say, and then nobody asks."""
        storage_class = self.class_of(claim) or {}
        driver = self.csi_drivers.get(storage_class.get("provisioner") or "")
        if driver is None or not driver["spec"].get("storageCapacity"):
            return True
        size, labels = volumes.requested(claim), node["metadata"].get("labels") or {}
        for one in self.capacities.values():
            near = one.get("nodeTopology")
            if one.get("storageClassName") != name_of(storage_class) or near is None:
                continue
            room = one.get("maximumVolumeSize") or one.get("capacity")
            if room is not None and not parse(str(room)) < size and selectors.of_object(near).matches(labels):
                return True
        return False


def _topology_matches(term: Object, labels: Mapping[str, str]) -> bool:
    wanted = term.get("matchLabelExpressions") or ()
    return all(labels.get(one["key"]) in (one.get("values") or ()) for one in wanted)
