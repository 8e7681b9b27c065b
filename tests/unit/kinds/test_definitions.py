"""Which CustomResourceDefinitions are refused, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from heeler.kinds.apiextensions import approval
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


def _protected(**annotations: str) -> dict[str, Any]:
    definition = _definition(group="things.k8s.io")
    definition["metadata"] = {"name": "things.things.k8s.io", "annotations": annotations}
    return definition


_APPROVAL = "api-approved.kubernetes.io"
_NEEDED = f'protected groups must have approval annotation "{_APPROVAL}"'
_SEE = "see https://github.com/kubernetes/enhancements/pull/1111"


@pytest.mark.parametrize(
    ("approval", "message"),
    [
        (None, f"Required value: {_NEEDED}, {_SEE}"),
        ("", f"Required value: {_NEEDED}, {_SEE}"),
        (
            "foo",
            f'Invalid value: "foo": {_NEEDED} with either a URL or a reason starting with "unapproved", {_SEE}',
        ),
        ("unapproved, for a test", None),
        ("https://github.com/kubernetes/kubernetes/pull/1", None),
    ],
)
def test_kubernetes_own_groups_name_who_approved_them(approval: str | None, message: str | None) -> None:
    definition = _protected(**({} if approval is None else {_APPROVAL: approval}))
    wanted = [] if message is None else [(f"metadata.annotations[{_APPROVAL}]", message)]
    assert _faults(definition) == wanted


def test_a_definition_that_was_never_approved_may_be_written_again() -> None:
    kind = built_in().by_kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    assert kind is not None
    old, new = _protected(), _protected()
    new["metadata"]["annotations"] = {"other": "x"}
    for one in (old, new):
        one["metadata"]["resourceVersion"] = "1"
    assert not [fault for fault in kind.validate_update(new, old) if "annotations" in fault.field]
    old["metadata"]["annotations"] = {_APPROVAL: "https://example.com/1"}
    assert [fault for fault in kind.validate_update(new, old) if "annotations" in fault.field]


def test_the_verdict_on_a_protected_group_is_a_condition() -> None:
    assert approval.verdict(_definition()) is None
    assert approval.verdict(_protected(**{_APPROVAL: "unapproved, x"})) == (
        "False",
        "UnapprovedAnnotation",
        'not approved: "unapproved, x"',
    )
    assert approval.verdict(_protected(**{_APPROVAL: "https://example.com/1"})) == (
        "True",
        "ApprovedAnnotation",
        "approved in https://example.com/1",
    )


def _of_version(**parts: Any) -> list[tuple[str, str]]:
    leaf = {"type": "string"}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"color": leaf}}}}
    definition = _definition(schema)
    definition["spec"]["versions"][0].update(parts)
    return _faults(definition)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("x", "expected [ or . but got: x"),
        ("spec.color", "expected [ or . but got: spec"),
        ("{.spec.color}", "expected [ or . but got: {"),
        (".", "unexpected end of JSON path"),
        (".spec.", "unexpected end of JSON path"),
        (".spec['color']", "array notation is not allowed"),
        (".spec.color[0]", "array notation is not allowed"),
        (".spec.none", "does not refer to a valid field"),
    ],
)
def test_a_selectable_fields_path_is_names_after_points(path: str, words: str) -> None:
    shown = f'Invalid value: "{path}": is an invalid path: {words}'
    assert _of_version(selectableFields=[{"jsonPath": path}]) == [("spec.selectableFields[0].jsonPath", shown)]


def test_selectable_fields_need_a_schema() -> None:
    found = _of_version(selectableFields=[{"jsonPath": ".spec.color"}], schema=None)
    assert found[-1] == (
        "spec.selectableFields",
        'Invalid value: "": may only be set when validations.schema is included',
    )


def test_columns_have_known_types_and_formats() -> None:
    column = {"name": "a", "type": "text", "format": "binary", "jsonPath": ".x"}
    assert _of_version(additionalPrinterColumns=[column]) == [
        (
            "spec.additionalPrinterColumns[0].type",
            'Invalid value: "text": must be one of boolean,date,integer,number,string',
        ),
        (
            "spec.additionalPrinterColumns[0].format",
            'Invalid value: "binary": must be one of byte,date,date-time,double,float,int32,int64,password',
        ),
    ]


def _set_of(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "x-kubernetes-list-type": "set", "items": items}


def test_keys_and_items_of_lists() -> None:
    items = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    part = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "b"], "items": items}
    words = 'Invalid value: ["a","b"]: entries must all be names of item properties'
    assert _of(part) == [(".x-kubernetes-list-map-keys", words)] * 2
    atomic = "Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set"
    assert _of(_set_of({"type": "object"})) == [(".items.x-kubernetes-map-type", atomic)]


def test_sets_that_appliers_cannot_compare_are_warned_of() -> None:
    kind = built_in().by_kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    assert kind is not None
    lists = _set_of({"type": "array", "items": {"type": "string"}})
    objects = _set_of({"type": "object", "x-kubernetes-map-type": "atomic"})
    schema = {"type": "object", "properties": {"a": lists, "b": objects, "c": lists, "d": _set_of({"type": "string"})}}
    assert kind.warnings(_definition(schema), None) == [
        f'x-kubernetes-list-type: set for items of type "{form}" is not supported by server-side apply or CEL '
        "validation rules"
        for form in ("array", "object")
    ]


@pytest.mark.parametrize(
    ("rule", "faults"),
    [
        ({"rule": "", "message": "a\nb"}, [(".rule", "Required value: rule is not specified")]),
        ({"rule": "true", "message": " "}, [(".message", 'Invalid value: " ": must be non-empty if specified')]),
        ({"rule": "true", "message": "a\nb"}, [(".message", 'Invalid value: "a\\nb": must not contain line breaks')]),
        (
            {"rule": "true", "fieldPath": "  "},
            [
                (".fieldPath", 'Invalid value: "  ": must be non-empty if specified'),
                (".fieldPath", 'Invalid value: "  ": must be a valid path'),
            ],
        ),
    ],
)
def test_the_words_around_a_rule(rule: dict[str, Any], faults: list[tuple[str, str]]) -> None:
    found = _of({"type": "object", "properties": {"b": {"type": "string"}}, "x-kubernetes-validations": [rule]})
    assert [(path.removeprefix(".x-kubernetes-validations[0]"), text) for path, text in found] == faults


def test_unknown_fields_are_never_kept_for_a_whole_definition() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "default": "x"}}}
    assert _faults(_definition(schema, preserveUnknownFields=True, conversion={"strategy": "Webhook"}))[:2] == [
        ("spec.preserveUnknownFields", "Invalid value: true: must be false in order to use defaults in the schema"),
        (
            "spec.conversion.strategy",
            'Invalid value: "Webhook": must be None if spec.preserveUnknownFields is true',
        ),
    ]
    assert _faults(_definition(preserveUnknownFields=True)) == [
        (
            "spec.preserveUnknownFields",
            "Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
            "spec.versions[*].schema instead",
        )
    ]


def test_the_storage_version_is_among_those_that_were_stored() -> None:
    definition = _definition({"type": "object"}, {"type": "object"})
    for version in definition["spec"]["versions"]:
        version["storage"] = True
    words = 'Invalid value: ["v1"]: must have the storage version v2'
    assert _faults(definition)[-1] == ("status.storedVersions", words)
