"""ValidatingAdmissionPolicies in a whole cluster: parameters, actions, status."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from heeler.objects.status import StatusError
from heeler.testing.cluster import FreshCluster

GROUP = "admissionregistration.k8s.io/v1"
MAPS = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}


@pytest.fixture(scope="module")
def shared() -> Iterator[FreshCluster]:
    with FreshCluster() as found:
        yield found


@pytest.fixture
def cluster(shared: FreshCluster) -> FreshCluster:
    shared.reset()
    return shared


def install(cluster: FreshCluster, name: str, *rules: str, binding: dict[str, Any] | None = None, **more: Any) -> None:
    spec = {"matchConstraints": {"resourceRules": [MAPS]}, "validations": [{"expression": rule} for rule in rules]}
    kind = "ValidatingAdmissionPolicy"
    cluster.create({"apiVersion": GROUP, "kind": kind, "metadata": {"name": name}, "spec": {**spec, **more}})
    bound = {"policyName": name, "validationActions": ["Deny"], **(binding or {})}
    cluster.create({"apiVersion": GROUP, "kind": f"{kind}Binding", "metadata": {"name": name}, "spec": bound})


def config_map(name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **more}}


def refused(cluster: FreshCluster, made: dict[str, Any]) -> str:
    with pytest.raises(StatusError) as error:
        cluster.create(made)
    return error.value.message.partition(" denied request: ")[2]


def test_types_are_checked_and_shown_in_the_status(cluster: FreshCluster) -> None:
    install(cluster, "p", "object.spec.replicas > 1", binding={"validationActions": ["Warn"]})
    cluster.wait("validatingadmissionpolicy/p", lambda policy: policy["status"].get("observedGeneration") == 1)
    status = cluster.get("validatingadmissionpolicies", "p")["status"]
    (found,) = status["typeChecking"]["expressionWarnings"]
    assert found["fieldRef"] == "spec.validations[0].expression"
    assert found["warning"].startswith("/v1, Kind=ConfigMap: ERROR: <input>:1:7: undefined field 'spec'")
    install(cluster, "good", "object.metadata.name != 'x'")
    cluster.wait("validatingadmissionpolicy/good", lambda policy: policy["status"].get("typeChecking") == {})


def test_parameters_chosen_by_labels_are_all_asked(cluster: FreshCluster) -> None:
    for limit in ("3", "5"):
        cluster.create({**config_map(f"limit-{limit}", labels={"limit": "yes"}), "data": {"max": limit}})
    install(
        cluster,
        "p",
        "size(object.metadata.name) <= int(params.data.max)",
        paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
        matchConditions=[{"name": "c", "expression": "!has(object.metadata.labels)"}],
        binding={"paramRef": {"selector": {"matchLabels": {"limit": "yes"}}, "parameterNotFoundAction": "Deny"}},
    )
    cluster.create(config_map("abc"))
    assert (
        refused(cluster, config_map("abcd")) == "failed expression: size(object.metadata.name) <= int(params.data.max)"
    )
    for limit in ("3", "5"):
        cluster.delete("configmaps", f"limit-{limit}")
    words = "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
    assert refused(cluster, config_map("a")) == words


def test_parameters_of_an_unknown_kind_refuse(cluster: FreshCluster) -> None:
    reference = {"name": "x", "parameterNotFoundAction": "Allow"}
    kind = {"apiVersion": "example.com/v1", "kind": "Limit"}
    install(cluster, "p", "params != null", paramKind=kind, binding={"paramRef": reference})
    words = "failed to configure policy: failed to find resource referenced by paramKind: 'example.com/v1, Kind=Limit'"
    assert refused(cluster, config_map("a")) == words


def test_an_error_does_what_the_binding_says(cluster: FreshCluster) -> None:
    install(cluster, "p", "object.none", binding={"validationActions": ["Audit"]})
    cluster.create(config_map("a"))
