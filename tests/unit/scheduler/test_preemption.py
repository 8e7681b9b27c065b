"""https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/"""

import pytest

from heeler.scheduler.preemption import NO_VICTIMS
from tests.unit.scheduler.setting import Setting, node, pod


def low(name, where="a", cpu="2", priority=1, started="2026-01-01T00:00:00Z", **more):
    return {**pod(name, cpu=cpu, node_name=where, priority=priority, **more), "status": {"startTime": started}}


def plan(setting, what=None, **how):
    return setting.choose(what or pod("new", cpu="2", priority=100), **how).preempt


def guarding(*names):
    """Victims with these names are protected."""
    return lambda victims: [victim.name in names for victim in victims]


@pytest.mark.parametrize(
    ("placed", "node_name", "victims"),
    [
        # the lowest top priority
        ([low("a1", "a", "4", 5), low("b1", "b", "4", 4)], "b", ["b1"]),
        # then the smallest sum
        ([low("a1", "a", "4", 5), low("b1", "b", "2", 5), low("b2", "b", "2", 1)], "b", ["b2"]),
        # then who started last
        ([low("a1", "a", "4", 5, "2026-01-02T00:00:00Z"), low("b1", "b", "4", 5, "2026-01-01T00:00:00Z")], "a", ["a1"]),
    ],
)
def test_the_node_where_it_costs_least_is_chosen(placed, node_name, victims):
    found = plan(Setting(node("a"), node("b"), placed=placed))
    assert (found.node, [victim.name for victim in found.victims]) == (node_name, victims)


def test_a_budget_is_respected_where_another_choice_will_do():
    there = Setting(node("a"), node("b"), placed=[low("a1", "a", "4", 1), low("b1", "b", "4", 9)])
    assert plan(there).node == "a"
    assert plan(there, protected=guarding("a1")).node == "b"
    assert plan(there, protected=guarding("a1", "b1")).node == "a"
    one = Setting(node("a"), placed=[low("x", priority=1), low("y", priority=2)])
    assert [victim.name for victim in plan(one, protected=guarding("x")).victims] == ["y"]


def test_no_more_leave_than_have_to_and_the_important_ones_stay():
    there = Setting(node("a"), placed=[low("x", cpu="1", priority=3), low("y", cpu="1", priority=2), low("z", cpu="2")])
    assert [victim.name for victim in plan(there).victims] == ["z"]


def test_anti_affinity_and_spreading_are_looked_at_without_the_victims():
    labels = {"app": "x"}
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": labels}}
    apart = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    there = Setting(node("a"), placed=[low("x", labels=labels), low("y")])
    found = plan(there, pod("new", cpu="1", priority=100, affinity=apart))
    assert [victim.name for victim in found.victims] == ["x"]


def test_who_may_never_preempt_says_so():
    there = Setting(node("a"), placed=[low("x", cpu="4")])
    never = there.choose(pod("new", cpu="2", priority=100, preemptionPolicy="Never"))
    assert never.preempt is None
    assert never.message.endswith("preemption: not eligible due to preemptionPolicy=Never.")


def test_a_second_try_waits_for_victims_that_are_going():
    going = low("x", cpu="4")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    going["status"]["conditions"] = [
        {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"},
    ]
    there = Setting(node("a"), placed=[going])
    new = pod("new", cpu="2", priority=100)
    there.cache.promise(there.cache.info(new), "a")
    assert there.choose(new).message.endswith(
        "preemption: not eligible due to a terminating pod on the nominated node."
    )


def test_nothing_is_changed_by_looking():
    placed = [low("x"), low("y", labels={"app": "x"})]
    there = Setting(node("a"), placed=placed)
    before = {name: column.a.copy() for name, column in there.cache.table.requested.items()}
    plan(there)
    assert all((column.a == before[name]).all() for name, column in there.cache.table.requested.items())
    assert NO_VICTIMS in there.choose(pod("equal", cpu="2", priority=1)).message
