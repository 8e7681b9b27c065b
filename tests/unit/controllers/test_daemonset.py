"""Which nodes get a daemon, and how an update proceeds: https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.controllers import daemonset_plan as rules
from heeler.controllers.daemonset_plan import Fit, Step
from heeler.objects.value import name_of


def daemons(*, surge: Any = 0, unavailable: Any = 1, kind: str = "RollingUpdate", spec: Any = None) -> dict[str, Any]:
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    template = {"metadata": {"labels": {"app": "log"}}, "spec": spec or {}}
    return {
        "metadata": {"name": "log", "generation": 1},
        "spec": {"updateStrategy": {"type": kind, "rollingUpdate": rolling}, "template": template},
    }


def pod(node: str, digest: str = "new", *, ready: bool = True, phase: str = "Running", age: int = 0) -> dict[str, Any]:
    metadata = {
        "name": f"{node}-{digest}-{age}",
        "labels": {"controller-revision-hash": digest},
        "creationTimestamp": f"2026-01-01T00:00:{50 - age:02}Z",
    }
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return {"metadata": metadata, "spec": {"nodeName": node}, "status": {"phase": phase, "conditions": [condition]}}


def node(name: str, *, labels: Any = None, taints: Any = ()) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": {"taints": list(taints)}}


def plan(obj: Any, found: list[Any], nodes: str = "abc") -> Step:
    return rules.plan(obj, found, {name: Fit(True, True) for name in nodes}, "new", 2e9)


def test_every_node_gets_one_and_of_two_the_older_stays():
    assert plan(daemons(), [pod("a")]).create == ("b", "c")
    doubled = [pod("a", age=1), pod("a", age=2), pod("b"), pod("c")]
    assert [name_of(p) for p in plan(daemons(), doubled).delete] == ["a-new-1"]


def test_a_daemon_leaves_a_node_that_is_not_meant_any_more_and_a_failed_one_is_made_again():
    step = rules.plan(daemons(), [pod("a"), pod("b")], {"a": Fit(False, False), "b": Fit(False, True)}, "new", 2e9)
    assert [name_of(p) for p in step.delete] == ["a-new-0"]
    finished = plan(daemons(), [pod("a", phase="Failed"), pod("b"), pod("c")]).finished
    assert [(where, name_of(p)) for where, p in finished] == [("a", "a-new-0")]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (node("a"), Fit(True, True)),
        (node("a", taints=[{"key": "x", "effect": "NoSchedule"}]), Fit(False, True)),
        (node("a", taints=[{"key": "x", "effect": "NoExecute"}]), Fit(False, False)),
        (node("a", taints=[{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]), Fit(True, True)),
        (node("a", taints=[{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]), Fit(True, True)),
        (node("a", taints=[{"key": "x", "effect": "PreferNoSchedule"}]), Fit(True, True)),
    ],
)
def test_taints_keep_daemons_out_or_only_new_ones(wanted, expected):
    assert rules.fit(daemons(), wanted) == expected


def test_the_pod_is_tied_to_its_node_and_what_the_author_required_is_replaced():
    term = {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    obj = daemons(spec={"affinity": {"nodeAffinity": required}})
    assert rules.fit(obj, node("a")) == Fit(False, False)
    assert rules.fit(obj, node("a", labels={"disk": "ssd"})) == Fit(True, True)
    made = rules.new_pod(obj, "a", "new", {})
    found = made["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert found == {
        "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}]
    }
    assert rules.target_node(made) == "a"
    assert len(made["spec"]["tolerations"]) == 6


def test_an_update_replaces_broken_daemons_and_as_many_others_as_may_be_missing():
    found = [pod("a", "old", ready=False), pod("b", "old"), pod("c", "old")]
    assert [name_of(p) for p in plan(daemons(), found).delete] == ["a-old-0"]
    found = [pod("a"), pod("b", "old"), pod("c", "old")]
    assert [name_of(p) for p in plan(daemons(), found).delete] == ["b-old-0"]
    assert plan(daemons(), [pod("a", ready=False), pod("b", "old"), pod("c", "old")]).delete == ()
    assert plan(daemons(kind="OnDelete"), found) == Step()


def test_with_a_surge_the_new_daemon_comes_first():
    obj = daemons(surge=1, unavailable=0)
    assert plan(obj, [pod("a", "old"), pod("b", "old"), pod("c", "old")]) == Step(create=("a",))
    both = [pod("a", "old", age=1), pod("a", ready=False), pod("b", "old"), pod("c", "old")]
    assert plan(obj, both) == Step()
    both[1] = pod("a")
    assert [name_of(p) for p in plan(obj, both).delete] == ["a-old-1"]


def deleted(step: Step) -> list[str]:
    return [name_of(one) for one in step.delete]


def test_a_failed_daemon_that_waits_does_not_hold_up_an_update_and_is_replaced_by_it():
    found = [pod("a", "old", phase="Failed", ready=False), pod("b", "old"), pod("c", "old")]
    fits = {name: Fit(True, True) for name in "abc"}
    step = rules.plan(daemons(unavailable=2), found, fits, "new", 2e9, waiting=["a"])
    assert deleted(step) == ["a-old-0", "b-old-0"]
    assert step.finished == ()


def test_of_daemons_that_failed_one_goes_at_a_time_and_those_that_succeeded_do_not_wait():
    found = [pod("a", phase="Failed", age=1), pod("a", phase="Failed"), pod("b", phase="Succeeded"), pod("c")]
    fits = {name: Fit(True, True) for name in "abc"}
    assert [name_of(p) for _, p in rules.plan(daemons(), found, fits, "new", 2e9).finished] == ["a-new-1", "b-new-0"]
    step = rules.plan(daemons(), found, fits, "new", 2e9, waiting=["a", "b"])
    assert [name_of(p) for _, p in step.finished] == ["b-new-0"]


def test_of_two_daemons_the_scheduled_one_stays():
    older = rules.new_pod(daemons(), "a", "new", {})
    older["metadata"] |= {"name": "older", "creationTimestamp": "2026-01-01T00:00:00Z"}
    assert deleted(plan(daemons(), [older, pod("a")], "a")) == ["older"]


def test_with_a_surge_a_node_has_one_at_all_times():
    going = pod("a")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:01:00Z"
    assert plan(daemons(surge=1, unavailable=0), [going], "a").create == ("a",)
    assert plan(daemons(), [going], "a").create == ()


def test_with_a_surge_old_daemons_leave_nodes_that_shall_have_none_as_soon_as_there_are_enough():
    obj = daemons(surge=1, unavailable=0)
    fits = {"a": Fit(False, True), "b": Fit(False, True), "c": Fit(True, True)}
    broken = [pod("a", "old", ready=False), pod("b", "old"), pod("c")]
    assert rules.plan(obj, broken, fits, "new", 2e9) == Step(delete=(broken[0], broken[1]))
    alone = [pod("a", "old"), pod("b", "old"), pod("c", ready=False)]
    assert deleted(rules.plan(obj, alone, fits, "new", 2e9)) == ["a-old-0"]


def test_a_daemon_on_a_node_that_may_only_keep_it_is_misscheduled():
    fits = {"a": Fit(False, True), "b": Fit(True, True)}
    found = rules.status(daemons(), [pod("a"), pod("b")], fits, "new", None, 2e9)
    assert found == {
        "currentNumberScheduled": 1,
        "desiredNumberScheduled": 1,
        "numberMisscheduled": 1,
        "numberReady": 1,
        "numberAvailable": 1,
        "updatedNumberScheduled": 1,
        "observedGeneration": 1,
    }


@given(
    count=st.integers(1, 6),
    limit=st.one_of(st.integers(1, 3), st.sampled_from(["1%", "30%", "50%", "100%"])),
    surging=st.booleans(),
    draws=st.data(),
)
def test_an_update_keeps_its_bounds_and_comes_to_its_end(count, limit, surging, draws):
    names = "abcdef"[:count]
    obj = daemons(surge=limit, unavailable=0) if surging else daemons(unavailable=limit)
    bound = max(rules.limits(obj, count))
    running: list[tuple[str, str, bool]] = [(name, "old", True) for name in names]
    for _ in range(200):
        found = [pod(n, d, ready=r, age=1 if d == "old" else 0) for n, d, r in running]
        step = plan(obj, found, names)
        gone = {name_of(p) for p in step.delete}
        running = [one for one, p in zip(running, found, strict=True) if name_of(p) not in gone]
        running += [(name, "new", False) for name in step.create]
        ready = sum(r for _, _, r in running)
        assert len(running) <= count + (bound if surging else 0)
        assert ready >= count - (0 if surging else bound)
        waiting = [i for i, (_, _, r) in enumerate(running) if not r]
        if waiting and (step == Step() or draws.draw(st.booleans())):
            running[waiting[0]] = (*running[waiting[0]][:2], True)
        elif step == Step():
            break
    assert sorted(running) == [(name, "new", True) for name in names]
