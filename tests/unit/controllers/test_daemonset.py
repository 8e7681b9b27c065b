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
    failed = plan(daemons(), [pod("a", phase="Failed"), pod("b"), pod("c")]).failed
    assert [(where, name_of(p)) for where, p in failed] == [("a", "a-new-0")]


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
