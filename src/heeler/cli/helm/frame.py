"""Helm's command line: finding the command, help, suggestions, numbers of arguments, errors and exit codes (cobra's rules).

`run_command` is the whole way: find the command → read its flags → help, if that is asked for → check the number of
arguments → import the command's module and call its function with a `Call`.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from heeler.cli.helm.extensions import FLAGS
from heeler.cli.helm.flags import Flag, Flags, HelmError, parse, read_flags

TEXTS = Path(__file__).parent / "texts"


@dataclass(frozen=True, slots=True)
class Command:
    """A command: where its function is (`module:function`, empty for a group) and how many arguments it takes."""

    where: str = ""
    least: int = 0
    most: int | None = None
    aliases: tuple[str, ...] = ()


#: In the order in which Helm registers them, which is that of suggestions.
COMMANDS: Mapping[str, Command] = {
    "create": Command("create:create", 1, 1),
    "dependency": Command(aliases=("dep", "dependencies")),
    "dependency list": Command("dependency:list_dependencies", 0, 1, ("ls",)),
    "dependency update": Command("dependency:update", 0, 1, ("up",)),
    "dependency build": Command("dependency:build", 0, 1),
    "pull": Command("pull:pull", 1, aliases=("fetch",)),
    "show": Command(aliases=("inspect",)),
    "show all": Command("show:show_all", 1, 1),
    "show readme": Command("show:readme", 1, 1),
    "show values": Command("show:values", 1, 1),
    "show chart": Command("show:chart", 1, 1),
    "show crds": Command("show:crds", 1, 1),
    "lint": Command("lint:lint", 1),
    "package": Command("package:package"),
    "repo": Command(),
    "repo add": Command("repo:add", 2, 2),
    "repo list": Command("repo:list_repositories", 0, 0, ("ls",)),
    "repo remove": Command("repo:remove", 1, aliases=("rm",)),
    "repo index": Command("repo:index", 1, 1),
    "repo update": Command("repo:update", aliases=("up",)),
    "search": Command(),
    "search hub": Command("search:hub"),
    "search repo": Command("search:repo"),
    "verify": Command("verify:verify", 1, 1),
    "get": Command(),
    "get all": Command("get:get_all", 1, 1),
    "get values": Command("get:values", 1, 1),
    "get manifest": Command("get:manifest", 1, 1),
    "get hooks": Command("get:hooks", 1, 1),
    "get notes": Command("get:notes", 1, 1),
    "get metadata": Command("get:metadata", 1, 1),
    "history": Command("history:history", 1, 1, ("hist",)),
    "install": Command("install:install", 1),
    "list": Command("list:list_releases", 0, 0, ("ls",)),
    "test": Command("test:test", 1, 1),
    "rollback": Command("rollback:rollback", 1),
    "status": Command("status:status", 1, 1),
    "template": Command("template:template", 1),
    "uninstall": Command("uninstall:uninstall", 1, aliases=("del", "delete", "un")),
    "upgrade": Command("upgrade:upgrade", 2, 2),
    "env": Command("env:env", 0, 1),
    "version": Command("version:version", 0, 0),
    "registry": Command(),
    "registry login": Command("registry:login", 1),
    "registry logout": Command("registry:logout", 1),
    "push": Command("push:push", 2),
    "plugin": Command(),
    "plugin install": Command("plugin:install", 1, 1),
    "plugin list": Command("plugin:list_plugins", aliases=("ls",)),
    "plugin uninstall": Command("plugin:uninstall", aliases=("rm", "remove")),
    "plugin update": Command("plugin:update", aliases=("up",)),
    "plugin package": Command("plugin:package", 1, 1),
    "plugin verify": Command("plugin:verify", 1, 1),
    "completion": Command(),
    "completion bash": Command("completion:bash", 0, 0),
    "completion zsh": Command("completion:zsh", 0, 0),
    "completion fish": Command("completion:fish", 0, 0),
    "completion powershell": Command("completion:powershell", 0, 0),
    "help": Command(),
}
#: Heeler's own, which Helm's texts don't tell of (`extensions.py`).
OWN_COMMANDS: Mapping[str, Command] = {
    "diff": Command("diff:diff", 1, 2),
    "test-matrix": Command("test_matrix:test_matrix", 1, 1),
}
_ALL: Mapping[str, Command] = {**COMMANDS, **OWN_COMMANDS}


@dataclass
class Call:
    """One call of a command: what it was given, and where its output goes."""

    command: str
    flags: Flags
    arguments: list[str]
    cwd: Path
    environment: Mapping[str, str]
    #: Standard input, which is read once however often it is asked for.
    stdin: Callable[[], bytes] = field(default_factory=lambda: cache(lambda: sys.stdin.buffer.read()))
    out: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    #: Lines of ours that follow Helm's own error.
    explained: list[str] = field(default_factory=list)
    explained_values: bool = False
    #: Values that a release had before, which the caller's come over (`provenance.Layer`).
    values_before: list[Any] = field(default_factory=list)
    #: Whether output and errors go to a terminal.
    out_terminal: bool = False
    errors_terminal: bool = False
    live: bool = False
    #: Charts that were fetched, by name: none is fetched twice.
    located: dict[str, Path] = field(default_factory=dict)

    def path(self, name: str) -> Path:
        """A file that the caller named, from the caller's folder."""
        return self.cwd / name

    def write(self, text: str) -> None:
        self.out.append(text)

    def say(self, line: str) -> None:
        """A line on standard error."""
        self.errors.append(line + "\n")

    def log(self, level: str, message: str, /, **attributes: object) -> None:
        """A line as Helm's logger writes it, `level=WARN msg="…" key=value`; debug lines only with --debug."""
        if level == "DEBUG" and not (self.flags.on("debug") or self.environment.get("HELM_DEBUG")):
            return
        shown = "".join(f" {key}={_logged(value)}" for key, value in attributes.items())
        self.errors.append(f"level={level} msg={_logged(message)}{shown}\n")


