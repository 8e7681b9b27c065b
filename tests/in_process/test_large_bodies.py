"""What large bodies cost is paid beside the event loop, and bad ones are refused as kube-apiserver refuses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from heeler.apiserver.request import serve
from heeler.base.aside import LARGE_BYTES, Aside
from heeler.testing.cluster import FreshCluster
from heeler.wire.http.messages import Peer, Request, Response

ADMIN = Peer("127.0.0.1:1", "admin", ("system:masters",))
MAPS = "/api/v1/namespaces/default/configmaps"
JSON, YAML = "application/json", "application/yaml"
MERGE, APPLY = "application/merge-patch+json", "application/apply-patch+yaml"
STRATEGIC = "application/strategic-merge-patch+json"
BIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "big"}, "data": {"k": "v" * LARGE_BYTES}}


class Noted(Aside):
    """Notes what is computed aside."""

    def __init__(self) -> None:
        super().__init__()
        self.aside: list[str] = []

    async def run(self, size: int, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if size >= LARGE_BYTES:
            self.aside.append(getattr(function, "__name__", ""))
        return await super().run(size, function, *args, **kwargs)


@pytest.fixture
def cluster() -> Iterator[FreshCluster]:
    with FreshCluster() as found:
        yield found


def ask(
    cluster: FreshCluster, method: str, path: str, body: object, type: str = JSON, query: str = ""
) -> tuple[Response, list[str]]:
    """The answer, and which steps went aside."""
    server = cluster._entered.server
    sent = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else orjson.dumps(body)
    words = dict(part.split("=", 1) for part in query.split("&") if part)
    request = Request(
        method=method,
        target=path,
        path=path,
        query={key: [value] for key, value in words.items()},
        headers={"content-type": type},
        body=sent,
        oversized=False,
        peer=ADMIN,
    )
    server.aside = noted = Noted()
    answer = cluster._run(serve(request, server))
    assert isinstance(answer, Response)
    return answer, noted.aside


def message(answer: Response) -> str:
    assert isinstance(answer.body, bytes)
    return str(orjson.loads(answer.body)["message"])


def test_every_step_of_a_large_write_goes_aside(cluster: FreshCluster) -> None:
    created, steps = ask(cluster, "POST", MAPS, BIG)
    assert (created.status, steps) == (201, ["read_object", "_filled", "_prepare", "_validate"])
    updated, steps = ask(cluster, "PUT", f"{MAPS}/big", {**BIG, "immutable": True})
    assert (updated.status, steps) == (200, ["read_object", "_filled", "_prepare", "_validate", "_settled"])
    applied, steps = ask(cluster, "PATCH", f"{MAPS}/big", orjson.dumps(BIG), APPLY, "fieldManager=me&force=true")
    assert (applied.status, steps) == (200, ["read", "_filled", "_prepare", "_validate", "_settled"])


def test_a_small_patch_of_a_large_object_goes_aside(cluster: FreshCluster) -> None:
    ask(cluster, "POST", MAPS, BIG)
    patched, steps = ask(cluster, "PATCH", f"{MAPS}/big", {"data": {"l": ""}}, MERGE)
    assert (patched.status, steps) == (200, ["_filled", "_prepare", "_validate", "_settled"])


def test_small_writes_stay_where_they_are(cluster: FreshCluster) -> None:
    created, steps = ask(cluster, "POST", MAPS, {**BIG, "data": {}})
    assert (created.status, steps) == (201, [])


def test_a_little_yaml_that_unfolds_goes_aside_and_is_refused(cluster: FreshCluster) -> None:
    levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
    refused, steps = ask(cluster, "POST", MAPS, f"a0: &a0 [x]\n{levels}", YAML)
    assert (refused.status, steps) == (400, ["read_object"])
    assert "yaml: document contains excessive aliasing" in message(refused)


HEAVY = "self.l.all(a, self.l.all(b, a + b >= 0))"
POLICY = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "metadata": {"name": "a"},
}


def test_rules_that_cost_much_are_evaluated_aside(cluster: FreshCluster) -> None:
    numbers = {"type": "array", "maxItems": 600, "items": {"type": "integer"}}
    schema = {"type": "object", "properties": {"l": numbers}, "x-kubernetes-validations": [{"rule": HEAVY}]}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "Dog", "plural": "dogs"}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    kind = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    cluster.apply({**kind, "metadata": {"name": "dogs.example.com"}, "spec": spec})
    cluster.settle()
    dogs = "/apis/example.com/v1/namespaces/default/dogs"
    dog = {"apiVersion": "example.com/v1", "kind": "Dog", "metadata": {"name": "a"}}
    made, steps = ask(cluster, "POST", dogs, {**dog, "l": [1] * 10})
    assert (made.status, steps) == (201, [])
    made, steps = ask(cluster, "POST", dogs, {**dog, "metadata": {"name": "b"}, "l": [1] * 150})
    assert (made.status, steps) == (201, ["_validate"])
    refused, steps = ask(cluster, "POST", dogs, {**dog, "metadata": {"name": "c"}, "l": [1] * 600})
    assert (refused.status, steps) == (422, ["_validate"])
    assert "actual cost limit exceeded" in message(refused)


def test_policies_that_cost_much_are_evaluated_aside(cluster: FreshCluster) -> None:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    words = "object.data.l.split(',')"
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": f"{words}.all(a, {words}.size() > 0)"}],
    }
    cluster.apply({**POLICY, "spec": spec})
    bound = {"policyName": "a", "validationActions": ["Deny"]}
    cluster.apply({**POLICY, "kind": "ValidatingAdmissionPolicyBinding", "spec": bound})
    cluster.settle()
    cheap, steps = ask(cluster, "POST", MAPS, {**BIG, "metadata": {"name": "a"}, "data": {"l": "x,y"}})
    assert (cheap.status, steps) == (201, [])
    dear, steps = ask(cluster, "POST", MAPS, {**BIG, "metadata": {"name": "b"}, "data": {"l": "x," * 1500}})
    assert (dear.status, len(steps)) == (201, 1)


def test_numbers_of_any_length_in_a_query_are_out_of_range(cluster: FreshCluster) -> None:
    for name in ("limit", "timeoutSeconds"):
        refused, _ = ask(cluster, "GET", MAPS, b"", query=f"{name}={'9' * 5000}")
        assert refused.status == 400
        assert message(refused).endswith("value out of range")


def test_a_rule_of_very_many_brackets_is_a_fault_of_its_definition(cluster: FreshCluster) -> None:
    schema = {"type": "object", "x-kubernetes-validations": [{"rule": "(" * 300 + "true" + ")" * 300}]}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "Cat", "plural": "cats"}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    kind = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    refused, _ = ask(cluster, "POST", path, {**kind, "metadata": {"name": "cats.example.com"}, "spec": spec})
    assert refused.status == 422
    assert "expression is nested too deeply" in message(refused)


def test_unknown_fields_are_told_up_to_a_hundred(cluster: FreshCluster) -> None:
    body = {**BIG, "data": {}, **{f"k{i}": 1 for i in range(300)}}
    warned, _ = ask(cluster, "POST", MAPS, body)
    assert len([1 for name, _ in warned.headers if name == "Warning"]) == 100
    refused, _ = ask(cluster, "POST", MAPS, body, query="fieldValidation=Strict")
    assert message(refused).count("unknown field") == 100


def test_a_pod_of_very_many_variables_is_warned_of_in_bounds(cluster: FreshCluster) -> None:
    env = [{"name": "a"}] * 50_000
    spec = {"containers": [{"name": "c", "image": "i", "env": env}]}
    made, _ = ask(
        cluster,
        "POST",
        "/api/v1/namespaces/default/pods",
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec},
    )
    assert made.status == 201
    assert sum(len(text) for name, text in made.headers if name == "Warning") < 8192


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "metadata: 5",
            "failed to create typed patch object (/; /v1, Kind=ConfigMap): .metadata: expected map, got &{5}",
        ),
        (
            "metadata: {name: a, managedFields: 5}",
            "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .metadata.managedFields: expected list, got &{5}",
        ),
        ("apiVersion: [1]", "invalid object type: /, Kind=ConfigMap"),
        ("x: !!int z", "error encoding patch: yaml: cannot decode !!str `z` as a !!int"),
    ],
)
def test_configurations_that_are_none(cluster: FreshCluster, body: str, said: str) -> None:
    head = "" if "apiVersion" in body else "apiVersion: v1\n"
    refused, _ = ask(cluster, "PATCH", f"{MAPS}/a", f"{head}kind: ConfigMap\n{body}\n", APPLY, "fieldManager=me")
    assert message(refused) == said


@pytest.mark.parametrize(
    ("patch", "status"),
    [
        ({"$setElementOrder/finalizers": [{}], "finalizers": ["a/b"]}, 400),
        ({"$setElementOrder/finalizers": [[]]}, 400),
        ({"$deleteFromPrimitiveList/finalizers": [f"x/{i}" for i in range(50_000)]}, 200),
    ],
)
def test_strategic_patches_of_finalizers(cluster: FreshCluster, patch: dict[str, Any], status: int) -> None:
    finalizers = [f"x/{i}" for i in range(10_000)] if status == 200 else ["a/b"]
    ask(cluster, "POST", MAPS, {**BIG, "data": {}, "metadata": {"name": "big", "finalizers": finalizers}})
    answer, _ = ask(cluster, "PATCH", f"{MAPS}/big", {"metadata": patch}, STRATEGIC)
    assert answer.status == status
    if status == 200:
        assert "finalizers" not in cluster.get("configmap", "big")["metadata"]
