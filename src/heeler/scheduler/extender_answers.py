"""What extenders may answer: the fields of their answers, read as Go reads them, so that nothing else comes further in.

Fields: https://github.com/kubernetes/kube-scheduler/blob/master/extender/v1/types.go. Names of fields may be written in
small letters (as older extenders do), null is as nothing, and what no field is meant by is left out.
"""

from __future__ import annotations

from typing import Any

import orjson

from heeler.kinds.types import scalar, type_named
from heeler.objects.decode import decode
from heeler.objects.schema import Field, Type

PACKAGE = "v1"
_TEXT, _INT64 = scalar("string"), scalar("int64")


def _struct(name: str, **fields: Type) -> Type:
    # as pointers: what is empty stays apart from what isn't given
    return Type("struct", name, {key: Field(key, type, pointer=True) for key, type in fields.items()}, package=PACKAGE)


_REASONS = Type("map", "FailedNodesMap", item=_TEXT, package=PACKAGE)
_VICTIMS = _struct(
    "MetaVictims",
    Pods=Type("list", f"[]*{PACKAGE}.MetaPod", item=_struct("MetaPod", UID=_TEXT)),
    NumPDBViolations=_INT64,
)

FILTERED = _struct(
    "ExtenderFilterResult",
    Nodes=type_named("io.k8s.api.core.v1.NodeList"),
    NodeNames=Type("list", item=_TEXT),
    FailedNodes=_REASONS,
    FailedAndUnresolvableNodes=_REASONS,
    Error=_TEXT,
)
RATED = Type("list", "HostPriorityList", item=_struct("HostPriority", Host=_TEXT, Score=_INT64), package=PACKAGE)
PREEMPTED = _struct(
    "ExtenderPreemptionResult",
    NodeNameToMetaVictims=Type("map", f"map[string]*{PACKAGE}.MetaVictims", item=_VICTIMS),
)
BOUND = _struct("ExtenderBindingResult", Error=_TEXT)


def read(body: bytes, type: Type) -> Any:
    """An answer of one of the types above; what isn't given is left out. Raises ValueError, for a wrong type in Go's words."""
    if not body.strip():
        raise ValueError("EOF")
    value = orjson.loads(body)
    if value is None:
        return [] if type.form == "list" else {}
    return decode(_named(value, type), type)[0]


def _named(value: Any, type: Type) -> Any:
    """With the fields' own names, whatever letters they were written in."""
    if type.form == "list" and type.item is not None and isinstance(value, list):
        return [_named(one, type.item) for one in value]
    if type.form == "map" and type.item is not None and isinstance(value, dict):
        return {key: _named(one, type.item) for key, one in value.items()}
    if type.form != "struct" or not isinstance(value, dict) or type is FILTERED.fields["Nodes"].type:
        return value
    names = {name.lower(): name for name in type.fields}
    out = {}
    for key, one in value.items():
        name = names.get(key.lower(), key)
        out[name] = _named(one, type.fields[name].type) if name in type.fields else one
    return out