_PLAIN = re.compile(r'[^\s"=\\\x00-\x1f\x7f]+\Z')


def _logged(value: object) -> str:
    text = {True: "true", False: "false", None: "<nil>"}.get(value) if isinstance(value, bool | None) else str(value)
    assert text is not None
    if _PLAIN.match(text) and text.isprintable():
        return text
    from heeler.cli.helm.flags import quoted

    return quoted(text)


# ---- texts -----------------------------------------------------------------------------------------------------------


@cache
def _text(name: str) -> str:
    return (TEXTS / f"{name}.txt").read_text()


def help_source(path: str) -> str:
    """A command's help as it is kept, `global` for the flags of all."""
    return _text(path.replace(" ", "_") or "helm")


def help_text(path: str, places: Mapping[str, str]) -> str:
    """A command's help; `places` says what `<HELM_…>` stands for."""
    text = _text(path.replace(" ", "_") or "helm").replace("<global>", _text("global"))
    return re.sub(r"<(H\w+)>", lambda match: places.get(match[1], match[0]), text)


@cache
def flags_of(path: str) -> tuple[Flag, ...]:
    own = read_flags(_text(path.replace(" ", "_") or "helm"), path)
    return (*own, *FLAGS.get(path, ()), *(read_flags(_text("global")) if path else ()))


def usage_line(path: str) -> str:
    match = re.search(r"^Usage:\n  (.*)$", _text(path.replace(" ", "_")), re.MULTILINE)
    assert match is not None
    return match[1]


# ---- finding the command ---------------------------------------------------------------------------------------------


@cache
def _children(path: str) -> dict[str, str]:
    """Names and aliases right below `path`, with the command's own name."""
    found = {}
    for name, command in _ALL.items():
        parent, _, last = name.rpartition(" ")
        if parent == path:
            found.update(dict.fromkeys((last, *command.aliases), last))
    return found


def _first_word(path: str, arguments: list[str]) -> int | None:
    """Where the first argument stands that is no flag and no flag's value, as far as this level knows flags."""
    flags = {flag.name: flag for flag in flags_of(path) if flag.name != "help"}
    letters = {flag.shorthand: flag for flag in flags.values() if flag.shorthand}
    index = 0
    while index < len(arguments):
        word = arguments[index]
        if word == "--":
            return None
        if word.startswith("--") and "=" not in word:
            flag = flags.get(word[2:])
            index += 1 if flag is not None and flag.bare is not None else 2
        elif word.startswith("-") and "=" not in word and len(word) == 2:
            flag = letters.get(word[1])
            index += 1 if flag is not None and flag.bare is not None else 2
        elif word and not word.startswith("-"):
            return index
        else:
            index += 1
    return None


def find(arguments: list[str]) -> tuple[str, list[str]]:
    """(the command's path, its arguments)."""
    path = ""
    while children := _children(path):
        index = _first_word(path, arguments)
        name = children.get(arguments[index]) if index is not None else None
        if index is None or name is None:
            break
        path = f"{path} {name}".strip()
        arguments = arguments[:index] + arguments[index + 1 :]
    return path, arguments


def _distance(one: str, two: str) -> int:
    """How many letters must be added, taken or changed (Levenshtein), without regard to case."""
    one, two = one.lower(), two.lower()
    row = list(range(len(two) + 1))
    for i, left in enumerate(one, 1):
        previous, row[0] = row[0], i
        for j, right in enumerate(two, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (left != right))
    return row[-1]


