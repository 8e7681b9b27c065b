"""What kinds make of recorded requests is what the recorded server made of them (see `recorded.py`)."""

from __future__ import annotations

import re
from typing import Any

import pytest

from heeler.kinds.kind import api_version
from tests.unit.kinds.recorded import Outcome, World, cases, comparable, differences, of_server, place

#: The least share of an area's cases that must agree in all their steps. Raise it when more do.
RATCHET = {"defaults": 0.95, "validation": 0.97, "patch": 1.0, "subresources": 1.0, "table": 0.99}

_REVIEWS = ("reviews", "bindings")


def _writes(step: dict[str, Any], where: Any, body: Any) -> bool:
    request = step["request"]
    kind = (request.get("headers") or {}).get("Content-Type", "json")
    return (
        where is not None
        and request["method"] in ("POST", "PUT")
        and isinstance(body, dict)
        and not step.get("cleanup")
        and not (where.subresource and request["method"] == "POST")
        and not where.kind.plural.endswith(_REVIEWS)
        and not kind.endswith(("yaml", "protobuf"))
    )


def _seen(fault: Any) -> tuple[str, str]:
    message = re.sub(r"uid-\d+", "<uid>", fault.message)
    return fault.field, re.sub(r"10\.0\.0\.\d+", "<ip>", message)


def _check(step: dict[str, Any], where: Any, outcome: Outcome) -> list[str]:
    answer = step.get("response") or {}
    body, status = answer.get("body"), answer.get("status")
    if outcome.error in ("skipped", "not found") or not isinstance(body, dict):
        return []
    if status in (200, 201) and body.get("kind") == where.kind.kind:
        if outcome.error or outcome.faults:
            return [f"refused: {outcome.error or outcome.faults}"]
        got = where.kind.convert(outcome.obj, where.kind.storage_api_version, api_version(where.group, where.version))
        found = differences(comparable(body, where), comparable(got, where))
        return [d for d in found if not of_server(where.kind.kind, d)]
    causes = (body.get("details") or {}).get("causes")
    if status == 422 and causes:
        expected = [(c.get("field", ""), c["message"]) for c in causes]
        got_causes = [_seen(fault) for fault in outcome.faults]
        return [] if expected == got_causes else [f"expected {expected}, got {got_causes}"]
    return []


def run(case: dict[str, Any]) -> list[str]:
    """Where a case differs."""
    world, wrong = World(), []
    for step in case["steps"]:
        request, answer = step["request"], step.get("response") or {}
        body, path = world.fill(request.get("body")), world.fill(request["path"])
        world.answers.append(answer.get("body"))
        where = place(path)
        if where is None:
            continue
        if _writes(step, where, body):
            wrong += _check(step, where, world.write(request["method"], where, body))
        kept = request["method"] != "DELETE" and answer.get("status") in (200, 201)
        if kept and not where.subresource and "dryRun" not in path:
            world.remember(where, answer.get("body"))
    return wrong


@pytest.mark.parametrize("area", list(RATCHET))
def test_recorded_requests_come_out_as_recorded(area: str) -> None:
    rows = list(cases(area))
    failed = {case["id"]: wrong for case in rows if (wrong := run(case))}
    share = 1 - len(failed) / len(rows)
    assert share >= RATCHET[area], f"{len(failed)} of {len(rows)} differ: {dict(list(failed.items())[:5])}"
