"""Nobody grants by RBAC what they may not do themselves, unless they may `escalate` roles or `bind` them.

Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from heeler.apiserver.authorize.rbac import GROUP, Attributes
from heeler.apiserver.user import MASTERS, User
from heeler.objects.faults import quote
from heeler.objects.status import forbidden, not_found
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
    if MASTERS in write.context.user.groups or write.context.server.rbac is None:
        return
    if write.old is not None and _only_for_collection(write.new, write.old):
        return
    if write.kind.plural in ("roles", "clusterroles"):
        await _check_role(write, write.new)
    else:
        await _check_binding(write, write.new)


async def _check_role(write: Write, role: Object) -> None:
    """Any change counts: a label may add a role's rules to an aggregated one."""
    info, plural = write.context.info, write.kind.plural
    # a role that is created has no name yet that a right could be limited to
    asked = Attributes("escalate", GROUP, info.version, plural, "", info.namespace, info.name)
    if await write.context.server.authorizer.allows(write.context.user, asked) is not None:
        return
    _confirm(write, list(role.get("rules") or ()))
    if any((one or {}).get("aggregationRule") is not None for one in (role, write.old)) and _missing(
        write, _EVERYTHING
    ):
        why = "must have cluster-admin privileges to use the aggregationRule"
        raise forbidden(plural, GROUP, role["metadata"].get("name", ""), why)


async def _check_binding(write: Write, binding: Object) -> None:
    namespace, reference = write.context.info.namespace, binding.get("roleRef") or {}
    kind, name = reference.get("kind", ""), reference.get("name", "")
    plural = "clusterroles" if kind == "ClusterRole" else "roles"
    server = write.context.server
    asked = Attributes("bind", GROUP, write.context.info.version, plural, "", namespace, name)
    if await server.authorizer.allows(write.context.user, asked) is not None:
        return
    rules = server.roles.rules(kind, namespace, name)
    if rules is None:  # whoever makes the role later would decide what was granted here
        raise not_found(plural, GROUP, name)
    _confirm(write, rules)


def _only_for_collection(new: Object, old: Object) -> bool:
    """Does an update change no more than what garbage collection needs?"""

    def rest(obj: Object) -> Object:
        own = ("ownerReferences", "finalizers", "managedFields", "resourceVersion")
        return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k not in own and v}}

    return rest(new) == rest(old)


_EVERYTHING: list[Object] = [
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    {"nonResourceURLs": ["*"], "verbs": ["*"]},
]


def _missing(write: Write, rules: list[Object]) -> list[_Grant]:
    """What of `rules` the user doesn't hold."""
    context = write.context
    held = [rule for rule, _ in context.server.rbac.rules_for(context.user, context.info.namespace)]
    return [g for rule in rules for g in _grants(rule) if not any(_covers(own, g) for own in held)]


def _confirm(write: Write, rules: list[Object]) -> None:
    missing = _missing(write, rules)
    if missing:
        name = (write.new or {})["metadata"].get("name", "")
        raise forbidden(write.kind.plural, GROUP, name, _message(write.context.user, missing))


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
