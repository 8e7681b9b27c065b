"""plugin.yaml: what a plugin is, in Helm 4's form (`apiVersion: v1`) and in the older one without a version.

Source: https://helm.sh/docs/topics/plugins/ , https://helm.sh/docs/plugins/developer/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heeler.packages.charts.versions import is_version
from heeler.packages.template.values import GoError
from heeler.packages.yaml import read

FILE = "plugin.yaml"
#: Bytes of a plugin.yaml that are read at most.
MAX_BYTES = 1 << 20
CLI, POST_RENDERER = "cli/v1", "postrenderer/v1"
_TYPES = (CLI, "getter/v1", POST_RENDERER, "test/v1")
SUBPROCESS = "subprocess"
_RUNTIMES = (SUBPROCESS, "extism/v1")
_NAME = re.compile(r"[A-Za-z0-9_-]+\Z", re.ASCII)

_FIELDS_V1 = ("apiVersion", "name", "type", "runtime", "version", "sourceURL", "config", "runtimeConfig")
_FIELDS_LEGACY = (
    *("name", "version", "usage", "description", "platformCommand", "command", "ignoreFlags"),
    *("platformHooks", "hooks", "downloaders", "useTunnel"),
)


class PluginError(Exception):
    """A plugin that can't be read, found or run, in Helm's words."""


@dataclass(frozen=True, slots=True)
class PlatformCommand:
    """A program for an operating system and a processor; "" is for any."""

    os: str
    architecture: str
    command: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plugin:
    """`hooks` is what runs when it is installed, updated or deleted."""

    folder: Path
    name: str
    version: str
    type: str
    api_version: str
    runtime: str
    source: str = ""
    usage: str = ""
    short_help: str = ""
    long_help: str = ""
    ignores_flags: bool = False
    commands: tuple[PlatformCommand, ...] = ()
    hooks: Mapping[str, tuple[PlatformCommand, ...]] = field(default_factory=dict)

    @property
    def word(self) -> str:
        """What its command is called."""
        return (self.usage.split() or [self.name])[0] if self.type == CLI and self.api_version == "v1" else self.name


def load(folder: Path) -> Plugin:
    """The plugin in a folder. Raises `PluginError`."""
    shown = f'failed to load plugin "{folder}"'
    try:
        with (folder / FILE).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        said = f"open {folder / FILE}: {(error.strerror or '').lower()}"
        raise PluginError(f'failed to read plugin at "{folder / FILE}": {said}') from None
    if len(data) > MAX_BYTES:
        raise PluginError(f"{shown}: its {FILE} is larger than {MAX_BYTES >> 20} MiB")
    try:
        return parse(data, folder)
    except PluginError as error:
        if str(error).startswith("wasm"):
            raise
        raise PluginError(f"{shown}: {error}") from None


def parse(data: bytes, folder: Path) -> Plugin:
    """A plugin by the text of its plugin.yaml. Raises `PluginError`."""
    try:
        content = read.parse(data)
    except GoError as error:
        said = str(error).removeprefix(read.CONVERT)
        raise PluginError(f"failed to peek plugin.yaml API version: {said}") from None
    if not isinstance(content, dict):
        content = {}
    version = str(content.get("apiVersion") or "")
    if version not in ("", "legacy", "v1"):
        raise PluginError(f'invalid plugin apiVersion: "{version}"')
    legacy = version != "v1"
    known, kind = (_FIELDS_LEGACY, "MetadataLegacy") if legacy else (_FIELDS_V1, "MetadataV1")
    if unknown := [key for key in content if key not in known and not (legacy and key == "apiVersion")]:
        lines = "".join(
            f"\n  line {_line(data, key)}: field {key} not found in type plugin.{kind}" for key in unknown[:10]
        )
        raise PluginError(f"yaml: unmarshal errors:{lines}")
    return _legacy(content, folder) if legacy else _v1(content, folder)


def _line(data: bytes, key: str) -> int:
    """The line on which a key of the topmost map stands."""
    found = re.search(rf"^['\"]?{re.escape(key)}['\"]?[ \t]*:", data.decode("utf-8", "replace"), re.MULTILINE)
    return data[: found.start()].count(b"\n") + 1 if found else 1


def _v1(content: Mapping[str, Any], folder: Path) -> Plugin:
    def text(name: str) -> str:
        return str(content.get(name) or "")

    name, version, kind, runtime = text("name"), text("version"), text("type"), text("runtime")
    if not _NAME.match(name):
        raise PluginError("invalid plugin `name`")
    if not version:
        raise PluginError("plugin `version` is required")
    if not is_version(version):
        raise PluginError(f'invalid plugin `version` "{version}": must be valid semver')
    for field_name, value in (("type", kind), ("runtime", runtime)):
        if not value:
            raise PluginError(f"`{field_name}` missing")
    wrong = "failed to convert MetadataV1 to Metadata"
    if kind not in _TYPES:
        raise PluginError(f'{wrong}: unknown plugin type "{kind}"')
    if runtime not in _RUNTIMES:
        raise PluginError(f'{wrong}: unsupported plugin runtime type: "{runtime}"')
    if runtime != SUBPROCESS and not (folder / "plugin.wasm").exists():
        raise PluginError(f'wasm binary missing for {runtime} plugin: "{folder / "plugin.wasm"}"')
    config, running = _map(content, "config"), _map(content, "runtimeConfig")
    return Plugin(
        folder,
        name,
        version,
        kind,
        "v1",
        runtime,
        text("sourceURL"),
        str(config.get("usage") or ""),
        str(config.get("shortHelp") or ""),
        str(config.get("longHelp") or ""),
        bool(config.get("ignoreFlags")),
        _commands(running.get("platformCommand")),
        {name: _commands(hook) for name, hook in _map(running, "platformHooks").items()},
    )


def _legacy(content: Mapping[str, Any], folder: Path) -> Plugin:
    def text(name: str) -> str:
        return str(content.get(name) or "")

    name, version = text("name"), text("version")
    if not _NAME.match(name):
        raise PluginError("invalid plugin name")
    if version and not is_version(version):
        raise PluginError(f'invalid plugin version "{version}": must be valid semver')
    commands = _commands(content.get("platformCommand"))
    if not commands and text("command"):
        program, *arguments = text("command").split(" ")
        commands = (PlatformCommand("", "", program, tuple(arguments)),)
    hooks = {name: _commands(hook) for name, hook in _map(content, "platformHooks").items()}
    for event, line in _map(content, "hooks").items():
        hooks.setdefault(event, (PlatformCommand("", "", "sh", ("-c", str(line))),))
    kind = "getter/v1" if content.get("downloaders") else CLI
    words = (text("usage"), text("usage"), text("description"), bool(content.get("ignoreFlags")))
    return Plugin(folder, name, version, kind, "legacy", SUBPROCESS, "", *words, commands, hooks)


def _map(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = content.get(name)
    return dict(found) if isinstance(found, dict) else {}


def _commands(listed: Any) -> tuple[PlatformCommand, ...]:
    def text(entry: Mapping[str, Any], name: str) -> str:
        return str(entry.get(name) or "")

    return tuple(
        PlatformCommand(
            text(entry, "os"),
            text(entry, "arch"),
            text(entry, "command"),
            tuple(str(one) for one in entry.get("args") or ()),
        )
        for entry in (listed if isinstance(listed, list) else ())
        if isinstance(entry, dict)
    )


def discover(folders: str, warn: Callable[[Path, PluginError], None]) -> Iterator[Plugin]:
    """The plugins right below folders (parted by ":"), in order of their folders' names; faults are told and passed by."""
    for folder in filter(None, folders.split(":")):
        for file in sorted(Path(folder).glob(f"*/{FILE}")):
            try:
                yield load(file.parent)
            except PluginError as error:
                warn(file, error)
