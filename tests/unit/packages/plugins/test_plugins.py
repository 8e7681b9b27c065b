"""Plugins of `heeler helm`: commands, post-renderers, installing, and what isn't what it should be."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from heeler.packages.plugins.archive import unpack
from heeler.packages.plugins.plugin import PlatformCommand, PluginError
from heeler.packages.plugins.running import chosen, expanded
from tests.helm_home import Home

HELLO = """\
apiVersion: v1
name: hello
type: cli/v1
version: 0.2.0
runtime: subprocess
config:
  usage: "hello [x]"
  shortHelp: says hello
runtimeConfig:
  platformCommand:
  - command: sh
    args: ["-c", "echo $HELM_PLUGIN_NAME in $HELM_NAMESPACE: \\"$@\\"; echo told >&2; exit ${CODE}", "x"]
  platformHooks:
    install:
    - command: echo
      args: [installed, $HELM_PLUGIN_NAME]
    delete:
    - command: echo
      args: [deleted]
"""
RENDERER = """\
apiVersion: v1
name: render
type: postrenderer/v1
version: 0.1.0
runtime: subprocess
runtimeConfig:
  platformCommand:
  - command: ${HELM_PLUGIN_DIR}/run
    args: [first]
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def source(home: Home, text: str = HELLO, name: str = "hello") -> Path:
    folder = home.folder / "sources" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plugin.yaml").write_text(text)
    return folder


def renderer(home: Home, script: str) -> None:
    """Install the post-renderer `render`, a shell script."""
    folder = home.folder / "data" / "plugins" / "render"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plugin.yaml").write_text(RENDERER)
    (folder / "run").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "run").chmod(0o755)


# ---- commands --------------------------------------------------------------------------------------------------------


def test_a_plugin_from_a_folder(home: Home) -> None:
    folder = source(home)
    assert home.do("plugin", "install", folder) == (
        "Installing plugin from local directory (development mode)\ninstalled hello\nInstalled plugin: hello\n"
    )
    answer = home.ask("hello", "a", "--namespace", "there", "-b")
    assert (answer.code, answer.out, answer.errors) == (0, "hello in there: a -b\n", "told\n")
    lines = home.do("plugin", "list").splitlines()
    assert [line.split() for line in lines[1:]] == [["hello", "0.2.0", "cli/v1", "v1", "local", "dev", "unknown"]]
    assert home.refused("plugin", "install", folder) == "plugin already exists"
    assert home.do("plugin", "uninstall", "hello") == "deleted\nUninstalled plugin: hello\n"
    assert folder.is_dir()
    assert home.refused("hello").startswith('unknown command "hello" for "helm"')


def test_a_plugin_s_code_is_the_command_s(home: Home) -> None:
    home.do("plugin", "install", source(home))
    home.environment["CODE"] = "3"
    answer = home.ask("hello")
    assert (answer.code, answer.errors) == (3, 'told\nError: plugin "hello" exited with error\n')
    home.environment["HELM_NO_PLUGINS"] = "1"
    assert home.refused("hello").startswith('unknown command "hello"')


def test_a_plugin_from_an_archive(home: Home) -> None:
    folder = source(home)
    (folder / "bin").mkdir()
    (folder / "bin" / "x").write_text("#!/bin/sh\n")
    (folder / "bin" / "x").chmod(0o755)
    said = home.do("plugin", "package", folder, "--sign=false")
    assert said.endswith("Successfully packaged plugin and saved it to: hello-0.2.0.tgz\n")
    unsigned = "plugin verification failed: no provenance file (.prov) found"
    assert home.refused("plugin", "install", "hello-0.2.0.tgz") == unsigned
    home.do("plugin", "install", "hello-0.2.0.tgz", "--verify=false")
    made = home.folder / "data" / "plugins" / "hello"
    assert (made / "plugin.yaml").read_text() == HELLO
    assert (made / "bin" / "x").stat().st_mode & 0o777 == 0o755
    assert "unsigned" in home.do("plugin", "list")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("oci://host/x", "heeler installs no plugins from registries yet: oci://host/x"),
        ("https://host/x.git", "heeler installs no plugins from version control yet: clone https://host/x.git"),
        ("nope", 'cannot get information about plugin source "nope" (if it\'s a local directory, does it exist?)'),
    ],
)
def test_what_can_not_be_installed_is_said(home: Home, source: str, words: str) -> None:
    assert home.refused("plugin", "install", source).startswith(words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "failed to peek plugin.yaml API version: yaml: line 1: did not find expected node content"),
        ("apiVersion: v3\nname: x\n", 'invalid plugin apiVersion: "v3"'),
        ("apiVersion: v1\nname: x\n", "plugin `version` is required"),
        ("apiVersion: v1\nname: x y\nversion: 1.0.0\n", "invalid plugin `name`"),
        ("apiVersion: v1\nname: ../x\nversion: 1.0.0\n", "invalid plugin `name`"),
        ("apiVersion: v1\nname: x\nversion: zz\n", 'invalid plugin `version` "zz": must be valid semver'),
        ("apiVersion: v1\nname: x\nversion: 1.0.0\n", "`type` missing"),
        ("apiVersion: v1\nname: x\nversion: 1.0.0\ntype: cli/v1\n", "`runtime` missing"),
        (
            "apiVersion: v1\nname: x\nversion: 1.0.0\ntype: foo/v1\nruntime: subprocess\n",
            'failed to convert MetadataV1 to Metadata: unknown plugin type "foo/v1"',
        ),
        (
            f"{HELLO}foo: 1\n",
            f"yaml: unmarshal errors:\\n  line {HELLO.count(chr(10)) + 1}: field foo not found in type plugin.MetadataV1",
        ),
    ],
)
def test_a_plugin_that_is_none_is_told_and_passed_by(home: Home, text: str, words: str) -> None:
    folder = home.folder / "data" / "plugins" / "hello"
    folder.mkdir(parents=True)
    (folder / "plugin.yaml").write_text(text)
    answer = home.ask("plugin", "list")
    quoted = words.replace('"', '\\"')
    shown = f'failed to load plugin \\"{folder}\\": {quoted}'
    assert answer.errors == (
        f'level=WARN msg="failed to load plugin (ignoring)" plugin_yaml={folder}/plugin.yaml error="{shown}"\n'
    )
    assert (answer.code, answer.out.count("\n")) == (0, 1)


