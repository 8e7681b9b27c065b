"""Which requests are written down, and how much of them: an audit policy read from its file, and its verdict on a request.

Pure. Source: https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/#audit-k8s-io-v1-Policy
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from heeler.apiserver.request_info import RequestInfo
from heeler.apiserver.user import User
from heeler.objects import faults
from heeler.objects.faults import Fault

LEVELS = ("None", "Metadata", "Request", "RequestResponse")
STAGES = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")
API_VERSION = "audit.k8s.io/v1"


class PolicyError(ValueError):
    """The file isn't an audit policy; the message says where and what would be right."""


@dataclass(frozen=True, slots=True)
class GroupResources:
    """Resources of a group: `pods`, `pods/log`, `pods/*`, `*/log`, `*`; none stands for all of them."""

    group: str
    resources: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule holds for a request if each part that isn't empty does."""

    level: str
    users: tuple[str, ...]
    groups: tuple[str, ...]
    verbs: tuple[str, ...]
    resources: tuple[GroupResources, ...]
    namespaces: tuple[str, ...]
    urls: tuple[str, ...]
    omit_stages: frozenset[str]
    omit_managed_fields: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """What is written of a request: how much, at which stages not, and whether managedFields are left out."""

    level: str
    omit_stages: frozenset[str] = frozenset()
    omit_managed_fields: bool = False


NOTHING = Decision("None")


@dataclass(frozen=True, slots=True)
class Policy:
    rules: tuple[Rule, ...]

    def decide(self, user: User, info: RequestInfo) -> Decision:
        """The first rule that holds says; nothing is written where none does."""
        for rule in self.rules:
            if _holds(rule, user, info):
                return Decision(rule.level, rule.omit_stages, rule.omit_managed_fields)
        return NOTHING


def read(value: Any) -> Policy:
    """The policy that a parsed file holds. Raises PolicyError with all that is wrong."""
    if not isinstance(value, dict) or (value.get("apiVersion"), value.get("kind")) != (API_VERSION, "Policy"):
        raise PolicyError(f"the file must hold one object of kind: Policy, apiVersion: {API_VERSION}")
    found = list(_policy_faults(value))
    if found:
        raise PolicyError("; ".join(f"{fault.field}: {fault.message}" for fault in found))
    omitted = frozenset(value.get("omitStages") or ())
    without_managers = bool(value.get("omitManagedFields"))
    return Policy(tuple(_rule(row, omitted, without_managers) for row in value["rules"]))


def _rule(row: Mapping[str, Any], omitted: frozenset[str], without_managers: bool) -> Rule:
    own = row.get("omitManagedFields")
    return Rule(
        row["level"],
        tuple(row.get("users") or ()),
        tuple(row.get("userGroups") or ()),
        tuple(row.get("verbs") or ()),
        tuple(
            GroupResources(r.get("group") or "", tuple(r.get("resources") or ()), tuple(r.get("resourceNames") or ()))
            for r in row.get("resources") or ()
        ),
        tuple(row.get("namespaces") or ()),
        tuple(row.get("nonResourceURLs") or ()),
        omitted | frozenset(row.get("omitStages") or ()),
        without_managers if own is None else bool(own),
    )


_LISTS = ("users", "userGroups", "verbs", "namespaces", "nonResourceURLs", "omitStages")
_RULE_FIELDS = {"level", "resources", "omitManagedFields", *_LISTS}
_POLICY_FIELDS = {"apiVersion", "kind", "metadata", "rules", "omitStages", "omitManagedFields"}


def _policy_faults(value: Mapping[str, Any]) -> Iterator[Fault]:
    for key in value.keys() - _POLICY_FIELDS:
        yield faults.invalid(key, value[key], f"unknown field: choose of {', '.join(sorted(_POLICY_FIELDS))}")
    yield from _stage_faults(value.get("omitStages") or [], "omitStages")
    rules = value.get("rules")
    if not isinstance(rules, list) or not rules:
        yield faults.required("rules", "a policy without a rule writes nothing; give at least one")
        return
    for at, row in enumerate(rules):
        path = f"rules[{at}]"
        if not isinstance(row, dict):
            yield faults.invalid(path, row, "must be an object")
            continue
        yield from _rule_faults(row, path)


