"""What holds for any object of any kind, tried on every object that the recorded server answered with."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest

from heeler.kinds.kind import Kind, api_version
from heeler.kinds.registry import built_in
from heeler.objects import apply, yaml_text
from heeler.objects.decode import decode
from tests.unit.kinds.recorded import cases, concrete, place

NOW = "2026-01-01T00:00:00Z"
AREAS = ("defaults", "validation", "apply", "patch", "subresources", "table", "list-watch", "admission")


@cache
def stored() -> dict[str, list[tuple[Kind, str, Any]]]:
    """By kind: the kind, the version and the object of each answer to a write."""
    found: dict[str, list[tuple[Kind, str, Any]]] = {}
    for area in AREAS:
        for case in cases(area):
            for step in case["steps"]:
                where = place(step["request"]["path"])
                response = step.get("response") or {}
                body = response.get("body")
                wrote = step["request"]["method"] in ("POST", "PUT", "PATCH") and response.get("status") in (200, 201)
                if where is None or not wrote or not isinstance(body, dict) or body.get("kind") != where.kind.kind:
                    continue
                if where.subresource in ("", "status") and "create" in where.kind.verbs and "list" in where.kind.verbs:
                    name = f"{where.kind.kind}.{where.kind.group}"
                    found.setdefault(name, []).append((where.kind, where.version, concrete(body)))
    return found


KINDS = [f"{k.kind}.{k.group}" for k in built_in() if "create" in k.verbs and "list" in k.verbs]


def objects(name: str) -> list[tuple[Kind, str, Any]]:
    found = stored().get(name, [])
    if not found:
        pytest.skip("nothing was recorded of this kind")
    return found


@pytest.mark.parametrize("name", KINDS)
def test_read_again_it_is_the_same(name: str) -> None:
    for kind, version, answer in objects(name):
        obj, unknown = decode(answer, kind.type(version))
        assert unknown == []
        assert decode(obj, kind.type(version)) == (obj, [])
        from_yaml, repeated = yaml_text.load(yaml_text.dump(obj).encode())
        assert (from_yaml, repeated) == (obj, [])


@pytest.mark.parametrize("name", KINDS)
def test_defaults_and_conversions_change_nothing_any_more(name: str) -> None:
    for kind, version, answer in objects(name):
        obj, _ = decode(answer, kind.type(version))
        kind.default(obj, version)
        again = copy.deepcopy(obj)
        kind.default(again, version)
        assert again == obj
        here, kept = api_version(kind.group, version), kind.storage_api_version
        converted = kind.convert(copy.deepcopy(obj), here, kept)
        back = kind.convert(copy.deepcopy(converted), kept, here)
        assert kind.convert(copy.deepcopy(back), here, kept) == converted


@pytest.mark.parametrize("name", KINDS)
def test_what_was_stored_may_be_written_again(name: str) -> None:
    """Validation takes each stored object in the place of itself."""
    for kind, version, answer in objects(name):
        obj, _ = decode(answer, kind.type(version))
        obj = kind.convert(obj, api_version(kind.group, version), kind.storage_api_version)
        obj["metadata"].setdefault("resourceVersion", "1")
        assert list(kind.validate_update(copy.deepcopy(obj), copy.deepcopy(obj), "")) == []


@pytest.mark.parametrize("name", KINDS)
def test_applied_twice_is_applied_once_and_the_order_of_appliers_means_nothing(name: str) -> None:
    for kind, version, answer in objects(name):
        type, where = kind.type(version), api_version(kind.group, version)
        obj, _ = decode(answer, type)
        metadata = {key: obj["metadata"][key] for key in ("name", "namespace", "labels") if key in obj["metadata"]}
        wanted = {**obj, "kind": kind.kind, "apiVersion": where, "metadata": metadata}
        other = {"kind": kind.kind, "apiVersion": where, "metadata": {**metadata, "annotations": {"who": "other"}}}
        other["metadata"].pop("labels", None)

        def put(live: Any, config: Any, manager: str) -> Any:
            done = apply.apply(live, config, type, manager=manager, api_version=where, now=NOW)  # noqa: B023
            return {**done.object, "metadata": {**done.object["metadata"], "managedFields": done.managed_fields}}

        try:
            apply.check(wanted, type)
        except Exception:
            continue
        once = put(None, wanted, "m")
        assert put(once, wanted, "m") == once
        one, two = put(once, other, "n"), put(put(None, other, "n"), wanted, "m")
        assert {k: v for k, v in one.items() if k != "metadata"} == {k: v for k, v in two.items() if k != "metadata"}
        assert {k: v for k, v in one["metadata"].items() if k != "managedFields"} == {
            k: v for k, v in two["metadata"].items() if k != "managedFields"
        }
        fields = [
            sorted((e["manager"], str(e["fieldsV1"])) for e in found["metadata"]["managedFields"])
            for found in (one, two)
        ]
        assert fields[0] == fields[1]
