"""When a node is short of something, and who goes."""

from __future__ import annotations

import pytest

from heeler.kubelet import pressure
from heeler.kubelet.figures import Disk
from heeler.kubelet.image_gc import Image, Policy, to_free, unused
from heeler.kubelet.pressure import Local, Observation, Settings, State, Use
from heeler.objects.value import Object
from tests.unit.kubelet.pods import container, pod

GIB = 1 << 30


def settings(hard: str = "memory.available<100Mi,nodefs.available<10%", soft: str = "", graces: str = "") -> Settings:
    return Settings(pressure.thresholds(hard), pressure.thresholds(soft, graces))


def asking(name: str, memory: str = "", priority: int = 0) -> Object:
    resources = {"requests": {"memory": memory}} if memory else {}
    made = pod(container("c", resources=resources), priority=priority)
    made["metadata"] = {**made["metadata"], "name": name}
    return made


def test_thresholds_are_read_as_a_kubelet_reads_them() -> None:
    [memory, disk] = pressure.thresholds("memory.available<1.5Gi,nodefs.available<10%")
    assert memory.limit(0) == 3 * GIB // 2 and disk.limit(1000) == 100
    assert pressure.thresholds("imagefs.available<0%") == ()
    assert pressure.seconds("1m30s") == 90
    for wrong in ("memory.available>1Gi", "nope<1Gi", "memory.available<x", "nodefs.available<100%"):
        with pytest.raises(ValueError, match=r"threshold|signal"):
            pressure.thresholds(wrong)
    with pytest.raises(ValueError, match="grace period must be specified"):
        pressure.thresholds("memory.available<1Gi", "nodefs.available=1m")


def test_a_hard_threshold_calls_at_once_a_soft_one_after_its_time_and_the_condition_stays_a_while() -> None:
    state, wanted = State(), settings(soft="memory.available<1Gi", graces="memory.available=1m30s")
    some = {"memory.available": Observation(GIB // 2, 8 * GIB)}
    assert pressure.met(wanted, some, state, 0.0) == []
    assert pressure.conditions(wanted, state, 0.0)["MemoryPressure"]
    [found] = pressure.met(wanted, some, state, 91.0)
    assert not found.hard
    few = {"memory.available": Observation(50 << 20, 8 * GIB), "nodefs.available": Observation(1, 100)}
    assert pressure.met(wanted, few, state, 92.0)[0].threshold.signal == "memory.available"
    plenty = {"memory.available": Observation(4 * GIB, 8 * GIB)}
    assert pressure.met(wanted, plenty, state, 93.0) == []
    assert pressure.conditions(wanted, state, 300.0)["MemoryPressure"]
    assert not pressure.conditions(wanted, state, 400.0)["MemoryPressure"]


def test_who_uses_more_than_asked_for_goes_first_then_by_priority_then_by_how_much() -> None:
    uses = [
        Use(asking("modest", "1Gi"), GIB // 2),
        Use(asking("important", "", 1000), 3 * GIB),
        Use(asking("greedy"), 2 * GIB),
        Use(asking("small"), 1 << 20),
        Use(asking("critical", "", pressure.CRITICAL), 9 * GIB),
    ]
    ranked = [use.pod["metadata"]["name"] for use in pressure.ranked(uses, "memory")]
    assert ranked == ["greedy", "small", "important", "modest"]


def test_an_eviction_is_told_in_upstream_s_words() -> None:
    [found] = pressure.met(settings(), {"memory.available": Observation(50 << 20, GIB)}, State(), 0.0)
    assert pressure.message(found, Use(asking("p"), 1 << 20, {"c": 2 << 20})) == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. "
        "Container c was using 2Mi, request is 0, has larger consumption of memory. "
    )


def test_what_a_pod_writes_may_be_limited() -> None:
    limited = pod(
        container("c", resources={"limits": {"ephemeral-storage": "1Mi"}}),
        volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1Ki"}}],
    )
    assert pressure.has_local_limits(limited) and not pressure.has_local_limits(pod())
    assert (
        pressure.exceeded(limited, Local({"v": 4096}, {})) == 'Usage of EmptyDir volume "v" exceeds the limit "1Ki". '
    )
    text = "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. "
    assert pressure.exceeded(limited, Local({"v": 1}, {"c": 2 << 20})) == text
    assert pressure.exceeded(limited, Local({"v": 1}, {"c": 1})) == ""


def test_a_node_under_pressure_takes_in_no_more() -> None:
    assert pressure.refused(pod(), {"MemoryPressure": False}, "BestEffort") is None
    assert pressure.refused(pod(), {"MemoryPressure": True}, "Burstable") is None
    reason, text = pressure.refused(pod(), {"MemoryPressure": True}, "BestEffort") or ("", "")
    assert (reason, text) == ("Evicted", "Pod was rejected: The node had condition: [MemoryPressure]. ")
    assert pressure.refused(pod(), {"DiskPressure": True}, "Guaranteed") is not None
    assert pressure.refused(pod(priority=pressure.CRITICAL), {"DiskPressure": True}, "Guaranteed") is None


def test_unused_images_go_oldest_first_and_kept_ones_never() -> None:
    assert to_free(Disk(100, 20, 0, 0), Policy()) == 0
    assert to_free(Disk(100, 10, 0, 0), Policy()) == 10
    images = [
        Image("new", 1, 990.0, 0.0),
        Image("kept", 1, 0.0, 0.0, True),
        Image("used", 1, 0.0, 5.0),
        Image("later", 1, 0.0, 9.0),
        Image("never", 1, 1.0, 0.0),
    ]
    assert [i.id for i in unused(images, {"used": None}, 1000.0, 120.0)] == ["never", "later"]