def _rule_faults(row: Mapping[str, Any], path: str) -> Iterator[Fault]:
    for key in row.keys() - _RULE_FIELDS:
        yield faults.invalid(f"{path}.{key}", row[key], f"unknown field: choose of {', '.join(sorted(_RULE_FIELDS))}")
    if not row.get("level"):
        yield faults.required(f"{path}.level", "")
    elif row["level"] not in LEVELS:
        yield faults.not_supported(f"{path}.level", row["level"], LEVELS)
    for key in _LISTS:
        found = row.get(key) or []
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            yield faults.invalid(f"{path}.{key}", found, "must be a list of strings")
            return
    yield from _stage_faults(row.get("omitStages") or [], f"{path}.omitStages")
    urls = row.get("nonResourceURLs") or []
    if urls and (row.get("resources") or row.get("namespaces")):
        why = "rules cannot apply to both regular resources and non-resource URLs"
        yield faults.invalid(f"{path}.nonResourceURLs", urls, why)
    for number, url in enumerate(urls):
        where = f"{path}.nonResourceURLs[{number}]"
        if url == "*":
            continue
        if not url.startswith("/"):
            yield faults.invalid(where, url, "non-resource URL rules must begin with a '/' character")
        if "*" in url[:-1]:
            yield faults.invalid(where, url, "non-resource URL wildcards '*' must be the final character of the rule")
    for number, resources in enumerate(row.get("resources") or []):
        yield from _resource_faults(resources, f"{path}.resources[{number}]")


def _resource_faults(row: Any, path: str) -> Iterator[Fault]:
    if not isinstance(row, dict):
        yield faults.invalid(path, row, "must be an object")
        return
    group = row.get("group") or ""
    if not isinstance(group, str) or "/" in group:
        yield faults.invalid(f"{path}.group", group, "must be the name of a group without its version")
    if (row.get("resourceNames") or []) and not row.get("resources"):
        why = "using resourceNames requires at least one resource"
        yield faults.invalid(f"{path}.resourceNames", row["resourceNames"], why)


def _stage_faults(stages: Any, path: str) -> Iterator[Fault]:
    for at, stage in enumerate(stages):
        if stage not in STAGES:
            yield faults.invalid(f"{path}[{at}]", stage, f"allowed stages are {', '.join(STAGES)}")


def _holds(rule: Rule, user: User, info: RequestInfo) -> bool:
    if rule.users and user.name not in rule.users:
        return False
    if rule.groups and not any(group in rule.groups for group in user.groups):
        return False
    if rule.verbs and info.verb not in rule.verbs and "*" not in rule.verbs:
        return False
    if rule.namespaces or rule.resources:
        return info.is_resource and _about(rule, info)
    if rule.urls:
        return not info.is_resource and any(_covers(url, info.path) for url in rule.urls)
    return True


def _about(rule: Rule, info: RequestInfo) -> bool:
    if rule.namespaces and info.namespace not in rule.namespaces:
        return False
    return not rule.resources or any(_names(row, info) for row in rule.resources)


def _names(row: GroupResources, info: RequestInfo) -> bool:
    if row.group != info.group:
        return False
    if not row.resources:
        return True
    whole = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    # kube-apiserver takes pods/* for pods themselves, too
    wanted = {whole, "*", f"{info.resource}/*"}
    if info.subresource:
        wanted.add(f"*/{info.subresource}")
    if not any(resource in wanted for resource in row.resources):
        return False
    return not row.names or info.name in row.names


def _covers(rule: str, path: str) -> bool:
    if rule == "*":
        return True
    return path.startswith(rule[:-1]) if rule.endswith("*") else path == rule
