"""Which pods belong together with one: those of its Services and of its owner. Pods without constraints are spread by that.

https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/#internal-default-constraints
"""

from __future__ import annotations

from heeler.client.informer import Informer, Informers
from heeler.objects import selectors
from heeler.objects.selectors import LabelSelector
from heeler.objects.value import GroupVersionResource, Object
from heeler.scheduler.pod import PodInfo
from heeler.workloads import owners

SERVICES = GroupVersionResource("", "v1", "services")
#: Owners whose selectors count, by group and kind; a ReplicationController's is a plain map.
OWNERS = {
    ("", "ReplicationController"): GroupVersionResource("", "v1", "replicationcontrollers"),
    ("apps", "ReplicaSet"): GroupVersionResource("apps", "v1", "replicasets"),
    ("apps", "StatefulSet"): GroupVersionResource("apps", "v1", "statefulsets"),
}
BY_NAMESPACE = "namespace"


class Kinship:
    """Follows Services and owners."""

    def __init__(self, informers: Informers) -> None:
        self._services = informers.get(SERVICES)
        self._services.add_index(BY_NAMESPACE, lambda service: [service["metadata"].get("namespace", "")])
        self._owners: dict[tuple[str, str], Informer] = {kind: informers.get(what) for kind, what in OWNERS.items()}

    @property
    def informers(self) -> list[Informer]:
        return [self._services, *self._owners.values()]

    def of(self, pod: PodInfo) -> LabelSelector | None:
        """What selects the pods that belong together with this one; None if nothing does."""
        equal: dict[str, str] = {}
        for service in self._services.by_index(BY_NAMESPACE, pod.namespace):
            selector = (service.get("spec") or {}).get("selector")
            if selector and all(pod.labels.get(key) == value for key, value in selector.items()):
                equal.update(selector)
        reference = owners.controller_of(pod.pod)
        more = LabelSelector()
        if reference is not None:
            group = str(reference.get("apiVersion", "")).rpartition("/")[0]
            informer = self._owners.get((group, reference.get("kind", "")))
            owner = informer.get(f"{pod.namespace}/{reference['name']}") if informer is not None else None
            if owner is not None and reference["kind"] == "ReplicationController":
                equal.update(_plain_selector(owner))
            elif owner is not None:
                more = selectors.of_object(owner["spec"].get("selector"))
        if not equal and not more.requirements:
            return None
        return LabelSelector((*selectors.of_map(equal).requirements, *more.requirements), more.nothing)


def _plain_selector(owner: Object) -> dict[str, str]:
    return owner["spec"].get("selector") or {}
