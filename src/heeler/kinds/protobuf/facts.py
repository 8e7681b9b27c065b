"""The table of messages: which fields each has, and which message a kind is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from heeler.kinds.types import read_schema

META = "k8s.io.apimachinery.pkg.apis.meta"
EXTENSIONS = "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1"
_PACKAGES = {
    "": "k8s.io.api.core",
    "meta.k8s.io": META,
    "apiextensions.k8s.io": "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions",
    "apiregistration.k8s.io": "k8s.io.kube_aggregator.pkg.apis.apiregistration",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message.

    `name`: in JSON; "" for a message whose fields stand inline there. `type`: a scalar's name or a message's; of a map
    (whose keys are texts) that of a value. `always`: written even when zero, as a Go struct's plain fields are; absent and
    zero are the same then.
    """

    number: int
    name: str
    shape: Literal["one", "many", "map"]
    type: str
    always: bool
    go_name: str


@cache
def _messages() -> dict[str, list[list[Any]]]:
    found: dict[str, list[list[Any]]] = read_schema("protobuf.json.gz")
    return found


def fields_of(message: str) -> list[Field]:
    """A message's fields in the order of their numbers. Raises KeyError."""
    out = []
    for number, name, type_, always, *more in _messages()[message]:
        go_name = more[0] if more else name[:1].upper() + name[1:]
        shape: Literal["one", "many", "map"] = "one"
        if type_.startswith("repeated "):
            shape, type_ = "many", type_.removeprefix("repeated ")
        elif type_.startswith("map<string,"):
            shape, type_ = "map", type_.removeprefix("map<string,").removesuffix(">").strip()
        out.append(Field(number, name, shape, type_, bool(always), go_name))
    return out


@cache
def message_of(group: str, version: str, kind: str) -> str | None:
    """The message that a kind (or its list) is; None if it has none. What many groups share is meta's."""
    package = _PACKAGES.get(group) or f"k8s.io.api.{group.split('.', 1)[0]}"
    for name in (f"{package}.{version}.{kind}", f"{META}.v1.{kind}"):
        if name in _messages():
            return name
    return None
