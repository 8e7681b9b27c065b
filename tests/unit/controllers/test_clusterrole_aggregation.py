"""Aggregated cluster roles have the rules of what their selectors match."""

from __future__ import annotations

from heeler.controllers.clusterrole_aggregation import plan
from heeler.objects.value import Object


def role(name: str, labels: dict[str, str], *verbs: str) -> Object:
    rules = [{"verbs": [v], "apiGroups": [""], "resources": ["pods"]} for v in verbs]
    return {"metadata": {"name": name, "labels": labels}, "rules": rules}


AGGREGATED: Object = {
    "metadata": {"name": "all", "labels": {"part": "yes"}},
    "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"part": "yes"}}]},
}


def test_rules_come_by_name_and_each_once() -> None:
    roles = [role("b", {"part": "yes"}, "list", "get"), role("a", {"part": "yes"}, "get"), AGGREGATED]
    assert [r["verbs"] for r in plan(AGGREGATED, roles)] == [["get"], ["list"]]


def test_what_does_not_match_is_left_out() -> None:
    assert plan(AGGREGATED, [role("c", {"part": "no"}, "get"), AGGREGATED]) == []
