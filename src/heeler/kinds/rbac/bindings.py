"""Role, ClusterRole, RoleBinding, ClusterRoleBinding.

https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/role-binding-v1/ and its neighbours.
"""

from __future__ import annotations

from heeler.kinds.kind import Cell, Column, Own
from heeler.kinds.printing import AGE, NAME, cell
from heeler.kinds.rbac import rules
from heeler.objects.value import Object

GROUP = "rbac.authorization.k8s.io"


def _default(binding: Object, version: str) -> None:
    role = binding["roleRef"]
    if not role.get("apiGroup"):
        role["apiGroup"] = GROUP
    for subject in binding.get("subjects", ()):
        if not subject.get("apiGroup") and subject.get("kind") in ("User", "Group"):
            subject["apiGroup"] = GROUP


def _role(binding: Object) -> str:
    role = binding.get("roleRef") or {}
    return f"{role.get('kind', '')}/{role.get('name', '')}"


def _subjects(kind: str) -> Cell:
    def show(binding: Object) -> str:
        rows = [s for s in binding.get("subjects") or () if s.get("kind") == kind]
        if kind == "ServiceAccount":
            return ", ".join(f"{s.get('namespace', '')}/{s.get('name', '')}" for s in rows)
        return ", ".join(s.get("name", "") for s in rows)

    return cell(show)


def _columns(word: str, role_text: str) -> tuple[Column, ...]:
    return (
        NAME,
        Column("Role", cell(_role), about=role_text),
        AGE,
        Column("Users", _subjects("User"), priority=1, about=f"=Users in the {word}"),
        Column("Groups", _subjects("Group"), priority=1, about=f"=Groups in the {word}"),
        Column("ServiceAccounts", _subjects("ServiceAccount"), priority=1, about=f"=ServiceAccounts in the {word}"),
    )


ROLE = Own(GROUP, "Role", name_form="path", rules=rules.role, allow_create_on_update=True)
CLUSTER_ROLE = Own(GROUP, "ClusterRole", name_form="path", rules=rules.cluster_role, allow_create_on_update=True)
ROLE_BINDING = Own(
    GROUP,
    "RoleBinding",
    default=_default,
    name_form="path",
    allow_create_on_update=True,
    rules=rules.role_binding,
    update_rules=rules.binding_update(rules.role_binding),
    columns=_columns("roleBinding", "rbac.v1.RoleBinding.roleRef"),
)
CLUSTER_ROLE_BINDING = Own(
    GROUP,
    "ClusterRoleBinding",
    default=_default,
    name_form="path",
    allow_create_on_update=True,
    rules=rules.cluster_role_binding,
    update_rules=rules.binding_update(rules.cluster_role_binding),
    columns=_columns("clusterRoleBinding", "rbac.v1.ClusterRoleBinding.roleRef"),
)
