"""FlowSchema and PriorityLevelConfiguration.

https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/flow-schema-v1/ and its neighbour.
"""

from __future__ import annotations

from typing import Any

from heeler.kinds.flowcontrol import rules
from heeler.kinds.kind import Cell, Column, Own, SubresourceOwn, status_and_no_metadata
from heeler.kinds.printing import AGE, NAME, NONE, at, cell, dig, text_at
from heeler.objects.value import Object

GROUP = "flowcontrol.apiserver.k8s.io"


def _default_schema(schema: Object, version: str) -> None:
    if not schema["spec"].get("matchingPrecedence"):
        schema["spec"]["matchingPrecedence"] = 1000


def _default_level(level: Object, version: str) -> None:
    spec = level["spec"]
    if spec.get("type") == "Exempt":
        spec.setdefault("exempt", {})
    if "exempt" in spec:
        spec["exempt"].setdefault("nominalConcurrencyShares", 0)
        spec["exempt"].setdefault("lendablePercent", 0)
    limited = spec.get("limited")
    if limited is None:
        return
    if limited.get("nominalConcurrencyShares") is None:
        limited["nominalConcurrencyShares"] = 30
    limited.setdefault("lendablePercent", 0)
    queuing = (limited.get("limitResponse") or {}).get("queuing")
    if queuing is not None:
        for key, value in (("handSize", 8), ("queues", 64), ("queueLengthLimit", 50)):
            if not queuing.get(key):
                queuing[key] = value


def _empty_status(obj: Object) -> None:
    obj["status"] = {}


def _missing_level(schema: Object) -> str:
    for condition in (schema.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Dangling":
            return str(condition.get("status", ""))
    return "?"


def _limited(path: str, default: Any = NONE) -> Cell:
    steps = path.split(".")

    def show(level: Object) -> Any:
        return dig((level.get("spec") or {}).get("limited") or {}, steps, default)

    return cell(show)


def _shares(level: Object) -> Any:
    spec = level.get("spec") or {}
    holder = spec.get("limited") or spec.get("exempt") or {}
    return holder.get("nominalConcurrencyShares", NONE)


FLOW_SCHEMA = Own(
    GROUP,
    "FlowSchema",
    rules=rules.flow_schema,
    default=_default_schema,
    status=True,
    generation=True,
    prepare_create=_empty_status,
    columns=(
        NAME,
        Column(
            "PriorityLevel",
            text_at("spec.priorityLevelConfiguration.name"),
            about="flowcontrol.v1.PriorityLevelConfigurationReference.name",
        ),
        Column(
            "MatchingPrecedence",
            at("spec.matchingPrecedence", 0),
            about="flowcontrol.v1.FlowSchemaSpec.matchingPrecedence",
        ),
        Column(
            "DistinguisherMethod",
            text_at("spec.distinguisherMethod.type", NONE),
            about="flowcontrol.v1.FlowSchemaSpec.distinguisherMethod",
        ),
        AGE,
        Column(
            "MissingPL", cell(_missing_level), about="=references a broken or non-existent PriorityLevelConfiguration"
        ),
    ),
    subresources={"status": SubresourceOwn(status_and_no_metadata, reset_fields=(("spec",), ("metadata",)))},
)

_QUEUING = "flowcontrol.v1.QueuingConfiguration"

PRIORITY_LEVEL = Own(
    GROUP,
    "PriorityLevelConfiguration",
    rules=rules.priority_level,
    default=_default_level,
    status=True,
    generation=True,
    prepare_create=_empty_status,
    columns=(
        NAME,
        Column("Type", text_at("spec.type"), about="flowcontrol.v1.PriorityLevelConfigurationSpec.type"),
        Column(
            "NominalConcurrencyShares",
            cell(_shares),
            about="flowcontrol.v1.LimitedPriorityLevelConfiguration.nominalConcurrencyShares",
        ),
        Column("Queues", _limited("limitResponse.queuing.queues"), about=f"{_QUEUING}.queues"),
        Column("HandSize", _limited("limitResponse.queuing.handSize"), about=f"{_QUEUING}.handSize"),
        Column(
            "QueueLengthLimit", _limited("limitResponse.queuing.queueLengthLimit"), about=f"{_QUEUING}.queueLengthLimit"
        ),
        AGE,
    ),
    subresources={"status": SubresourceOwn(status_and_no_metadata, reset_fields=(("spec",), ("metadata",)))},
)
