"""What templates see: files, values, capabilities. Right values are helm's own."""

from __future__ import annotations

import pytest

from heeler.packages import objects
from heeler.packages.template.formatting import text
from heeler.packages.template.values import GoError
from heeler.packages.yaml import json

FILES = objects.Files(
    {
        "a.txt": b"x\ny\n",
        "b.bin": b"\xff",
        "dir/c.txt": b"c",
        "dir/d.TXT": b"d",
        "dir/sub/e.yaml": b"e: 1\n",
        "[x].txt": b"",
    }
)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*", ["[x].txt", "a.txt", "b.bin"]),
        ("**.txt", ["[x].txt", "a.txt", "dir/c.txt"]),
        ("dir/*", ["dir/c.txt", "dir/d.TXT"]),
        ("dir/**", ["dir/c.txt", "dir/d.TXT", "dir/sub/e.yaml"]),
        ("[a-b].*", ["a.txt", "b.bin"]),
        ("[!a].bin", ["b.bin"]),
        ("[[]x].txt", ["[x].txt"]),
        ("{dir/c,a}.txt", ["a.txt", "dir/c.txt"]),
        ("{a.txt", ["a.txt"]),
        ("d?r/c*", ["dir/c.txt"]),
        ("[a-zA-Z]*", sorted(FILES)),  # no pattern at all: everything
        ("[a", sorted(FILES)),
    ],
)
def test_globs(pattern: str, names: list[str]) -> None:
    assert sorted(FILES.glob(pattern)) == names


def test_files_as_data() -> None:
    assert FILES.glob("dir/*").as_config() == "c.txt: c\nd.TXT: d"
    assert FILES.glob("a*").as_secrets() == "a.txt: eAp5Cg==" and FILES.glob("none").as_config() == "{}"
    assert FILES.lines("a.txt") == ["x", "y"] and FILES.lines("none") == [] and FILES.text("b.bin") == "\udcff"


def test_values_by_path() -> None:
    values = objects.Values({"a": {"b": {"c": 1}}})
    assert values.table("a.b") == {"c": 1} and values.path_value("a.b.c") == 1
    with pytest.raises(GoError, match='"x" is not a table'):
        values.table("x.y")
    with pytest.raises(GoError, match='"b" is not a value'):
        values.path_value("a.b")


@pytest.mark.parametrize(
    ("given", "version", "normalized", "minor"),
    [
        ("1.25", "v1.25", "v1.25", "25"),
        ("v1.27.3-eks-123456", "v1.27.3-eks-123456", "v1.27.3", "27"),
        ("1.28.0+k3s1", "v1.28.0+k3s1", "v1.28.0", "28"),
    ],
)
def test_kube_versions(given: str, version: str, normalized: str, minor: str) -> None:
    found = objects.kube_version(given)
    assert (found.version, found.normalized, found.minor) == (version, normalized, minor)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("banana", 'could not parse "banana" as version'),
        ("v1.x", 'illegal version string "v1.x"'),
        ("1.02", 'illegal zero-prefixed version component "02" in "1.02"'),
    ],
)
def test_kube_versions_that_are_none(given: str, message: str) -> None:
    with pytest.raises(GoError) as caught:
        objects.kube_version(given)
    assert str(caught.value) == message


def test_capabilities() -> None:
    known = objects.capabilities("1.30", ["a/b"])
    assert known.api_versions.has("apps/v1") and known.api_versions[-1] == "a/b" and not known.api_versions.has("x/v1")
    assert text(known.kube_version) == "{v1.30 v1.30 1 30}"
    assert json.dumps(known.kube_version) == '{"Version":"v1.30","Major":"1","Minor":"30"}'


def test_a_chart_is_shown_by_go_s_names() -> None:
    shown = objects.chart({"name": "app", "maintainers": [{"name": "A"}], "annotations": {"k": "v"}}, is_root=True)
    assert shown["Name"] == "app" and shown["IsRoot"] is True and shown["Keywords"] == []
    assert shown["Maintainers"] == [{"Name": "A", "Email": "", "URL": ""}]
    assert text(shown["Annotations"]) == "map[k:v]"


def test_files_that_yaml_cannot_hold_are_nothing() -> None:
    files = objects.Files({"a.bin": b"\x7f\x01", "b.txt": b"b"})
    assert files.as_config() == ""
    assert files.as_secrets() == "a.bin: fwE=\nb.txt: Yg=="


def test_globs_of_many_stars_take_no_time() -> None:
    files = objects.Files({"a" * 300: b"", "dir/b.yaml": b"x"})
    assert not files.glob("*a" * 40 + "b")
    assert list(files.glob("**/*.{yaml,yml}")) == ["dir/b.yaml"]
