"""Why an eviction is refused, in kube-apiserver 1.37's words."""

from __future__ import annotations

from typing import Any

import pytest

from heeler.apiserver.subresources.eviction import _check_budget
from heeler.objects.status import StatusError


def refusal(reason: str = "InsufficientPods", message: str = "", **status: Any) -> StatusError:
    condition = {"type": "DisruptionAllowed", "status": "False", "reason": reason, "message": message}
    status = {"observedGeneration": 1, "conditions": [condition], **status}
    with pytest.raises(StatusError) as found:
        _check_budget({"metadata": {"name": "b", "generation": 1}, "status": status})
    return found.value


CLOSED = "The disruption budget b does not allow evicting pods currently"


@pytest.mark.parametrize(
    ("reason", "message", "healthy", "desired", "why"),
    [
        ("InsufficientPods", "", 2, 2, "The disruption budget b needs 2 healthy pods and has 2 currently"),
        ("InsufficientPods", "", 2, 0, CLOSED),  # none of its pods has a controller that says how many there should be
        ("SyncFailed", "no matches for kind", 0, 0, f"{CLOSED} because it failed sync: no matches for kind"),
        ("Other", "told", 4, 3, f"{CLOSED} (Other): told"),
    ],
)
def test_a_budget_that_allows_nothing_says_why(reason: str, message: str, healthy: int, desired: int, why: str) -> None:
    found = refusal(reason, message, disruptionsAllowed=0, currentHealthy=healthy, desiredHealthy=desired)
    assert (found.code, found.message) == (429, "Cannot evict pod as it would violate the pod's disruption budget.")
    assert (found.details or {})["causes"] == [{"reason": "DisruptionBudget", "message": why}]


def test_evictions_that_the_controller_has_not_counted_yet_count() -> None:
    """Two in a row: what is said doesn't hang on whether the controller was there between them."""
    more = {"disruptionsAllowed": 0, "desiredHealthy": 2, "disruptedPods": {"p": "2026-01-01T00:00:00Z"}}
    for healthy in (3, 2):
        found = refusal("InsufficientPods", "", currentHealthy=healthy, **more)
        why = "The disruption budget b needs 2 healthy pods and has 2 currently"
        assert (found.details or {})["causes"] == [{"reason": "DisruptionBudget", "message": why}]


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({"disruptionsAllowed": -1}, "pdb disruptions allowed is negative"),
        (
            {"disruptionsAllowed": 1, "disruptedPods": dict.fromkeys(map(str, range(2001)), "")},
            "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
        ),
    ],
)
def test_a_budget_whose_numbers_can_not_be_forbids(status: dict[str, Any], why: str) -> None:
    found = refusal(**status)
    assert (found.code, found.message) == (403, f'poddisruptionbudget.policy "b" is forbidden: {why}')
    assert (found.details or {})["causes"][0]["message"] == f"{CLOSED}: {why}"
