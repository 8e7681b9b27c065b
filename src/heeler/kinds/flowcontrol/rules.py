"""What is checked of FlowSchema and PriorityLevelConfiguration. https://kubernetes.io/docs/concepts/cluster-administration/flow-control/"""

from __future__ import annotations

import math
from collections.abc import Iterator

from heeler.kinds.flowcontrol import defaults
from heeler.kinds.internal_form import internal
from heeler.kinds.meta.checks import numbered
from heeler.kinds.meta.objectmeta import each
from heeler.kinds.types import type_named
from heeler.objects import names
from heeler.objects.faults import Fault, forbidden, invalid, not_supported, required
from heeler.objects.value import Object

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch", "proxy")
MAX_PRECEDENCE = 10000
#: What a hash has to deal hands of queues with.
MAX_ENTROPY_BITS = 60


def flow_schema(obj: Object) -> Iterator[Fault]:
    spec, name = obj["spec"], obj["metadata"].get("name", "")
    precedence = spec.get("matchingPrecedence", 0)
    if precedence <= 0:
        yield invalid("spec.matchingPrecedence", precedence, "must be a positive value")
    if precedence > MAX_PRECEDENCE:
        yield invalid("spec.matchingPrecedence", precedence, f"must not be greater than {MAX_PRECEDENCE}")
    if precedence == 1 and name != "exempt":
        yield invalid(
            "spec.matchingPrecedence", precedence, "only the schema named 'exempt' may have matchingPrecedence 1"
        )
    method = spec.get("distinguisherMethod")
    if method is not None and method.get("type") not in ("ByNamespace", "ByUser"):
        yield not_supported(
            "spec.distinguisherMethod.type", {"Type": method.get("type", "")}, ("ByNamespace", "ByUser")
        )
    level = (spec.get("priorityLevelConfiguration") or {}).get("name", "")
    if not level:
        yield required("spec.priorityLevelConfiguration.name", "must reference a priority level")
    else:
        yield from each("spec.priorityLevelConfiguration.name", level, names.subdomain(level))
    for at, rule in numbered(spec.get("rules")):
        yield from _rule(rule, f"spec.rules[{at}]")
    if name in defaults.MANDATORY and spec != defaults.schemas()[name]:
        shown = internal(spec, type_named("io.k8s.api.flowcontrol.v1.FlowSchemaSpec"))
        yield invalid("spec", shown, f"spec of '{name}' must equal the fixed value")


def _rule(rule: Object, path: str) -> Iterator[Fault]:
    if not rule.get("subjects"):
        yield required(f"{path}.subjects", "subjects must contain at least one value")
    for at, subject in numbered(rule.get("subjects")):
        yield from _subject(subject, f"{path}.subjects[{at}]")
    if not rule.get("resourceRules") and not rule.get("nonResourceRules"):
        yield required(path, "at least one of resourceRules and nonResourceRules has to be non-empty")
    for at, row in numbered(rule.get("resourceRules")):
        yield from _resource_rule(row, f"{path}.resourceRules[{at}]")
    for at, row in numbered(rule.get("nonResourceRules")):
        yield from _non_resource_rule(row, f"{path}.nonResourceRules[{at}]")


_SUBJECTS = {"ServiceAccount": "serviceAccount", "User": "user", "Group": "group"}


def _subject(subject: Object, path: str) -> Iterator[Fault]:
    kind = subject.get("kind", "")
    if kind not in _SUBJECTS:
        yield not_supported(f"{path}.kind", kind, ("Group", "ServiceAccount", "User"))
        return
    key = _SUBJECTS[kind]
    value = subject.get(key)
    if value is None:
        yield required(f"{path}.{key}", f"{key} is required when subject kind is '{kind}'")
    else:
        yield from _named(kind, value, f"{path}.{key}")
    for other, other_key in _SUBJECTS.items():
        if other != kind and subject.get(other_key) is not None:
            yield forbidden(f"{path}.{other_key}", f"{other_key} is forbidden when subject kind is not '{other}'")


