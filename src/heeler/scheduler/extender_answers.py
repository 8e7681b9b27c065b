"""What extenders may answer: the fields of their answers, read as Go reads them, so that nothing else comes further in.

Fields: https://github.com/kubernetes/kube-scheduler/blob/master/extender/v1/types.go. Names of fields may be written in
small letters (as older extenders do), null is as nothing, and what no field is meant by is left out.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson

from heeler.kinds.types import scalar, type_named
from heeler.objects.decode import decode
from heeler.objects.schema import Field, Type

PACKAGE = "v1"
NODES = "io.k8s.api.core.v1.NodeList"


def _struct(name: str, **fields: Type) -> Type:
    # as pointers: what is empty stays apart from what isn't given
    return Type("struct", name, {key: Field(key, type, pointer=True) for key, type in fields.items()}, package=PACKAGE)


@cache
def filtered() -> Type:
    text = scalar("string")
    reasons = Type("map", "FailedNodesMap", item=text, package=PACKAGE)
    return _struct(
        "ExtenderFilterResult",
        Nodes=type_named(NODES),
        NodeNames=Type("list", item=text),
        FailedNodes=reasons,
        FailedAndUnresolvableNodes=reasons,
        Error=text,
    )


@cache
def rated() -> Type:
    host = _struct("HostPriority", Host=scalar("string"), Score=scalar("int64"))
    return Type("list", "HostPriorityList", item=host, package=PACKAGE)


@cache
def preempted() -> Type:
    pods = Type("list", f"[]*{PACKAGE}.MetaPod", item=_struct("MetaPod", UID=scalar("string")))
    victims = _struct("MetaVictims", Pods=pods, NumPDBViolations=scalar("int64"))
    by_node = Type("map", f"map[string]*{PACKAGE}.MetaVictims", item=victims)
    return _struct("ExtenderPreemptionResult", NodeNameToMetaVictims=by_node)


@cache
def bound() -> Type:
    return _struct("ExtenderBindingResult", Error=scalar("string"))


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
    if type.form != "struct" or not isinstance(value, dict) or type is type_named(NODES):
        return value
    names = {name.lower(): name for name in type.fields}
    out = {}
    for key, one in value.items():
        name = names.get(key.lower(), key)
        out[name] = _named(one, type.fields[name].type) if name in type.fields else one
    return out
