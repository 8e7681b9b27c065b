"""Namespace. https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/namespace-v1/"""

from __future__ import annotations

from heeler.kinds.core import node_rules
from heeler.kinds.kind import Column, Own, SubresourceOwn, status_only
from heeler.kinds.printing import AGE, NAME, text_at
from heeler.objects.value import Object


def _default(namespace: Object, version: str) -> None:
    name = namespace["metadata"].get("name")
    if name:
        labels = namespace["metadata"].get("labels") or {}
        namespace["metadata"]["labels"] = {**labels, "kubernetes.io/metadata.name": name}
    if not namespace["status"].get("phase"):
        namespace["status"]["phase"] = "Active"


def _prepare_create(namespace: Object) -> None:
    namespace["status"] = {"phase": "Active"}
    finalizers = namespace["spec"].get("finalizers") or []
    if "kubernetes" not in finalizers:
        namespace["spec"]["finalizers"] = [*finalizers, "kubernetes"]


def _prepare_update(new: Object, old: Object) -> None:
    new["spec"], new["status"] = old.get("spec", {}), old.get("status", {})


def _prepare_finalize(new: Object, old: Object) -> None:
    new["status"] = old.get("status", {})


OWN = Own(
    "",
    "Namespace",
    default=_default,
    status=True,
    name_form="label",
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    rules=node_rules.finalizer_names,
    columns=(NAME, Column("Status", text_at("status.phase"), about="=The status of the namespace"), AGE),
    selectable={
        "status.phase": lambda obj: str((obj.get("status") or {}).get("phase", "")),
        "name": lambda obj: str(obj["metadata"].get("name", "")),
    },
    unsupported_label="field label not supported: {label}",
    subresources={
        "status": SubresourceOwn(status_only, node_rules.namespace_status),
        "finalize": SubresourceOwn(_prepare_finalize, lambda new, old: node_rules.finalizer_names(new)),
    },
)
