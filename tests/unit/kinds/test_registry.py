"""The registry of built-in kinds and what holds for a kind."""

from __future__ import annotations

import pytest

from heeler.kinds.registry import built_in
from heeler.kinds.types import type_named


def test_every_kind_of_a_default_server_is_found_by_path_and_by_kind() -> None:
    kinds = built_in()
    assert len(list(kinds)) == 71
    pods = kinds.by_path("", "v1", "pods")
    assert pods is not None and pods is kinds.by_kind("", "v1", "Pod")
    assert pods.list_kind == "PodList" and pods.namespaced and "status" in pods.subresources
    assert kinds.by_path("apps", "v2", "deployments") is None


def test_groups_stand_in_the_order_of_discovery() -> None:
    groups = built_in().groups()
    assert groups[0] == ("", ["v1"])
    assert ("autoscaling", ["v2", "v1"]) in groups


def test_a_subresource_of_another_group_names_its_kind() -> None:
    deployments = built_in().by_path("apps", "v1", "deployments")
    assert deployments is not None
    scale = deployments.subresources["scale"]
    assert (scale.group, scale.version, scale.kind, scale.foreign) == ("autoscaling", "v1", "Scale", True)
    assert "spec" in scale.type.fields


def test_a_new_deployment_loses_its_status_and_a_changed_one_grows_its_generation() -> None:
    kind = built_in().by_path("apps", "v1", "deployments")
    assert kind is not None
    old = {"metadata": {"name": "a", "namespace": "b"}, "spec": {"replicas": 1}, "status": {"replicas": 9}}
    kind.prepare_create(old)
    assert old["status"] == {} and old["metadata"]["generation"] == 1  # type: ignore[index]
    new = {"metadata": {"name": "a", "namespace": "b"}, "spec": {"replicas": 2}, "status": {"replicas": 9}}
    kind.prepare_update(new, old)
    assert new["status"] == {} and new["metadata"]["generation"] == 2  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "field", "always", "pointer", "text"),
    [
        ("io.k8s.api.core.v1.GRPCAction", "service", True, True, ""),
        ("io.k8s.api.batch.v1.PodFailurePolicyOnExitCodesRequirement", "containerName", False, True, ""),
        ("io.k8s.api.core.v1.PodSpec", "containers", True, False, ""),
        ("io.k8s.api.core.v1.PodSpec", "restartPolicy", False, False, "v1.RestartPolicy"),
        ("io.k8s.api.core.v1.Pod", "status", True, False, ""),
        ("io.k8s.api.apps.v1.DeploymentSpec", "replicas", False, True, ""),
        ("io.k8s.api.apps.v1.DeploymentSpec", "selector", True, True, ""),
        ("io.k8s.api.autoscaling.v2.ResourceMetricSource", "name", True, False, "v1.ResourceName"),
    ],
)
def test_fields_are_what_they_are_in_go(name: str, field: str, always: bool, pointer: bool, text: str) -> None:
    found = type_named(name).fields[field]
    assert (found.always, found.pointer) == (always, pointer)
    named = f"{found.type.package}.{found.type.name}" if found.type.form == "string" and found.type.name else ""
    assert named == text
