"""APIService. https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/api-service-v1/"""

from __future__ import annotations

from heeler.kinds.kind import Column, Own, SubresourceOwn, status_only
from heeler.kinds.policy import rules
from heeler.kinds.printing import AGE, NAME, cell
from heeler.objects.value import Object


def _default(service: Object, version: str) -> None:
    reference = (service.get("spec") or {}).get("service")
    if reference is not None:
        reference.setdefault("port", 443)


def _prepare_create(service: Object) -> None:
    service["status"] = {}


def local_condition(now: str) -> Object:
    """Of a service that is served by this server itself."""
    condition = {"type": "Available", "status": "True", "lastTransitionTime": now, "reason": "Local"}
    return {**condition, "message": "Local APIServices are always available"}


def _stamp(service: Object, now: str) -> None:
    """A service without a reference is served here, and so is available."""
    if (service.get("spec") or {}).get("service") is None and not (service.get("status") or {}).get("conditions"):
        service["status"] = {"conditions": [local_condition(now)]}


def _service(service: Object) -> str:
    reference = (service.get("spec") or {}).get("service")
    return f"{reference.get('namespace', '')}/{reference.get('name', '')}" if reference else "Local"


def _available(service: Object) -> str:
    for condition in (service.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Available":
            status = condition.get("status", "")
            return status if status == "True" else f"{status} ({condition.get('reason', '')})"
    return "Unknown"


OWN = Own(
    "apiregistration.k8s.io",
    "APIService",
    name_form="path",
    rules=rules.api_service,
    default=_default,
    status=True,
    prepare_create=_prepare_create,
    stamp=_stamp,
    allow_unconditional_update=False,
    columns=(
        NAME,
        Column("Service", cell(_service), about="=The reference to the service that hosts this API endpoint."),
        Column("Available", cell(_available), about="=Whether this service is available."),
        AGE,
    ),
    subresources={"status": SubresourceOwn(status_only)},
)