def _unknown(word: str) -> HelmError:
    shown = f'unknown command "{word}" for "helm"'
    names = [name for name in COMMANDS if " " not in name and name != "help"]
    near = [n for n in names if len(word) < 100 and (_distance(word, n) <= 2 or n.startswith(word.lower()))]
    if near:
        shown += "\n\nDid you mean this?\n" + "".join(f"\t{name}\n" for name in near)
    return HelmError(f"{shown}\nRun 'helm --help' for usage.")


def _check_number(path: str, arguments: list[str]) -> None:
    command, count = _ALL[path], len(arguments)
    if command.least <= count and (command.most is None or count <= command.most):
        return
    if command.most == 0:
        said = "accepts no arguments"
    else:
        bound = command.least or command.most or 0
        how = "" if command.least == command.most else "at least " if command.least else "at most "
        said = f"{'requires' if command.least else 'accepts'} {how}{bound} argument{'' if bound == 1 else 's'}"
    raise HelmError(f'"helm {path}" {said}\n\nUsage:  {usage_line(path)}')


# ---- the way of a call -----------------------------------------------------------------------------------------------


def run_command(
    argv: list[str],
    cwd: str | os.PathLike[str],
    *,
    out_terminal: bool = False,
    errors_terminal: bool = False,
    live: bool = False,
) -> tuple[int, str, str]:
    """(exit code, standard output, standard error) of `helm ARGV…` in the folder `cwd`.

    `live`: what plugins print may go to this process's own streams at once.
    """
    call = Call("", Flags({}), [], Path(cwd), os.environ, out_terminal=out_terminal, errors_terminal=errors_terminal)
    call.live = live
    try:
        code = _run(call, argv)
    except HelmError as error:
        if not error.quiet:
            call.say(f"Error: {error}")
        code = 1
    except RecursionError:  # hundreds of levels: no chart's, and no reason to show Python's stack
        call.say("Error: values or templates nest too deeply")
        code = 1
    except ValueError as error:  # an address or a header that is none, of which nobody before took note
        call.say(f"Error: {error}")
        code = 1
    for line in call.explained:
        call.say(line)
    return code, "".join(call.out), "".join(call.errors)


#: Flags of which one call may have one, and the commands that say so.
_GROUPS = (("force-replace", "force-conflicts"), ("force", "force-conflicts"))
_WITH_GROUPS = ("template", "install", "upgrade", "rollback")


def _check_groups(call: Call) -> None:
    """Raises `HelmError`."""
    for group in _GROUPS if call.command in _WITH_GROUPS else ():
        if all(call.flags.changed(name) for name in group):
            told, given = " ".join(group), " ".join(sorted(group))
            words = f"if any flags in the group [{told}] are set none of the others can be; [{given}] were all set"
            raise HelmError(words)


def _run(call: Call, argv: list[str]) -> int:
    from heeler.cli.helm.settings import places

    if argv[:1] in (["__complete"], ["__completeNoDesc"]):
        from heeler.cli.helm.complete import ASKED, complete

        return complete(call, argv[1:], described=argv[0] == ASKED)
    path, arguments = find(argv)
    if not path and (index := _first_word("", arguments)) is not None:
        from heeler.cli.helm.plugins import command

        if (code := command(call, arguments, index)) is not None:
            return code
        raise _unknown(arguments[index])
    call.command = path
    call.flags, call.arguments = parse(flags_of(path), arguments, call.say)
    if call.flags.text("post-renderer"):
        from heeler.cli.helm.plugins import check_post_renderer

        check_post_renderer(call)
    if call.flags.on("help"):
        call.write(help_text(path, places(call)))
        return 0
    if path == "help":
        return _help(call)
    if not path or not _ALL[path].where:
        call.write(help_text(path, places(call)))
        return 0
    _check_number(path, call.arguments)
    _check_groups(call)
    module, _, name = _ALL[path].where.partition(":")
    try:
        function = getattr(importlib.import_module(f"heeler.cli.helm.{module}"), name)
    except ModuleNotFoundError as error:
        if error.name != f"heeler.cli.helm.{module}":
            raise
        raise HelmError(f"heeler has no `helm {path}` yet") from None
    return int(function(call) or 0)


def _help(call: Call) -> int:
    from heeler.cli.helm.settings import places

    path, left = find(call.arguments)
    if not path and left:
        topics = " ".join(f"`{word}`" for word in left)
        usage = help_text("", places(call)).partition("\nUsage:\n")[2]
        usage = re.sub(r"^  -h, --help .*\n", "", usage, flags=re.MULTILINE)
        call.say(f"Unknown help topic [{topics}]")
        call.errors.append(f"Usage:\n{usage}")
        return 0
    call.write(help_text(path, places(call)))
    return 0
