"""Kinds that are only ever the body of a request to a subresource, or its answer: no resource has them.

https://kubernetes.io/docs/reference/kubernetes-api/ has them under their groups.
"""

from __future__ import annotations

from typing import Any

from heeler.kinds.autoscaling.scale import COLUMNS
from heeler.kinds.kind import Column, Kind, Own
from heeler.kinds.registry import SUBRESOURCE_TYPES
from heeler.objects.schema import STRING, Field, Type

VERSION = "v1"


def _facts(group: str, kind: str, type_name: str) -> dict[str, Any]:
    return {
        "group": group,
        "version": VERSION,
        "kind": kind,
        "plural": f"{kind.lower()}s",
        "singular": kind.lower(),
        "type": type_name,
        "namespaced": True,
        "shortNames": (),
        "categories": (),
        "verbs": ("create",),
        "hash": "",
        "subresources": {},
    }


def _body(group: str, kind: str, columns: tuple[Column, ...] = ()) -> Kind:
    facts = _facts(group, kind, SUBRESOURCE_TYPES[group, VERSION, kind])
    return Kind([facts], Own(group, kind, columns=columns))


class _Options(Kind):
    """The options of a connection: they come in the query, and OpenAPI has no types of them."""

    def __init__(self, kind: str, fields: dict[str, Field]) -> None:
        super().__init__([_facts("", kind, "")], Own("", kind))
        self._shape = Type("struct", kind, fields=fields, package=VERSION)

    def type(self, version: str) -> Type:
        return self._shape


def _fields(type: Type, *names: str, always: bool = False) -> dict[str, Field]:
    return {name: Field(name, type, always) for name in names}


_BOOL, _INT = Type("bool"), Type("int32")
_STREAMS = {**_fields(_BOOL, "stdin", "stdout", "stderr", "tty"), **_fields(STRING, "container")}
_PATH = _fields(STRING, "path")


SCALE = _body("autoscaling", "Scale", COLUMNS)
EVICTION = _body("policy", "Eviction")
TOKEN_REQUEST = _body("authentication.k8s.io", "TokenRequest")
BINDING = _body("", "Binding")
POD_EXEC_OPTIONS = _Options(
    "PodExecOptions", {**_STREAMS, **_fields(Type("list", item=STRING), "command", always=True)}
)
POD_ATTACH_OPTIONS = _Options("PodAttachOptions", _STREAMS)
POD_PORT_FORWARD_OPTIONS = _Options("PodPortForwardOptions", _fields(Type("list", item=_INT), "ports"))
POD_PROXY_OPTIONS = _Options("PodProxyOptions", _PATH)
SERVICE_PROXY_OPTIONS = _Options("ServiceProxyOptions", _PATH)
NODE_PROXY_OPTIONS = _Options("NodeProxyOptions", _PATH)
