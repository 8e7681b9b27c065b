"""What could come next on the command line: `helm __complete WORDS…`, as scripts of shells ask (`completion.py`).

Answers are lines `word<TAB>what it is`, then `:N`, the sum of what the shell should do (`Do`). Nothing here fails: what
can't be found out has no answers.

Source: https://github.com/spf13/cobra/blob/main/site/content/completions/_index.md
"""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from heeler.cli.helm.flags import Flag, HelmError, parse, read_flags
from heeler.cli.helm.frame import COMMANDS, Call, find, flags_of, help_source

ASKED, ASKED_PLAINLY = "__complete", "__completeNoDesc"


class Do(enum.IntFlag):
    """What a shell does with the answers; its members' names are printed."""

    Default = 0
    Error = 1
    NoSpace = 2
    NoFileComp = 4


#: (word, what it is)
Entry = tuple[str, str]
Answers = tuple[list[Entry], Do]

_NO_MORE: Answers = (
    [("_activeHelp_ This command does not take any more arguments (but may accept flags).", "")],
    Do.NoFileComp,
)
_NOTHING: Answers = ([], Do.NoFileComp)
_FILES: Answers = ([], Do.Default)
_FORMATS = (
    ("json", "Output result in JSON format"),
    ("table", "Output result in human-readable format"),
    ("yaml", "Output result in YAML format"),
)
_PLACES = (
    *(("oci://", "Chart OCI prefix"), ("https://", "Chart URL prefix"), ("http://", "Chart URL prefix")),
    ("file://", "Chart local URL prefix"),
)
_HERE = (("./", "Relative path prefix to local chart"), ("/", "Absolute path prefix to local chart"))
#: Files of a folder that are named at most.
MAX_FILES = 1000


def complete(call: Call, words: list[str], *, described: bool) -> int:
    """Print the answers for the last of `words`, which may be empty."""
    if not words:
        raise HelmError("requires at least 1 arg(s), only received 0")
    try:
        entries, do = _answers(call, words[:-1], words[-1])
    except (HelmError, OSError, ValueError):
        entries, do = _FILES
    for word, meaning in entries:
        call.write(f"{word}\t{meaning}\n" if meaning and described else f"{word}\n")
    call.write(f":{int(do)}\n")
    named = ", ".join(f"ShellCompDirective{one.name}" for one in Do if one and one in do) or "ShellCompDirectiveDefault"
    call.say(f"Completion ended with directive: {named}")
    return 0


def _answers(call: Call, before: list[str], word: str) -> Answers:
    path, rest = find(before)
    table = {flag.name: flag for flag in flags_of(path)}
    if rest and (flag := _waiting(rest[-1], table)) is not None:
        call.flags, call.arguments = parse(table.values(), rest[:-1], lambda line: None)
        return _values(call, path, flag)
    call.flags, call.arguments = parse(table.values(), rest, lambda line: None)
    if word.startswith("--") and "=" in word:
        named = table.get(word[2:].partition("=")[0])
        return _FILES if named is None else _values(call, path, named)
    if word.startswith("-"):
        return _flags(call, path, word), Do.NoFileComp
    if path == "help":
        path, call.arguments = find(call.arguments)
    if not path or not COMMANDS[path].where:
        if call.arguments:
            if not path:
                call.say(f"[Debug] [Error] unable to find a command for arguments: [{' '.join(call.arguments)}]")
            return _FILES
        return _below(call, path, word), Do.NoFileComp
    return _arguments(call, path, word)


def _waiting(word: str, table: Mapping[str, Flag]) -> Flag | None:
    """The flag whose value comes next."""
    if not word.startswith("-") or "=" in word:
        return None
    letters = {flag.shorthand: flag for flag in table.values() if flag.shorthand}
    flag = table.get(word[2:]) if word.startswith("--") else letters.get(word[-1:])
    return flag if flag is not None and flag.bare is None else None


# ---- commands and flags ----------------------------------------------------------------------------------------------

