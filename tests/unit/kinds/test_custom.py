"""Structural schemas: what is pruned, filled in, and found wrong, in upstream's words."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.kinds.custom import jsonpath, structural
from heeler.kinds.custom.kind import CustomKind
from heeler.kinds.custom.validation import validate
from heeler.objects import typed

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {"type": "integer", "minimum": 1, "default": 3},
                "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "deep": {"type": "object", "default": {}, "properties": {"x": {"type": "integer", "default": 7}}},
                "port": {"x-kubernetes-int-or-string": True},
            },
        }
    },
}

values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["spec", "size", "name", "free", "deep", "x", "port", "no"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["spec", "size", "no"]), values, max_size=3))
def test_pruning_and_defaulting_again_changes_nothing(obj):
    structural.prune(obj, SCHEMA)
    structural.default(obj, SCHEMA)
    again = copy.deepcopy(obj)
    assert structural.prune(again, SCHEMA) == []
    structural.default(again, SCHEMA)
    assert again == obj


@given(values)
def test_any_value_can_be_validated(value):
    for fault in validate(value, SCHEMA):
        assert fault.field
        assert fault.message


def test_pruned_fields_are_named_in_order():
    obj = {"spec": {"size": 1, "zz": 1, "free": {"a": {"b": 1}}}, "bad": 1, "metadata": {"name": "a"}}
    assert structural.prune(obj, SCHEMA) == ["bad", "spec.zz"]
    assert obj == {"spec": {"size": 1, "free": {"a": {"b": 1}}}, "metadata": {"name": "a"}}


def test_defaults_are_filled_in_from_outside_in():
    obj: dict[str, Any] = {"spec": {}}
    structural.default(obj, SCHEMA)
    assert obj == {"spec": {"size": 3, "deep": {"x": 7}}}


def test_whole_floats_are_integers():
    assert structural.whole_numbers({"a": 3.0, "b": [1.5, 2.0], "c": 1e22}) == {"a": 3, "b": [1.5, 2], "c": 1e22}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"size": 0}, "Invalid value: 0: spec.size in body should be greater than or equal to 1"),
        ({"size": "x"}, 'Invalid value: "string": spec.size in body must be of type integer: "string"'),
        ({"name": "A"}, "Invalid value: \"A\": spec.name in body should match '^[a-z]+$'"),
        ({"name": "abcdef"}, "Too long: may not be more than 5 bytes"),
    ],
)
def test_faults_are_in_upstreams_words(spec, message):
    assert [f.message for f in validate({"spec": spec}, SCHEMA)] == [message]


@pytest.mark.parametrize(
    ("part", "value", "messages"),
    [
        ({"type": "integer", "format": "int32"}, {}, ['Invalid value: "": a in body must be of type int32: ""']),
        (
            {"type": "integer", "format": "int32"},
            "x",
            ['Invalid value: "string": a in body must be of type integer: "string"'],
        ),
        (
            {"type": "integer", "format": "int64"},
            1.5,
            [
                'Invalid value: "float64": a in body must be of type int64: "float64"',
                'Invalid value: "": Checked value must be of type integer with format int64 in a',
            ],
        ),
        (
            {"type": "integer"},
            10**19,
            [
                'Invalid value: "number": a in body must be of type integer: "number"',
                'Invalid value: "": Checked value must be of type integer (default format) in a',
            ],
        ),
        (
            {"type": "string", "format": "date-time"},
            1,
            ['Invalid value: "int64": a in body must be of type date-time: "int64"'],
        ),
        ({"type": "number", "format": "double"}, True, ['Invalid value: "": a in body must be of type double: ""']),
        (
            {"type": "string", "format": "of nobody"},
            1,
            ['Invalid value: "integer": a in body must be of type string: "integer"'],
        ),
        (
            {"type": "string", "enum": ["x", "y"]},
            1,
            [
                'Invalid value: "integer": a in body must be of type string: "integer"',
                'Unsupported value: 1: supported values: "x", "y"',
            ],
        ),
    ],
)
def test_another_type_than_the_schemas(part, value, messages):
    schema = {"type": "object", "properties": {"a": part}}
    assert [f.message for f in validate({"a": value}, schema)] == messages


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.size", [3]),
        (".metadata.labels.a\\.b/c", ["x"]),
        (".metadata.labels['a.b/c']", ["x"]),
        (".status.conditions[?(@.type=='Ready')].status", ["True"]),
        (".status.conditions[*].type", ["Ready", "Other"]),
        (".status.conditions[5].type", []),
        (".no.such", []),
    ],
)
def test_json_paths(path, found):
    obj = {
        "metadata": {"labels": {"a.b/c": "x"}},
        "spec": {"size": 3},
        "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]},
    }
    assert jsonpath.find(obj, path) == found


def definition(*versions: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [
                {"served": True, "storage": n == 0, "schema": {"openAPIV3Schema": SCHEMA}, **version}
                for n, version in enumerate(versions)
            ],
        },
    }


def test_versions_are_in_kubernetes_order():
    kind = CustomKind(definition(*({"name": name} for name in ("v1beta1", "other", "v2", "v1", "v2alpha1", "v10"))))
    assert list(kind.versions) == ["v10", "v2", "v1", "v1beta1", "v2alpha1", "other"]


def test_a_deprecated_version_names_a_better_one():
    kind = CustomKind(definition({"name": "v1"}, {"name": "v1beta1", "deprecated": True}))
    assert kind.deprecation("v1") == ""
    assert kind.deprecation("v1beta1") == "example.com/v1beta1 Thing is deprecated; use example.com/v1 Thing"


def test_the_generation_grows_with_the_spec_only():
    kind = CustomKind(definition({"name": "v1", "subresources": {"status": {}}}))
    old = {"metadata": {"name": "a", "generation": 1}, "spec": {"size": 1}, "status": {"ok": True}}
    new = {"metadata": {"name": "a", "generation": 1, "labels": {"a": "b"}}, "spec": {"size": 1}, "status": {}}
    kind.prepare_update(new, old)
    assert (new["metadata"]["generation"], new["status"]) == (1, {"ok": True})
    new["spec"] = {"size": 2}
    kind.prepare_update(new, old)
    assert new["metadata"]["generation"] == 2


def test_fields_that_a_schema_does_not_know_do_not_fit_what_is_applied():
    type = structural.type_of(SCHEMA)
    typed.check({"spec": {"size": 1, "free": {"any": [1]}}}, type)
    with pytest.raises(ValueError, match=r"^\.spec\.nothing: field not declared in schema$"):
        typed.check({"spec": {"nothing": 1}}, type)


TIGHT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 3},
        "on": {"type": "boolean"},
        "size": {"type": "integer", "maximum": 5},
        "words": {"type": "array", "items": {"type": "string", "maxLength": 3}},
        "ports": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["id"],
            "items": {
                "type": "object",
                "properties": {"id": {"type": "integer"}, "text": {"type": "string", "maxLength": 3}},
            },
        },
    },
    "required": ["size"],
}
LOOSE: dict[str, Any] = {
    "name": "long enough",
    "on": True,
    "words": ["long enough", "b"],
    "ports": [{"id": 1, "text": "long enough"}, {"id": 2, "text": "b"}],
}


@pytest.mark.parametrize(
    ("change", "paths"),
    [
        ({"on": False}, ["spec.size"]),  # the parts stay as they are; the whole has changed
        ({"name": "still too long"}, ["spec.name", "spec.size"]),
        ({"on": 1}, ["spec.on", "spec.size"]),  # 1 is not true
        ({"words": ["long enough", "c"]}, ["spec.size", "spec.words[0]"]),  # nobody can tell which item is which
        ({"ports": [{"id": 2, "text": "c"}, {"id": 1, "text": "long enough"}]}, ["spec.size"]),
        ({"ports": [{"id": 3, "text": "long enough"}]}, ["spec.ports[0].text", "spec.size"]),
        ({"size": 9}, ["spec.size"]),
    ],
)
def test_what_was_wrong_before_and_did_not_change_is_not_held_against_a_writer(change, paths):
    """https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-ratcheting"""
    old, new = {"spec": LOOSE}, {"spec": {**LOOSE, **change}}
    schema = {"type": "object", "properties": {"spec": TIGHT}}
    assert sorted(fault.field for fault in validate(new, schema, "", old)) == paths
    assert len(list(validate(new, schema))) >= len(paths)


def test_an_object_that_stays_as_it_is_may_be_written_again():
    schema = {"type": "object", "properties": {"spec": TIGHT}}
    assert list(validate({"spec": LOOSE, "x": 1}, schema, "", {"spec": LOOSE})) == []


def scaled() -> CustomKind:
    number = {"type": "integer"}
    status = {"type": "object", "properties": {"replicas": number, "labels": {"type": "string"}}}
    properties = {"spec": {"type": "object", "properties": {"replicas": number}}, "status": status}
    paths = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.labels",
    }
    schema = {"openAPIV3Schema": {"type": "object", "properties": properties}}
    return CustomKind(definition({"name": "v1", "schema": schema, "subresources": {"status": {}, "scale": paths}}))


@pytest.mark.parametrize(
    ("obj", "faults"),
    [
        ({"spec": {"replicas": 2}, "status": {"replicas": 1, "labels": "a=b"}}, []),
        ({"spec": {}}, []),
        ({"spec": {"replicas": -1}}, [(".spec.replicas", "Invalid value: -1: should be a non-negative integer")]),
        (
            {"status": {"replicas": 2**31}},
            [(".status.replicas", "Invalid value: 2147483648: should be less than or equal to 2147483647")],
        ),
        (
            {"spec": {"replicas": "a"}},
            [
                (
                    "spec.replicas",
                    'Invalid value: "string": spec.replicas in body must be of type integer: "string"',
                ),
                (
                    ".spec.replicas",
                    "Invalid value: 0: .spec.replicas accessor error: a is of the type string, expected int64",
                ),
            ],
        ),
        (
            {"spec": "x"},
            [
                ("spec", 'Invalid value: "string": spec in body must be of type object: "string"'),
                (
                    ".spec.replicas",
                    "Invalid value: 0: .spec.replicas accessor error: x is of the type string, "
                    "expected map[string]interface{}",
                ),
            ],
        ),
    ],
)
def test_what_a_scale_shows_fits_into_one(obj, faults):
    found = scaled().validate_create({"metadata": {"name": "a", "namespace": "b"}, **obj})
    assert [(fault.field, fault.message) for fault in found] == faults


def test_faults_of_a_written_status_are_told_from_the_status_on():
    old = {"metadata": {"name": "a", "namespace": "b", "resourceVersion": "1", "uid": "1"}, "spec": {"replicas": -1}}
    new = {**old, "status": {"labels": 5}}
    assert [(fault.field, fault.message) for fault in scaled().validate_update(new, old, "status")] == [
        ("status.labels", 'Invalid value: "integer": labels in body must be of type string: "integer"'),
        (
            ".status.labels",
            'Invalid value: "": .status.labels accessor error: 5 is of the type int64, expected string',
        ),
    ]
