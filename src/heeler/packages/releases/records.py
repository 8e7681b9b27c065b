"""A release's record: what Helm keeps of a chart that was installed, in Helm's form, so that each takes over the other's.

The stored text is base64 of gzip of JSON. What another version of Helm wrote keeps the fields that are unknown here.
Source: records that helm 4.3 wrote.
"""

from __future__ import annotations

import base64
import gzip
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from heeler.objects.value import Object
from heeler.packages.charts.chart import Chart, File
from heeler.packages.charts.decode import LOCK, ListOf, Record
from heeler.packages.charts.metadata import as_map
from heeler.packages.functions.encoding import from_base64_bytes
from heeler.packages.template.values import GoError

#: What a release may be in; `pending-…` while something is under way.
STATUSES = (
    *("unknown", "deployed", "uninstalled", "superseded", "failed", "uninstalling"),
    *("pending-install", "pending-upgrade", "pending-rollback"),
)
#: Bytes of a record's JSON at most: a Secret holds 1 MiB compressed.
MAX_BYTES = 256 << 20
_NEVER = ("", "0001-01-01T00:00:00Z")
_GZIP = b"\x1f\x8b"


class RecordError(Exception):
    """What is stored is no release."""


@dataclass(frozen=True, slots=True)
class Run:
    """When a hook ran last, and how that ended: Unknown, Running, Succeeded or Failed. Times are RFC 3339 or ""."""

    started: str = ""
    completed: str = ""
    phase: str = ""


@dataclass(frozen=True, slots=True)
class Hook:
    """An object that is made at an event of the release; `path` is its template."""

    name: str
    kind: str
    path: str
    manifest: str
    events: tuple[str, ...]
    weight: int = 0
    delete_policies: tuple[str, ...] = ()
    log_policies: tuple[str, ...] = ()
    last_run: Run = Run()

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.path, self.kind, self.name)


@dataclass(frozen=True, slots=True)
class Release:
    """One revision. Times are RFC 3339 with fractions, "" where there was none; `chart` and `config` are as they are stored."""

    name: str
    namespace: str
    version: int
    status: str
    chart: Object
    config: Object = field(default_factory=dict)
    manifest: str = ""
    hooks: tuple[Hook, ...] = ()
    description: str = ""
    notes: str = ""
    first_deployed: str = ""
    last_deployed: str = ""
    deleted: str = ""
    #: the revision that this one went back to, 0 for none.
    rollback_revision: int = 0
    #: "ssa" (server-side apply) or "csa" (patches made here).
    apply_method: str = ""
    #: what the user says of it; stored beside the record.
    labels: Mapping[str, str] = field(default_factory=dict)
    #: fields of the record and of its `info` that only others know.
    rest: Mapping[str, Any] = field(default_factory=dict)
    rest_of_info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The name that the record is stored under."""
        return f"sh.helm.release.v1.{self.name}.v{self.version}"

    @property
    def chart_metadata(self) -> Object:
        found: Object = self.chart.get("metadata") or {}
        return found

    @property
    def is_pending(self) -> bool:
        return self.status.startswith("pending-")

    def with_hook(self, changed: Hook) -> Release:
        """The release with a hook's record in the place of the one of the same path and name."""
        return replace(self, hooks=tuple(changed if hook.key == changed.key else hook for hook in self.hooks))


_INFO = ("first_deployed", "last_deployed", "deleted", "description", "status", "notes", "rollback_revision")
_OWN = ("name", "info", "chart", "config", "manifest", "hooks", "version", "namespace", "apply_method")


def to_json(release: Release) -> Object:
    """As Helm writes it; labels stand elsewhere."""
    info: Object = {
        "first_deployed": release.first_deployed or _NEVER[1],
        "last_deployed": release.last_deployed or _NEVER[1],
    }
    for name in ("deleted", "description", "status", "notes", "rollback_revision"):
        if value := getattr(release, name):
            info[name] = value
    out: Object = {"name": release.name, "info": {**info, **release.rest_of_info}, "chart": release.chart}
    if release.config:
        out["config"] = release.config
    if release.manifest:
        out["manifest"] = release.manifest
    if release.hooks:
        out["hooks"] = [_hook_json(hook) for hook in release.hooks]
    out |= {"version": release.version, "namespace": release.namespace}
    if release.apply_method:
        out["apply_method"] = release.apply_method
    return {**out, **release.rest}


def _hook_json(hook: Hook) -> Object:
    run = hook.last_run
    last: Object = {"started_at": run.started} if run.started else {}
    if run.completed:
        last["completed_at"] = run.completed
    last["phase"] = run.phase
    out: Object = {"name": hook.name, "kind": hook.kind, "path": hook.path, "manifest": hook.manifest}
    out |= {"events": list(hook.events), "last_run": last}
    if hook.weight:
        out["weight"] = hook.weight
    if hook.delete_policies:
        out["delete_policies"] = list(hook.delete_policies)
    if hook.log_policies:
        out["output_log_policies"] = list(hook.log_policies)
    return out


