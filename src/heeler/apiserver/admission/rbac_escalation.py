"""Nobody grants by RBAC what they may not do themselves, unless they may `escalate` roles or `bind` them.

Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from heeler.apiserver.authorize.rbac import GROUP, Attributes
from heeler.apiserver.user import MASTERS, User
from heeler.objects.faults import quote
from heeler.objects.status import forbidden
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write


class _Grant(NamedTuple):
    """One right: a verb on a resource of a group (perhaps of one name), or on a URL."""

    group: str
    resource: str
    name: str
    url: str
    verb: str


async def check(write: Write) -> None:
    if write.kind.group != GROUP or write.new is None or write.subresource or write.operation == "DELETE":
        return
    user, server = write.context.user, write.context.server
    if MASTERS in user.groups or server.rbac is None:
        return
    namespace = write.context.info.namespace
    name = write.new["metadata"].get("name", "")
    plural = write.kind.plural
    if plural in ("roles", "clusterroles"):
        if write.old is not None and write.old.get("rules") == write.new.get("rules"):
            return
        asked = Attributes("escalate", GROUP, "v1", plural, "", namespace, name)
        rules = list(write.new.get("rules") or ())
    else:
        same = write.old is not None and all(
            write.old.get(part) == write.new.get(part) for part in ("roleRef", "subjects")
        )
        if same:
            return
        reference = write.new.get("roleRef") or {}
        of_kind = "clusterroles" if reference.get("kind") == "ClusterRole" else "roles"
        where = namespace if of_kind == "roles" else ""
        asked = Attributes("bind", GROUP, "v1", of_kind, "", namespace, reference.get("name", ""))
        rules = server.roles.rules(reference.get("kind", ""), where or namespace, reference.get("name", "")) or []
    if await server.authorizer.allows(user, asked) is not None:
        return
    held = [rule for rule, _ in server.rbac.rules_for(user, namespace)]
    missing = [g for rule in rules for g in _grants(rule) if not any(_covers(own, g) for own in held)]
    if missing:
        raise forbidden(plural, GROUP, name, _message(user, missing))


def _grants(rule: Object) -> Iterator[_Grant]:
    for url in rule.get("nonResourceURLs") or ():
        for verb in rule.get("verbs") or ():
            yield _Grant("", "", "", url, verb)
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            for name in rule.get("resourceNames") or ("",):
                for verb in rule.get("verbs") or ():
                    yield _Grant(group, resource, name, "", verb)


def _covers(rule: Object, grant: _Grant) -> bool:
    verbs = rule.get("verbs") or ()
    if "*" not in verbs and grant.verb not in verbs:
        return False
    if grant.url:
        return any(
            p in ("*", grant.url) or (p.endswith("*") and grant.url.startswith(p[:-1]))
            for p in rule.get("nonResourceURLs") or ()
        )
    groups, resources = rule.get("apiGroups") or (), rule.get("resources") or ()
    if "*" not in groups and grant.group not in groups:
        return False
    _, slash, sub = grant.resource.partition("/")
    if "*" not in resources and grant.resource not in resources and not (slash and f"*/{sub}" in resources):
        return False
    names = rule.get("resourceNames") or ()
    return not names or (grant.name != "" and grant.name in names)


def _message(user: User, missing: list[_Grant]) -> str:
    groups = " ".join(quote(g) for g in user.groups)
    lines = "\n".join(sorted(_compact(missing)))
    return (
        f"user {quote(user.name)} (groups=[{groups}]) is attempting to grant RBAC permissions "
        f"not currently held:\n{lines}"
    )


def _compact(grants: list[_Grant]) -> list[str]:
    """Grants that differ by the verb only stand on one line."""
    verbs: dict[tuple[str, str, str, str], list[str]] = {}
    for g in grants:
        found = verbs.setdefault((g.group, g.resource, g.name, g.url), [])
        if g.verb not in found:
            found.append(g.verb)
    out = []
    for (group, resource, name, url), found in verbs.items():
        parts = [f"NonResourceURLs:[{quote(url)}]"] if url else [f"APIGroups:[{quote(group)}]"]
        if resource:
            parts.append(f"Resources:[{quote(resource)}]")
        if name:
            parts.append(f"ResourceNames:[{quote(name)}]")
        parts.append(f"Verbs:[{' '.join(quote(v) for v in found)}]")
        out.append("{" + ", ".join(parts) + "}")
    return out