_COMMAND = re.compile(r"^  (\S+)\s+(.+)$")
_FLAG = re.compile(r"^\s+(?:-(\S), |    )--([\w-]+)(?: \S+)?\s{2,}(.+)$")


def _below(call: Call, path: str, word: str) -> list[Entry]:
    """The commands right below `path`, by its help."""
    listed = help_source(path).partition("Available Commands:\n")[2].partition("\n\n")[0]
    found = [(match[1], match[2]) for line in listed.split("\n") if (match := _COMMAND.match(line))]
    if not path:
        from heeler.cli.helm.plugins import commands

        found = sorted([*found, *commands(call)])
    return [entry for entry in found if entry[0].startswith(word)]


def _flags(call: Call, path: str, word: str) -> list[Entry]:
    """The flags that may still come: the global ones, then the command's."""
    usages: dict[str, str] = {}
    for name in (path, "global"):
        for line in help_source(name).split("\n"):
            if (match := _FLAG.match(line)) is not None:
                usages.setdefault(match[2], re.sub(r" \(default .*\)$", "", match[3]))
    everywhere = {flag.name for flag in read_flags(help_source("global"))}
    table = sorted(flags_of(path), key=lambda flag: (flag.name not in everywhere, flag.name))
    found: list[Entry] = []
    for flag in table:
        repeated = flag.kind in ("strings", "stringArray", "postRendererArgsSlice", "stringToString")
        if flag.name not in usages or (call.flags.changed(flag.name) and not repeated):
            continue
        found.append((f"--{flag.name}", usages[flag.name]))
        if flag.shorthand:
            found.append((f"-{flag.shorthand}", usages[flag.name]))
    return [entry for entry in found if entry[0].startswith(word)]


def _values(call: Call, path: str, flag: Flag) -> Answers:
    if flag.kind == "format":
        return list(_FORMATS), Do.NoFileComp
    if flag.name == "kube-context":
        return [(name, "") for name in _contexts(call)], Do.NoFileComp
    if flag.name == "version" and (chart := _chart_of(path, call.arguments)):
        return _versions(call, chart), Do.NoFileComp
    if flag.name in ("revision", "color", "colour"):
        words = ("never", "auto", "always") if flag.name != "revision" else ()
        return [(one, "") for one in words], Do.NoFileComp
    return _FILES


def _chart_of(path: str, arguments: Sequence[str]) -> str:
    place = 1 if path in ("install", "upgrade", "template") and len(arguments) > 1 else 0
    takes = path.startswith("show ") or path in ("install", "upgrade", "template", "pull")
    return arguments[place] if takes and len(arguments) > place else ""


def _versions(call: Call, chart: str) -> list[Entry]:
    from heeler.cli.helm.repositories import load_index
    from heeler.packages.charts.chart import ChartError

    repository, _, name = chart.partition("/")
    try:
        listed = load_index(call, repository, name)
    except (ChartError, OSError):
        return []
    found = []
    for entry in listed.entries.get(name, ()):
        parts = [f"App: {entry.metadata.app_version}"] if entry.metadata.app_version else []
        try:
            made = datetime.fromisoformat(entry.created)
            parts.append(f"Created: {made:%B} {made.day}, {made.year}")
        except ValueError:
            pass
        parts += ["(deprecated)"] if entry.metadata.deprecated else []
        found.append((entry.metadata.version, ", ".join(parts)))
    return found


def _contexts(call: Call) -> Iterator[str]:
    import yaml

    from heeler.cli.helm.settings import home

    environment = call.environment
    given = call.flags.text("kubeconfig") or environment.get("KUBECONFIG") or f"{home(environment)}/.kube/config"
    for file in filter(None, given.split(":")):
        try:
            content = yaml.safe_load(call.path(file).read_bytes())
        except (OSError, yaml.YAMLError):
            continue
        for one in (content.get("contexts") or ()) if isinstance(content, dict) else ():
            if isinstance(one, dict) and one.get("name"):
                yield str(one["name"])


# ---- arguments -------------------------------------------------------------------------------------------------------


