"""From patches to server-side apply: what a manager set by updates becomes what it applied.

Otherwise it would conflict with itself, and fields that its manifest no longer has would stay for ever.
Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership-between-managers
"""

from __future__ import annotations

from typing import Any

from heeler.objects import fieldsets
from heeler.objects.value import Object

APPLY, UPDATE = "Apply", "Update"


def as_applied(live: Object, manager: str) -> list[Object] | None:
    """The `managedFields` of an object with what `manager` updated as what it applied; None if it updated nothing."""
    rows: list[Object] = (live.get("metadata") or {}).get("managedFields") or []
    mine = [row for row in rows if row.get("manager") == manager and not row.get("subresource")]
    if not any(row.get("operation") == UPDATE for row in mine):
        return None
    base = next((row for row in mine if row.get("operation") == APPLY), mine[0])
    fields: Any = {}
    for row in mine:
        fields = fieldsets.union(fields, row.get("fieldsV1") or {})
    whole = {**base, "operation": APPLY, "fieldsV1": fields}
    return [whole if row is base else row for row in rows if row is base or not any(row is one for one in mine)]


def patch(live: Object, rows: list[Object]) -> list[Object]:
    """The JSON patch that says so, unless the object has changed meanwhile."""
    revision = live["metadata"]["resourceVersion"]
    return [
        {"op": "replace", "path": "/metadata/managedFields", "value": rows},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": revision},
    ]
