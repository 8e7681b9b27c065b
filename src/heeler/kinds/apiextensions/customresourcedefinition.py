"""CustomResourceDefinition, as an object. (What it defines is made a kind elsewhere.)

https://kubernetes.io/docs/reference/kubernetes-api/extend-resources/custom-resource-definition-v1/
"""

from __future__ import annotations

from typing import Any

from heeler.kinds.apiextensions import rules
from heeler.kinds.kind import Column, Own, SubresourceOwn, status_only
from heeler.kinds.printing import CREATED, NAME, cell, text_at
from heeler.objects.value import Object

#: Holds a definition until its objects are gone.
FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


def _default(definition: Object, version: str) -> None:
    spec = definition["spec"]
    names = spec["names"]
    if not names.get("singular"):
        names["singular"] = names.get("kind", "").lower()
    if not names.get("listKind") and names.get("kind"):
        names["listKind"] = f"{names['kind']}List"
    conversion = spec.setdefault("conversion", {"strategy": "None"})
    if not conversion.get("strategy"):
        conversion["strategy"] = "None"
    service = ((conversion.get("webhook") or {}).get("clientConfig") or {}).get("service")
    if service is not None:
        service.setdefault("port", 443)
    status = definition["status"]
    if not status.get("storedVersions"):
        first = next((v.get("name", "") for v in spec.get("versions") or () if v.get("storage")), None)
        status["storedVersions"] = None if first is None else [first]


def _prepare_create(definition: Object) -> None:
    stored = [v.get("name", "") for v in definition["spec"].get("versions") or () if v.get("storage")]
    definition["status"] = {
        "conditions": None,
        "acceptedNames": {"plural": "", "kind": ""},
        "storedVersions": stored[:1] or None,
    }


def _prepare_update(new: Object, old: Object) -> None:
    """A version that becomes the storage version is remembered as stored."""
    stored = [v.get("name", "") for v in new["spec"].get("versions") or () if v.get("storage")]
    status = dict(new.get("status") or {})
    known = status.get("storedVersions") or []
    status["storedVersions"] = [*known, *(v for v in stored if v not in known)] or None
    new["status"] = status


def _prepare_delete(definition: Object, now: str) -> None:
    """The objects go first."""
    metadata = definition["metadata"]
    if FINALIZER not in (metadata.get("finalizers") or ()):
        metadata["finalizers"] = [*(metadata.get("finalizers") or ()), FINALIZER]
    status = dict(definition.get("status") or {})
    condition = {
        "type": "Terminating",
        "status": "True",
        "lastTransitionTime": now,
        "reason": "InstanceDeletionPending",
        "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    }
    status["conditions"] = [c for c in status.get("conditions") or () if c.get("type") != "Terminating"] + [condition]
    definition["status"] = status


def _versions(definition: Object) -> str:
    return ",".join(
        v.get("name", "") + ("(storage)" if v.get("storage") else "")
        for v in definition["spec"].get("versions") or ()
        if v.get("served")
    )


def _established(definition: Object) -> Any:
    for condition in (definition.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Established":
            return condition.get("status") == "True"
    return False


OWN = Own(
    "apiextensions.k8s.io",
    "CustomResourceDefinition",
    default=_default,
    status=True,
    generation=True,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    rules=rules.create_rules,
    update_rules=rules.update_rules,
    warnings=rules.warnings,
    prepare_delete=_prepare_delete,
    allow_unconditional_update=False,
    null_rows=True,
    repeats=True,
    keeps_empty=True,
    columns=(
        NAME,
        Column("Scope", text_at("spec.scope"), about="=Cluster/Namespaced"),
        Column("Versions", cell(_versions), about="=Served versions"),
        CREATED,
        Column("Group", text_at("spec.group"), priority=1, about="=API group"),
        Column("Kind", text_at("spec.names.kind"), priority=1, about="=CustomResource kind"),
        Column(
            "ShortNames",
            cell(lambda obj: ",".join(obj["spec"]["names"].get("shortNames") or ())),
            priority=1,
            about="=Short names",
        ),
        Column("Established", cell(_established), "boolean", priority=1, about="=Established status"),
    ),
    subresources={"status": SubresourceOwn(status_only, rules.status_rules)},
)
