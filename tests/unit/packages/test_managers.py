"""What a manager set by updates becomes what it applied."""

from __future__ import annotations

from typing import Any

from heeler.packages.releases.managers import as_applied


def row(manager: str, operation: str, fields: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields, **more}


def live(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"managedFields": list(rows)}}


def test_updates_become_one_application() -> None:
    found = as_applied(
        live(
            row("helm", "Update", {"f:data": {"f:a": {}}}),
            row("kubectl", "Update", {"f:data": {"f:b": {}}}),
            row("helm", "Apply", {"f:data": {"f:c": {}}}),
            row("helm", "Update", {"f:status": {}}, subresource="status"),
        ),
        "helm",
    )
    assert found == [
        row("kubectl", "Update", {"f:data": {"f:b": {}}}),
        row("helm", "Apply", {"f:data": {"f:a": {}, "f:c": {}}}),
        row("helm", "Update", {"f:status": {}}, subresource="status"),
    ]


def test_without_updates_nothing_changes() -> None:
    assert as_applied(live(row("helm", "Apply", {"f:data": {}}), row("x", "Update", {"f:data": {}})), "helm") is None
    assert as_applied({"metadata": {}}, "helm") is None


def test_without_an_application_the_first_update_becomes_it() -> None:
    assert as_applied(live(row("helm", "Update", {"f:data": {}})), "helm") == [row("helm", "Apply", {"f:data": {}})]
