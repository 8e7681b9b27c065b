"""What objects use of a quota, which quotas count them, and what is said of what is over."""

from __future__ import annotations

from typing import Any

import pytest

from heeler.base.clock import rfc3339
from heeler.objects.quantities import parse
from heeler.workloads import quota
from heeler.workloads.quota_devices import concerns

NOW = 1_800_000_000.0


def shown(amounts: dict[str, Any]) -> dict[str, str]:
    return {name: str(amount) for name, amount in amounts.items()}


def pod(phase: str = "Pending", **spec: Any) -> dict[str, Any]:
    resources = {"requests": {"cpu": "100m", "example.com/gpu": "1"}, "limits": {"memory": "1Gi"}}
    containers = [{"name": "b", "resources": resources}, {"name": "a", "resources": resources}]
    return {"spec": {"containers": containers, **spec}, "status": {"phase": phase}}


def test_a_pod_uses_its_containers_together():
    assert shown(quota.usage("", "pods", pod(), NOW)) == {
        "count/pods": "1",
        "pods": "1",
        "requests.cpu": "200m",
        "cpu": "200m",
        "requests.example.com/gpu": "2",
        "limits.memory": "2Gi",
    }


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_is_over_uses_nothing_but_its_place_as_an_object(phase):
    assert shown(quota.usage("", "pods", pod(phase), NOW)) == {"count/pods": "1"}


@pytest.mark.parametrize(("ago", "counted"), [(29, True), (31, False)])
def test_a_pod_that_should_have_gone_long_ago_keeps_no_other_out(ago: int, counted: bool) -> None:
    """The time of deletion is when its grace ends, and it has as much again."""
    metadata = {"deletionTimestamp": rfc3339(NOW - ago), "deletionGracePeriodSeconds": 30}
    assert ("pods" in quota.usage("", "pods", {**pod("Running"), "metadata": metadata}, NOW)) == counted


def test_the_overhead_of_a_pod_s_runtime_counts():
    found = shown(quota.usage("", "pods", pod(overhead={"cpu": "250m", "memory": "1Gi"}), NOW))
    assert (found["requests.cpu"], found["requests.memory"], found["limits.memory"]) == ("450m", "1Gi", "3Gi")


def test_services_use_ports_and_balancers():
    service = {"spec": {"type": "LoadBalancer", "ports": [{"port": 1}, {"port": 2}]}}
    assert shown(quota.usage("", "services", service, NOW)) == {
        "count/services": "1",
        "services": "1",
        "services.nodeports": "2",
        "services.loadbalancers": "1",
    }


