"""What comes next in a pod's life."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.kubelet.pods import plan
from heeler.kubelet.pods.plan import (
    CreateSandbox,
    Finish,
    KillContainer,
    RemoveContainer,
    StartContainer,
    StopSandbox,
    decide,
)
from heeler.kubelet.pods.views import Backoff, Health, Memory, SandboxView, View
from heeler.objects.value import Object
from tests.unit.kubelet.pods import container, deleted, ended, pod, seen, view

NOW = 100.0


def todo(found: Object, seen_now: View, memory: Memory | None = None, now: float = NOW) -> list[plan.Instruction]:
    return decide(found, seen_now, memory or Memory(started_at=1.0), now).todo


def test_a_new_pod_gets_a_sandbox_first() -> None:
    assert todo(pod(), View()) == [CreateSandbox(0)]


def test_nothing_is_done_twice_while_it_is_under_way() -> None:
    assert todo(pod(), View(), Memory(busy={"sandbox": None})) == []
    assert todo(pod(), view(), Memory(busy={"start/app": None})) == []


def test_all_containers_start_at_once() -> None:
    wanted = pod(container("a"), container("b"))
    assert todo(wanted, view()) == [StartContainer("a", 0), StartContainer("b", 0)]


def test_a_post_start_hook_holds_back_the_containers_after_it_until_it_is_done() -> None:
    wanted = pod(container("first"), container("proxy", lifecycle={"postStart": {}}), container("app"))
    assert todo(wanted, view()) == [StartContainer("first", 0), StartContainer("proxy", 0)]
    hooking = Memory(busy={"start/proxy": None}, hooking={"proxy-0": None})
    assert todo(wanted, view(seen("first"), seen("proxy")), hooking) == []
    assert todo(wanted, view(seen("first"), seen("proxy"))) == [StartContainer("app", 0)]
    # One that runs already is not held back by a restart before it.
    assert todo(wanted, view(seen("first"), seen("proxy"), ended("app", 1)), hooking, 1000.0) != []
    side = pod(initContainers=[container("side", restartPolicy="Always", lifecycle={"postStart": {}})])
    assert todo(side, view(seen("side")), Memory(busy={"start/side": None}, hooking={"side-0": None})) == []


def test_init_containers_run_one_after_the_other_before_the_others() -> None:
    wanted = pod(initContainers=[container("i1"), container("i2")])
    assert todo(wanted, view()) == [StartContainer("i1", 0)]
    assert todo(wanted, view(seen("i1"))) == []
    assert todo(wanted, view(ended("i1"))) == [StartContainer("i2", 0)]
    assert todo(wanted, view(ended("i1"), ended("i2"))) == [StartContainer("app", 0)]


def test_a_sidecar_holds_the_next_one_up_only_until_it_has_started() -> None:
    wanted = pod(initContainers=[container("side", restartPolicy="Always", startupProbe={}), container("i2")])
    waiting = Memory(health={"side": Health("side-0", False, False)})
    assert todo(wanted, view(seen("side")), waiting) == []
    started = Memory(health={"side": Health("side-0", True, True)})
    assert todo(wanted, view(seen("side")), started) == [StartContainer("i2", 0)]


def test_a_failed_init_container_is_tried_again_unless_the_policy_is_never() -> None:
    inits = [container("i1")]
    assert todo(pod(initContainers=inits), view(ended("i1", 1))) == [StartContainer("i1", 1)]
    assert todo(pod(initContainers=inits, restartPolicy="Never"), view(ended("i1", 1))) == [StopSandbox("s0")]


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [("Always", 0, True), ("Always", 1, True), ("OnFailure", 0, False), ("OnFailure", 1, True), ("Never", 1, False)],
)
def test_the_restart_policy_decides_who_comes_back(policy: str, code: int, again: bool) -> None:
    got = todo(pod(restartPolicy=policy), view(ended("app", code)))
    assert (got == [StartContainer("app", 1)]) is again


def test_rules_for_exit_codes_come_before_the_policy() -> None:
    rules = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
    wanted = pod(container("app", restartPolicy="Never", restartPolicyRules=rules), restartPolicy="Never")
    assert todo(wanted, view(ended("app", 42))) == [StartContainer("app", 1)]
    assert todo(wanted, view(ended("app", 1))) == [StopSandbox("s0")]


def test_the_first_restart_is_at_once_and_the_next_ones_wait_twice_as_long_each() -> None:
    memory = Memory(started_at=1.0)
    delays = []
    for attempt in range(8):
        finished = NOW + attempt * 1000
        crashed = view(ended("app", 1, at=finished, attempt=attempt))
        memory.backoffs.setdefault("app", Backoff()).counted_at = finished
        decision = decide(pod(), crashed, memory, finished)
        delays.append(decision.wake_at - finished if decision.wake_at else 0.0)
        plan.count_restart(memory, "app", finished)
    assert delays == [0.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]


def test_a_container_that_ran_for_long_is_forgiven() -> None:
    memory = Memory(started_at=1.0, backoffs={"app": Backoff(300.0, NOW)})
    late = NOW + 601
    assert todo(pod(), view(ended("app", 1, at=late)), memory, late) == [StartContainer("app", 1)]


def test_waiting_for_a_restart_says_so() -> None:
    memory = Memory(started_at=1.0, backoffs={"app": Backoff(80.0, NOW)})
    assert todo(pod(), view(ended("app", 1, at=NOW)), memory) == []
    waiting = memory.waiting["app"]
    assert waiting.reason == "CrashLoopBackOff"
    assert waiting.message == "back-off 1m20s restarting failed container=app pod=web_default(u1)"


def test_a_failed_liveness_probe_kills_the_container_once() -> None:
    memory = Memory(health={"app": Health("app-0", True, True, failed="liveness")})
    got = todo(pod(), view(seen("app")), memory)
    message = "Container app failed liveness probe, will be restarted"
    assert got == [KillContainer("app-0", "app", 30.0, message, "liveness")]
    memory.killed["app-0"] = "liveness"
    assert todo(pod(), view(seen("app")), memory) == []


def test_a_new_image_replaces_the_container() -> None:
    got = todo(pod(container("app", image="app:2")), view(seen("app")))
    assert got == [KillContainer("app-0", "app", 30.0, "Container app definition changed, will be restarted")]


def test_a_deleted_pod_ends_containers_then_sidecars_in_reverse_then_the_sandbox() -> None:
    side = [container("s1", restartPolicy="Always"), container("s2", restartPolicy="Always")]
    wanted = deleted(pod(initContainers=side))
    memory = Memory(started_at=1.0)
    got = todo(wanted, view(seen("s1"), seen("s2"), seen("app")), memory)
    assert got == [KillContainer("app-0", "app", 30.0, "Stopping container app")]
    got = todo(wanted, view(seen("s1"), seen("s2"), ended("app")), memory)
    assert [g.name for g in got if isinstance(g, KillContainer)] == ["s2"]
    got = todo(wanted, view(seen("s1"), ended("s2"), ended("app")), memory)
    assert [g.name for g in got if isinstance(g, KillContainer)] == ["s1"]
    gone = view(ended("s1"), ended("s2"), ended("app"))
    assert todo(wanted, gone, memory) == [StopSandbox("s0")]
    stopped = View((SandboxView("s0", 0, False),), gone.containers)
    assert todo(wanted, stopped, memory) == [Finish(True)]


def test_a_completed_pod_stays_until_it_is_deleted() -> None:
    stopped = View((SandboxView("s0", 0, False),), (ended("app"),))
    assert todo(pod(restartPolicy="Never"), stopped) == [Finish(False)]


def test_a_lost_sandbox_is_stopped_and_made_anew_and_init_containers_run_again() -> None:
    lost = View((SandboxView("s0", 0, False),), (ended("app", 137), ended("i1")))
    wanted = pod(initContainers=[container("i1")])
    assert todo(wanted, lost) == [StopSandbox("s0")]
    memory = Memory(killed={"s0": ""})
    assert todo(wanted, lost, memory) == [CreateSandbox(1)]
    fresh = View((SandboxView("s1", 1, True, 50.0), *lost.sandboxes), lost.containers)
    assert StartContainer("i1", 1) in todo(wanted, fresh, memory)
    assert not any(isinstance(g, StartContainer) and g.name == "app" for g in todo(wanted, fresh, memory))


def test_the_active_deadline_ends_a_pod() -> None:
    memory = Memory(started_at=NOW - 60)
    decision = decide(pod(activeDeadlineSeconds=61), view(seen("app")), memory, NOW)
    assert decision.todo == [] and decision.wake_at == NOW + 1
    got = todo(pod(activeDeadlineSeconds=60), view(seen("app")), memory)
    assert [type(g) for g in got] == [KillContainer]
    assert memory.ended is not None and memory.ended[1] == "DeadlineExceeded"


def test_of_each_container_two_lives_are_kept() -> None:
    lives = view(seen("app", attempt=2), ended("app", 1, attempt=1), ended("app", 1, attempt=0))
    assert todo(pod(), lives) == [RemoveContainer("app-0")]


def test_changed_resources_are_given_to_the_running_container() -> None:
    wanted = pod(container("app", resources={"limits": {"cpu": "2"}}))
    running = view(seen("app", resources={"limits": {"cpu": "1"}}))
    assert todo(wanted, running) == [plan.ResizeContainer("app-0", "app")]
    assert todo(wanted, running, Memory(resized={"app-0": {"limits": {"cpu": "2"}}})) == []
    policy = [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]
    wanted = pod(container("app", resources={"limits": {"cpu": "2"}}, resizePolicy=policy))
    assert todo(wanted, running) == [KillContainer("app-0", "app", 30.0, "Container app resize requires restart")]


STATES = st.sampled_from(["created", "running", "exited", "unknown"])


@given(
    st.lists(st.tuples(st.sampled_from(["app", "b", "i1", "s1"]), STATES, st.integers(0, 2)), max_size=8),
    st.sampled_from(["Always", "OnFailure", "Never"]),
    st.booleans(),
    st.booleans(),
)
def test_no_look_at_the_runtime_confuses_the_plan(
    lives: list[tuple[str, str, int]], policy: str, ends: bool, ready: bool
) -> None:
    inits = [container("s1", restartPolicy="Always"), container("i1")]
    wanted = pod(container("app"), container("b"), initContainers=inits, restartPolicy=policy)
    found = [
        seen(name, state, attempt=n, id=f"{name}-{n}-{i}", exit_code=n, finished_at=5.0)  # type: ignore[arg-type]
        for i, (name, state, n) in enumerate(lives)
    ]
    looked = view(*found, sandbox=SandboxView("s0", 0, ready, 1.0))
    got = todo(deleted(wanted) if ends else wanted, looked)
    alive = {c.id for c in looked.running()}
    for step in got:
        if isinstance(step, KillContainer):
            assert step.id in alive
        if isinstance(step, StartContainer):
            latest = looked.latest(step.name)
            assert not ends and ready
            assert latest is None or latest.state not in ("running",)
        if isinstance(step, RemoveContainer):
            assert step.id not in alive
        if isinstance(step, Finish):
            assert not alive and not ready
