"""Rules that hold for every built-in kind."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

import heeler.kinds
from heeler.kinds.column_texts import TEXTS
from heeler.kinds.kind import Kind, Own
from heeler.kinds.plain import PLAIN
from heeler.kinds.registry import built_in
from heeler.kinds.types import read_schema
from heeler.objects.decode import decode

KINDS = list(built_in())
FOLDER = Path(heeler.kinds.__file__).parent
FORBIDDEN = ("heeler.store", "heeler.apiserver", "heeler.client", "heeler.controllers", "time", "random", "asyncio")
SCHEMA = read_schema("types.json.gz")


def listed(kind: Kind) -> bool:
    return "list" in kind.verbs


def minimal(kind: Kind, version: str) -> Any:
    """The least object of a kind that decodes."""
    obj, _ = decode({"metadata": {"name": "a", "namespace": "b", "uid": "u"}}, kind.type(version))
    return obj


@pytest.mark.parametrize("kind", [k for k in KINDS if listed(k)], ids=repr)
def test_every_listable_kind_has_its_hand_written_part(kind: Kind) -> None:
    assert (kind.group, kind.kind) in PLAIN or kind.kind in ("ComponentStatus",)
    assert isinstance(kind.own, Own)
    assert (kind.own.group, kind.own.kind) == (kind.group, kind.kind)


def test_every_hand_written_part_belongs_to_a_kind_that_is_served() -> None:
    served = {(k.group, k.kind) for k in KINDS}
    assert [key for key in PLAIN if key not in served] == []


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_columns_are_described_by_fields_that_exist(kind: Kind) -> None:
    for column in kind.columns(kind.versions[0]):
        if column.about.startswith("=") or not column.about or column.about in TEXTS:
            continue
        owner, _, field = column.about.rpartition(".")
        facts = SCHEMA.get(f"io.k8s.api.{owner}") or SCHEMA.get(f"io.k8s.{owner}")
        assert facts is not None and field in facts["f"], column.about


@pytest.mark.parametrize("kind", [k for k in KINDS if listed(k)], ids=repr)
def test_an_object_with_nothing_set_is_defaulted_prepared_checked_shown_and_selected(kind: Kind) -> None:
    for version in kind.versions:
        obj = minimal(kind, version)
        kind.default(obj, version)
        obj = kind.convert(obj, kind.api_version(version), kind.storage_api_version)
        kind.prepare_create(obj)
        kind.validate_create(obj)
        kind.settle(obj)
        assert len(kind.row(obj, 0.0)) == len(kind.columns(version))
        assert all(isinstance(get(obj), str) for get in kind.selectable.values())
        kind.prepare_update(obj, obj)
        kind.validate_update(obj, obj)
        kind.warnings(obj, None)


@pytest.mark.parametrize("kind", [k for k in KINDS if listed(k)], ids=repr)
def test_defaults_change_nothing_the_second_time(kind: Kind) -> None:
    for version in kind.versions:
        obj = minimal(kind, version)
        kind.default(obj, version)
        again, _ = decode(obj, kind.type(version))
        kind.default(again, version)
        assert again == obj


def test_kinds_know_nothing_of_time_chance_and_servers() -> None:
    wrong = []
    for path in sorted(FOLDER.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names.append(node.module)
            wrong += [f"{path.name}: {n}" for n in names if any(n == f or n.startswith(f + ".") for f in FORBIDDEN)]
    assert wrong == []
