"""Role-based access control: may this user do this? Rules are looked up in the server's own cache.

Answers are remembered until any role or binding changes. Source:
https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from heeler.apiserver.user import User
from heeler.objects.value import Object

#: Remembered decisions; all are dropped when full.
MAX_REMEMBERED = 20_000
GROUP = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is asked. For a plain path only `verb` and `path` count."""

    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    #: (field, value) that the field selector of a list or watch demands; roles know nothing of them.
    fields: frozenset[tuple[str, str]] = field(default=frozenset(), compare=False)
    #: Likewise (label, value) of the label selector.
    labels: frozenset[tuple[str, str]] = field(default=frozenset(), compare=False)

    @property
    def is_resource(self) -> bool:
        return not self.path

    @property
    def full_resource(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


class RoleSource(Protocol):
    """Where roles and bindings come from."""

    def revision(self) -> int:
        """Grows whenever a role or binding changes."""
        ...

    def cluster_role_bindings(self) -> Iterator[Object]: ...

    def role_bindings(self, namespace: str) -> Iterator[Object]: ...

    def rules(self, kind: str, namespace: str, name: str) -> list[Object] | None:
        """The rules of a Role or ClusterRole, or None if there is none."""
        ...


class Rbac:
    """Decides by what `source` holds."""

    def __init__(self, source: RoleSource) -> None:
        self._source = source
        self._revision = -1
        self._remembered: dict[tuple[User | tuple[object, ...], Attributes], str | None] = {}
        #: the cluster-wide bindings that name somebody, and how, by name and groups.
        self._bindings: dict[tuple[str, tuple[str, ...]], list[tuple[Object, str]]] = {}

    def allows(self, user: User, attributes: Attributes) -> str | None:
        """The reason why it is allowed, or None."""
        self._freshen()
        key = ((user.name, user.groups), attributes)
        if key not in self._remembered:
            self._remembered[key] = self._decide(user, attributes)
        return self._remembered[key]

    def _freshen(self) -> None:
        """Forget what was decided by other roles and bindings than those of now."""
        revision = self._source.revision()
        if revision != self._revision:
            self._remembered.clear()
            self._bindings.clear()
            self._revision = revision
        elif len(self._remembered) > MAX_REMEMBERED or len(self._bindings) > MAX_REMEMBERED:
            self._remembered.clear()
            self._bindings.clear()

    def _bindings_of(self, user: User) -> list[tuple[Object, str]]:
        """Objects come and go under ever new names, but who asks is mostly the same few."""
        self._freshen()
        key = (user.name, user.groups)
        if key not in self._bindings:
            named = ((binding, _subject(binding, user, "")) for binding in self._source.cluster_role_bindings())
            self._bindings[key] = [(binding, subject) for binding, subject in named if subject]
        return self._bindings[key]

    def _decide(self, user: User, attributes: Attributes) -> str | None:
        for rule, why in self.rules_for(user, attributes.namespace):
            if rule_allows(rule, attributes):
                return why
        return None

    def trouble(self, user: User, namespace: str) -> str:
        """Of the user's bindings, those to roles that aren't there; "" if there are none."""
        bindings = [("", b) for b in self._source.cluster_role_bindings()]
        if namespace:
            bindings += [(namespace, b) for b in self._source.role_bindings(namespace)]
        missing = []
        for where, binding in bindings:
            reference = binding.get("roleRef") or {}
            kind, name = reference.get("kind", ""), reference.get("name", "")
            if _subject(binding, user, where) and self._source.rules(kind, where, name) is None:
                missing.append(f'{kind.lower()}.{GROUP} "{name}" not found')
        distinct = list(dict.fromkeys(missing))
        if not distinct:
            return ""
        return f"RBAC: {distinct[0]}" if len(distinct) == 1 else f"RBAC: [{', '.join(distinct)}]"

    def rules_for(self, user: User, namespace: str) -> Iterator[tuple[Object, str]]:
        """Each rule that holds for the user in a namespace ("" for cluster-wide ones only), and where it comes from."""
        for binding, subject in self._bindings_of(user):
            yield from self._bound(binding, "ClusterRoleBinding", "", subject)
        if namespace:
            for binding in self._source.role_bindings(namespace):
                subject = _subject(binding, user, namespace)
                if subject:
                    yield from self._bound(binding, "RoleBinding", namespace, subject)

    def _bound(self, binding: Object, kind: str, namespace: str, subject: str) -> Iterator[tuple[Object, str]]:
        reference = binding.get("roleRef") or {}
        role_kind, role = reference.get("kind", ""), reference.get("name", "")
        rules = self._source.rules(role_kind, namespace, role)
        name = binding["metadata"]["name"] + (f"/{namespace}" if namespace else "")
        why = f'RBAC: allowed by {kind} "{name}" of {role_kind} "{role}" to {subject}'
        for rule in rules or ():
            yield rule, why


def _subject(binding: Object, user: User, namespace: str) -> str:
    """How a binding names the user; "" if it doesn't."""
    for subject in binding.get("subjects") or ():
        kind, name = subject.get("kind"), subject.get("name", "")
        if kind == "User" and name == user.name:
            return f'User "{name}"'
        if kind == "Group" and name in user.groups:
            return f'Group "{name}"'
        if kind == "ServiceAccount":
            where = subject.get("namespace") or namespace
            if where and user.name == f"system:serviceaccount:{where}:{name}":
                return f'ServiceAccount "{name}/{where}"'
    return ""


def rule_allows(rule: Object, asked: Attributes) -> bool:
    """Does one policy rule cover what is asked?"""
    verbs = rule.get("verbs") or ()
    if "*" not in verbs and asked.verb not in verbs:
        return False
    if not asked.is_resource:
        return any(_path_matches(pattern, asked.path) for pattern in rule.get("nonResourceURLs") or ())
    groups = rule.get("apiGroups") or ()
    if "*" not in groups and asked.group not in groups:
        return False
    if not _resource_matches(rule.get("resources") or (), asked):
        return False
    names = rule.get("resourceNames") or ()
    return not names or asked.name in names


def _resource_matches(resources: Sequence[str], asked: Attributes) -> bool:
    full = asked.full_resource
    for resource in resources:
        if resource in ("*", full):
            return True
        if asked.subresource and resource == f"*/{asked.subresource}":
            return True
    return False


def _path_matches(pattern: str, path: str) -> bool:
    if pattern in ("*", path):
        return True
    return pattern.endswith("*") and path.startswith(pattern.rstrip("*"))
