"""ControllerRevision. https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/controller-revision-v1/"""

from __future__ import annotations

from heeler.kinds.kind import Column, Own
from heeler.kinds.policy import rules
from heeler.kinds.printing import AGE, NAME, NONE, at, cell
from heeler.objects.value import Object


def _controller(revision: Object) -> str:
    for owner in revision["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            group, _, _ = owner.get("apiVersion", "").rpartition("/")
            return f"{owner.get('kind', '').lower()}{'.' + group if group else ''}/{owner.get('name', '')}"
    return NONE


OWN = Own(
    "apps",
    "ControllerRevision",
    rules=rules.revision,
    update_rules=rules.revision_update,
    columns=(
        NAME,
        Column("Controller", cell(_controller), about="=Controller of the object"),
        Column("Revision", at("revision", 0), about="apps.v1.ControllerRevision.revision"),
        AGE,
    ),
)
