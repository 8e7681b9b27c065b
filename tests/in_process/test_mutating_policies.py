"""MutatingAdmissionPolicies in a whole API server: what they change, in which order, and what refuses a request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from heeler.objects.status import StatusError
from heeler.testing.cluster import FreshCluster

GROUP = "admissionregistration.k8s.io/v1"
MAPS = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}
DEPLOYMENTS = {**MAPS, "apiGroups": ["apps"], "resources": ["deployments"]}


@pytest.fixture(scope="module")
def shared() -> Iterator[FreshCluster]:
    with FreshCluster() as found:
        yield found


@pytest.fixture
def cluster(shared: FreshCluster) -> FreshCluster:
    shared.reset()
    return shared


def applied(expression: str) -> dict[str, Any]:
    return {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}


def patched(expression: str) -> dict[str, Any]:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}


def label(key: str, value: str) -> dict[str, Any]:
    return applied(f"Object{{metadata: Object.metadata{{labels: {{'{key}': {value}}}}}}}")


def install(
    cluster: FreshCluster, name: str, *mutations: dict[str, Any], rule: dict[str, Any] = MAPS, **more: Any
) -> None:
    """A policy and a binding of its name; `paramRef` goes to the binding."""
    reference = more.pop("paramRef", None)
    spec = {
        "reinvocationPolicy": "Never",
        "matchConstraints": {"resourceRules": [rule]},
        "mutations": [*mutations],
        **more,
    }
    cluster.create({"apiVersion": GROUP, "kind": "MutatingAdmissionPolicy", "metadata": {"name": name}, "spec": spec})
    binding: dict[str, Any] = {"policyName": name}
    if reference:
        binding["paramRef"] = reference
    kind = "MutatingAdmissionPolicyBinding"
    cluster.create({"apiVersion": GROUP, "kind": kind, "metadata": {"name": name}, "spec": binding})


def config_map(name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default", **more}}


def labels(made: dict[str, Any]) -> dict[str, str]:
    return dict(made["metadata"].get("labels") or {})


def refused(cluster: FreshCluster, made: dict[str, Any]) -> StatusError:
    with pytest.raises(StatusError) as error:
        cluster.create(made)
    return error.value


def test_apply_configurations_are_merged_as_server_side_apply_does(cluster: FreshCluster) -> None:
    sidecar = "Object.spec.template.spec.containers{name: 'b', image: 'sidecar'}"
    spec = f"Object.spec.template.spec{{containers: [{sidecar}]}}"
    install(
        cluster,
        "sidecar",
        applied(f"Object{{spec: Object.spec{{replicas: 3, template: Object.spec.template{{spec: {spec}}}}}}}"),
        rule=DEPLOYMENTS,
    )
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "main"}]}}
    wanted = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    meta = {"name": "d", "namespace": "default"}
    made = cluster.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": wanted})
    assert made["spec"]["replicas"] == 3
    containers = made["spec"]["template"]["spec"]["containers"]
    assert [(c["name"], c["image"], c["imagePullPolicy"]) for c in containers] == [
        ("a", "main", "Always"),
        ("b", "sidecar", "Always"),
    ]
    owned = str([entry["fieldsV1"] for entry in made["metadata"]["managedFields"]])
    assert (
        "sidecar" not in owned and "f:replicas" in owned
    )  # what was defaulted is the writer's, what was added nobody's


def test_json_patches_have_variables_parameters_and_escaped_keys(cluster: FreshCluster) -> None:
    cluster.create({**config_map("settings"), "data": {"team": "blue"}})
    path = "'/metadata/labels/' + jsonpatch.escapeKey('example.com/team')"
    begun = "has(object.metadata.labels) ? [] : [JSONPatch{op: 'add', path: '/metadata/labels', value: {}}]"
    install(
        cluster,
        "team",
        patched("[JSONPatch{op: 'test', path: '/metadata/name', value: 'x'}, JSONPatch{op: 'remove', path: '/data'}]"),
        patched(f"({begun}) + [JSONPatch{{op: 'add', path: {path}, value: variables.team}}]"),
        variables=[{"name": "unused", "expression": "1 / 0"}, {"name": "team", "expression": "params.data.team"}],
        matchConditions=[{"name": "not-the-settings", "expression": "object.metadata.name != 'settings'"}],
        paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
        paramRef={"name": "settings", "namespace": "default", "parameterNotFoundAction": "Deny"},
    )
    made = cluster.create({**config_map("a"), "data": {"k": "v"}})
    assert labels(made) == {"example.com/team": "blue"}
    assert made["data"] == {"k": "v"}  # the first patch's test fails: nothing of it is done
    cluster.delete("configmaps", "settings")
    error = refused(cluster, config_map("b"))
    assert (error.code, error.reason) == (403, "Forbidden")
    words = "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
    assert error.message == f"policy 'team' with binding 'team' denied request: {words}"


def test_policies_act_one_after_the_other_and_again_if_they_want(cluster: FreshCluster) -> None:
    install(cluster, "a", label("a", "string(size(object.metadata.labels))"), reinvocationPolicy="IfNeeded")
    install(cluster, "b", label("b", "'saw-' + object.metadata.labels.a"))
    made = cluster.create(config_map("m", labels={"x": "y"}))
    assert labels(made) == {"x": "y", "a": "3", "b": "saw-1"}


COUNT = "string('n' in object.metadata.labels ? int(object.metadata.labels.n) + 1 : 1)"


@pytest.mark.parametrize(
    ("policy", "mutations", "count"), [("Never", 1, "1"), ("Never", 2, "2"), ("IfNeeded", 1, "2"), ("IfNeeded", 2, "4")]
)
def test_a_policys_own_change_lets_it_act_again(cluster: FreshCluster, policy: str, mutations: int, count: str) -> None:
    install(cluster, "a", *[label("n", COUNT)] * mutations, reinvocationPolicy=policy)
    assert labels(cluster.create(config_map("m", labels={"x": "y"})))["n"] == count


@pytest.mark.parametrize(
    ("mutation", "words"),
    [
        (
            applied("Object{spec: Object.spec{none: 1}}"),
            "error applying patch: failed to convert patch object to typed object: .spec.none: field not declared in schema",
        ),
        (
            applied("Object{spec: Object.spec{selector: Object.spec.selector{matchLabels: {'a': 'b'}}}}"),
            "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.selector",
        ),
        (
            applied("Object{spec: Object.spec{strategy: Object.spec.wrong{}}}"),
            'type mismatch: unexpected type name "Object.spec.wrong", expected "Object.spec.strategy", which matches field '
            "name path from root Object type",
        ),
        (
            patched("[JSONPatch{op: 'remove', path: '/spec/none/x'}]"),
            'JSON Patch: remove operation does not apply: doc is missing path: "/spec/none/x": missing value',
        ),
        (patched("[JSONPatch{op: 'add', path: '/x', value: object.none}]"), ""),
    ],
)
def test_what_refuses_a_request(cluster: FreshCluster, mutation: dict[str, Any], words: str) -> None:
    install(cluster, "p", mutation, rule=DEPLOYMENTS)
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "main"}]}}
    meta = {"name": "d", "namespace": "default"}
    wanted = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    error = refused(cluster, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": wanted})
    text = mutation.get("jsonPatch", {}).get("expression", "")
    words = words or f"expression '{text}' resulted in error: no such key: none"
    assert error.message == f"policy 'p' with binding 'p' denied request: {words}"
    assert (error.code, error.reason) == (403, "Invalid")
    assert error.details["causes"] == [{"message": error.message}]


def test_a_policy_that_fails_open_leaves_the_object(cluster: FreshCluster) -> None:
    install(cluster, "p", label("a", "object.none"), failurePolicy="Ignore")
    assert labels(cluster.create(config_map("m"))) == {}


@pytest.mark.parametrize(
    ("mutation", "words"),
    [
        (applied("Object.spec{}"), "must evaluate to Object but got Object.spec"),
        (applied("[]"), "must evaluate to Object but got list(dyn)"),
        (patched("Object{}"), "must evaluate to list(JSONPatch) but got Object"),
        (
            applied("Object{a: none}"),
            "compilation failed: ERROR: <input>:1:11: undeclared reference to 'none' (in container '')\n"
            " | Object{a: none}\n | ..........^",
        ),
    ],
)
def test_expressions_are_checked_when_a_policy_is_made(
    cluster: FreshCluster, mutation: dict[str, Any], words: str
) -> None:
    with pytest.raises(StatusError) as error:
        install(cluster, "p", mutation)
    key = "jsonPatch" if "jsonPatch" in mutation else "applyConfiguration"
    text = mutation[key]["expression"]
    (cause,) = error.value.details["causes"]
    assert cause["field"] == f"spec.mutations[0].{key}.expression"
    assert cause["message"] == f'Invalid value: "{text}": {words}'


def test_what_only_the_server_says_is_not_there_yet(cluster: FreshCluster) -> None:
    """A generated name, the uid and the time of creation come after the mutating plugins, policies and webhooks."""
    paths = {"name": "object.metadata.name", "asked": "request.name", "uid": "object.metadata.uid"}
    paths["made"] = "object.metadata.creationTimestamp"
    install(cluster, "p", *(label(key, f"string(has({path}))") for key, path in paths.items()))
    meta = {"generateName": "m-", "namespace": "default"}
    made = cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})
    assert labels(made) == dict.fromkeys(paths, "false")
    assert made["metadata"]["name"].startswith("m-") and made["metadata"]["uid"]
    assert labels(cluster.create(config_map("n"))) == {**dict.fromkeys(paths, "false"), "name": "true", "asked": "true"}


@pytest.mark.parametrize(("meta", "name"), [({"generateName": "web-"}, "web-"), ({}, "Unknown"), ({"name": "a"}, "a")])
def test_a_refused_draft_goes_by_what_its_name_will_begin_with(
    cluster: FreshCluster, meta: dict[str, Any], name: str
) -> None:
    spec = {"priorityClassName": "none", "containers": [{"name": "a", "image": "b"}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**meta, "namespace": "default"}, "spec": spec}
    error = refused(cluster, pod)
    assert error.message == f'pods "{name}" is forbidden: no PriorityClass with name none was found'
    assert (error.details or {})["name"] == name
