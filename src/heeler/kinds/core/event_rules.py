"""What is checked of events: little in the core group, more in events.k8s.io. Both in the stored (core) form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from heeler.kinds.internal_form import internal
from heeler.kinds.meta.objectmeta import each
from heeler.kinds.types import type_named
from heeler.objects import names
from heeler.objects.faults import Fault, invalid, required
from heeler.objects.value import Object

LIMITS = {"reportingInstance": 128, "action": 128, "reason": 128, "message": 1024}


def _checked(event: Object) -> Iterator[Fault]:
    """An old-style event stands in the namespace of its object; a new-style one (with a time) tells its reporter."""
    about = (event.get("involvedObject") or {}).get("namespace", "")
    own = event["metadata"].get("namespace", "")
    if event.get("eventTime") is None:
        if own != about and (about or own not in ("", "default")):
            yield invalid("involvedObject.namespace", about, "does not match event.namespace")
        return
    if not about and own not in ("default", "kube-system"):
        yield invalid("involvedObject.namespace", about, "does not match event.namespace")
    reporter = event.get("reportingComponent", "")
    if not reporter:
        yield required("reportingController")
    yield from each("reportingController", reporter, names.qualified(reporter))
    for key in ("reportingInstance", "action", "reason"):
        if not event.get(key):
            yield required(key)
        yield from _length(event, key)
    yield from _length(event, "message")


def _length(event: Object, key: str) -> Iterator[Fault]:
    if len(event.get(key, "").encode()) > LIMITS[key]:
        yield invalid(key, "", f"can have at most {LIMITS[key]} characters")


def core(event: Object) -> Iterator[Fault]:
    """An event written through the core group."""
    yield from _checked(event)


def events(event: Object) -> Iterator[Fault]:
    """An event written through events.k8s.io."""
    yield from _checked(event)
    if event.get("eventTime") is None:
        yield required("eventTime")
    if event.get("type") not in ("Normal", "Warning"):
        yield invalid("type", "", f"has invalid value: {event.get('type', '')}")
    yield from _series(event.get("series"))
    for key in ("source", "firstTimestamp", "lastTimestamp", "count"):
        if event.get(key):
            yield invalid(key, "", "needs to be unset")


def _series(series: Object | None) -> Iterator[Fault]:
    if series is None:
        return
    if series.get("count", 0) < 2:
        yield invalid("series.count", "", "should be at least 2")
    if series.get("lastObservedTime") is None:
        yield required("series.lastObservedTime")


def events_update(new: Object, old: Object) -> Iterator[Fault]:
    yield from _checked(new)
    if new.get("series") != old.get("series"):
        yield from _series(new.get("series"))
    fixed: tuple[str, ...] = (
        *("involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "type"),
        *("eventTime", "action", "related", "reportingComponent", "reportingInstance"),
    )
    for key in fixed:
        if _set(new.get(key)) != _set(old.get(key)):
            path = "reportingController" if key == "reportingComponent" else key
            yield invalid(path, _shown(key, new.get(key)), "field is immutable")


def _shown(key: str, value: Any) -> Any:
    """A value as messages show it: references with the names of the server's own type."""
    if key in ("involvedObject", "related") and value is not None:
        return internal(value, type_named("io.k8s.api.core.v1.ObjectReference"))
    return "" if value is None and key in _TEXTS else value


_TEXTS = ("reason", "message", "type", "action", "reportingComponent", "reportingInstance")


def _set(value: Any) -> Any:
    return value or None
