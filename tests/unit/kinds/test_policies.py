"""Which admission policies are refused, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from heeler.kinds.registry import built_in

_MATCH = {
    "matchPolicy": "Equivalent",
    "namespaceSelector": {},
    "objectSelector": {},
    "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
}


def _faults(**spec: Any) -> list[tuple[str, str]]:
    kind = built_in().by_kind("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy")
    assert kind is not None
    base = {"failurePolicy": "Fail", "matchConstraints": _MATCH, "validations": [{"expression": "true"}]}
    policy = {"metadata": {"name": "a"}, "spec": {**base, **spec}}
    return [(fault.field, fault.message) for fault in kind.validate_create(policy)]


_LABEL = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end "
    "with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)


@pytest.mark.parametrize(
    ("version", "kind", "faults"),
    [
        ("v1", "ConfigMap", []),
        ("/v1", "ConfigMap", []),
        ("a/b/c", "X", [("apiVersion", 'Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c')]),
        ("a/", "X", [("apiVersion", 'Invalid value: "a/": version must be specified')]),
        (
            "v1",
            "X_y",
            [("kind", f'Invalid value: "X_y": may have mixed case, but should otherwise match: {_LABEL}')],
        ),
    ],
)
def test_the_kind_of_parameters(version: str, kind: str, faults: list[tuple[str, str]]) -> None:
    found = _faults(paramKind={"apiVersion": version, "kind": kind})
    assert [(path.removeprefix("spec.paramKind."), text) for path, text in found] == faults


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"message": " "}, ("message", 'Invalid value: " ": must be non-empty if specified')),
        ({"message": "\n"}, ("message", 'Invalid value: "\\n": must be non-empty if specified')),
        ({"message": "a\nb"}, ("message", 'Invalid value: "a\\nb": must not contain line breaks')),
        ({"message": "a\rb"}, ("message", 'Invalid value: "a\\rb": must not contain line breaks')),
        ({"messageExpression": " "}, ("messageExpression", 'Invalid value: " ": must be non-empty if specified')),
    ],
)
def test_the_words_of_a_validation(row: dict[str, str], fault: tuple[str, str]) -> None:
    found = _faults(validations=[{"expression": "true", **row}])
    assert [(path.removeprefix("spec.validations[0]."), text) for path, text in found] == [fault]


@pytest.mark.parametrize("name", ["1a", "a-b", "in", "true", "é"])
def test_variables_have_names_of_cel(name: str) -> None:
    found = _faults(variables=[{"name": name, "expression": "1"}])
    assert found == [("spec.variables[0].name", f'Invalid value: "{name}": must be a valid CEL identifier')]
