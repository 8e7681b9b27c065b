"""What is said of policies whose expressions do not fit the kinds that they take."""

from __future__ import annotations

from typing import Any

from heeler.controllers.validating_admission_policy_status import checked

WORKLOADS = {"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["replicasets", "deployments", "pods/status"]}


def _said(expression: str, rule: dict[str, Any] = WORKLOADS, **spec: Any) -> list[dict[str, str]]:
    constraints = {"resourceRules": [rule]}
    spec = {"matchConstraints": constraints, "validations": [{"expression": expression}], **spec}
    definition = {
        "spec": {
            "group": "example.com",
            "names": {"kind": "Thing", "plural": "things"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {"a": {}}}},
                }
            ],
        }
    }
    status = checked({"metadata": {"generation": 3}, "spec": spec}, [definition])
    assert status["observedGeneration"] == 3
    return list(status["typeChecking"].get("expressionWarnings", ()))


def test_a_field_that_only_some_kinds_have_is_told_of_for_the_others() -> None:
    (found,) = _said("object.spec.paused")
    assert found["fieldRef"] == "spec.validations[0].expression"
    words = "ERROR: <input>:1:12: undefined field 'paused'\n | object.spec.paused\n | ...........^\n"
    assert found["warning"] == f"apps/v1, Kind=ReplicaSet: {words}"


def test_each_kind_has_its_lines() -> None:
    (found,) = _said("object.x == 1")
    kinds = [line.partition(": ")[0] for line in found["warning"].splitlines() if "Kind=" in line]
    assert kinds == ["apps/v1, Kind=Deployment", "apps/v1, Kind=ReplicaSet"]


def test_expressions_that_fit() -> None:
    assert _said("object.spec.template.spec.containers.all(c, c.resources.limits['cpu'] == '1')") == []
    assert _said("object.metadata.creationTimestamp < timestamp('2020-01-01T00:00:00Z')") == []
    assert _said("oldObject == null || object.spec.replicas >= oldObject.spec.replicas") == []


def test_variables_and_parameters_have_types() -> None:
    variables = [{"name": "n", "expression": "object.spec.replicas"}]
    (found,) = _said("variables.n == 'x'", variables=variables)
    assert "no matching overload for '_==_' applied to '(int, string)'" in found["warning"]
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    assert _said("params.data['a'] == 'x'", paramKind=kind) == []
    assert _said("params.data['a'] == 1", paramKind=kind)


def test_custom_kinds_have_the_types_of_their_schemas_and_metadata() -> None:
    rule = {"apiGroups": ["example.com"], "apiVersions": ["v1"], "resources": ["things"]}
    assert _said("object.a == 1 && object.metadata.name != ''", rule) == []
    (found,) = _said("object.b", rule)
    assert found["warning"].startswith("example.com/v1, Kind=Thing: ERROR: <input>:1:7: undefined field 'b'")


def test_wildcards_are_not_checked() -> None:
    assert _said("object.x", {**WORKLOADS, "apiGroups": ["*"]}) == []
    assert _said("object.x", {**WORKLOADS, "resources": ["*"]}) == []


def test_what_the_messages_expression_gets_wrong_is_told_of_too() -> None:
    (found,) = _said("true", validations=[{"expression": "true", "messageExpression": "object.x"}])
    assert found["fieldRef"] == "spec.validations[0].messageExpression"
