"""Audit policies: which rule holds for a request, and what is wrong with a file."""

from __future__ import annotations

from typing import Any

import pytest

from heeler.apiserver.audit.policy import PolicyError, read
from heeler.apiserver.request_info import request_info
from heeler.apiserver.user import User

HEAD = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy"}


def level(
    rule: dict[str, Any], path: str, *, method: str = "GET", user: str = "ann", groups: tuple[str, ...] = ()
) -> str:
    policy = read({**HEAD, "rules": [{"level": "Metadata", **rule}]})
    return policy.decide(User(user, "", groups), request_info(method, path, {})).level


def resources(*names: str, group: str = "", **more: Any) -> dict[str, Any]:
    return {"resources": [{"group": group, "resources": list(names), **more}]}


PODS = "/api/v1/namespaces/a/pods"


@pytest.mark.parametrize(
    ("rule", "path", "holds"),
    [
        ({}, PODS, True),
        ({}, "/version", True),
        (resources("pods"), PODS, True),
        (resources("pods"), PODS + "/x/log", False),
        (resources("pods/log"), PODS + "/x/log", True),
        (resources("pods/*"), PODS + "/x/log", True),
        # as kube-apiserver does
        (resources("pods/*"), PODS, True),
        (resources("*/log"), PODS + "/x/log", True),
        (resources("*/log"), PODS, False),
        (resources("*"), PODS + "/x/log", True),
        (resources(), PODS, True),
        (resources(group="apps"), PODS, False),
        (resources("deployments", group="apps"), "/apis/apps/v1/deployments", True),
        (resources("pods", resourceNames=["x"]), PODS + "/x", True),
        (resources("pods", resourceNames=["x"]), PODS + "/y", False),
        (resources("pods"), "/version", False),
        ({"namespaces": ["a"]}, PODS, True),
        ({"namespaces": ["b"]}, PODS, False),
        ({"namespaces": [""]}, "/api/v1/nodes", True),
        ({"namespaces": [""]}, "/version", False),
        ({"nonResourceURLs": ["/version"]}, "/version", True),
        ({"nonResourceURLs": ["/healthz*"]}, "/healthz/etcd", True),
        ({"nonResourceURLs": ["*"]}, "/version", True),
        ({"nonResourceURLs": ["*"]}, PODS, False),
        ({"users": ["ann"]}, PODS, True),
        ({"users": ["bob"]}, PODS, False),
        ({"userGroups": ["devs"]}, PODS, False),
        ({"verbs": ["list"]}, PODS, True),
        ({"verbs": ["create"]}, PODS, False),
    ],
)
def test_a_rule_holds(rule: dict[str, Any], path: str, holds: bool) -> None:
    assert level(rule, path) == ("Metadata" if holds else "None")


def test_the_first_rule_that_holds_says() -> None:
    policy = read(
        {
            **HEAD,
            "omitStages": ["RequestReceived"],
            "omitManagedFields": True,
            "rules": [
                {"level": "None", "users": ["bob"]},
                {"level": "Request", **resources("pods"), "omitStages": ["Panic"], "omitManagedFields": False},
                {"level": "Metadata"},
            ],
        }
    )
    info = request_info("GET", PODS, {})
    assert policy.decide(User("bob", "", ()), info).level == "None"
    found = policy.decide(User("ann", "", ()), info)
    assert (found.level, found.omit_managed_fields) == ("Request", False)
    assert found.omit_stages == {"RequestReceived", "Panic"}
    other = policy.decide(User("ann", "", ()), request_info("GET", "/version", {}))
    assert (other.level, other.omit_managed_fields) == ("Metadata", True)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "the file must hold one object of kind: Policy, apiVersion: audit.k8s.io/v1"),
        ({**HEAD, "apiVersion": "audit.k8s.io/v2", "rules": []}, "apiVersion: audit.k8s.io/v1"),
        (HEAD, "rules: Required value: a policy without a rule writes nothing; give at least one"),
        ({**HEAD, "rules": [{"level": "All"}]}, 'rules[0].level: Unsupported value: "All"'),
        ({**HEAD, "rules": [{}]}, "rules[0].level: Required value"),
        ({**HEAD, "rules": [{"level": "None", "user": ["a"]}]}, "rules[0].user: Invalid value"),
        ({**HEAD, "rules": [{"level": "None", "users": "a"}]}, "must be a list of strings"),
        ({**HEAD, "rules": [{"level": "None", "omitStages": ["End"]}]}, "rules[0].omitStages[0]: Invalid value"),
        (
            {**HEAD, "rules": [{"level": "None", "namespaces": ["a"], "nonResourceURLs": ["/a"]}]},
            "rules cannot apply to both regular resources and non-resource URLs",
        ),
        ({**HEAD, "rules": [{"level": "None", "nonResourceURLs": ["a"]}]}, "must begin with a '/' character"),
        ({**HEAD, "rules": [{"level": "None", "nonResourceURLs": ["/*/a"]}]}, "must be the final character"),
        ({**HEAD, "rules": [{"level": "None", **resources(resourceNames=["a"])}]}, "requires at least one resource"),
        ({**HEAD, "rules": [{"level": "None", **resources(group="apps/v1")}]}, "group without its version"),
    ],
)
def test_a_faulty_policy_is_refused(value: Any, words: str) -> None:
    with pytest.raises(PolicyError) as error:
        read(value)
    assert words in str(error.value)
