"""Reading YAML into records as Go's decoder does: field names in any case, numbers as text where text is wanted, and its
messages where a type doesn't fit. The tables here are Chart.yaml's and Chart.lock's types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from heeler.objects.go_text import json_kind
from heeler.packages.charts.chart import Dependency, Lock, Maintainer, Metadata
from heeler.packages.template.values import GoError


@dataclass(frozen=True, slots=True)
class Record:
    """A Go struct: its name and whole type, the class that stands for it, and JSON names with attribute and type."""

    go_name: str
    make: Callable[..., Any]
    fields: Mapping[str, tuple[str, Any]]
    whole_type: str = ""

    @property
    def go_type(self) -> str:
        return self.whole_type or f"v2.{self.go_name}"


@dataclass(frozen=True, slots=True)
class ListOf:
    of: Any
    go_type: str


DEPENDENCY = Record(
    "Dependency",
    Dependency,
    {
        "name": ("name", str),
        "version": ("version", str),
        "repository": ("repository", str),
        "condition": ("condition", str),
        "tags": ("tags", ListOf(str, "[]string")),
        "enabled": ("enabled", bool),
        "import-values": ("import_values", ListOf(Any, "[]interface {}")),
        "alias": ("alias", str),
    },
)
MAINTAINER = Record("Maintainer", Maintainer, {name: (name, str) for name in ("name", "email", "url")})
METADATA = Record(
    "Metadata",
    Metadata,
    {
        "name": ("name", str),
        "home": ("home", str),
        "sources": ("sources", ListOf(str, "[]string")),
        "version": ("version", str),
        "description": ("description", str),
        "keywords": ("keywords", ListOf(str, "[]string")),
        "maintainers": ("maintainers", ListOf(MAINTAINER, "[]*v2.Maintainer")),
        "icon": ("icon", str),
        "apiVersion": ("api_version", str),
        "condition": ("condition", str),
        "tags": ("tags", str),
        "appVersion": ("app_version", str),
        "deprecated": ("deprecated", bool),
        "annotations": ("annotations", dict),
        "kubeVersion": ("kube_version", str),
        "dependencies": ("dependencies", ListOf(DEPENDENCY, "[]*v2.Dependency")),
        "type": ("type", str),
    },
)
CHART_BASE = Record("chartBase", Metadata, {"apiVersion": ("api_version", str)}, "loader.chartBase")
LOCK = Record(
    "Lock",
    Lock,
    {
        "generated": ("generated", str),
        "digest": ("digest", str),
        "dependencies": ("dependencies", ListOf(DEPENDENCY, "[]*v2.Dependency")),
    },
)

_PREFIX = "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal"


def _number_text(value: int | float) -> str:
    """A number where text is wanted: Go's shortest form (`1.10` is `1.1`, `7244500.0` is `7.2445e+06`)."""
    if isinstance(value, int):
        return str(value)
    from heeler.packages.template.formatting import float_text

    return float_text(value)


class _Decoder:
    """Go goes on after a value of the wrong type and reports the first; so does this.

    A fault names the innermost struct and the path of fields to it, in which places in lists and keys of maps don't count.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.fault: str | None = None

    def wrong(self, value: Any, go_type: str, owner: str, path: str) -> None:
        if self.fault is None:
            what = f"Go struct field {owner}.{path}" if path else "Go value"
            self.fault = f"{_PREFIX} {json_kind(value)} into {what} of type {go_type}"

    def value(self, value: Any, kind: Any, owner: str, path: str) -> Any:
        """`value` as `kind`; None where it doesn't fit (the fault is noted) or is null."""
        if value is None or kind is Any:
            return value
        if isinstance(kind, Record):
            return self.record(value, kind, owner, path)
        if isinstance(kind, ListOf):
            if not isinstance(value, list):
                self.wrong(value, kind.go_type, owner, path)
                return None
            empty = "" if kind.of is str else None
            made = (self.value(item, kind.of, owner, path) for item in value)
            return [empty if item is None else item for item in made]
        if kind is str:
            return self.text(value, owner, path)
        if kind is bool:
            if isinstance(value, bool):
                return value
            self.wrong(value, "bool", owner, path)
            return None
        if not isinstance(value, dict):
            self.wrong(value, "map[string]string", owner, path)
            return None
        return {str(key): self.value(item, str, owner, path) or "" for key, item in value.items()}

    def text(self, value: Any, owner: str, path: str) -> str | None:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return _number_text(value)
        if isinstance(value, str):
            return value
        self.wrong(value, "string", owner, path)
        return None

    def record(self, value: Any, kind: Record, owner: str, path: str) -> Any:
        if not isinstance(value, dict):
            self.wrong(value, kind.go_type if path else self.root, owner, path)
            return None
        made = kind.make()
        folded: dict[str, str] | None = None
        for key, item in value.items():
            name = key
            if name not in kind.fields:
                folded = folded or {name.lower(): name for name in kind.fields}
                name = folded.get(str(key).lower(), "")
            if name:
                attribute, wanted = kind.fields[name]
                read = self.value(item, wanted, kind.go_name, f"{path}.{name}" if path else name)
                if read is not None:
                    setattr(made, attribute, read)
        return made


def decode(value: Any, kind: Record, *, go_type: str = "") -> Any:
    """`value` (of a YAML document) as `kind`'s record; `GoError` in the words of Go's decoder."""
    decoder = _Decoder(go_type or kind.go_type)
    made = kind.make() if value is None else decoder.record(value, kind, "", "")
    if decoder.fault is not None:
        raise GoError(decoder.fault)
    return made


def unknown_field(value: Any, kind: Record) -> str | None:
    """The first key of a document that its record, or one in it, doesn't know."""
    if not isinstance(value, dict):
        return None
    known = {name.lower(): name for name in kind.fields}
    for key, item in value.items():
        name = known.get(str(key).lower())
        if name is None:
            return str(key)
        wanted = kind.fields[name][1]
        inner = wanted.of if isinstance(wanted, ListOf) else wanted
        if isinstance(inner, Record):
            for one in item if isinstance(item, list) else [item]:
                if (found := unknown_field(one, inner)) is not None:
                    return found
    return None
