"""OpenAPI documents: what tools read of kinds, their fields and their operations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from heeler.testing.cluster import FreshCluster

WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"},
                },
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["size", "n"],
                                "properties": {
                                    "size": {"type": "integer", "default": 3, "nullable": True},
                                    "n": {"type": "integer", "enum": [1, 2]},
                                    "port": {"x-kubernetes-int-or-string": True},
                                },
                            },
                            "status": {"type": "object", "properties": {"n": {"type": "integer"}}},
                        },
                    }
                },
            }
        ],
    },
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[FreshCluster]:
    with FreshCluster() as found:
        found.apply(WIDGETS)
        yield found


def document(cluster: FreshCluster, path: str) -> Any:
    return json.loads(cluster.kubectl("get", "--raw", path))


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].rpartition("/")[2]
        for item in node.values():
            yield from references(item)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


def operations(paths: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (item for path in paths.values() for method, item in path.items() if method != "parameters")


def test_every_document_is_whole(cluster: FreshCluster) -> None:
    """References lead somewhere, and no two operations have the same id."""
    for entry in document(cluster, "/openapi/v3")["paths"].values():
        found = document(cluster, entry["serverRelativeURL"])
        schemas = found["components"].get("schemas", {})
        assert set(references(found)) <= set(schemas)
        ids = [operation["operationId"] for operation in operations(found["paths"])]
        assert len(ids) == len(set(ids)) > 0
    whole = document(cluster, "/openapi/v2")
    assert set(references(whole)) <= set(whole["definitions"])
    ids = [operation["operationId"] for operation in operations(whole["paths"])]
    assert len(ids) == len(set(ids)) > 800


def test_what_stands_above_group_versions_has_documents_too(cluster: FreshCluster) -> None:
    index = document(cluster, "/openapi/v3")["paths"]
    assert {"api", "apis", "apis/apps", "version", ".well-known/openid-configuration"} <= set(index)
    assert "apis/example.com" not in index
    found = document(cluster, "/openapi/v3/apis/rbac.authorization.k8s.io")
    operation = found["paths"]["/apis/rbac.authorization.k8s.io/"]["get"]
    assert (operation["tags"], operation["operationId"]) == (["rbacAuthorization"], "getRbacAuthorizationAPIGroup")
    assert next(iter(found["components"]["schemas"])) == "io.k8s.apimachinery.pkg.apis.meta.v1.APIGroup"
    assert {"/api/", "/apis/apps/", "/version/"} <= set(document(cluster, "/openapi/v2")["paths"])


def test_fields_are_required_have_defaults_and_values_to_choose_from(cluster: FreshCluster) -> None:
    schemas = document(cluster, "/openapi/v3/api/v1")["components"]["schemas"]
    container = schemas["io.k8s.api.core.v1.Container"]
    assert container["required"] == ["name"]
    assert container["properties"]["name"]["default"] == ""
    assert container["properties"]["imagePullPolicy"]["enum"] == ["Always", "IfNotPresent", "Never"]
    container = document(cluster, "/openapi/v2")["definitions"]["io.k8s.api.core.v1.Container"]
    assert container["required"] == ["name"]
    assert "default" not in container["properties"]["name"]
    assert container["properties"]["livenessProbe"]["$ref"] == "#/definitions/io.k8s.api.core.v1.Probe"


def test_an_operation_says_what_it_takes_and_gives(cluster: FreshCluster) -> None:
    paths = document(cluster, "/openapi/v3/apis/apps/v1")["paths"]
    scale = paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"]
    assert [item["name"] for item in scale["parameters"]] == ["name", "namespace", "pretty"]
    assert scale["put"]["operationId"] == "replaceAppsV1NamespacedDeploymentScale"
    assert set(scale["put"]["responses"]) == {"200", "201", "401"}
    everywhere = paths["/apis/apps/v1/deployments"]
    assert everywhere["get"]["operationId"] == "listAppsV1DeploymentForAllNamespaces"
    assert "application/json;stream=watch" in everywhere["get"]["responses"]["200"]["content"]
    core = document(cluster, "/openapi/v3/api/v1")["paths"]
    connect = core["/api/v1/namespaces/{namespace}/pods/{name}/exec"]
    assert connect["get"]["operationId"] == "connectCoreV1GetNamespacedPodExec"
    assert "command" in [item["name"] for item in connect["parameters"]]


def test_a_definitions_kind_in_both_versions(cluster: FreshCluster) -> None:
    found = document(cluster, "/openapi/v3/apis/example.com/v1")
    schemas = found["components"]["schemas"]
    spec = schemas["com.example.v1.Widget"]["properties"]["spec"]
    assert spec["required"] == ["size", "n"]
    assert spec["properties"]["port"] == {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": True,
    }
    assert schemas["com.example.v1.WidgetList"]["required"] == ["items"]
    scale = found["paths"]["/apis/example.com/v1/namespaces/{namespace}/widgets/{name}/scale"]
    assert scale["get"]["operationId"] == "readExampleComV1NamespacedWidgetScale"
    spec = document(cluster, "/openapi/v2")["definitions"]["com.example.v1.Widget"]["properties"]["spec"]
    # what may be null isn't required in a version that has no null
    assert spec["required"] == ["n"]
    assert spec["properties"] == {
        "size": {},
        "n": {"type": "integer", "enum": [1, 2]},
        "port": {"x-kubernetes-int-or-string": True},
    }


def test_explain_marks_what_is_required_and_names_values(cluster: FreshCluster) -> None:
    said = cluster.kubectl("explain", "pod.spec.containers.ports")
    assert "containerPort\t<integer> -required-" in said
    assert "enum: SCTP, TCP, UDP" in said
