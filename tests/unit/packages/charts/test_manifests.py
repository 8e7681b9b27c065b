"""Rendered files as documents and hooks, in Helm's order."""

from __future__ import annotations

import pytest

from heeler.packages.charts.chart import ChartError
from heeler.packages.charts.load import silent
from heeler.packages.charts.manifests import INSTALL_ORDER, UNINSTALL_ORDER, sort, split


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        ("a: 1\n---b: 2\n", ["a: 1\n", "b: 2\n"]),
        ("a: 1\n --- \nb: 2\n", ["a: 1\n --- \nb: 2\n"]),
        ("\n\n---\n\na: 1\n\n\n---\n---\n# only\n", ["a: 1\n\n\n", "# only\n"]),
        ("--- {a: 1}\n", ["{a: 1}\n"]),
        ("  \n", []),
    ],
)
def test_documents_are_parted_at_lines_that_begin_with_three_dashes(text: str, documents: list[str]) -> None:
    assert split(text) == documents


def test_kinds_have_an_order_and_hooks_stand_apart() -> None:
    files = {
        "app/templates/b.yaml": "kind: Zebra\n---\nkind: Apple\n---\nkind: Pod\n",
        "app/templates/a.yaml": "kind: Service\n---\nkind: Secret\n",
        "app/templates/h.yaml": 'kind: Job\nmetadata: {annotations: {"helm.sh/hook": "PRE-install, test-success", '
        '"helm.sh/hook-weight": "-5", "helm.sh/hook-delete-policy": "hook-succeeded,hook-failed"}}\n',
        "app/templates/_p.tpl": "kind: Pod\n",
    }
    hooks, manifests = sort(files, INSTALL_ORDER, silent)
    assert [one.head.kind for one in manifests] == ["Secret", "Service", "Pod", "Apple", "Zebra"]
    assert (hooks[0].events, hooks[0].weight, hooks[0].delete_policies) == (
        ["pre-install", "test"],
        -5,
        ["hook-succeeded", "hook-failed"],
    )


def test_a_document_with_an_unknown_event_is_left_out_and_told() -> None:
    told: list[object] = []
    text = "kind: Job\nmetadata: {annotations: {helm.sh/hook: 'pre-install,nope'}}\n"
    found = sort({"a": text}, INSTALL_ORDER, lambda level, message, **more: told.append((message, more)))
    assert found == ([], [])
    assert told == [("skipping unknown hooks", {"hookTypes": "pre-install,nope"})]


def test_the_two_orders_have_the_same_kinds() -> None:
    assert sorted(INSTALL_ORDER) == sorted(UNINSTALL_ORDER)


def test_what_isnt_yaml_is_told_with_its_file() -> None:
    with pytest.raises(
        ChartError, match=r"^YAML parse error on t\.yaml: error converting YAML to JSON: yaml: line 1: "
    ):
        sort({"t.yaml": "a: [\n"}, INSTALL_ORDER, silent)