def from_json(value: Any, labels: Mapping[str, str] | None = None) -> Release:
    """Raises RecordError for what is no release."""
    try:
        info = value.get("info") or {}
        return Release(
            name=value["name"],
            namespace=value.get("namespace") or "",
            version=int(value.get("version") or 0),
            status=info.get("status") or "unknown",
            chart=value.get("chart") or {},
            config=value.get("config") or {},
            manifest=value.get("manifest") or "",
            hooks=tuple(_hook(row) for row in value.get("hooks") or ()),
            description=info.get("description") or info.get("Description") or "",
            notes=info.get("notes") or "",
            first_deployed=_time(info.get("first_deployed")),
            last_deployed=_time(info.get("last_deployed")),
            deleted=_time(info.get("deleted")),
            rollback_revision=int(info.get("rollback_revision") or 0),
            apply_method=value.get("apply_method") or "",
            labels=dict(labels or {}),
            rest={k: v for k, v in value.items() if k not in _OWN},
            rest_of_info={k: v for k, v in info.items() if k not in (*_INFO, "Description")},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RecordError(f"the record is no release: {error}") from error


def _hook(row: Mapping[str, Any]) -> Hook:
    run = row.get("last_run") or {}
    return Hook(
        row.get("name") or "",
        row.get("kind") or "",
        row.get("path") or "",
        row.get("manifest") or "",
        tuple(row.get("events") or ()),
        int(row.get("weight") or 0),
        tuple(row.get("delete_policies") or ()),
        tuple(row.get("output_log_policies") or ()),
        Run(_time(run.get("started_at")), _time(run.get("completed_at")), run.get("phase") or ""),
    )


def chart_json(chart: Chart) -> Object:
    """A chart as records hold it: without the charts below it, whose documents stand in the manifest."""
    moments = {file.name: file.modified for file in chart.raw}
    return {
        "metadata": as_map(chart.metadata),
        "lock": None if chart.lock is None else {"generated": _NEVER[1], **as_json(chart.lock, LOCK)},
        "templates": [_file_json(file) for file in chart.templates] or None,
        "values": chart.values or (chart.values if "values.yaml" in moments else None),
        "schema": None if chart.schema is None else base64.b64encode(chart.schema).decode(),
        "schemamodtime": moment(moments.get("values.schema.json", 0)),
        "files": [_file_json(file) for file in chart.files] or None,
        "modtime": moment(moments.get("Chart.yaml", 0)),
    }


def moment(seconds: float) -> str:
    """Seconds since 1970 as a record has a moment, in UTC; Go's zero moment for 0."""
    if not seconds:
        return _NEVER[1]
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return f"{text}Z"


def as_json(value: Any, kind: Record) -> Object:
    """A record of Chart.yaml's as JSON: its fields under their names, empty ones left out."""
    out: Object = {}
    for name, (attribute, type) in kind.fields.items():
        found = getattr(value, attribute)
        if not found:
            continue
        inner = type.of if isinstance(type, ListOf) else None
        if isinstance(inner, Record):
            found = [None if one is None else as_json(one, inner) for one in found]
        elif isinstance(type, Record):
            found = as_json(found, type)
        out[name] = found
    return out


def _file_json(file: File) -> Object:
    return {"name": file.name, "data": base64.b64encode(file.data).decode(), "modtime": moment(file.modified)}


def _time(value: Any) -> str:
    return "" if value is None or value in _NEVER else str(value)


def encode(release: Release) -> str:
    """The stored text."""
    return base64.b64encode(gzip.compress(orjson.dumps(to_json(release)), 9, mtime=0)).decode()


def decode(text: str, labels: Mapping[str, str] | None = None) -> Release:
    """What was stored; older records aren't compressed. Raises RecordError."""
    try:
        data = from_base64_bytes(text)
        if data.startswith(_GZIP):
            unpacker = zlib.decompressobj(31)
            data = unpacker.decompress(data, MAX_BYTES)
            if unpacker.unconsumed_tail:
                raise RecordError(f"the record is larger than {MAX_BYTES >> 20} MiB")
            if not unpacker.eof:
                raise RecordError("unexpected EOF")
        return from_json(orjson.loads(data), labels)
    except orjson.JSONDecodeError as error:
        raise RecordError(_json_fault(data) or str(error)) from error
    except (GoError, zlib.error) as error:
        raise RecordError(str(error)) from error


def _json_fault(data: bytes) -> str:
    """What is wrong with a JSON text, in the words of Go."""
    from heeler.packages.yaml import json as go_json

    try:
        go_json.check(data.decode("utf-8", "replace"))
    except GoError as error:
        return str(error)
    return ""


def newest_first(releases: Iterable[Release]) -> list[Release]:
    return sorted(releases, key=lambda release: release.version, reverse=True)