def test_the_old_form(home: Home) -> None:
    home.do(
        "plugin", "install", source(home, 'name: old\nversion: 0.1.0\ncommand: "echo hi $HELM_PLUGIN_NAME"\n', "old")
    )
    assert home.do("old", "you") == "hi old you\n"


def test_which_command_is_for_this_machine() -> None:
    linux, anywhere, windows = (
        PlatformCommand(system, "", name, ()) for system, name in (("linux", "l"), ("", "a"), ("windows", "w"))
    )
    assert chosen([windows, anywhere, linux]).command == "l"
    assert chosen([windows, anywhere]).command == "a"
    with pytest.raises(PluginError, match="no plugin command is applicable"):
        chosen([windows])


def test_variables() -> None:
    assert expanded("$A ${B}c ${NONE}$NONE-", {"A": "1", "B": "2"}) == "1 2c -"


@pytest.mark.parametrize("name", ["../x", "/etc/x", "hello/../../x"])
def test_archives_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(PluginError, match="is not in the plugin's folder"):
        unpack(_archive([(name, b"x")]), tmp_path / "plugins" / "x")
    assert not (tmp_path / "x").exists() and not (tmp_path / "plugins" / "x").exists()


def test_archives_have_no_links(tmp_path: Path) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        link = tarfile.TarInfo("hello/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(PluginError, match="failed to extract archive: unknown type: 110010 in hello/link"):
        unpack(made.getvalue(), tmp_path / "x")
    with pytest.raises(PluginError, match="failed to extract archive: "):
        unpack(b"junk", tmp_path / "x")


def _archive(files: list[tuple[str, bytes]]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


# ---- post-renderers --------------------------------------------------------------------------------------------------


def test_a_post_renderer_changes_what_is_rendered(home: Home) -> None:
    renderer(home, 'echo "# $*" >&2; sed "s/hello/goodbye/"; echo told >&2')
    chart = home.chart("app", "0.1.0")
    plain = home.do("template", chart)
    answer = home.ask("template", chart, "--post-renderer", "render", "--post-renderer-args", "a b")
    assert (answer.code, answer.errors) == (0, "")
    assert answer.out == plain.replace("hello", "goodbye")
    assert "goodbye" in home.do("install", "x", chart, "--dry-run=client", "--post-renderer", "render")


def test_what_a_post_renderer_adds_and_takes_away(home: Home) -> None:
    renderer(home, "cat > $HELM_PLUGIN_DIR/said; printf 'apiVersion: v1\\nkind: Secret\\nmetadata:\\n  name: new\\n'")
    chart = home.chart("app", "0.1.0")
    assert home.do("template", chart, "--post-renderer", "render") == (
        "---\n# Source: generated-by-postrender-0.yaml\napiVersion: v1\nkind: Secret\nmetadata:\n  name: new\n"
    )
    said = (home.folder / "data" / "plugins" / "render" / "said").read_text()
    assert "postrenderer.helm.sh/postrender-filename: 'app/templates/it.yaml'\n" in said


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "exit 3",
            "error while running post render on files: failed to invoke post-renderer plugin "
            '"render": plugin "render" exited with error',
        ),
        ("cat > /dev/null", 'error while running post render on files: post-renderer "render" produced empty output'),
        (
            "echo foo",
            "error while parsing post rendered output: error parsing YAML: wrong node kind: "
            "expected MappingNode but got ScalarNode: node contents:\nfoo\n",
        ),
        (
            "echo 'a: ['",
            "error while parsing post rendered output: error parsing YAML: MalformedYAMLError: "
            "yaml: line 1: did not find expected node content",
        ),
    ],
)
def test_a_post_renderer_that_fails(home: Home, script: str, words: str) -> None:
    renderer(home, script)
    chart = home.chart("app", "0.1.0")
    refused = home.refused("template", chart, "--post-renderer", "render")
    assert refused == f"{words}\n\nUse --debug flag to render out invalid YAML"


def test_a_post_renderer_that_is_not_there(home: Home) -> None:
    chart = home.chart("app", "0.1.0")
    assert home.refused("template", chart, "--post-renderer", "no") == (
        'invalid argument "no" for "--post-renderer" flag: plugin: {Name:no Type:postrenderer/v1} not found'
    )
    assert home.refused("template", chart, "--post-renderer", "a", "--post-renderer", "b") == (
        'invalid argument "b" for "--post-renderer" flag: cannot specify --post-renderer flag more than once'
    )
