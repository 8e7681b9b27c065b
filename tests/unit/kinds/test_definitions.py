"""Which CustomResourceDefinitions are refused, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from heeler.kinds.registry import built_in


def _definition(*schemas: dict[str, Any], **spec: Any) -> dict[str, Any]:
    versions = [
        {"name": f"v{at + 1}", "served": True, "storage": at == 0, "schema": {"openAPIV3Schema": schema}}
        for at, schema in enumerate(schemas or ({"type": "object"},))
    ]
    names = {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"}
    return {
        "metadata": {"name": "things.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": versions, **spec},
        "status": {"storedVersions": ["v1"]},
    }


def _faults(definition: dict[str, Any]) -> list[tuple[str, str]]:
    kind = built_in().by_kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    assert kind is not None
    return [(fault.field, fault.message) for fault in kind.validate_create(definition)]


def _of(part: dict[str, Any]) -> list[tuple[str, str]]:
    found = _faults(_definition({"type": "object", "properties": {"a": part}}))
    return [(path.removeprefix("spec.validation.openAPIV3Schema.properties[a]"), text) for path, text in found]


def test_a_plain_definition_is_good() -> None:
    assert _faults(_definition()) == []


def test_faults_of_a_schema_that_all_versions_share_are_told_once() -> None:
    paths = [path for path, _ in _faults(_definition({"type": "array"}, {"type": "array"}))]
    assert dict.fromkeys(path.rpartition(".")[0] for path in paths) == {"spec.validation.openAPIV3Schema": None}


def test_faults_of_one_versions_schema_name_the_version() -> None:
    paths = [path for path, _ in _faults(_definition({"type": "object"}, {"type": "array"}))]
    assert all(path.startswith("spec.versions[1].schema.openAPIV3Schema") for path in paths) and paths


@pytest.mark.parametrize(
    ("part", "faults"),
    [
        ({"type": "string", "pattern": "^a+$", "default": "aa"}, []),
        ({}, [(".type", "Required value: must not be empty for specified object fields")]),
        ({"type": "array"}, [(".items", "Required value: must be specified")]),
        (
            {"type": "string", "allOf": [{"type": "string"}]},
            [(".allOf[0].type", "Forbidden: must be empty to be structural")],
        ),
        (
            {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
            [],
        ),
        (
            {"type": "string", "maxLength": 1, "default": "ab"},
            [(".default", "Too long: may not be more than 1 bytes")],
        ),
        (
            {"type": "string", "pattern": "a{3,1}"},
            [
                (
                    ".pattern",
                    'Invalid value: "a{3,1}": must be a valid regular expression, but isn\'t: '
                    "error parsing regexp: invalid repeat count: `{3,1}`",
                )
            ],
        ),
    ],
)
def test_a_fields_schema(part: dict[str, Any], faults: list[tuple[str, str]]) -> None:
    assert _of(part) == faults


def test_what_judges_the_whole_object_must_describe_its_fields() -> None:
    schema = {"type": "object", "anyOf": [{"properties": {"b": {"minimum": 1}}}]}
    root = "spec.validation.openAPIV3Schema"
    assert _faults(_definition(schema)) == [
        (f"{root}.properties[b]", f"Required value: because it is defined in {root}.anyOf[0].properties[b]")
    ]
    assert _of({"type": "object", "anyOf": [{"properties": {"b": {"minimum": 1}}}]}) == []


def test_a_selectable_field_must_be_a_scalar_of_the_schema() -> None:
    definition = _definition({"type": "object", "properties": {"spec": {"type": "object"}}})
    definition["spec"]["versions"][0]["selectableFields"] = [{"jsonPath": ".spec"}, {"jsonPath": ".none"}]
    assert [path for path, _ in _faults(definition)] == [f"spec.selectableFields[{at}].jsonPath" for at in (0, 1)]


def test_a_version_that_was_stored_must_not_go() -> None:
    definition = _definition()
    definition["status"]["storedVersions"] = ["v0", "v1"]
    assert _faults(definition) == [("status.storedVersions[0]", 'Invalid value: "v0": must appear in spec.versions')]


def test_formats_that_nobody_checks_are_warned_of() -> None:
    kind = built_in().by_kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    assert kind is not None
    schema = {"type": "object", "properties": {"a": {"type": "string", "format": "own"}, "b": {"format": "int32"}}}
    assert kind.warnings(_definition(schema), None) == ['unrecognized format "own"']
