"""A node may take its finalizer off a volume of its own that is being deleted, and do nothing else to one."""

from __future__ import annotations

from typing import Any

from heeler.apiserver.authorize.node import NodeAuthorizer
from heeler.apiserver.authorize.rbac import Attributes
from heeler.apiserver.user import User
from heeler.objects.value import Object
from heeler.workloads import local_path

NODE = User("system:node:n0", groups=("system:nodes",))


def volume(node: str, **metadata: Any) -> Object:
    made = {
        "name": "pv",
        "labels": {local_path.NODE_LABEL: node},
        "annotations": {local_path.PROVISIONED_BY: local_path.PROVISIONER},
        "finalizers": ["kubernetes.io/pv-protection", local_path.FINALIZER],
        "deletionTimestamp": "2026-01-01T00:00:00Z",
    }
    return {"metadata": {**made, **metadata}, "spec": {}}


class Source:
    def __init__(self, found: Object) -> None:
        self._found = found

    def pods_on(self, node: str) -> list[Object]:
        return []

    def find(self, group: str, plural: str, namespace: str, name: str) -> Object | None:
        return self._found


def may(found: Object, verb: str, labels: frozenset[tuple[str, str]] = frozenset()) -> bool:
    name = "" if verb in ("list", "watch") else "pv"
    asked = Attributes(verb, "", "v1", "persistentvolumes", name=name, labels=labels)
    return NodeAuthorizer(Source(found)).opinion(NODE, asked).allowed


def test_a_node_sees_and_lets_go_of_its_own_volumes_only() -> None:
    own = frozenset({(local_path.NODE_LABEL, "n0")})
    assert may(volume("n0"), "list", own)
    assert may(volume("n0"), "watch", own)
    assert not may(volume("n0"), "list")
    assert not may(volume("n0"), "list", frozenset({(local_path.NODE_LABEL, "n1")}))
    assert may(volume("n0"), "patch")
    assert not may(volume("n1"), "patch")
    assert not may(volume("n0", deletionTimestamp=None), "patch")
    assert not may(volume("n0"), "delete")


def test_only_the_finalizer_may_go() -> None:
    before = volume("n0")
    assert local_path.released(before, volume("n0", finalizers=["kubernetes.io/pv-protection"]))
    assert not local_path.released(before, volume("n0", finalizers=[]))
    assert not local_path.released(before, before)
    assert not local_path.released(before, volume("n0", finalizers=["kubernetes.io/pv-protection"], labels={}))
