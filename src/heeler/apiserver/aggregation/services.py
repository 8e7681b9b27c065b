"""What the APIService objects say: which groups and versions there are, in which order, and who serves them. Pure.

Source: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/api-service-v1/
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from heeler.apiserver.aggregation.priorities import Priority
from heeler.objects import versions
from heeler.objects.value import Object

GROUP, PLURAL, VERSION = "apiregistration.k8s.io", "apiservices", "v1"
#: How an APIService that the server itself keeps is labelled: made at the start, or as long as it is served.
AUTOMANAGED = "kube-aggregator.kubernetes.io/automanaged"
ON_START, ALWAYS = "onstart", "true"
#: The APIService of the core group.
LEGACY = "v1."
AVAILABLE = "Available"

GroupVersion = tuple[str, str]


class Remote(NamedTuple):
    """One group version that a Service serves. `bundle` is the PEM of its authority, b"" for the system's."""

    name: str
    uid: str
    group: str
    version: str
    namespace: str
    service: str
    port: int
    bundle: str
    insecure: bool
    available: bool

    @property
    def path(self) -> str:
        """Where its resources are."""
        return path_of(self.group, self.version)

    @property
    def server_name(self) -> str:
        """The name that its certificate is for."""
        return f"{self.service}.{self.namespace}.svc"


def path_of(group: str, version: str) -> str:
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


def name_of(group: str, version: str) -> str:
    """The name of the APIService of a group version."""
    return f"{version}.{group}"


def condition(service: Object) -> Object | None:
    conditions = (service.get("status") or {}).get("conditions") or ()
    return next((c for c in conditions if c.get("type") == AVAILABLE), None)


def is_available(service: Object) -> bool:
    return (condition(service) or {}).get("status") == "True"


def remote(service: Object) -> Remote | None:
    """How the group version is reached; None for one that is served here."""
    spec, metadata = service["spec"], service["metadata"]
    reference = spec.get("service")
    if reference is None:
        return None
    return Remote(
        name=metadata["name"],
        uid=metadata["uid"],
        group=spec.get("group") or "",
        version=spec["version"],
        namespace=reference.get("namespace") or "",
        service=reference.get("name") or "",
        port=int(reference.get("port") or 443),
        bundle=spec.get("caBundle") or "",
        insecure=bool(spec.get("insecureSkipTLSVerify")),
        available=is_available(service),
    )


def ordered(priorities: dict[GroupVersion, Priority]) -> list[tuple[str, list[str]]]:
    """Groups and their versions in discovery's order.

    Groups go by their highest priority, then by the name of the APIService that has it; versions by priority, then by
    what their names say.
    """
    by_group = sorted(priorities, key=lambda gv: (-priorities[gv].group, name_of(*gv)))
    groups: dict[str, list[str]] = {}
    for group, version in by_group:
        groups.setdefault(group, []).append(version)
    for group, found in groups.items():
        found.sort(key=lambda version: (-priorities[group, version].version, versions.priority(version)))
    return list(groups.items())


def priorities(services: Iterable[Object]) -> dict[GroupVersion, Priority]:
    return {
        (service["spec"].get("group") or "", service["spec"]["version"]): Priority(
            int(service["spec"].get("groupPriorityMinimum") or 0), int(service["spec"].get("versionPriority") or 0)
        )
        for service in services
    }


def local(group: str, version: str, priority: Priority, managed: str) -> Object:
    """The APIService of a group version that this server serves itself."""
    spec: Object = {"version": version, "groupPriorityMinimum": priority.group, "versionPriority": priority.version}
    return {
        "kind": "APIService",
        "apiVersion": f"{GROUP}/{VERSION}",
        "metadata": {"name": name_of(group, version), "labels": {AUTOMANAGED: managed}},
        "spec": {"group": group, **spec} if group else spec,
    }


def new_condition(status: str, reason: str, message: str, now: str) -> Object:
    return {"type": AVAILABLE, "status": status, "lastTransitionTime": now, "reason": reason, "message": message}


def with_condition(service: Object, new: Object) -> Object:
    """The APIService with the condition in its status; one that says the same keeps its time."""
    status = dict(service.get("status") or {})
    old = condition(service)
    if old is not None and old.get("status") == new["status"]:
        new = {**new, "lastTransitionTime": old.get("lastTransitionTime") or new["lastTransitionTime"]}
    others = [c for c in status.get("conditions") or () if c.get("type") != AVAILABLE]
    return {**service, "status": {**status, "conditions": [*others, new]}}
