"""NodeMetrics and PodMetrics (metrics.k8s.io/v1beta1): what nodes and pods use now. Read only, nothing is stored.

https://kubernetes.io/docs/reference/external-api/metrics.v1beta1/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heeler.kinds.kind import Column, Kind, Own
from heeler.kinds.printing import NAME
from heeler.kinds.types import scalar, type_named
from heeler.objects.quantities import Quantity, parse
from heeler.objects.schema import Field, Form, Type
from heeler.objects.value import Object

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


class MetricsKind(Kind):
    """One of the two kinds."""

    def __init__(self, facts: Mapping[str, Any], own: Own, type: Type) -> None:
        super().__init__([facts], own)
        self._type = type

    def type(self, version: str) -> Type:
        if version != VERSION:
            raise KeyError(version)
        return self._type


def _field(name: str, type: Type) -> tuple[str, Field]:
    return name, Field(name, type, always=True)


def _struct(name: str, *fields: tuple[str, Field]) -> Type:
    return Type("struct", name, dict(fields), package=VERSION)


def _usage() -> tuple[str, Field]:
    return _field("usage", Type("map", "ResourceList", item=scalar("quantity"), package="v1"))


def _top(name: str, *more: tuple[str, Field]) -> Type:
    text: Form = "string"
    return _struct(
        name,
        _field("kind", scalar(text)),
        _field("apiVersion", scalar(text)),
        _field("metadata", type_named(_META)),
        _field("timestamp", scalar("time")),
        _field("window", scalar("duration")),
        *more,
    )


def _facts(kind: str, plural: str, namespaced: bool) -> Mapping[str, Any]:
    return {
        "group": GROUP,
        "version": VERSION,
        "kind": kind,
        "plural": plural,
        "singular": "",
        "type": f"io.k8s.metrics.pkg.apis.metrics.{VERSION}.{kind}",
        "namespaced": namespaced,
        "shortNames": (),
        "categories": (),
        "verbs": ("get", "list"),
        "hash": "",
        "subresources": {},
    }


def usage(obj: Object, resource: str) -> str:
    """A node's use of a resource, or that of all of a pod's containers."""
    parts = [obj] if "usage" in obj else obj.get("containers") or []
    total: Quantity | None = None
    for part in parts:
        text = (part.get("usage") or {}).get(resource)
        if text is not None:
            total = parse(text) if total is None else total + parse(text)
    return "" if total is None else str(total)


_COLUMNS = (
    NAME,
    Column("cpu", lambda obj, now: usage(obj, "cpu"), format="quantity", about="=CPU used, averaged over the window."),
    Column("memory", lambda obj, now: usage(obj, "memory"), format="quantity", about="=Memory in use."),
    Column("Window", lambda obj, now: obj.get("window", ""), format="duration", about="=The time averaged over."),
)


def kinds() -> list[Kind]:
    """Both kinds, nodes first."""
    container = _struct("ContainerMetrics", _field("name", scalar("string")), _usage())
    containers = _field("containers", Type("list", item=container))
    node = Own(GROUP, "NodeMetrics", columns=_COLUMNS, tracked=False)
    pod = Own(GROUP, "PodMetrics", columns=_COLUMNS, tracked=False)
    return [
        MetricsKind(_facts("NodeMetrics", "nodes", False), node, _top("NodeMetrics", _usage())),
        MetricsKind(_facts("PodMetrics", "pods", True), pod, _top("PodMetrics", containers)),
    ]
