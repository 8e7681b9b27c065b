"""The audit log of a whole API server: its events at each level and stage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heeler.apiserver.audit.log import AuditLog, Limits
from heeler.apiserver.audit.policy import read
from heeler.apiserver.audit.record import Audit
from heeler.base.clock import SystemClock
from heeler.objects.status import StatusError
from heeler.testing.cluster import FreshCluster
from tests.in_process.test_aggregation import ask

Event = dict[str, Any]
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "userGroups": ["system:nodes"]},
        {"level": "None", "users": ["system:apiserver"]},
        {
            "level": "RequestResponse",
            "namespaces": ["default"],
            "resources": [{"group": "", "resources": ["configmaps", "serviceaccounts/token"]}],
            "omitManagedFields": True,
        },
        {"level": "Metadata", "namespaces": ["default"], "resources": [{"group": "apps"}, {"group": ""}]},
    ],
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[FreshCluster]:
    with FreshCluster() as found:
        yield found


@pytest.fixture
def events(cluster: FreshCluster) -> Iterator[list[Event]]:
    """What is written from here on."""
    found: list[Event] = []
    server = cluster._entered.server
    server.audit = Audit(read(POLICY), found.append, server.clock)
    yield found
    server.audit = None


def of(events: list[Event], resource: str, verb: str) -> list[Event]:
    whole = [e for e in events if "subresource" not in e["objectRef"] or resource == "serviceaccounts"]
    return [e for e in whole if (e["objectRef"]["resource"], e["verb"]) == (resource, verb)]


def test_a_write_is_told_with_what_was_sent_and_answered(cluster: FreshCluster, events: list[Event]) -> None:
    cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "y"}})
    (event,) = of(events, "configmaps", "create")
    assert (event["level"], event["stage"]) == ("RequestResponse", "ResponseComplete")
    assert event["requestURI"].startswith("/api/v1/namespaces/default/configmaps")
    reference = {"resource": "configmaps", "namespace": "default", "name": "a", "apiVersion": "v1"}
    assert event["objectRef"] == reference
    assert event["requestObject"]["data"] == event["responseObject"]["data"] == {"x": "y"}
    assert "managedFields" not in event["responseObject"]["metadata"]
    assert event["responseStatus"] == {"metadata": {}, "code": 201}
    assert event["annotations"]["authorization.k8s.io/decision"] == "allow"


def test_a_refusal_is_told(cluster: FreshCluster, events: list[Event]) -> None:
    with pytest.raises(StatusError):
        cluster.get("configmaps", "none")
    (event,) = of(events, "configmaps", "get")
    assert event["responseStatus"] == {
        "metadata": {},
        "status": "Failure",
        "message": 'configmaps "none" not found',
        "reason": "NotFound",
        "details": {"name": "none", "kind": "configmaps"},
        "code": 404,
    }
    assert event["responseObject"]["kind"] == "Status"


def test_a_token_that_was_made_is_never_written(cluster: FreshCluster, events: list[Event]) -> None:
    body = json.dumps({"spec": {"audiences": ["x"]}}).encode()
    path = "/api/v1/namespaces/default/serviceaccounts/default/token"
    status, answer = ask(cluster, "POST", path, body, {"content-type": "application/json"})
    assert status == 201
    token = json.loads(answer)["status"]["token"]
    assert token and token not in json.dumps(events)
    (event,) = of(events, "serviceaccounts", "create")
    assert event["responseObject"]["status"]["token"] == ""
    assert event["annotations"]["authentication.kubernetes.io/issued-credential-id"].startswith("JTI=")


def test_policies_and_pod_security_annotate(cluster: FreshCluster, events: list[Event]) -> None:
    group = "admissionregistration.k8s.io/v1"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    spec: dict[str, Any] = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "object.metadata.name != 'p'", "message": "not p"}],
        "auditAnnotations": [{"key": "name", "valueExpression": "object.metadata.name"}],
    }
    kind = "ValidatingAdmissionPolicy"
    cluster.create({"apiVersion": group, "kind": kind, "metadata": {"name": "pol"}, "spec": spec})
    bound = {"policyName": "pol", "validationActions": ["Audit"]}
    cluster.create({"apiVersion": group, "kind": f"{kind}Binding", "metadata": {"name": "b"}, "spec": bound})
    labels = {"metadata": {"labels": {"pod-security.kubernetes.io/audit": "restricted"}}}
    cluster.patch("namespaces", "default", labels)
    pod = {"containers": [{"name": "a", "image": "b"}]}
    cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": pod})
    (event,) = of(events, "pods", "create")
    assert event["level"] == "Metadata" and "requestObject" not in event
    found = event["annotations"]
    assert found["pol/name"] == "p"
    failure = {
        "message": "not p",
        "policy": "pol",
        "binding": "b",
        "expressionIndex": 0,
        "validationActions": ["Audit"],
    }
    assert json.loads(found["validation.policy.admission.k8s.io/validation_failure"]) == [failure]
    assert found["pod-security.kubernetes.io/enforce-policy"] == "privileged:latest"
    assert found["pod-security.kubernetes.io/audit-violations"].startswith(
        'would violate PodSecurity "restricted:latest": allowPrivilegeEscalation != false'
    )


def test_a_watch_is_told_twice(cluster: FreshCluster, events: list[Event]) -> None:
    cluster.kubectl("get", "--raw", "/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=1")
    assert [e["stage"] for e in of(events, "configmaps", "watch")] == ["ResponseStarted", "ResponseComplete"]


def test_the_file_is_the_owners_and_is_begun_anew_when_full(tmp_path: Path) -> None:
    log = AuditLog(str(tmp_path / "audit.log"), Limits(size=1, backups=1), SystemClock())
    for _ in range(5):
        log.write({"text": "x" * 600_000})
    log.close()
    names = sorted(file.name for file in tmp_path.iterdir())
    assert len(names) == 2 and "audit.log" in names
    for file in tmp_path.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600
        assert json.loads(file.read_text().splitlines()[0])["text"]
