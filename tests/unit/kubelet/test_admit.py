"""Which pods a node takes."""

from __future__ import annotations

import pytest

from heeler.kubelet.pods import admit
from heeler.objects.value import Object
from tests.unit.kubelet.pods import container, pod


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({"volumes": [{"name": "d", "nfs": {"server": "x", "path": "/"}}]}, "nfs"),
        ({"hostUsers": False}, "hostUsers"),
        ({"runtimeClassName": "kata"}, "runtimeClassName"),
    ],
)
def test_what_the_node_cannot_do_is_said(spec: Object, word: str) -> None:
    assert word in admit.unsupported(pod(**spec))


def test_what_only_some_runtimes_can_do_is_asked_of_the_runtime() -> None:
    mount = {"name": "v", "mountPath": "/v", "readOnly": True, "recursiveReadOnly": "Enabled"}
    wanted = pod(container("app", volumeMounts=[mount]))
    assert "recursiveReadOnly" in admit.unsupported(wanted)
    assert admit.unsupported(wanted, ("recursive_read_only_mounts",)) == ""


def test_a_pod_that_does_not_fit_is_rejected_by_the_first_resource_that_is_short() -> None:
    def asks(cpu: str, memory: str, phase: str = "Running") -> Object:
        return {
            **pod(container("app", resources={"requests": {"cpu": cpu, "memory": memory}})),
            "status": {"phase": phase},
        }

    others = [asks("500m", "1Gi"), asks("5", "9Gi", "Succeeded")]
    assert admit.misfit(asks("1500m", "1Gi"), others, 2000, 4 << 30, 110) is None
    assert admit.misfit(asks("1501m", "9Gi"), others, 2000, 4 << 30, 110) == (
        "OutOfcpu",
        "Pod was rejected: Node didn't have enough resource: cpu, requested: 1501, used: 500, capacity: 2000",
    )
    assert (admit.misfit(asks("1", "4Gi"), others, 2000, 4 << 30, 110) or ("",))[0] == "OutOfmemory"
    assert (admit.misfit(pod(), others, 2000, 4 << 30, 1) or ("",))[0] == "OutOfpods"


def test_a_pod_that_names_a_node_which_it_does_not_want_or_whose_port_is_taken_is_rejected() -> None:
    node = {"metadata": {"name": "n", "labels": {"a": "b"}}}
    taken = pod(container("app", ports=[{"containerPort": 1, "hostPort": 80}]))
    same = pod(container("app", ports=[{"containerPort": 2, "hostPort": 80, "hostIP": "127.0.0.1"}]))
    other = pod(container("app", ports=[{"containerPort": 2, "hostPort": 80, "protocol": "UDP"}]))
    assert admit.misplaced(same, [taken], node) == (
        "NodePorts",
        "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
    )
    assert admit.misplaced(other, [taken], node) is None
    assert admit.misplaced(same, [{**taken, "status": {"phase": "Failed"}}], node) is None
    reason, _ = admit.misplaced(pod(nodeSelector={"a": "c"}), [], node) or ("", "")
    assert reason == "NodeAffinity"
    assert admit.misplaced(pod(nodeSelector={"a": "c"}), [], {}) is None
