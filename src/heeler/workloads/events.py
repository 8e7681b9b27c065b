"""Events as a person reads them."""

from __future__ import annotations

from collections.abc import Iterable

from heeler.objects.value import Object


def when(event: Object) -> str:
    """Its last time, as text that sorts; "" if it tells none."""
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def lines(events: Iterable[Object]) -> list[str]:
    """One line each, the oldest first: time, type, reason, what it is about, message."""
    return [_line(event) for event in sorted(events, key=when)]


def _line(event: Object) -> str:
    about = event.get("involvedObject") or {}
    return (
        f"{when(event)}  {event.get('type')}  {event.get('reason')}  {about.get('kind')} "
        f"{about.get('namespace', '')}/{about.get('name')}  {event.get('message')}"
    )
