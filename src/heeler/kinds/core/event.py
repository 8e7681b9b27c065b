"""Event, of the core group and of events.k8s.io: one stored kind seen in two groups.

Stored is the core group's form. https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
"""

from __future__ import annotations

from heeler.kinds.core import event_rules
from heeler.kinds.kind import Cell, Column, Own
from heeler.kinds.printing import NAME, OBJECT_META, cell, since, text_at
from heeler.objects.value import Object

CORE, EVENTS = "v1", "events.k8s.io/v1"

#: Names in the core group and in events.k8s.io.
_RENAMED = (
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
)


def convert(event: Object, source: str, target: str) -> Object:
    """The same event with the other group's names."""
    names = {new: old for old, new in _RENAMED} if target == CORE else dict(_RENAMED)
    out = {names.get(key, key): value for key, value in event.items()}
    out["apiVersion"] = target
    if target == CORE:
        out.setdefault("reportingComponent", "")
        out.setdefault("reportingInstance", "")
    else:
        for key in ("reportingController", "reportingInstance"):
            if not out.get(key):
                out.pop(key, None)
    return out


def _first_seen(event: Object, now: float) -> str:
    return since(event.get("firstTimestamp") or event.get("eventTime"), now)


def _last_seen(event: Object, now: float) -> str:
    series = event.get("series")
    if series is not None:
        return since(series.get("lastObservedTime"), now)
    return since(event["lastTimestamp"], now) if event.get("lastTimestamp") else _first_seen(event, now)


def _object(event: Object) -> str:
    about = event.get("involvedObject") or {}
    return (
        f"{about.get('kind', '').lower()}/{about.get('name', '')}"
        if about.get("name")
        else about.get("kind", "").lower()
    )


def _source(event: Object) -> str:
    source = event.get("source") or {}
    component = source.get("component") or event.get("reportingComponent", "")
    host = source.get("host") or event.get("reportingInstance", "")
    return f"{component}, {host}" if host else component


def _count(event: Object) -> int:
    series = event.get("series")
    if series is not None:
        return int(series.get("count", 0))
    return int(event.get("count", 0)) or 1


COLUMNS = (
    Column("Last Seen", _last_seen, about="core.v1.Event.lastTimestamp"),
    Column("Type", text_at("type"), about="core.v1.Event.type"),
    Column("Reason", text_at("reason"), about="core.v1.Event.reason"),
    Column("Object", cell(_object), about="core.v1.Event.involvedObject"),
    Column("Subobject", text_at("involvedObject.fieldPath"), priority=1, about="core.v1.ObjectReference.fieldPath"),
    Column("Source", cell(_source), priority=1, about="core.v1.Event.source"),
    Column("Message", cell(lambda e: str(e.get("message", "")).strip()), about="core.v1.Event.message"),
    Column("First Seen", _first_seen, priority=1, about="core.v1.Event.firstTimestamp"),
    Column("Count", cell(_count), priority=1, about="core.v1.Event.count"),
    Column(NAME.name, NAME.cell, "string", "name", 1, f"{OBJECT_META}.name"),
)


def _of(*path: str) -> Cell:
    def get(event: Object) -> str:
        here: object = event
        for step in path:
            here = here.get(step) if isinstance(here, dict) else None
        return "" if here is None else str(here)

    return get  # type: ignore[return-value]


def _reporter(event: Object) -> str:
    return str((event.get("source") or {}).get("component") or event.get("reportingComponent", ""))


_CORE_LABELS = {
    **{
        f"involvedObject.{key}": _of("involvedObject", key)
        for key in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    },
    "reason": _of("reason"),
    "reportingComponent": _of("reportingComponent"),
    "source": _reporter,
    "type": _of("type"),
}

OWN = Own(
    "",
    "Event",
    name_form="path",
    convert=convert,
    rules=event_rules.core,
    update_rules=lambda new, old: event_rules.core(new),
    columns=COLUMNS,
    selectable=_CORE_LABELS,  # type: ignore[arg-type]
    unsupported_label="field label not supported: {label}",
    allow_create_on_update=True,
)
