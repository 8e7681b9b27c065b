"""Event of events.k8s.io: the core group's event under other names. See `heeler.kinds.core.event`."""

from __future__ import annotations

from heeler.kinds.core import event as core
from heeler.kinds.core import event_rules
from heeler.kinds.kind import Own

#: Field labels of this group, and the core group's that they stand for.
_LABELS = {
    **{
        f"regarding.{key}": f"involvedObject.{key}"
        for key in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    },
    "reason": "reason",
    "reportingController": "reportingComponent",
    "type": "type",
}

OWN = Own(
    "events.k8s.io",
    "Event",
    name_form="path",
    storage=core.CORE,
    convert=core.convert,
    rules=event_rules.events,
    update_rules=event_rules.events_update,
    columns=core.COLUMNS,
    selectable={new: core.OWN.selectable[old] for new, old in _LABELS.items()},
    unsupported_label="field label not supported: {label}",
    allow_create_on_update=True,
)
