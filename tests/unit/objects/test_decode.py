"""Strict decoding: what Go's JSON decoder and encoder do to an object, and their words."""

from __future__ import annotations

from typing import Any

import pytest

from heeler.kinds.types import type_named
from heeler.objects.decode import DecodeError, collapse, decode, duplicate_keys, may_repeat_keys

POD = type_named("io.k8s.api.core.v1.Pod")
DEPLOYMENT = type_named("io.k8s.api.apps.v1.Deployment")
CONFIG_MAP = type_named("io.k8s.api.core.v1.ConfigMap")


def pod(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec}


def test_unknown_fields_are_dropped_and_named_with_their_place() -> None:
    obj, problems = decode(pod(containers=[{"name": "a", "imagePullpolicy": "x"}], one=1), POD)
    assert obj["spec"] == {"containers": [{"name": "a", "resources": {}}]}
    assert problems == ['unknown field "spec.containers[0].imagePullpolicy"', 'unknown field "spec.one"']


def test_nulls_and_empty_optional_fields_are_dropped_but_given_zeros_of_pointers_kept() -> None:
    obj, _ = decode(
        {"metadata": {"labels": {}, "name": ""}, "spec": {"replicas": 0, "paused": False, "minReadySeconds": None}},
        DEPLOYMENT,
    )
    assert obj["metadata"] == {}
    assert obj["spec"]["replicas"] == 0
    assert "paused" not in obj["spec"] and "minReadySeconds" not in obj["spec"]
    assert obj["status"] == {} and obj["spec"]["strategy"] == {}


def test_quantities_and_times_come_out_in_canonical_form() -> None:
    obj, _ = decode(
        {
            "metadata": {"deletionTimestamp": "2020-01-01T02:00:00.5+02:00"},
            "spec": {"containers": [{"name": "a", "resources": {"limits": {"memory": "0.5Gi", "cpu": 1}}}]},
        },
        POD,
    )
    assert obj["metadata"]["deletionTimestamp"] == "2020-01-01T00:00:00Z"
    assert obj["spec"]["containers"][0]["resources"]["limits"] == {"memory": "512Mi", "cpu": "1"}


@pytest.mark.parametrize(
    ("value", "type_", "words"),
    [
        (
            {"spec": {"replicas": "3"}},
            DEPLOYMENT,
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            {"spec": {"replicas": 1099511627776}},
            DEPLOYMENT,
            "json: cannot unmarshal number 1099511627776 into Go struct field DeploymentSpec.spec.replicas "
            "of type int32",
        ),
        ({"spec": []}, POD, "json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec"),
        (
            {"spec": {"volumes": [{"name": "a", "emptyDir": {"medium": 1}}]}},
            POD,
            "json: cannot unmarshal number into Go struct field "
            "EmptyDirVolumeSource.spec.volumes.VolumeSource.emptyDir.medium of type v1.StorageMedium",
        ),
        (
            {"data": {"a": 1}},
            CONFIG_MAP,
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        ({"binaryData": {"a": "!"}}, CONFIG_MAP, "illegal base64 data at input byte 0"),
        (
            {"metadata": {"creationTimestamp": "x"}},
            POD,
            'parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"',
        ),
        (
            {"spec": {"containers": [{"resources": {"limits": {"cpu": "x"}}}]}},
            POD,
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_in_go_words(value: Any, type_: Any, words: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(value, type_)
    assert str(caught.value) == words


def test_types_that_reach_themselves_decode() -> None:
    crd = type_named("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")
    obj, problems = decode({"properties": {"a": {"items": {"properties": {"b": {"typo": 1}}}}}}, crd)
    assert obj == {"properties": {"a": {"items": {"properties": {"b": {}}}}}}
    assert problems == ['unknown field "properties.a.items.properties.b.typo"']


def test_keys_that_stand_twice_are_found_only_by_the_slow_parser() -> None:
    raw = b'{"data":{"a":"1"},"data":{"a":"2"}}'
    assert may_repeat_keys(raw, {"data": {"a": "2"}})
    assert duplicate_keys(raw) == ['duplicate field "data"']
    assert not may_repeat_keys(b'{"a":{"b":1}}', {"a": {"b": 1}})


def test_an_object_read_back_has_null_for_empty_lists_that_are_always_written() -> None:
    role = type_named("io.k8s.api.rbac.v1.Role")
    obj, _ = decode({"metadata": {"name": "a"}, "rules": []}, role)
    assert obj["rules"] == []
    collapse(obj, role)
    assert obj["rules"] is None
