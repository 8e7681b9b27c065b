"""How many pods a metric asks for: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.base.clock import rfc3339
from heeler.controllers import autoscaling_math as arithmetic
from heeler.controllers.autoscaling_behavior import IN_RANGE, Change, Memory, normalised
from heeler.controllers.autoscaling_math import MetricError, Sample, Tolerances

NOW = 1_800_000_000.0
ANY = Tolerances()


def pod(name: str, *, phase: str = "Running", ready: bool = True, age: float = 1000.0, cpu: str | None = "1") -> Any:
    resources = {"requests": {"cpu": cpu}} if cpu else {}
    changed = rfc3339(NOW - age)
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": changed}
    return {
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "resources": resources}]},
        "status": {"phase": phase, "startTime": changed, "conditions": [condition]},
    }


def samples(*values: int) -> dict[str, Sample]:
    return {f"p{i}": Sample(value, NOW) for i, value in enumerate(values)}


def by_percent(target: int, found: list[Any], used: dict[str, Sample]) -> tuple[int, int]:
    answer = arithmetic.by_utilization(len(found), target, found, used, "cpu", ANY, NOW)
    return answer.replicas, answer.utilization


@pytest.mark.parametrize(
    ("target", "used", "expected"),
    [
        (50, (500, 500, 500), (3, 50)),
        (50, (540, 540, 540), (3, 54)),  # within a tenth
        (50, (600, 600, 600), (4, 60)),
        (50, (1000, 1000, 1000), (6, 100)),
        (50, (100, 100, 100), (1, 10)),
        (30, (300, 500, 700), (5, 50)),
    ],
)
def test_the_number_of_pods_follows_the_use(target, used, expected):
    assert by_percent(target, [pod(f"p{i}") for i in range(3)], samples(*used)) == expected


def test_pods_that_start_count_as_idle_when_growing_and_pods_that_say_nothing_as_busy_when_shrinking():
    starting = [pod("p0"), pod("p1"), pod("p2", ready=False, age=10)]
    assert by_percent(50, starting, samples(900, 900, 10))[0] == 4
    silent = [pod("p0"), pod("p1"), pod("p2")]
    assert by_percent(50, silent, samples(100, 100))[0] == 3  # 100 % for the third: 40 % in all, within no tolerance
    assert by_percent(50, silent, samples(900, 900))[0] == 4


def test_pods_that_end_are_left_out():
    found = [pod("p0"), pod("p1"), pod("p2", phase="Failed")]
    assert by_percent(50, found, samples(1000, 1000, 0)) == (4, 100)


@pytest.mark.parametrize(
    ("found", "used", "message"),
    [
        ([], {}, "no pods returned by selector while calculating replica count"),
        ([pod("p0")], {}, "did not receive metrics for targeted pods (pods might be unready)"),
        ([pod("p0", cpu=None)], {}, "did not receive metrics for targeted pods (pods might be unready)"),
        ([pod("p0", cpu=None)], samples(1), "missing request for cpu in container c of Pod p0"),
    ],
)
def test_what_can_not_be_said(found, used, message):
    with pytest.raises(MetricError) as error:
        by_percent(50, found, used)
    assert str(error.value) == message


def test_a_pod_may_ask_for_itself():
    own = pod("p0", cpu="1")
    own["spec"]["resources"] = {"requests": {"cpu": "3", "memory": "1Ki"}}
    assert arithmetic.requests([own], "cpu") == {"p0": 3000}
    assert arithmetic.requests([own], "memory") == {"p0": 1024 * 1000}
    assert arithmetic.requests([own], "cpu", "c") == {"p0": 1000}
    for resource, container, message in (
        ("ephemeral-storage", "", "missing pod-level request for ephemeral-storage in Pod p0"),
        ("cpu", "absent", "container absent not found in Pod p0"),
    ):
        with pytest.raises(MetricError) as error:
            arithmetic.requests([own], resource, container)
        assert str(error.value) == message


def test_values_that_belong_to_no_pod():
    three = [pod(f"p{i}") for i in range(3)]
    assert arithmetic.by_total(3, three, 200_000, 100_000, ANY) == 6
    assert arithmetic.by_total(3, [*three, pod("p3", ready=False)], 200_000, 100_000, ANY) == 6
    assert arithmetic.by_total(0, [], 250_000, 100_000, ANY) == 3
    assert arithmetic.by_total(3, [], 100_000, 100_000, ANY) == 3
    with pytest.raises(MetricError, match="unable to calculate ready pods: no pods returned by selector"):
        arithmetic.by_total(3, [], 200_000, 100_000, ANY)
    assert arithmetic.by_share(3, 200_000, 50_000, ANY) == 4
    assert arithmetic.by_share(4, 200_000, 50_000, ANY) == 4


def steps(behavior: Any, current: int, wanted: int, memory: Memory | None = None) -> tuple[int, str, str]:
    result = normalised(behavior, memory or Memory(), current, wanted, 1, 100, NOW)
    return result.replicas, result.conditions[0].reason, result.conditions[1].reason


def test_without_a_behaviour_it_doubles_at_most_and_shrinks_after_five_minutes():
    assert steps(None, 3, 50) == (6, "ReadyForNewScale", "ScaleUpLimit")
    assert steps(None, 1, 50) == (4, "ReadyForNewScale", "ScaleUpLimit")
    recent = Memory(recommendations=[Change(NOW - 200, 8)])
    assert steps(None, 10, 2, recent) == (8, "ScaleDownStabilized", "DesiredWithinRange")
    higher = Memory(recommendations=[Change(NOW - 60, 20)])  # more than there are: it grows
    assert steps(None, 8, 7, higher) == (16, "ScaleDownStabilized", "ScaleUpLimit")
    assert normalised(None, higher, 8, 7, 1, 10, NOW).replicas == 10
    old = Memory(recommendations=[Change(NOW - 301, 8)])
    assert steps(None, 10, 2, old) == (2, "ReadyForNewScale", "DesiredWithinRange")


def test_shares_are_rounded_as_float64s_are():
    ten = {"policies": [{"type": "Percent", "value": 10, "periodSeconds": 15}]}
    eighty = {"policies": [{"type": "Percent", "value": 80, "periodSeconds": 15}]}
    assert steps({"scaleUp": ten}, 50, 90)[0] == 56
    assert steps({"scaleUp": ten, "scaleDown": {**eighty, "stabilizationWindowSeconds": 0}}, 10, 1)[0] == 1
    found = [pod(f"p{i}") for i in range(25)]
    assert by_percent(50, found, samples(*[140] * 25)) == (8, 14)
    assert arithmetic.by_total(25, found, 280, 1000, ANY) == 8


def test_an_average_per_pod_is_whole_before_it_is_compared():
    found = [pod(f"p{i}") for i in range(3)]
    answer = arithmetic.by_value(3, 1, found, samples(1, 2, 2), "", ANY, NOW)
    assert answer == arithmetic.Answer(3, 0, 1)


def test_a_pod_that_is_gone_counts_in_an_average_as_long_as_it_is_measured_but_in_no_share_of_requests():
    found, used = [pod("p0"), pod("p1")], {**samples(200, 200), "gone": Sample(800, NOW)}
    assert arithmetic.by_value(2, 400, found, used, "", ANY, NOW) == arithmetic.Answer(2, 0, 400)
    assert by_percent(50, found, used) == (1, 20)


def test_policies_limit_the_rate_by_what_was_changed_in_their_period():
    pods_up = {"scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]}}
    assert steps(pods_up, 5, 20)[0] == 7
    assert steps(pods_up, 7, 20, Memory(ups=[Change(NOW - 30, 2)]))[0] == 7
    assert steps(pods_up, 7, 20, Memory(ups=[Change(NOW - 61, 2)]))[0] == 9
    percent = [{"type": "Percent", "value": 50, "periodSeconds": 60}, {"type": "Pods", "value": 1, "periodSeconds": 60}]
    down = {"scaleDown": {"stabilizationWindowSeconds": 0, "policies": percent}}
    assert steps(down, 10, 1) == (5, "ReadyForNewScale", "ScaleDownLimit")
    down["scaleDown"]["selectPolicy"] = "Min"
    assert steps(down, 10, 1)[0] == 9
    down["scaleDown"]["selectPolicy"] = "Disabled"
    assert steps(down, 10, 1)[0] == 10


@given(
    current=st.integers(1, 100),
    wanted=st.integers(0, 300),
    least=st.integers(1, 10),
    past=st.lists(st.integers(0, 300), max_size=5),
    plain=st.booleans(),
)
def test_the_result_is_within_the_bounds_and_on_the_way(current, wanted, least, past, plain):
    policies = [{"type": "Percent", "value": 100, "periodSeconds": 15}]
    behavior = None if plain else {"scaleUp": {"policies": policies}, "scaleDown": {"policies": policies}}
    memory = Memory(recommendations=[Change(NOW - 10 * i, number) for i, number in enumerate(past)])
    current = max(current, least)
    result = normalised(behavior, memory, current, wanted, least, 100, NOW)
    assert least <= result.replicas <= 100
    most = max(current, wanted, least, *(past if plain else ()))
    assert min(current, wanted, *past, 100) <= result.replicas <= most
    if result.replicas == wanted and result.conditions[0].reason == "ReadyForNewScale":
        assert result.conditions[1].reason == IN_RANGE[0]
