"""Broken controllers are found: each breaks one thing on purpose, and a few seeds tell of it by its invariant."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from heeler.controllers import daemonset_plan, statefulset_plan
from heeler.controllers.garbage import GarbageCollector
from heeler.controllers.statefulset_plan import Step
from heeler.kubelet.simulated import SimulatedNodes
from heeler.testing.seeds import run_seed
from heeler.workloads import rollout
from heeler.workloads.revisions import label_of

MOST = 40
Patch = Callable[[pytest.MonkeyPatch], None]


def too_much_surge(patch: pytest.MonkeyPatch) -> None:
    right = rollout.new_replicas

    def wrong(strategy, wanted, current_new, all_replicas):
        return right(strategy, wanted, current_new, all_replicas) + (1 if all_replicas > current_new else 0)

    patch.setattr(rollout, "new_replicas", wrong)


def everything_in_parallel(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(statefulset_plan, "is_parallel", lambda obj: True)


def nothing_is_collected(patch: pytest.MonkeyPatch) -> None:
    async def idle(self, key):
        return None

    patch.setattr(GarbageCollector, "reconcile", idle)


def nodes_forget_to_stop(patch: pytest.MonkeyPatch) -> None:
    async def idle(self, node, pod):
        return None

    patch.setattr(SimulatedNodes, "_stop", idle)


def numbers_go_all_at_once(patch: pytest.MonkeyPatch) -> None:
    def all_old(obj, places, names, now):
        return Step(delete=tuple(pod for _, pod in places if pod is not None and label_of(pod) != names.update))

    patch.setattr(statefulset_plan, "_update", all_old)


def daemons_go_all_at_once(patch: pytest.MonkeyPatch) -> None:
    replace = daemonset_plan._replace
    patch.setattr(
        daemonset_plan, "_replace", lambda obj, there, digest, _, now: replace(obj, there, digest, 10**6, now)
    )


@pytest.mark.parametrize(
    ("sabotage", "expected"),
    [
        (too_much_surge, "a rollout never has more pods than maxSurge allows"),
        (numbers_go_all_at_once, "an update of a StatefulSet takes no more pods away than maxUnavailable allows"),
        (daemons_go_all_at_once, "an update of a DaemonSet takes no more pods away than maxUnavailable allows"),
        (everything_in_parallel, "a StatefulSet starts its pods in order"),
        (nothing_is_collected, "everything converges once faults stop"),
        (nodes_forget_to_stop, "everything converges once faults stop"),
    ],
)
def test_what_is_broken_on_purpose_is_found(sabotage: Patch, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sabotage(monkeypatch)
    monkeypatch.setattr("heeler.testing.seeds.PATIENCE_SECONDS", 60.0)
    found = itertools.chain.from_iterable(run_seed(seed).violations for seed in range(MOST))
    assert any(violation.invariant == expected for violation in found)
