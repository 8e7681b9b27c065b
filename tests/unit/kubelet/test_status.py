"""A pod's status as a kubelet writes it."""

from __future__ import annotations

from heeler.kubelet.pods import status
from heeler.kubelet.pods.views import Health, Memory, SandboxView, View, Waiting
from heeler.objects.value import Object
from tests.unit.kubelet.pods import container, deleted, ended, pod, seen, view

HOST = status.Host(("192.0.2.1",))


def make(found: Object, seen_now: View, memory: Memory | None = None) -> Object:
    return status.make(found, seen_now, memory or Memory(started_at=1.0), HOST, 1000.0)


def condition(made: Object, kind: str) -> tuple[str, str]:
    found = next(c for c in made["conditions"] if c["type"] == kind)
    return found["status"], found.get("reason", "")


def test_a_pod_without_a_sandbox_is_pending_and_creating() -> None:
    made = make(pod(), View())
    assert made["phase"] == "Pending"
    assert made["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert condition(made, "Ready") == ("False", "ContainersNotReady")
    assert condition(made, "PodReadyToStartContainers") == ("False", "")
    assert "podIP" not in made


def test_a_running_pod_is_ready_and_tells_its_address() -> None:
    made = make(pod(), view(seen("app")))
    assert made["phase"] == "Running"
    assert made["podIP"] == "10.244.0.5" and made["podIPs"] == [{"ip": "10.244.0.5"}]
    assert made["hostIP"] == "192.0.2.1"
    assert [c["type"] for c in made["conditions"]] == list(status.OWNED)
    assert all(c["status"] == "True" for c in made["conditions"])
    assert made["containerStatuses"][0]["containerID"] == "containerd://app-0"


def test_while_init_containers_run_the_others_wait_for_them() -> None:
    made = make(pod(initContainers=[container("i1")]), view(seen("i1")))
    assert made["phase"] == "Pending"
    assert made["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}
    assert condition(made, "Initialized") == ("False", "ContainersNotInitialized")
    missing = next(c for c in made["conditions"] if c["type"] == "Initialized")
    assert missing["message"] == "containers with incomplete status: [i1]"


def test_a_finished_init_container_is_ready() -> None:
    made = make(pod(initContainers=[container("i1")]), view(ended("i1"), seen("app")))
    assert made["initContainerStatuses"][0]["ready"] is True
    assert condition(made, "Initialized") == ("True", "")


def test_readiness_follows_the_probe() -> None:
    wanted = pod(container("app", readinessProbe={}))
    assert condition(make(wanted, view(seen("app"))), "Ready")[0] == "False"
    ready = Memory(started_at=1.0, health={"app": Health("app-0", True, True)})
    assert condition(make(wanted, view(seen("app")), ready), "Ready")[0] == "True"


def test_a_crashed_container_that_waits_shows_its_last_end() -> None:
    memory = Memory(started_at=1.0, waiting={"app": Waiting("CrashLoopBackOff", "back-off 10s")})
    made = make(pod(), view(ended("app", 3, attempt=2)), memory)
    shown = made["containerStatuses"][0]
    assert shown["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
    assert shown["lastState"]["terminated"]["exitCode"] == 3
    assert shown["restartCount"] == 2
    assert made["phase"] == "Running"


def test_a_restarted_container_tells_of_the_one_before() -> None:
    made = make(pod(), view(seen("app", attempt=1), ended("app", 1)))
    shown = made["containerStatuses"][0]
    assert "running" in shown["state"]
    assert shown["lastState"]["terminated"]["reason"] == "Error"


def test_all_ended_well_is_succeeded_and_one_failure_is_failed() -> None:
    wanted = pod(container("a"), container("b"), restartPolicy="Never")
    made = make(wanted, view(ended("a"), ended("b")))
    assert made["phase"] == "Succeeded"
    assert condition(made, "Ready") == ("False", "PodCompleted")
    assert condition(made, "Initialized") == ("True", "PodCompleted")
    made = make(wanted, view(ended("a"), ended("b", 1)))
    assert made["phase"] == "Failed"
    assert condition(made, "Ready") == ("False", "PodFailed")


def test_a_deleted_pod_ends_by_its_containers_exit_codes() -> None:
    stopped = SandboxView("s0", 0, False)
    assert make(deleted(pod()), view(ended("app"), sandbox=stopped))["phase"] == "Succeeded"
    assert make(deleted(pod()), view(ended("app", 137), sandbox=stopped))["phase"] == "Failed"


def test_readiness_gates_of_others_count_and_their_conditions_stay() -> None:
    wanted = pod(readinessGates=[{"conditionType": "example.com/ok"}])
    made = make(wanted, view(seen("app")))
    assert condition(made, "Ready") == ("False", "ReadinessGatesNotReady")
    wanted["status"] = {"conditions": [{"type": "example.com/ok", "status": "True"}]}
    made = make(wanted, view(seen("app")))
    assert condition(made, "Ready") == ("True", "")
    assert condition(made, "example.com/ok") == ("True", "")


def test_a_condition_that_stays_keeps_its_time() -> None:
    wanted = pod()
    wanted["status"] = status.make(wanted, view(seen("app")), Memory(started_at=1.0), HOST, 500.0)
    assert status.patch(wanted, make(wanted, view(seen("app")))) is None


def test_a_patch_names_what_changed_and_what_is_no_more() -> None:
    wanted = pod()
    wanted["status"] = make(wanted, View())
    changes = status.patch(wanted, make(wanted, view(seen("app"))))
    assert changes is not None
    assert changes["metadata"] == {"uid": "u1"}
    ready = next(c for c in changes["status"]["conditions"] if c["type"] == "Ready")
    assert ready["status"] == "True" and ready["reason"] is None and ready["message"] is None
    assert "hostIPs" not in changes["status"]


def test_a_new_address_replaces_the_old_one() -> None:
    wanted = pod()
    wanted["status"] = make(wanted, view(seen("app")))
    moved = view(seen("app"), sandbox=SandboxView("s1", 1, True, 9.0, ("10.244.0.9",)))
    changes = status.patch(wanted, make(wanted, moved))
    assert changes is not None
    assert changes["status"]["podIPs"] == [{"ip": "10.244.0.9"}, {"$patch": "delete", "ip": "10.244.0.5"}]


def test_what_the_runtime_forgot_of_an_ended_pod_stays_told() -> None:
    wanted = pod(container("app"), restartPolicy="Never")
    before = make(wanted, view(ended("app", 3)))
    wanted["status"] = before
    gone = make(wanted, View(), Memory(started_at=1.0, ended=("Failed", "", "")))
    assert gone["containerStatuses"] == before["containerStatuses"] and gone["phase"] == "Failed"


def test_a_container_that_ran_and_cannot_be_found_ended_unknown() -> None:
    wanted = deleted(pod())
    wanted["status"] = make(pod(), view(seen("app")))
    shown = make(wanted, View())["containerStatuses"][0]
    assert shown["state"]["terminated"]["reason"] == "ContainerStatusUnknown" and not shown["ready"]
