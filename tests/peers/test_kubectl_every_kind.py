"""The real kubectl and an object of every built-in kind: each of its verbs that works on any object."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heeler.kinds.kind import Kind
from heeler.kinds.registry import built_in
from tests.conftest import ApiServerProcess, find_kubectl
from tests.unit.kinds.recorded import cases

pytestmark = [pytest.mark.kubectl, pytest.mark.timeout(180)]

#: Kinds that say what others may be: made last, taken away first.
LAST = (
    "LimitRange",
    "ResourceQuota",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "MutatingAdmissionPolicy",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
)
NAMESPACE = "every-kind"


def objects() -> list[dict[str, Any]]:
    """The largest recorded object of each kind, all of one namespace and one name."""
    found: dict[str, str] = {}
    for case in cases("defaults"):
        for step in case["steps"]:
            body = step["request"].get("body")
            made = step["request"]["method"] == "POST" and (step.get("response") or {}).get("status") == 201
            if not made or not isinstance(body, dict) or body.get("kind") in (None, "Namespace"):
                continue
            text = json.dumps(body).replace(case["id"], NAMESPACE)
            if "generateName" not in body["metadata"] and len(text) > len(found.get(body["kind"], "")):
                found[body["kind"]] = text
    out = [json.loads(text) for text in found.values()]
    for obj in out:
        if kind_of(obj).namespaced:
            obj["metadata"]["namespace"] = NAMESPACE
        if obj["kind"] == "ServiceAccount":
            obj["metadata"]["name"] = "default"
    return sorted(out, key=lambda obj: (obj["kind"] in LAST, obj["kind"] != "ServiceAccount"))


def kind_of(obj: dict[str, Any]) -> Kind:
    group, _, version = obj["apiVersion"].rpartition("/")
    found = built_in().by_kind(group, version, obj["kind"])
    assert found is not None
    return found


class Kubectl:
    def __init__(self, program: str, server: str, home: Path) -> None:
        self._words = [program, "--server", server, "--token", "admin-token", "--insecure-skip-tls-verify"]
        self._environment = {**os.environ, "HOME": str(home), "KUBECONFIG": str(home / "none")}

    def __call__(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [*self._words, *words], capture_output=True, text=True, timeout=60, check=False, env=self._environment
        )
        assert done.returncode == code, f"kubectl {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def kubectl(api_server: ApiServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    program = find_kubectl()
    if program is None:
        pytest.skip("kubectl is not here")
    return Kubectl(program, api_server.url, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def made(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file with all objects, which are there."""
    file = tmp_path_factory.mktemp("kinds") / "all.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects()}))
    kubectl("create", "namespace", NAMESPACE)
    said = kubectl("apply", "--server-side", "-f", str(file)).splitlines()
    assert len(said) == len(objects()) and all(line.endswith(" serverside-applied") for line in said), said
    yield file
    backwards = file.with_name("backwards.json")
    backwards.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects()[::-1]}))
    said = kubectl("delete", "--wait=false", "--now", "-f", str(backwards)).splitlines()
    assert len(said) == len(objects()) and all(" deleted" in line for line in said), said


def versions(kubectl: Kubectl, file: Path) -> list[str]:
    return kubectl("get", "-f", str(file), "-o", "jsonpath={.items[*].metadata.resourceVersion}").split()


def test_there_are_all_kinds_that_can_be_made_alone(made: Path) -> None:
    assert len(objects()) >= 45


def test_applied_again_nothing_is_written(kubectl: Kubectl, made: Path) -> None:
    before = versions(kubectl, made)
    assert len(before) == len(objects())
    kubectl("apply", "--server-side", "-f", str(made))
    assert versions(kubectl, made) == before


def test_diff_finds_nothing(kubectl: Kubectl, made: Path) -> None:
    assert kubectl("diff", "--server-side", "-f", str(made)) == ""


def test_each_output_shows_each_object(kubectl: Kubectl, made: Path) -> None:
    names = [obj["metadata"]["name"] for obj in objects()]
    found = json.loads(kubectl("get", "-f", str(made), "-o", "json"))["items"]
    assert [item["metadata"]["name"] for item in found] == names
    for output in ("yaml", "wide", "name", "custom-columns=N:.metadata.name,K:.kind", "go-template={{.kind}}"):
        shown = kubectl("get", "-f", str(made), "-o", output)
        assert output.startswith("go-template") or all(name in shown for name in names), output
    assert kubectl("get", "-f", str(made), "-o", "jsonpath={.items[*].metadata.name}").split() == names


def test_describe_names_each_object(kubectl: Kubectl, made: Path) -> None:
    shown = kubectl("describe", "-f", str(made))
    lines = {tuple(line.split()) for line in shown.splitlines()}
    for obj in objects():
        assert ("Name:", obj["metadata"]["name"]) in lines, obj["kind"]


def test_explain_knows_each_kind(kubectl: Kubectl, made: Path) -> None:
    for obj in objects():
        kind = kind_of(obj)
        shown = kubectl("explain", kind.plural, "--api-version", obj["apiVersion"])
        version = obj["apiVersion"].rpartition("/")[2]
        assert f"KIND:       {obj['kind']}" in shown and f"VERSION:    {version}" in shown and "FIELDS:" in shown


def test_labels_annotations_and_replacement(kubectl: Kubectl, made: Path) -> None:
    for verb, said in (("label", "labeled"), ("annotate", "annotated")):
        told = kubectl(verb, "-f", str(made), "who=me").splitlines()
        assert len(told) == len(objects()) and all(line.endswith(f" {said}") for line in told), told
    whole = made.with_name("whole.json")
    whole.write_text(kubectl("get", "-f", str(made), "-o", "json"))
    told = kubectl("replace", "-f", str(whole)).splitlines()
    assert len(told) == len(objects()) and all(line.endswith(" replaced") for line in told), told
