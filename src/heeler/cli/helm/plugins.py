"""The plugins that are installed: their commands beside Helm's own, and post-renderers."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from heeler.cli.helm.flags import Flags, HelmError, parse
from heeler.cli.helm.frame import COMMANDS, Call, flags_of
from heeler.cli.helm.settings import data_home
from heeler.packages.plugins.plugin import CLI, POST_RENDERER, Plugin, PluginError, discover


def folder(call: Call) -> str:
    """Where plugins lie."""
    return call.environment.get("HELM_PLUGINS") or f"{data_home(call.environment)}/plugins"


def installed(call: Call) -> list[Plugin]:
    """The plugins; one that can't be read is told and passed by."""

    def warn(file: Path, error: PluginError) -> None:
        call.log("WARN", "failed to load plugin (ignoring)", plugin_yaml=file, error=error)

    found: dict[str, Plugin] = {}
    for plugin in discover(":".join(str(call.path(one)) for one in folder(call).split(":") if one), warn):
        if (other := found.get(plugin.name)) is not None:
            said = f'two plugins claim the name "{plugin.name}" at "{other.folder}" and "{plugin.folder}"'
            call.log("ERROR", "failed to load plugins", error=said)
            return []
        found[plugin.name] = plugin
    return list(found.values())


def _off(call: Call) -> bool:
    return call.environment.get("HELM_NO_PLUGINS") == "1"


# ---- commands --------------------------------------------------------------------------------------------------------


def command(call: Call, arguments: list[str], index: int) -> int | None:
    """Run the plugin whose command stands at `index`; its exit code, None where there is no such plugin."""
    if _off(call):
        return None
    word = arguments[index]
    plugin = next((one for one in installed(call) if one.type == CLI and one.word == word), None)
    if plugin is None or word in COMMANDS:
        return None
    own, rest = _parted(arguments[:index] + arguments[index + 1 :])
    call.flags, _ = parse(flags_of("env"), own, call.say)
    return _run(call, plugin, [] if plugin.ignores_flags else rest)


def commands(call: Call) -> list[tuple[str, str]]:
    """(name, what it does) of the commands that plugins add."""
    if _off(call):
        return []
    return [(one.word, one.short_help) for one in installed(call) if one.type == CLI and one.word not in COMMANDS]


def _parted(arguments: list[str]) -> tuple[list[str], list[str]]:
    """(Helm's global flags, what is the plugin's) of a call's arguments."""
    known = {flag.name: flag for flag in flags_of("env") if flag.name != "help"}
    letters = {flag.shorthand: flag for flag in known.values() if flag.shorthand and flag.shorthand != "h"}
    own: list[str] = []
    rest: list[str] = []
    waiting = list(reversed(arguments))
    while waiting:
        word = waiting.pop()
        name, equals, _ = word.removeprefix("--").partition("=")
        flag = known.get(name) if word.startswith("--") else letters.get(word[1:]) if word[:1] == "-" else None
        if flag is None:
            rest.append(word)
            continue
        own.append(word)
        if not equals and flag.bare is None and waiting:
            own.append(waiting.pop())
    return own, rest


def _run(call: Call, plugin: Plugin, more: list[str]) -> int:
    from heeler.packages.plugins.running import environment, line, run

    variables = environment(plugin, {**call.environment, **variables_of(call)})
    try:
        words = line(plugin.commands, more, variables)
    except PluginError as error:
        raise HelmError(f"failed to prepare plugin command: {error}") from None
    if call.live:
        flush(call)
    try:
        ran = run(plugin, words, variables, cwd=call.cwd, captured=not call.live)
    except PluginError as error:
        raise HelmError(str(error)) from None
    call.write(ran.out.decode("utf-8", "surrogateescape"))
    call.errors.append(ran.errors.decode("utf-8", "surrogateescape"))
    if ran.code:
        call.say(f'Error: plugin "{plugin.name}" exited with error')
    return ran.code if ran.code >= 0 else 128 - ran.code


def flush(call: Call) -> None:
    """Print what has been said so far, before a program prints for itself."""
    for parts, stream in ((call.out, sys.stdout), (call.errors, sys.stderr)):
        stream.buffer.write("".join(parts).encode("utf-8", "surrogateescape"))
        stream.flush()
        parts.clear()


def variables_of(call: Call) -> Mapping[str, str]:
    """What `helm env` shows, for a plugin."""
    from heeler.cli.helm.env import values

    return values(call)


# ---- hooks -----------------------------------------------------------------------------------------------------------


def run_hook(call: Call, plugin: Plugin, event: str) -> None:
    """Run what a plugin wants done when it is installed, updated or deleted. Raises `HelmError`."""
    from heeler.packages.plugins.running import environment, line, run

    commands = plugin.hooks.get(event, ())
    if not commands:
        return
    variables = environment(plugin, {**call.environment, **variables_of(call)})
    try:
        ran = run(plugin, line(commands, [], variables), variables, cwd=call.cwd)
    except PluginError as error:
        raise HelmError(f"plugin {event} hook for {plugin.name!r}: {error}") from None
    call.write(ran.out.decode("utf-8", "surrogateescape"))
    call.errors.append(ran.errors.decode("utf-8", "surrogateescape"))
    if ran.code:
        raise HelmError(f'plugin {event} hook for "{plugin.name}" exited with error')


# ---- post-renderers --------------------------------------------------------------------------------------------------


def _post_renderers(call: Call) -> Iterator[Plugin]:
    yield from (one for one in installed(call) if one.type == POST_RENDERER)


def check_post_renderer(call: Call) -> None:
    """Refuse `--post-renderer NAME` where there is no such plugin. Raises `HelmError`."""
    name = call.flags.text("post-renderer")
    if not any(one.name == name for one in _post_renderers(call)):
        raise HelmError(
            f'invalid argument "{name}" for "--post-renderer" flag: '
            f"plugin: {{Name:{name} Type:{POST_RENDERER}}} not found"
        )


def post_render(call: Call, flags: Flags, files: dict[str, str]) -> dict[str, str]:
    """Rendered files as `--post-renderer` makes them. Raises `HelmError`, `ChartError`."""
    from heeler.packages.charts.post_render import annotated, files_of
    from heeler.packages.plugins.running import environment, line, run

    name = flags.text("post-renderer")
    plugin = next(one for one in _post_renderers(call) if one.name == name)
    stream = annotated(files).encode("utf-8", "surrogateescape")
    variables = environment(plugin, call.environment)
    failed = "error while running post render on files"
    try:
        words = line(plugin.commands, flags.many("post-renderer-args"), variables)
        ran = run(plugin, words, variables, cwd=call.cwd, said=stream)
    except PluginError as error:
        raise HelmError(f'{failed}: failed to invoke post-renderer plugin "{name}": {error}') from None
    if ran.code:
        call.errors.append(ran.errors.decode("utf-8", "surrogateescape"))
        raise HelmError(f'{failed}: failed to invoke post-renderer plugin "{name}": plugin "{name}" exited with error')
    if not ran.out.strip():
        raise HelmError(f'{failed}: post-renderer "{name}" produced empty output')
    return files_of(ran.out.decode("utf-8", "surrogateescape"))