def test_claims_use_storage_of_their_class():
    claim = {"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}}, "metadata": {}}
    assert shown(quota.usage("", "persistentvolumeclaims", claim, NOW)) == {
        "count/persistentvolumeclaims": "1",
        "persistentvolumeclaims": "1",
        "requests.storage": "1Gi",
        "fast.storageclass.storage.k8s.io/persistentvolumeclaims": "1",
        "fast.storageclass.storage.k8s.io/requests.storage": "1Gi",
    }


def test_claims_of_devices_use_devices_of_their_classes():
    def wish(name: str, **more: Any) -> dict[str, Any]:
        return {"deviceClassName": name, **more}

    requests = [
        {"name": "a", "exactly": wish("gpu", count=2)},
        {"name": "b", "exactly": wish("nic", allocationMode="All")},
        {"name": "c", "firstAvailable": [wish("gpu", count=1), wish("gpu", count=3), wish("tpu", count=1)]},
    ]
    claim = {"spec": {"devices": {"requests": requests}}}
    assert shown(quota.usage("resource.k8s.io", "resourceclaims", claim, NOW)) == {
        "count/resourceclaims.resource.k8s.io": "1",
        "gpu.deviceclass.resource.k8s.io/devices": "5",
        "nic.deviceclass.resource.k8s.io/devices": "32",
        "tpu.deviceclass.resource.k8s.io/devices": "1",
    }
    hard = ["gpu.deviceclass.resource.k8s.io/devices", "requests.example.com/gpu"]
    assert quota.resources_of(hard) == [("resource.k8s.io", "resourceclaims"), ("", "pods")]


class Around:
    """A class that stands for an extended resource, one that doesn't, a pod, and the claims that there are."""

    def __init__(self, *claims: dict[str, Any], told: str = "", uid: str = "u") -> None:
        self._claims, self._told, self._uid = claims, told, uid

    def device_classes(self) -> list[dict[str, Any]]:
        spec = {"extendedResourceName": "example.com/gpu"}
        return [{"metadata": {"name": "gpu"}, "spec": spec}, {"metadata": {"name": "nic"}, "spec": {}}]

    def pod(self, namespace: str, name: str) -> dict[str, Any] | None:
        if (namespace, name) != ("a", "p"):
            return None
        status = {"extendedResourceClaimStatus": {"resourceClaimName": self._told}} if self._told else {}
        spec = {"containers": [{"name": "c", "resources": {"requests": {"example.com/gpu": "2"}}}]}
        return {"metadata": {"name": "p", "namespace": "a", "uid": self._uid}, "spec": spec, "status": status}

    def claims(self, namespace: str) -> tuple[dict[str, Any], ...]:
        return self._claims


def device_claim(name: str, **classes: int) -> dict[str, Any]:
    requests = [{"name": one, "exactly": {"deviceClassName": one, "count": count}} for one, count in classes.items()]
    return {"metadata": {"name": name, "namespace": "a"}, "spec": {"devices": {"requests": requests}}}


def special(name: str, made: str = "2026-01-01T00:00:00Z", **classes: int) -> dict[str, Any]:
    """A claim that a scheduler made for the pod's extended resources."""
    claim = device_claim(name, **classes)
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": True}
    marks = {"resource.kubernetes.io/extended-resource-claim": "true"}
    claim["metadata"] |= {"creationTimestamp": made, "annotations": marks, "ownerReferences": [owner]}
    return claim


OWNER = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": True, "blockOwnerDeletion": True}
BLOCKING = {"ownerReferences": [OWNER]}
IMPLICIT = "requests.deviceclass.resource.kubernetes.io"


def extended(claim: dict[str, Any], around: Around) -> dict[str, str]:
    used = shown(quota.usage("resource.k8s.io", "resourceclaims", claim, NOW, around))
    return {name: amount for name, amount in used.items() if name.startswith("requests.")}


def test_devices_count_as_the_extended_resources_that_their_classes_stand_for():
    found = extended(device_claim("c", gpu=3, nic=1, none=2), Around())
    assert found == {
        "requests.example.com/gpu": "3",
        f"{IMPLICIT}/gpu": "3",
        f"{IMPLICIT}/nic": "1",
        f"{IMPLICIT}/none": "2",
    }
    assert quota.resources_of([f"{IMPLICIT}/gpu"]) == [("", "pods"), ("resource.k8s.io", "resourceclaims")]
    named_so = "requests.fast.storageclass.storage.k8s.io/requests.storage"
    assert quota.resources_of([named_so]) == [("", "persistentvolumeclaims")]


@pytest.mark.parametrize(
    ("names", "concerned"),
    [
        (["count/resourceclaims.resource.k8s.io"], True),
        (["none.deviceclass.resource.k8s.io/devices"], True),
        (["requests.example.com/gpu"], True),
        ([f"{IMPLICIT}/nic"], True),
        ([f"{IMPLICIT}/none", "requests.example.com/other", "pods"], False),
        ([f"{IMPLICIT}/none", f"{IMPLICIT}/gpu"], True),
    ],
)
def test_a_quota_of_extended_resources_is_one_of_claims_where_a_class_stands_for_them(names, concerned):
    assert concerns(names, Around()) == concerned


@pytest.mark.parametrize(
    ("around", "counted"),
    [
        (Around(), False),
        (Around(told="s"), False),
        (Around(special("s"), special("later", "2026-01-01T00:00:01Z"), special("t")), False),
        (Around(told="other"), True),
        (Around(uid="another"), True),
        (Around(special("s"), special("before", "2025-12-31T23:59:59Z")), True),
        (Around(special("s"), special("r")), True),
        (Around(special("s"), {**special("r"), "metadata": {**special("r")["metadata"], **BLOCKING}}), True),
    ],
)
def test_what_a_pod_was_counted_for_is_not_counted_again_for_the_claim_that_was_made_for_it(around, counted):
    found = extended(special("s", gpu=3), around)
    assert found == {"requests.example.com/gpu": "3" if counted else "1", f"{IMPLICIT}/gpu": "3"}


def test_any_kind_can_be_counted():
    assert shown(quota.usage("apps", "deployments", {}, NOW)) == {"count/deployments.apps": "1"}
    assert quota.resources_of(["count/deployments.apps", "pods", "requests.cpu", "services.nodeports"]) == [
        ("apps", "deployments"),
        ("", "pods"),
        ("", "services"),
    ]


@pytest.mark.parametrize(
    ("spec", "scope", "counted"),
    [
        ({}, {"scopes": ["BestEffort"]}, False),
        ({}, {"scopes": ["NotBestEffort"]}, True),
        ({"activeDeadlineSeconds": 1}, {"scopes": ["Terminating"]}, True),
        ({"activeDeadlineSeconds": 1}, {"scopes": ["NotTerminating"]}, False),
        (
            {"priorityClassName": "high"},
            {
                "scopeSelector": {
                    "matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]
                }
            },
            True,
        ),
    ],
)
def test_scopes_choose_pods(spec, scope, counted):
    assert quota.counts({"spec": scope}, "", "pods", pod(**spec)) is counted
    assert quota.counts({"spec": scope}, "", "configmaps", {}) is False


def test_containers_must_name_what_is_limited():
    assert quota.unnamed(["requests.cpu", "limits.memory"], pod()["spec"]) == ""
    assert quota.unnamed(["limits.cpu", "memory", "requests.storage"], pod()["spec"]) == (
        "limits.cpu for: a,b; memory for: a,b"
    )


def test_what_is_over_is_said():
    hard, used = {"pods": parse("2"), "cpu": parse("1")}, {"pods": parse("2"), "cpu": parse("600m")}
    asked = {"pods": parse("1"), "cpu": parse("500m"), "memory": parse("1Gi")}
    assert quota.over(hard, used, asked) == "requested: cpu=500m,pods=1, used: cpu=600m,pods=2, limited: cpu=1,pods=2"
    assert quota.over(hard, used, {"cpu": parse("400m")}) == ""
