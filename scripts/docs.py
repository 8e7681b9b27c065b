"""Write what of the documentation is made from the code: docs/reference/ and the man page.

python scripts/docs.py           # write
python scripts/docs.py --check   # exit code 1 and the names of files that are out of date
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from heeler import __version__
from heeler.cli.commands import COMMANDS, cli
from heeler.cli.helm.extensions import ABOUT, FLAGS, WHERE_USED
from heeler.cli.helm.frame import OWN_COMMANDS, help_text
from heeler.kinds.registry import built_in
from heeler.testing import cluster as fresh
from heeler.testing import pytest_plugin
from heeler.testing.clock import TestClock

ROOT = Path(__file__).parent.parent
MADE = "<!-- Made by scripts/docs.py from the code; change it there. -->\n"


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that is shown, with its full name, groups before what is in them."""
    context = click.Context(cli)
    for name, entry in COMMANDS.items():
        if not entry[2]:
            continue
        command = cli.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            for child in sorted(command.commands):
                yield f"{name} {child}", command.commands[child]


def options(command: click.Command) -> Iterator[tuple[str, str]]:
    """Each option and argument as help shows it, and what it does."""
    context = click.Context(command)
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            record = parameter.get_help_record(context)
            if record is not None:
                yield record


def usage(name: str, command: click.Command) -> str:
    pieces = command.collect_usage_pieces(click.Context(command))
    return f"heeler {name} {' '.join(pieces)}"


def text_of(command: click.Command) -> str:
    return inspect.cleandoc(command.help or "")


def commands_page() -> str:
    out = [
        MADE,
        "# Commands\n",
        "Every command has `--help`. Exit codes: 0 done, 1 it failed, 2 the call is wrong, 130 interrupted.\n",
    ]
    for name, command in commands():
        out.append(f"## heeler {name}\n\n    {usage(name, command)}\n\n{text_of(command)}\n")
        rows = list(options(command))
        if rows:
            out.append("| option | |\n|---|---|")
            out += [f"| `{_cell(left)}` | {_cell(right)} |" for left, right in rows]
            out.append("")
        if command.epilog:
            example, *rest = command.epilog.split("\n\n")
            out.append("\n\n".join([f"Example: `{example.removeprefix('Example: ')}`", *rest]) + "\n")
        if name == "helm":
            for own, call, text, rows in helm_extensions():
                out.append(f"### heeler helm {own}\n\n    {call}\n\n{text}\n\n| option | |\n|---|---|")
                out += [f"| `{_cell(left)}` | {_cell(right)} |" for left, right in rows]
                out.append("")
            out.append("### Flags that Helm doesn't have\n\n| option | |\n|---|---|")
            out += [f"| `{_cell(left)}` | {_cell(right)} |" for left, right in helm_flags()]
            out.append("")
    return "\n".join(out)


def helm_extensions() -> Iterator[tuple[str, str, str, list[tuple[str, str]]]]:
    """Heeler's own commands below `heeler helm`: name, usage, what they do, and their flags."""
    for name in OWN_COMMANDS:
        whole = help_text(name, {})
        text, _, rest = whole.partition("\nUsage:\n")
        call = rest.partition("\n")[0].strip()
        lines = rest.partition("\nFlags:\n")[2].partition("\nGlobal Flags:\n")[0].splitlines()
        rows = [tuple(part.strip() for part in line.strip().split("   ", 1)) for line in lines if line.strip()]
        yield name, f"heeler {call}", text.strip(), [(left, right) for left, right in rows]


def helm_flags() -> Iterator[tuple[str, str]]:
    for name, about in ABOUT.items():
        flag = next(one for flags in FLAGS.values() for one in flags if one.name == name)
        shown = f"--{name}" if flag.bare else f"--{name} {flag.kind}"
        yield shown, f"{about} ({', '.join(WHERE_USED[name])})"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def kinds_page() -> str:
    out = [MADE, "# Kinds\n", "What the API server serves before any custom resource is defined.\n"]
    out += ["| kind | group | versions | short names | namespaced |", "|---|---|---|---|---|"]
    for kind in sorted(built_in(), key=lambda k: (k.group, k.kind)):
        short = ", ".join(kind.short_names)
        scope = "yes" if kind.namespaced else ""
        out.append(f"| {kind.kind} | {kind.group or 'core'} | {', '.join(kind.versions)} | {short} | {scope} |")
    return "\n".join([*out, ""])


