"""The specs of the priority levels and flow schemas that every cluster has.

Source: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/#defaults. A line of a table is
`name | …`; `*` stands for all.
"""

from __future__ import annotations

from functools import cache

from heeler.objects.value import Object

#: Of these the specs may not be changed (of the level "exempt", `exempt` may).
MANDATORY = ("exempt", "catch-all")

#: name | shares | per cent that may be lent | queues, hand size, length of a queue (none: what is over is refused)
LEVELS = """
catch-all       |   5 |  0 |
global-default  |  20 | 50 | 128 6 50
leader-election |  10 |  0 | 16 4 50
node-high       |  40 | 25 | 64 6 50
system          |  30 | 33 | 64 6 50
workload-high   |  40 | 50 | 128 6 50
workload-low    | 100 | 90 | 128 6 50
"""

_EVERYBODY = "group:system:unauthenticated group:system:authenticated"
_MANAGER, _SCHEDULER = "user:system:kube-controller-manager", "user:system:kube-scheduler"
_LEASES = "get,create,update coordination.k8s.io leases"
#: name | precedence | priority level | what tells flows apart | subjects | rules; a rule is "verbs group resources",
#: "+" before it: also those without namespace; "urls …" for paths; "*" is everything.
SCHEMAS = f"""
exempt                       |     1 | exempt          |             | group:system:masters                                  | *
probes                       |     2 | exempt          |             | {_EVERYBODY}                                          | urls /healthz /readyz /livez
system-leader-election       |   100 | leader-election | ByUser      | {_MANAGER} {_SCHEDULER} account:kube-system:*         | {_LEASES}
endpoint-controller          |   150 | workload-high   | ByUser      | {_MANAGER} account:kube-system:endpoint-controller account:kube-system:endpointslicemirroring-controller | get,create,update core endpoints
workload-leader-election     |   200 | leader-election | ByUser      | group:system:serviceaccounts                          | {_LEASES}
system-node-high             |   400 | node-high       | ByUser      | group:system:nodes                                    | +* core nodes,nodes/status; * coordination.k8s.io leases
system-nodes                 |   500 | system          | ByUser      | group:system:nodes                                    | *
kube-controller-manager      |   800 | workload-high   | ByNamespace | {_MANAGER}                                            | *
kube-scheduler               |   800 | workload-high   | ByNamespace | {_SCHEDULER}                                          | *
kube-system-service-accounts |   900 | workload-high   | ByNamespace | account:kube-system:*                                 | *
service-accounts             |  9000 | workload-low    | ByUser      | group:system:serviceaccounts                          | *
global-default               |  9900 | global-default  | ByUser      | {_EVERYBODY}                                          | *
catch-all                    | 10000 | catch-all       | ByUser      | {_EVERYBODY}                                          | *
"""  # noqa: E501 (a table)


@cache
def levels() -> dict[str, Object]:
    """The specs of the priority levels, by name. Not to be changed."""
    exempt = {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}}
    return {"exempt": exempt} | {cells[0]: _level(cells) for cells in _lines(LEVELS)}


@cache
def schemas() -> dict[str, Object]:
    """The specs of the flow schemas, by name. Not to be changed."""
    return {cells[0]: _schema(cells) for cells in _lines(SCHEMAS)}


def _lines(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]


def _level(cells: list[str]) -> Object:
    _, shares, lendable, queuing = cells
    response: Object = {"type": "Reject"}
    if queuing:
        queues, hand, length = (int(number) for number in queuing.split())
        response = {"type": "Queue", "queuing": {"queues": queues, "handSize": hand, "queueLengthLimit": length}}
    limited = {"nominalConcurrencyShares": int(shares), "lendablePercent": int(lendable), "limitResponse": response}
    return {"type": "Limited", "limited": limited}


def _schema(cells: list[str]) -> Object:
    _, precedence, level, flows, subjects, rules = cells
    spec: Object = {"matchingPrecedence": int(precedence), "priorityLevelConfiguration": {"name": level}}
    if flows:
        spec["distinguisherMethod"] = {"type": flows}
    rule: Object = {"subjects": [_subject(word) for word in subjects.split()]}
    for text in rules.split(";"):
        words = text.split()
        if words[0] == "urls":
            rule.setdefault("nonResourceRules", []).append({"verbs": ["get"], "nonResourceURLs": words[1:]})
        elif words == ["*"]:
            rule["resourceRules"] = [_resources("*", "*", "*", everywhere=True)]
            rule["nonResourceRules"] = [{"verbs": ["*"], "nonResourceURLs": ["*"]}]
        else:
            verbs, group, resources = words
            found = _resources(verbs.lstrip("+"), group, resources, everywhere=verbs.startswith("+"))
            rule.setdefault("resourceRules", []).append(found)
    spec["rules"] = [rule]
    return spec


def _subject(word: str) -> Object:
    sort, _, name = word.partition(":")
    if sort == "account":
        namespace, _, name = name.partition(":")
        return {"kind": "ServiceAccount", "serviceAccount": {"namespace": namespace, "name": name}}
    return {"kind": sort.capitalize(), sort: {"name": name}}


def _resources(verbs: str, group: str, resources: str, *, everywhere: bool) -> Object:
    out: Object = {
        "verbs": verbs.split(","),
        "apiGroups": ["" if group == "core" else group],
        "resources": resources.split(","),
        "namespaces": ["*"],
    }
    return {**out, "clusterScope": True} if everywhere else out
