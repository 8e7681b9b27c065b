"""What is left of two sets of tolerations."""

from __future__ import annotations

from typing import Any

import pytest

from heeler.workloads.taints import merged

ANY = {"operator": "Exists"}
A = {"key": "a", "operator": "Exists"}
A_IS_B = {"key": "a", "operator": "Equal", "value": "b"}
A_FOR_A_MINUTE = {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}
A_FOR_A_SECOND = {**A_FOR_A_MINUTE, "tolerationSeconds": 1}


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [
        ([A], [A], [A]),
        ([A_IS_B], [A], [A]),
        ([A], [A_IS_B], [A]),
        ([A, A_IS_B], [ANY], [ANY]),
        ([A_FOR_A_SECOND], [A_FOR_A_MINUTE], [A_FOR_A_MINUTE]),
        (
            [A_FOR_A_MINUTE],
            [{**A_FOR_A_MINUTE, "tolerationSeconds": None}],
            [{**A_FOR_A_MINUTE, "tolerationSeconds": None}],
        ),
        ([{**A, "effect": "NoSchedule"}], [A_FOR_A_MINUTE], [{**A, "effect": "NoSchedule"}, A_FOR_A_MINUTE]),
        ([A_IS_B], [{**A_IS_B, "value": "c"}], [A_IS_B, {**A_IS_B, "value": "c"}]),
    ],
)
def test_what_another_toleration_covers_goes(
    first: list[dict[str, Any]], second: list[dict[str, Any]], left: list[dict[str, Any]]
) -> None:
    assert merged(first, second) == left
