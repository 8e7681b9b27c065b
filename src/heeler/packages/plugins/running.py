"""Running a plugin: which of its commands is for this machine, its environment, and what came of it."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from heeler.packages.plugins.plugin import SUBPROCESS, PlatformCommand, Plugin, PluginError

#: Bytes that a post-renderer may answer.
MAX_OUTPUT_BYTES = 512 << 20

_ARCHITECTURES: Mapping[str, str] = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm"}
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z_][A-Za-z0-9_]*))")


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a program; `out` and `errors` are empty where they went to the terminal."""

    code: int
    out: bytes = b""
    errors: bytes = b""


def chosen(commands: Sequence[PlatformCommand]) -> PlatformCommand:
    """The command for this machine: by system and processor, by system, or for any. Raises `PluginError`."""
    system, machine = platform.system().lower(), platform.machine()
    architecture = _ARCHITECTURES.get(machine, machine)
    for wanted in ((system, architecture), (system, ""), ("", "")):
        for command in commands:
            if (command.os.lower(), command.architecture.lower()) == wanted and command.command:
                return command
    raise PluginError("no plugin command is applicable")


def environment(plugin: Plugin, base: Mapping[str, str]) -> dict[str, str]:
    return {**base, "HELM_PLUGIN_NAME": plugin.name, "HELM_PLUGIN_DIR": str(plugin.folder)}


def line(commands: Sequence[PlatformCommand], more: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """The command's words with their variables' values, and `more`, which is taken as it is. Raises `PluginError`."""
    command = chosen(commands)
    return [expanded(word, variables) for word in (command.command, *command.arguments)] + list(more)


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """`$NAME` and `${NAME}` become what they stand for, or nothing."""
    return _VARIABLE.sub(lambda match: variables.get(match[1] or match[2], ""), text)


def run(
    plugin: Plugin,
    words: Sequence[str],
    variables: Mapping[str, str],
    *,
    cwd: str | os.PathLike[str],
    said: bytes | None = None,
    captured: bool = True,
) -> Ran:
    """Run a program of a plugin's; `said` is its standard input. Raises `PluginError`."""
    if plugin.runtime != SUBPROCESS:
        raise PluginError(f"heeler runs no plugins of the runtime {plugin.runtime}")
    pipe = subprocess.PIPE if captured else None
    nothing = subprocess.DEVNULL if captured else None
    try:
        with subprocess.Popen(
            list(words),
            cwd=cwd,
            env=dict(variables),
            stdin=nothing if said is None else subprocess.PIPE,
            stdout=pipe,
            stderr=pipe,
        ) as process:
            out, errors = process.communicate(said)
    except FileNotFoundError:
        missing = "no such file or directory" if "/" in words[0] else "executable file not found in $PATH"
        where = f"fork/exec {words[0]}" if "/" in words[0] else f'exec: "{words[0]}"'
        raise PluginError(f"{where}: {missing}") from None
    except OSError as error:
        raise PluginError(f"fork/exec {words[0]}: {(error.strerror or str(error)).lower()}") from None
    if len(out or b"") > MAX_OUTPUT_BYTES:
        raise PluginError(f'plugin "{plugin.name}" answered more than {MAX_OUTPUT_BYTES >> 20} MiB')
    return Ran(process.returncode, out or b"", errors or b"")
