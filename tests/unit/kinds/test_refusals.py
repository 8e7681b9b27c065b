"""Single faults as kube-apiserver 1.37.2 tells them (asked by hand; more are in tests/reference/beside)."""

from __future__ import annotations

from typing import Any

import pytest

from heeler.kinds.registry import built_in
from heeler.objects.decode import decode

LABELS = {"a": "b"}
TEMPLATE = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def faults(obj: dict[str, Any]) -> list[tuple[str, str]]:
    group, _, version = obj["apiVersion"].rpartition("/")
    kind = built_in().by_kind(group, version, obj["kind"])
    assert kind is not None
    made, _ = decode({**obj, "metadata": {"name": "x", "namespace": "n"}}, kind.type(version))
    kind.default(made, version)
    kind.prepare_create(made, "2026-01-01T00:00:00Z")
    return [(fault.field, fault.message) for fault in kind.validate_create(made)]


def stateful_set(claim: str, *volumes: dict[str, Any]) -> dict[str, Any]:
    template = {**TEMPLATE, "spec": {**TEMPLATE["spec"], "volumes": list(volumes)}}  # type: ignore[dict-item]
    spec = {"serviceName": "x", "selector": {"matchLabels": LABELS}, "template": template}
    spec["volumeClaimTemplates"] = [{"metadata": {"name": claim}, "spec": CLAIM}]
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "spec": spec}


def test_claims_of_a_stateful_set_are_volumes_that_come_first() -> None:
    here = "spec.template.spec.volumes"
    assert faults(stateful_set("")) == [
        (f"{here}[0].persistentVolumeClaim.claimName", "Required value"),
        (f"{here}[0].name", "Required value"),
    ]
    assert faults(stateful_set("ok", {"name": "v", "hostPath": {"path": ""}})) == [
        (f"{here}[1].hostPath.path", "Required value")
    ]
    assert faults(stateful_set("v", {"name": "v", "hostPath": {"path": ""}})) == []


@pytest.mark.parametrize(("data", "words"), [(None, "data is mandatory"), ("x", "data must be a valid JSON object")])
def test_a_revision_holds_an_object(data: Any, words: str) -> None:
    revision = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 1, "data": data}
    assert faults(revision) == [("data", f"Required value: {words}")]
    assert faults({**revision, "data": {}}) == []


ZEROS = {"maxUnavailable": 0, "maxSurge": 0}


@pytest.mark.parametrize(
    ("kind", "given", "made"),
    [
        ("DaemonSet", {"type": "OnDelete"}, {"type": "OnDelete"}),
        ("DaemonSet", {"type": "OnDelete", "rollingUpdate": {}}, {"type": "OnDelete", "rollingUpdate": ZEROS}),
        (
            "DaemonSet",
            {"type": "OnDelete", "rollingUpdate": {"maxUnavailable": "50%"}},
            {"type": "OnDelete", "rollingUpdate": {"maxUnavailable": "50%", "maxSurge": 0}},
        ),
        ("DaemonSet", {}, {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}),
        ("Deployment", {"type": "Foo", "rollingUpdate": {}}, {"type": "Foo", "rollingUpdate": ZEROS}),
        ("Deployment", {}, {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}),
        (
            "StatefulSet",
            {"type": "OnDelete", "rollingUpdate": {"maxUnavailable": 2}},
            {"type": "OnDelete", "rollingUpdate": {"partition": 0, "maxUnavailable": 2}},
        ),
        ("StatefulSet", {}, {"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": 1}}),
    ],
)
def test_a_rolling_update_has_its_numbers_under_any_strategy(kind: str, given: Any, made: Any) -> None:
    field = "strategy" if kind == "Deployment" else "updateStrategy"
    found = built_in().by_kind("apps", "v1", kind)
    assert found is not None
    spec = {"selector": {"matchLabels": LABELS}, "template": TEMPLATE, field: given}
    obj, _ = decode({"metadata": {"name": "x", "namespace": "n"}, "spec": spec}, found.type("v1"))
    found.default(obj, "v1")
    assert obj["spec"][field] == made