def _named(kind: str, value: Object, path: str) -> Iterator[Fault]:
    name = value.get("name", "")
    if not name:
        yield required(f"{path}.name")
    elif kind == "ServiceAccount" and name != "*":
        yield from each(f"{path}.name", name, names.subdomain(name))
    if kind == "ServiceAccount":
        namespace = value.get("namespace", "")
        if not namespace:
            yield required(f"{path}.namespace", "must specify namespace for service account")
        else:
            yield from each(f"{path}.namespace", namespace, names.label(namespace))


_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")


def _verbs(rows: list[str], path: str) -> Iterator[Fault]:
    if not rows:
        yield required(f"{path}.verbs", "verbs must contain at least one value")
    elif "*" in rows and len(rows) > 1:
        yield invalid(f"{path}.verbs", rows, "if '*' is present, must not specify other verbs")
    elif "*" not in rows and any(verb not in _VERBS for verb in rows):
        yield not_supported(f"{path}.verbs", rows, _VERBS)


def _resource_rule(row: Object, path: str) -> Iterator[Fault]:
    yield from _verbs(row.get("verbs") or [], path)
    for key, word, others in (
        ("apiGroups", "resource rules must supply at least one api group", "api groups"),
        ("resources", "resource rules must supply at least one resource", "resources"),
    ):
        rows = row.get(key) or []
        if not rows:
            yield required(f"{path}.{key}", word)
        elif "*" in rows and len(rows) > 1:
            yield invalid(f"{path}.{key}", rows, f"if '*' is present, must not specify other {others}")
    namespaces = row.get("namespaces") or []
    if not namespaces and not row.get("clusterScope"):
        yield required(
            f"{path}.namespaces", "resource rules that are not cluster scoped must supply at least one namespace"
        )
    elif "*" in namespaces and len(namespaces) > 1:
        yield invalid(f"{path}.namespaces", namespaces, "if '*' is present, must not specify other namespaces")
    else:
        for at, namespace in enumerate(namespaces):
            if namespace != "*":
                told = "each member of this list must be '*' or a DNS-1123 label; "
                yield from each(f"{path}.namespaces[{at}]", namespace, [told + text for text in names.label(namespace)])


def _non_resource_rule(row: Object, path: str) -> Iterator[Fault]:
    yield from _verbs(row.get("verbs") or [], path)
    urls = row.get("nonResourceURLs") or []
    if not urls:
        yield required(f"{path}.nonResourceURLs", "nonResourceURLs must contain at least one value")
    elif "*" in urls:
        if len(urls) > 1:
            yield invalid(
                f"{path}.nonResourceURLs", urls, "if '*' is present, must not specify other non-resource URLs"
            )
    else:
        for at, url in enumerate(urls):
            yield from _url(url, f"{path}.nonResourceURLs[{at}]")


def _url(url: str, path: str) -> Iterator[Fault]:
    if not url:
        yield invalid(path, url, "must not be empty")
    elif url == "/":
        return
    elif not url.startswith("/"):
        yield invalid(path, url, "must start with slash")
    elif " " in url:
        yield invalid(path, url, "must not contain white-space")
    elif "//" in url:
        yield invalid(path, url, "must not contain double slash")
    elif "*" in url.removesuffix("/*"):
        yield invalid(path, url, "wildcard can only do suffix matching")


