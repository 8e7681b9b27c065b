"""What a StatefulSet does next: https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heeler.controllers import statefulset_plan as rules
from heeler.controllers.statefulset_plan import BURST, Names, Step
from heeler.objects.value import name_of

OLD, NEW = Names("web-a", "web-a"), Names("web-a", "web-b")
REFERENCE = {"kind": "StatefulSet", "name": "web", "uid": "u", "apiVersion": "apps/v1", "controller": True}


def stateful(replicas: int = 3, *, policy: str = "OrderedReady", rolling: Any = None, **spec: Any) -> dict[str, Any]:
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling or {"partition": 0}}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app"}]}}
    base = {
        "replicas": replicas,
        "podManagementPolicy": policy,
        "updateStrategy": strategy,
        "template": template,
        "selector": {"matchLabels": {"app": "web"}},
    }
    metadata = {"name": "web", "namespace": "n", "uid": "u", "generation": 1}
    return {"metadata": metadata, "spec": {**base, **spec}, "status": {}}


def pod(
    number: int, revision: str = "web-a", *, ready: bool = True, going: bool = False, phase: str = "Running"
) -> Any:
    labels = {**rules.identity_labels(f"web-{number}", number), "controller-revision-hash": revision}
    metadata: dict[str, Any] = {"name": f"web-{number}", "namespace": "n", "uid": f"p{number}", "labels": labels}
    if going:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return {"metadata": metadata, "spec": {}, "status": {"phase": phase, "conditions": [condition]}}


def plan(obj: Any, found: list[Any], names: Names = OLD) -> Step:
    return rules.plan(obj, found, names, lambda _: True, 2e9)


def brief(step: Step) -> tuple[list[int], list[str]]:
    return [number for number, _ in step.create], [name_of(pod) for pod in step.delete]


@pytest.mark.parametrize(
    ("policy", "found", "create", "delete"),
    [
        ("OrderedReady", [], [0], []),
        ("Parallel", [], [0, 1, 2], []),
        ("OrderedReady", [pod(0, ready=False)], [], []),  # waits for the first
        ("OrderedReady", [pod(0)], [1], []),
        ("OrderedReady", [pod(0), pod(2)], [1], []),
        ("OrderedReady", [pod(0, going=True), pod(1)], [], []),
        ("OrderedReady", [pod(n) for n in range(5)], [], ["web-4"]),
        ("Parallel", [pod(n) for n in range(5)], [], ["web-4", "web-3"]),
        ("OrderedReady", [pod(0), pod(1, phase="Succeeded"), pod(2)], [], ["web-1"]),
    ],
)
def test_pods_are_made_and_removed_in_order(policy, found, create, delete):
    assert brief(plan(stateful(policy=policy), found)) == (create, delete)


def test_a_set_of_any_size_is_made_in_steps_of_bounded_size():
    step = plan(stateful(2**31 - 1, policy="Parallel"), [pod(0), pod(2**30)])
    assert [number for number, _ in step.create] == list(range(1, BURST + 1))


def test_a_surplus_pod_that_is_the_first_not_to_be_available_goes_without_waiting():
    ready_at = 1_767_225_600.0  # of every pod
    obj = stateful(1, minReadySeconds=60)
    found = [pod(0), pod(1), pod(2, ready=False)]
    found[0]["status"]["conditions"][0]["lastTransitionTime"] = "2025-12-31T23:00:00Z"
    assert brief(rules.plan(obj, found[:2], OLD, lambda _: True, ready_at + 10)) == ([], ["web-1"])
    assert brief(rules.plan(obj, found, OLD, lambda _: True, ready_at + 10)) == ([], [])  # web-1 is the first such
    assert brief(rules.plan(obj, found, OLD, lambda _: True, ready_at + 60)) == ([], ["web-2"])


def test_the_last_pod_is_updated_first_and_the_next_when_it_is_ready():
    assert brief(plan(stateful(), [pod(0), pod(1), pod(2)], NEW)) == ([], ["web-2"])
    assert brief(plan(stateful(), [pod(0), pod(1), pod(2, "web-b", ready=False)], NEW)) == ([], [])
    assert brief(plan(stateful(), [pod(0), pod(1), pod(2, "web-b")], NEW)) == ([], ["web-1"])


def test_a_partition_keeps_the_lower_pods_at_the_old_version():
    obj = stateful(rolling={"partition": 2})
    assert brief(plan(obj, [pod(0), pod(1), pod(2, "web-b")], NEW)) == ([], [])
    assert plan(obj, [pod(0)], NEW).create == ((1, "web-a"),)
    assert plan(obj, [pod(0), pod(1)], NEW).create == ((2, "web-b"),)


def test_several_may_be_unavailable_and_a_stuck_pod_of_the_old_version_goes_anyway():
    obj = stateful(5, policy="Parallel", rolling={"maxUnavailable": 2})
    assert brief(plan(obj, [pod(n) for n in range(5)], NEW)) == ([], ["web-4", "web-3"])
    stuck = [pod(0), pod(1), pod(2), pod(3, ready=False), pod(4, ready=False)]
    assert brief(plan(obj, stuck, NEW)) == ([], ["web-4", "web-3"])


def test_nothing_is_updated_on_delete():
    obj = stateful()
    obj["spec"]["updateStrategy"] = {"type": "OnDelete"}
    assert plan(obj, [pod(0), pod(1), pod(2)], NEW) == Step()
    assert plan(obj, [pod(0), pod(1)], NEW).create == ((2, "web-b"),)


def test_ordinals_may_start_elsewhere():
    obj = stateful(2, policy="Parallel", ordinals={"start": 5})
    step = plan(obj, [pod(0), pod(5)])
    assert brief(step) == ([6], [])
    assert brief(plan(obj, [pod(0), pod(5), pod(6)])) == ([], ["web-0"])


def test_a_pod_has_its_name_its_labels_and_its_claims():
    obj = stateful(serviceName="db", volumeClaimTemplates=[{"metadata": {"name": "data"}, "spec": {}}])
    obj["spec"]["template"]["spec"]["volumes"] = [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]
    made = rules.new_pod(obj, 1, obj["spec"]["template"], "web-a", REFERENCE)
    assert made["metadata"]["name"] == made["spec"]["hostname"] == "web-1"
    assert made["spec"]["subdomain"] == "db"
    assert made["spec"]["volumes"] == [
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-web-1"}},
        {"name": "tmp", "emptyDir": {}},
    ]
    assert made["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == "1"
    assert rules.new_claims(obj, 1)[0]["metadata"]["labels"] == {"app": "web"}


@pytest.mark.parametrize(
    ("deleted", "scaled", "number", "owners"),
    [
        ("Retain", "Retain", 0, []),
        ("Delete", "Retain", 7, ["StatefulSet"]),
        ("Delete", "Delete", 0, ["StatefulSet"]),
        ("Delete", "Delete", 7, ["Pod"]),
        ("Retain", "Delete", 0, []),
        ("Retain", "Delete", 7, ["Pod"]),
    ],
)
def test_claims_are_owned_as_the_retention_policy_says(deleted, scaled, number, owners):
    obj = stateful(persistentVolumeClaimRetentionPolicy={"whenDeleted": deleted, "whenScaled": scaled})
    claim = {"metadata": {"name": f"data-web-{number}", "ownerReferences": [REFERENCE]}}
    found = rules.owned_claim(obj, claim, number, pod(number), REFERENCE)
    assert [ref["kind"] for ref in found["metadata"].get("ownerReferences", [])] == owners
    assert rules.owned_claim(obj, found, number, pod(number), REFERENCE) is found


@settings(max_examples=50)
@given(
    wanted=st.integers(0, 4),
    policy=st.sampled_from(["OrderedReady", "Parallel"]),
    allowed=st.integers(1, 3),
    draws=st.data(),
)
def test_whatever_happens_no_number_is_made_twice_and_it_ends_in_the_new_version(wanted, policy, allowed, draws):
    obj = stateful(wanted, policy=policy, rolling={"maxUnavailable": allowed})
    there = dict.fromkeys(draws.draw(st.sets(st.integers(0, 5))), "web-a")
    unready: set[int] = set()
    for turn in range(120):
        found = [pod(number, revision, ready=number not in unready) for number, revision in sorted(there.items())]
        step = plan(obj, found, NEW)
        if step == Step() and not unready:
            break
        for number, revision in step.create:
            assert number not in there
            assert number < wanted
            there[number] = revision
            unready.add(number)
        for gone in step.delete:
            number = rules.ordinal(name_of(gone), "web")
            del there[number]
            unready.discard(number)
        if policy == "OrderedReady":
            assert len(step.create) + len(step.delete) <= max(1, allowed)
        if unready and (turn > 60 or draws.draw(st.booleans())):
            unready.pop()
    assert there == dict.fromkeys(range(wanted), "web-b")