def testing_page() -> str:
    out = [MADE, "# The fixtures\n", inspect.cleandoc(pytest_plugin.__doc__ or ""), ""]
    for name in ("cluster", "shared_cluster", "kubeconfig"):
        fixture = getattr(pytest_plugin, name)
        function = getattr(fixture, "_fixture_function", None) or inspect.unwrap(fixture)
        out.append(f"## {name}\n\n{inspect.cleandoc(function.__doc__ or '')}\n")
    for title, found in (("FreshCluster", fresh.FreshCluster), ("TestClock", TestClock)):
        out.append(f"## {title}\n\n{inspect.cleandoc(found.__doc__ or '')}\n")
        out += _members(found)
    return "\n".join(out)


def _members(found: type) -> Iterator[str]:
    for name, member in vars(found).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            yield f"### {name}\n\n{inspect.cleandoc(member.__doc__ or '')}\n"
        elif inspect.isfunction(member):
            signature = str(inspect.signature(member)).replace("(self, ", "(").replace("(self)", "()")
            plain = signature.replace("'", "")
            yield f"### {name}\n\n    {name}{plain}\n\n{inspect.cleandoc(member.__doc__ or '')}\n"


def man_page() -> str:
    out = [
        '.\\" Made by scripts/docs.py from the code.',
        f'.TH HEELER 1 "" "heeler {__version__}" "User Commands"',
        ".SH NAME\nheeler \\- Kubernetes from the laptop to production, in one program",
        ".SH SYNOPSIS\n.B heeler\n.I command\n[\\fIoptions\\fR]",
        ".SH COMMANDS",
    ]
    for name, command in commands():
        out.append(f".SS {_roff(usage(name, command))}\n{_roff(text_of(command))}")
        for left, right in options(command):
            out.append(f".TP\n.B {_roff(left)}\n{_roff(right)}")
        if command.epilog:
            out.append(f".PP\n{_roff(command.epilog)}")
        if name == "helm":
            for _, call, text, rows in helm_extensions():
                out.append(f".SS {_roff(call)}\n{_roff(text)}")
                out += [f".TP\n.B {_roff(left)}\n{_roff(right)}" for left, right in rows]
            out.append(".SS Flags that Helm doesn't have")
            out += [f".TP\n.B {_roff(left)}\n{_roff(right)}" for left, right in helm_flags()]
    out += [
        ".SH FILES\n.TP\n.I ~/.local/share/heeler/clusters/NAME\nA cluster's files.",
        ".TP\n.I ~/.cache/heeler\nImages that were built.",
        ".SH EXIT STATUS\n0 done, 1 it failed, 2 the call is wrong, 130 interrupted.",
        ".SH SEE ALSO\n.BR kubectl (1)",
    ]
    return "\n".join(out) + "\n"


def _roff(text: str) -> str:
    lines = []
    for line in text.replace("\\", "\\e").replace("-", "\\-").split("\n"):
        lines.append(f"\\&{line}" if line.startswith((".", "'")) else line or ".PP")
    return "\n".join(lines)


PAGES = {
    "docs/reference/commands.md": commands_page,
    "docs/reference/kinds.md": kinds_page,
    "docs/reference/testing.md": testing_page,
    "docs/man/heeler.1": man_page,
}


def main() -> int:
    old = []
    for name, make in PAGES.items():
        path, text = ROOT / name, make()
        if not path.exists() or path.read_text() != text:
            old.append(name)
            if "--check" not in sys.argv:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    for name in old:
        print(name)
    return 1 if old and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