def priority_level(obj: Object) -> Iterator[Fault]:
    """Upstream's rules in its order: what its code checks, then what its types declare."""
    spec, name = obj["spec"], obj["metadata"].get("name", "")
    kind, limited, exempt = spec.get("type", ""), spec.get("limited"), spec.get("exempt")
    if kind and (name == "exempt") != (kind == "Exempt"):
        yield invalid("spec.type", kind, "must be 'Exempt' if and only if `name` is 'exempt'")
    if kind == "Exempt":
        yield from _shares(exempt or {}, "spec.exempt")
    elif kind == "Limited":
        if limited is not None:
            yield from _limited(limited, "spec.limited")
    elif kind:
        yield not_supported("spec.type", kind, ("Exempt", "Limited"))
    yield from _fixed_level(name, spec)
    for own, part, key in (("Exempt", exempt, "exempt"), ("Limited", limited, "limited")):
        if part is None and kind == own:
            yield required(f"spec.{key}")
        if part is not None and kind != own:
            yield _forbidden(f"spec.{key}")
    if not kind:
        yield required("spec.type")
    if limited is not None:
        yield from _declared_response(limited.get("limitResponse") or {}, "spec.limited.limitResponse")


def _fixed_level(name: str, spec: Object) -> Iterator[Fault]:
    if name not in defaults.MANDATORY:
        return
    fixed = defaults.levels()[name]
    if name == "exempt":
        same = spec.get("type") == "Exempt" and spec.get("limited") is None
        words = "spec of 'exempt' except the 'spec.exempt' field must equal the fixed value"
    else:
        same, words = spec == fixed, f"spec of '{name}' must equal the fixed value"
    if not same:
        yield invalid(
            "spec", internal(spec, type_named("io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationSpec")), words
        )


def _forbidden(path: str) -> Fault:
    return Fault("FieldValueForbidden", "Forbidden", path)


def _shares(part: Object, path: str) -> Iterator[Fault]:
    shares = part.get("nominalConcurrencyShares", 0)
    if shares < 0:
        yield invalid(f"{path}.nominalConcurrencyShares", shares, "must be a non-negative integer")
    lendable = part.get("lendablePercent")
    if lendable is not None and not 0 <= lendable <= 100:
        yield invalid(f"{path}.lendablePercent", lendable, "must be between 0 and 100, inclusive")


def _limited(limited: Object, path: str) -> Iterator[Fault]:
    yield from _shares(limited, path)
    borrowing = limited.get("borrowingLimitPercent")
    if borrowing is not None and borrowing < 0:
        yield invalid(f"{path}.borrowingLimitPercent", borrowing, "if specified, must be a non-negative integer")
    yield from _response(limited.get("limitResponse") or {}, f"{path}.limitResponse")


def _response(response: Object, path: str) -> Iterator[Fault]:
    kind, queuing = response.get("type", ""), response.get("queuing")
    if kind == "Queue":
        if queuing is not None:
            yield from _queuing(queuing, f"{path}.queuing")
    elif kind and kind != "Reject":
        yield not_supported(f"{path}.type", kind, ("Queue", "Reject"))


def _declared_response(response: Object, path: str) -> Iterator[Fault]:
    kind, queuing = response.get("type", ""), response.get("queuing")
    if queuing is None and kind == "Queue":
        yield required(f"{path}.queuing")
    if queuing is not None and kind != "Queue":
        yield _forbidden(f"{path}.queuing")
    if not kind:
        yield required(f"{path}.type")


def _entropy_bits(queues: int, hand: int) -> int:
    return math.ceil(math.log2(queues) * hand) if queues > 0 else 0


def _queuing(queuing: Object, path: str) -> Iterator[Fault]:
    for key in ("queueLengthLimit", "queues"):
        if queuing.get(key, 0) <= 0:
            yield invalid(f"{path}.{key}", queuing.get(key, 0), "must be positive")
    queues, hand = queuing.get("queues", 0), queuing.get("handSize", 0)
    if queues > 10_000_000:
        yield invalid(f"{path}.queues", queues, "must not be greater than 10000000")
    if hand <= 0:
        yield invalid(f"{path}.handSize", hand, "must be positive")
    elif hand > queues:
        yield invalid(f"{path}.handSize", hand, f"should not be greater than queues ({queues})")
    elif _entropy_bits(queues, hand) > MAX_ENTROPY_BITS:
        words = f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than 60"
        yield invalid(f"{path}.handSize", hand, words)