def _arguments(call: Call, path: str, word: str) -> Answers:
    """What a command's next argument may be."""
    given = call.arguments
    if path in ("install", "template"):
        return _charts(call, word) if len(given) == 1 else _NOTHING
    if path == "upgrade":
        steps = (_releases, _charts)
        return steps[len(given)](call, word) if len(given) < len(steps) else _NO_MORE
    most = COMMANDS[path].most
    if (most is not None and len(given) >= most) or path in ("plugin list",):
        return _NO_MORE
    if path.startswith("show "):
        return _charts(call, word)
    handler = _HANDLERS.get(path)
    return _FILES if handler is None else handler(call, word)


def _releases(call: Call, word: str) -> Answers:
    from heeler.cli.helm.releases import session

    with session(call) as found:
        names = {release.name: f"{release.status}" for release in found.run(found.storage.all())}
    listed = [(name, names[name]) for name in sorted(names) if name.startswith(word) and name not in call.arguments]
    return listed, Do.NoFileComp


def _one_release(call: Call, word: str) -> Answers:
    return _NOTHING if call.arguments else _releases(call, word)


def _repositories(call: Call, word: str) -> Answers:
    from heeler.cli.helm.repositories import known

    listed = [(one.name, one.url) for one in known(call) if one.name not in call.arguments]
    return [entry for entry in listed if entry[0].startswith(word)], Do.NoFileComp


def _plugins(call: Call, word: str) -> Answers:
    from heeler.cli.helm.plugins import installed

    listed = [(one.name, one.short_help) for one in installed(call) if one.name not in call.arguments]
    return [entry for entry in listed if entry[0].startswith(word)], Do.NoFileComp


def _variables(call: Call, word: str) -> Answers:
    from heeler.cli.helm.env import values

    return [(name, "") for name in sorted(values(call))], Do.NoFileComp


def _push(call: Call, word: str) -> Answers:
    if len(call.arguments) == 1:
        return [("oci://", "")], Do.NoSpace | Do.NoFileComp
    return _NOTHING if call.arguments else _FILES


def _pull(call: Call, word: str) -> Answers:
    entries, do = _charts(call, word, files=False)
    return entries, do | Do.NoFileComp


def _charts(call: Call, word: str, *, files: bool = True) -> Answers:
    """Charts of the repositories that were added, how URLs begin, and what lies here."""
    from heeler.cli.helm.repositories import known
    from heeler.cli.helm.settings import place

    if word.startswith((".", "/")) or "://" in word:
        return _FILES
    repositories = {one.name: one.url for one in known(call)}
    name, slash, _ = word.partition("/")
    if slash and name in repositories:
        file = call.path(f"{place(call, 'repository-cache')}/{name}-charts.txt")
        charts = file.read_text().split() if file.is_file() else []
        return [(f"{name}/{chart}", "") for chart in charts if f"{name}/{chart}".startswith(word)], Do.Default
    listed = [(f"{one}/", url) for one, url in repositories.items()]
    listed += [*_PLACES, *(_HERE if files and not word else ())]
    found = [entry for entry in listed if entry[0].startswith(word)]
    if files and word:
        names = sorted(os.listdir(call.cwd))[:MAX_FILES]
        found += [(one, "") for one in names if one.startswith(word)]
    spaced = not any(entry[0].endswith("/") for entry in found)
    return found, Do.Default if spaced else Do.NoSpace


_HANDLERS: Mapping[str, Callable[[Call, str], Answers]] = {
    "repo add": lambda call, word: _NOTHING,
    "registry login": lambda call, word: _NOTHING,
    "registry logout": lambda call, word: _NOTHING,
    "repo remove": _repositories,
    "repo update": _repositories,
    "plugin uninstall": _plugins,
    "plugin update": _plugins,
    "env": _variables,
    "push": _push,
    "pull": _pull,
    "uninstall": _releases,
    "rollback": _one_release,
    **dict.fromkeys(
        (
            *("status", "history", "test", "get all", "get values", "get manifest"),
            *("get hooks", "get notes", "get metadata"),
        ),
        _one_release,
    ),
}
