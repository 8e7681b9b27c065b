"""Devices that drive their users off, and what a DeviceTaintRule says (as kube-controller-manager 1.37.2 says it)."""

import pytest

from heeler.base.clock import parse_rfc3339
from heeler.controllers import device_taint_plan as plan
from heeler.workloads import device_taints

ADDED = "2026-01-01T00:00:00Z"
AT = parse_rfc3339(ADDED)
DEVICE = ("d.example.com", "pool", "dev0")


def taint(effect="NoExecute", key="k", **more):
    return {"key": key, "effect": effect, "timeAdded": ADDED, **more}


def published(generation=1, *taints, name="dev0"):
    pool = {"name": "pool", "generation": generation}
    return {"spec": {"driver": "d.example.com", "pool": pool, "devices": [{"name": name, "taints": list(taints)}]}}


def rule(effect="NoExecute", uid="r", **selector):
    spec = {"taint": taint(effect)}
    if selector:
        spec["deviceSelector"] = selector
    return {"metadata": {"name": uid, "uid": uid, "generation": 3}, "spec": spec}


def claim(*tolerations, device="dev0"):
    result = {"driver": "d.example.com", "pool": "pool", "device": device, "tolerations": list(tolerations)}
    return {"status": {"allocation": {"devices": {"results": [result]}}}}


def test_only_a_pools_newest_generation_counts():
    slices = [published(1, taint()), published(2, name="dev1"), published(2, taint("NoSchedule"), name="dev2")]
    assert plan.tainted_devices(slices) == {
        ("d.example.com", "pool", "dev1"): [],
        ("d.example.com", "pool", "dev2"): [taint("NoSchedule")],
    }


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ({}, False),
        ({"driver": "d.example.com"}, True),
        ({"pool": "pool"}, True),
        ({"pool": "pool", "device": "dev1"}, False),
        ({"driver": "other"}, False),
    ],
)
def test_what_a_rule_selects(selector, selected):
    assert device_taints.selects(rule(**selector), DEVICE) is selected


@pytest.mark.parametrize(
    ("tolerations", "seconds"),
    [
        ((), 0),
        (({"operator": "Exists", "effect": "NoExecute"},), None),
        (({"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},), 60),
        (({"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": -60},), 0),
        (({"operator": "Exists"},), 0),  # upstream looks at those of this very effect only
        (
            (
                {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},
                {"operator": "Equal", "key": "k", "effect": "NoExecute", "tolerationSeconds": 5},
            ),
            5,
        ),
    ],
)
def test_when_a_tainted_device_is_left(tolerations, seconds):
    devices = plan.tainted_devices([published(1, taint(), taint("NoSchedule"))])
    found = plan.eviction(claim(*tolerations), devices, [])
    assert found == (None if seconds is None else (AT + seconds, ()))


def test_the_rules_that_are_a_reason_are_told():
    rules = [rule(uid="b", pool="pool"), rule(uid="a", driver="d.example.com"), rule(uid="c", device="dev1")]
    assert plan.eviction(claim(), {}, rules) == (AT, ("a", "b"))
    assert plan.eviction(claim(device="dev9"), {}, rules[2:]) is None
    assert plan.eviction({"status": {}}, {}, rules) is None


NO_EFFECT = (
    "0 published devices selected. 1 allocated device selected. 2 pods would be evicted in 1 namespace if the effect was "
    "NoExecute. This information will not be updated again. Recreate the DeviceTaintRule to trigger an update."
)


@pytest.mark.parametrize(
    ("effect", "seen", "told"),
    [
        ("NoExecute", (0, 0, 0, 0, 0), ("False", "NotStarted", "")),
        ("NoExecute", (1, 1, 0, 0, 0), ("True", "PodsPendingEviction", "1 pod needs to be evicted in 1 namespace.")),
        (
            "NoExecute",
            (3, 2, 0, 0, 1),
            (
                "True",
                "PodsPendingEviction",
                "3 pods need to be evicted in 2 different namespaces. 1 pod evicted since starting the controller.",
            ),
        ),
        ("NoExecute", (0, 0, 0, 0, 2), ("False", "Completed", "2 pods evicted since starting the controller.")),
        ("NoSchedule", (0, 0, 0, 0, 0), ("False", "OtherEffect", "Eviction only happens for the NoExecute effect.")),
        ("None", (2, 1, 0, 1, 0), ("False", "NoEffect", NO_EFFECT)),
    ],
)
def test_what_a_rule_says(effect, seen, told):
    out = plan.condition(rule(effect), plan.Seen(*seen), AT)
    assert (out["status"], out["reason"], out["message"]) == told
    assert out["observedGeneration"] == 3
