"""What a Job does next, and when it is over: https://kubernetes.io/docs/concepts/workloads/controllers/job/"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heeler.base.clock import parse_rfc3339, rfc3339
from heeler.controllers import job_plan as rules
from heeler.controllers.job_plan import Backoff, Verdict
from heeler.controllers.job_policies import judge, succeeded_by
from heeler.controllers.ttl_after_finished import time_left
from heeler.workloads import index_sets

NOW = 1_800_000_000.0


def job(status: Any = None, **spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "j"}}, "spec": {"containers": [{"name": "c"}], "restartPolicy": "Never"}}
    base = {"parallelism": 1, "completions": 1, "backoffLimit": 6, "template": template}
    return {"metadata": {"name": "j", "namespace": "n", "uid": "j"}, "spec": {**base, **spec}, "status": status or {}}


def indexed(**spec: Any) -> dict[str, Any]:
    return job(completionMode="Indexed", **{"completions": 3, "parallelism": 3, **spec})


def pod(
    name: str,
    phase: str = "Running",
    *,
    code: int | None = None,
    at: float = NOW,
    going: bool = False,
    index: int | None = None,
    failures: int = 0,
    tracked: bool = True,
) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": "n",
        "uid": name,
        "finalizers": [rules.FINALIZER] if tracked else [],
    }
    if index is not None:
        metadata["annotations"] = {rules.INDEX: str(index), rules.FAILURES: str(failures)}
    if going:
        metadata["deletionTimestamp"] = rfc3339(at)
    status: dict[str, Any] = {"phase": phase}
    if code is not None:
        ended = {"exitCode": code, "finishedAt": rfc3339(at)}
        status["containerStatuses"] = [{"name": "c", "state": {"terminated": ended}}]
    return {"metadata": metadata, "spec": {"nodeName": "x"}, "status": status}


@pytest.mark.parametrize(
    ("spec", "found", "made"),
    [
        ({}, [], 1),
        ({"parallelism": 3, "completions": 5}, [], 3),
        ({"parallelism": 3, "completions": 2}, [], 2),
        ({"parallelism": 3, "completions": 3}, [pod("a"), pod("b", "Succeeded", code=0)], 1),
        ({"parallelism": 2, "completions": None}, [], 2),
        ({"parallelism": 2, "completions": None}, [pod("a", "Succeeded", code=0)], 0),
        ({"parallelism": 0}, [], 0),
        ({}, [pod("a", "Failed", code=1)], 0),  # waits ten seconds first
        ({}, [pod("a", "Failed", code=1, at=NOW - 10)], 1),
        ({}, [pod("a", "Failed", code=1, at=NOW - 90), pod("b", "Failed", code=1, at=NOW - 12)], 0),
        ({"podReplacementPolicy": "Failed"}, [pod("a", going=True)], 0),
    ],
)
def test_so_many_pods_are_made(spec, found, made):
    step = rules.plan(job(**spec), found, NOW)
    assert len(step.create) == made
    if not made and found and step.verdict is None and pod("a", "Failed", code=1) in found:
        assert step.again == pytest.approx(10)


def test_ended_pods_are_noted_first_and_counted_when_they_let_go():
    step = rules.plan(job(parallelism=2, completions=2), [pod("a", "Succeeded", code=0), pod("b")], NOW)
    assert step.status["uncountedTerminatedPods"] == {"succeeded": ["a"]}
    assert "succeeded" not in step.status
    assert [p["metadata"]["name"] for p in step.release] == ["a"]
    assert rules.settled(step.status, {"a": None})["uncountedTerminatedPods"] == {"succeeded": ["a"]}
    counted = rules.settled(step.status, {})
    assert (counted["succeeded"], counted["uncountedTerminatedPods"]) == (1, {})
    again = rules.plan(job(counted, parallelism=2, completions=2), [pod("a", "Succeeded", code=0, tracked=False)], NOW)
    assert len(again.create) == 1  # b is gone, a counts once


def test_a_job_is_complete_when_the_last_pod_is_counted():
    step = rules.plan(job(), [pod("a", "Succeeded", code=0)], NOW)
    assert step.verdict == Verdict("Complete", "CompletionsReached", "Reached expected number of succeeded pods")
    status, events = rules.over(step.status, step.verdict, NOW)
    assert not events  # still uncounted
    status, events = rules.over(rules.settled(step.status, {}), step.verdict, NOW)
    assert [c["type"] for c in status["conditions"]] == ["SuccessCriteriaMet", "Complete"]
    assert events == [("Normal", "Completed", "Job completed")]


def test_too_many_failures_end_it_and_stop_what_runs():
    found = [pod("a", "Failed", code=1), pod("b"), pod("c")]
    step = rules.plan(job(parallelism=3, completions=3, backoffLimit=0), found, NOW)
    assert step.verdict is not None
    assert step.verdict.reason == "BackoffLimitExceeded"
    assert [p["metadata"]["name"] for p in step.stop] == ["b", "c"]
    assert step.status["terminating"] == 2
    assert sorted(step.status["uncountedTerminatedPods"]["failed"]) == ["a", "b", "c"]


def test_a_limit_that_is_lowered_below_the_failures_ends_it_at_once():
    step = rules.plan(job({"failed": 3}, backoffLimit=2), [pod("a")], NOW)
    assert step.verdict == Verdict("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    assert rules.plan(job({"failed": 3}, backoffLimit=3), [pod("a")], NOW).verdict is None


def test_failures_are_remembered_when_their_pods_are_gone_until_a_success():
    known = rules.plan(job(), [pod("a", "Failed", code=1, at=NOW - 20)], NOW).backoff
    assert known == Backoff(1, NOW - 20)
    deleted = pod("b", going=True)
    deleted["metadata"]["deletionGracePeriodSeconds"] = 30  # its deletion was asked for half a minute before
    step = rules.plan(job(), [deleted], NOW, known)
    assert step.backoff == Backoff(2, NOW - 30)
    assert len(step.create) == 1
    assert rules.plan(job(), [], NOW - 15, step.backoff).again == pytest.approx(5)
    counted = pod("a", "Failed", code=1, tracked=False)
    assert rules.plan(job(), [counted], NOW, known).backoff == known
    several = job(completions=3)
    assert rules.plan(several, [pod("c", "Succeeded", code=0)], NOW, known).backoff == Backoff()
    both = [pod("c", "Succeeded", code=0, at=NOW - 5), pod("d", "Failed", code=1, at=NOW - 1)]
    assert rules.plan(several, both, NOW, known).backoff == Backoff(1, NOW - 1)


@pytest.mark.parametrize(
    ("status", "deleted", "ended"),
    [
        ({"containerStatuses": [{"name": "c", "state": {"terminated": {"finishedAt": rfc3339(NOW)}}}]}, True, NOW),
        ({"containerStatuses": [{"name": "c", "state": {"running": {}}}]}, True, NOW + 60),
        (
            {
                "containerStatuses": [{"name": "c", "state": {"terminated": {"finishedAt": rfc3339(NOW)}}}],
                "initContainerStatuses": [{"name": "s", "state": {"terminated": {"finishedAt": rfc3339(NOW + 7)}}}],
            },
            True,
            NOW + 7,
        ),
        ({"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": rfc3339(NOW + 1)}]}, True, NOW + 1),
        ({"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": rfc3339(NOW)}]}, True, NOW + 60),
        ({}, False, NOW - 100),
    ],
)
def test_when_a_pod_ended_is_told_by_containers_readiness_deletion_or_creation(status, deleted, ended):
    metadata = {"creationTimestamp": rfc3339(NOW - 100)}
    if deleted:
        metadata |= {"deletionTimestamp": rfc3339(NOW + 90), "deletionGracePeriodSeconds": 30}
    spec = {"initContainers": [{"name": "s", "restartPolicy": "Always"}, {"name": "i"}]}
    assert rules.finished_at({"metadata": metadata, "spec": spec, "status": status}) == ended


def test_what_was_noted_as_failed_while_it_ran_is_noted_and_counted_once():
    """Its finalizer could not be removed at the first try, and it may end well meanwhile (seed 1911)."""
    noted = {
        "uncountedTerminatedPods": {"failed": ["a", "b"]},
        "conditions": [{"type": "FailureTarget", "status": "True"}],
    }
    for phase in ("Running", "Succeeded"):
        found = [pod("b", phase, code=None if phase == "Running" else 0)]
        step = rules.plan(job(noted, parallelism=3, completions=3, backoffLimit=0), found, NOW)
        assert step.status["uncountedTerminatedPods"] == {"failed": ["a", "b"]}
        assert rules.settled(step.status, {})["failed"] == 2


def test_the_deadline_counts_from_the_start_and_not_while_suspended():
    late = {"startTime": rfc3339(NOW - 60)}
    assert rules.plan(job(late, activeDeadlineSeconds=60), [pod("a")], NOW).verdict.reason == "DeadlineExceeded"
    step = rules.plan(job(late, activeDeadlineSeconds=90), [pod("a")], NOW)
    assert step.verdict is None
    assert step.again == 30
    step = rules.plan(job(late, activeDeadlineSeconds=60, suspend=True), [pod("a")], NOW)
    assert step.verdict is None
    assert step.events == [("Normal", "Suspended", "Job suspended")]
    assert [p["metadata"]["name"] for p in step.drop] == ["a"]
    assert "startTime" not in step.status
    step = rules.plan(job(step.status, activeDeadlineSeconds=60), [], NOW + 500)
    assert step.status["startTime"] == rfc3339(NOW + 500)
    assert step.events == [("Normal", "Resumed", "Job resumed")]


def test_indexes_are_made_in_order_and_none_twice():
    step = rules.plan(indexed(completions=5), [pod("a", index=1), pod("b", "Succeeded", code=0, index=0)], NOW)
    assert [index for index, _ in step.create] == [2, 3]
    assert step.status["completedIndexes"] == "0"
    doubled = rules.plan(indexed(), [pod("a", index=1), pod("b", index=1), pod("c", index=7)], NOW)
    assert [p["metadata"]["name"] for p in doubled.drop] == ["b", "c"]


def test_an_index_fails_for_good_after_its_own_limit_while_the_others_go_on():
    obj = indexed(completions=2, parallelism=2, backoffLimitPerIndex=1, backoffLimit=2**31 - 1)
    first = rules.plan(obj, [pod("a", "Failed", code=1, index=0, at=NOW - 20), pod("b", index=1)], NOW)
    assert [(index, last["metadata"]["name"]) for index, last in first.create] == [(0, "a")]
    assert first.release == []  # it keeps the number of failures until its successor is there
    made = rules.new_pod(obj, 0, first.create[0][1], {})
    assert made["metadata"]["annotations"][rules.FAILURES] == "1"
    second = rules.plan(obj, [pod("a2", "Failed", code=1, index=0, failures=1), pod("b", index=1)], NOW)
    assert second.create == []
    assert second.status["failedIndexes"] == "0"
    third = rules.plan(obj | {"status": second.status}, [pod("b", "Succeeded", code=0, index=1)], NOW)
    assert third.verdict == Verdict("Failed", "FailedIndexes", "Job has failed indexes")


def test_an_index_that_waits_holds_its_place():
    obj = indexed(completions=3, parallelism=1, backoffLimitPerIndex=2, backoffLimit=2**31 - 1)
    step = rules.plan(obj, [pod("a", "Failed", code=1, index=0)], NOW)
    assert step.create == []
    assert step.again == pytest.approx(10)


def test_of_an_indexs_failed_pods_the_last_one_counts():
    obj = indexed(completions=1, parallelism=1, backoffLimitPerIndex=2, backoffLimit=2**31 - 1)
    found = [pod("a", "Failed", code=1, index=0, at=NOW - 2), pod("b", "Failed", code=1, index=0, at=NOW - 5)]
    assert rules.plan(obj, found, NOW).again == pytest.approx(8)
    assert rules.plan(obj, found[::-1], NOW).again == pytest.approx(8)


@pytest.mark.parametrize(
    ("length", "index", "prefix"),
    [
        (10, 7, "j" * 10 + "-7-"),
        (55, 7, "j" * 55 + "-7-"),
        (56, 7, "j" * 55 + "-7-"),
        (63, 12, "j" * 54 + "-12-"),
        (63, None, "j" * 63 + "-"),
    ],
)
def test_a_long_name_is_cut_before_the_index(length, index, prefix):
    obj = indexed() | {"metadata": {"name": "j" * length}}
    assert rules.new_pod(obj, index, None, {})["metadata"]["generateName"] == prefix


POLICY = {
    "rules": [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"containerName": "c", "operator": "In", "values": [42]}},
        {"action": "Count", "onExitCodes": {"operator": "NotIn", "values": [1]}},
    ]
}


def test_the_failure_policy_decides_by_its_first_matching_rule():
    obj = job(podFailurePolicy=POLICY)
    assert judge(obj, pod("a", "Failed", code=42)).message == (
        "Container c for pod n/a failed with exit code 42 matching FailJob rule at index 1"
    )
    assert judge(obj, pod("a", "Failed", code=1)).action == "Count"
    evicted = pod("a", "Failed", code=42)
    evicted["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True"}]
    assert not judge(obj, evicted).counts
    step = rules.plan(obj, [evicted], NOW)
    assert step.status["uncountedTerminatedPods"] == {}
    assert [p["metadata"]["name"] for p in step.release] == ["a"]
    assert rules.plan(obj, [pod("a", "Failed", code=42)], NOW).verdict.reason == "PodFailurePolicy"


@pytest.mark.parametrize(
    ("rule", "completed", "met"),
    [
        ({"succeededCount": 2}, {0, 3}, True),
        ({"succeededCount": 2}, {0}, False),
        ({"succeededIndexes": "0-1"}, {0, 3}, False),
        ({"succeededIndexes": "0-1"}, {0, 1}, True),
        ({"succeededIndexes": "0-2", "succeededCount": 1}, {2}, True),
    ],
)
def test_the_success_policy_is_met(rule, completed, met):
    obj = indexed(completions=5, successPolicy={"rules": [rule]})
    assert bool(succeeded_by(obj, completed)) == met


def test_a_finished_job_goes_after_its_time():
    ended = {"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": rfc3339(NOW)}]}
    assert time_left(job(ended, ttlSecondsAfterFinished=30), parse_rfc3339(rfc3339(NOW)) + 10) == 20
    assert time_left(job(ended), NOW) is None
    assert time_left(job(ttlSecondsAfterFinished=30), NOW) is None


@given(st.sets(st.integers(0, 60)))
def test_index_sets_are_read_as_they_were_written(indexes):
    assert index_sets.parse(index_sets.write(indexes), 100) == indexes


def test_index_sets_are_written_as_upstream_writes_them():
    assert index_sets.write([0, 1, 2, 4, 6, 7]) == "0-2,4,6,7"
    assert index_sets.parse("0-9", 3) == {0, 1, 2}


@settings(max_examples=30)
@given(wanted=st.integers(1, 6), side=st.integers(1, 4), is_indexed=st.booleans(), draws=st.data())
def test_whatever_ends_when_each_success_is_counted_once_and_never_more_than_side_by_side(
    wanted, side, is_indexed, draws
):
    spec = {"completions": wanted, "parallelism": side, "backoffLimit": 1000}
    obj = indexed(**spec) if is_indexed else job(**spec)
    found: dict[str, dict[str, Any]] = {}
    now, successes = NOW, 0
    for turn in range(100):
        step = rules.plan(obj, list(found.values()), now)
        status = step.status
        for index, _ in step.create:
            name = f"p{len(found)}"
            found[name] = pod(name, index=index)
        assert sum(p["status"]["phase"] == "Running" for p in found.values()) <= side
        for one in step.release:
            one["metadata"]["finalizers"] = []
        tracked = {uid: None for uid, p in found.items() if p["metadata"]["finalizers"]}
        status, events = rules.over(rules.settled(status, tracked), step.verdict, now)
        obj["status"] = status
        if events:
            break
        running = [p for p in found.values() if p["status"]["phase"] == "Running"]
        if running and (turn > 20 or draws.draw(st.booleans())):
            one = draws.draw(st.sampled_from(running))
            well = turn > 20 or draws.draw(st.booleans())
            ended = {"exitCode": 0 if well else 1, "finishedAt": rfc3339(now)}
            one["status"] = {
                "phase": "Succeeded" if well else "Failed",
                "containerStatuses": [{"name": "c", "state": {"terminated": ended}}],
            }
            successes += well
        now += 700
    assert obj["status"]["succeeded"] == successes == wanted
    assert rules.is_finished(obj)


def test_a_deadline_counts_from_the_very_moment_in_which_the_job_starts():
    """Its startTime is written in whole seconds: by that a Job of one second would be over before its pods are."""
    step = rules.plan(job({}, activeDeadlineSeconds=1), [], NOW + 0.9)
    assert step.verdict is None and step.again == 1.0
    assert step.status["startTime"] == rfc3339(NOW)
