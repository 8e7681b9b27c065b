"""`helm template`: a chart's documents on standard output, or as files below `--output-dir`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from heeler.cli.helm.flags import HelmError, UnreachableError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.rendering import (
    Outcome,
    RenderFailed,
    capabilities,
    hooks_shown,
    load_chart,
    name_and_chart,
    prepare,
)

if TYPE_CHECKING:
    from heeler.cli.helm.releases import Session


def template(call: Call) -> int:
    flags = call.flags
    if flags.on("validate") or flags.text("dry-run") == "server":
        from heeler.cli.helm.releases import session, unreachable

        try:
            with session(call) as found:
                return _template(call, found)
        except UnreachableError as error:
            raise HelmError(unreachable(call, error)) from None
    return _template(call, None)


def _template(call: Call, found: Session | None) -> int:
    """Print what is rendered; `found` is asked what it thinks of it, where there is one."""
    flags = call.flags
    known = capabilities(call, found)
    name, given = name_and_chart(call, "release-name")
    chart, values = load_chart(call, given)
    try:
        outcome = prepare(
            call,
            name,
            chart,
            values,
            known,
            include_crds=flags.on("include-crds"),
            is_upgrade=flags.on("is-upgrade"),
            session=found,
        )
    except RenderFailed as error:
        if not flags.on("debug"):
            raise HelmError(f"{error}\n\nUse --debug flag to render out invalid YAML") from None
        call.write(f"{error.manifest.strip()}\n")
        raise HelmError(str(error)) from None
    if found is not None and not found.in_memory:
        from heeler.cli.helm.install import release_of
        from heeler.packages.releases import install as action
        from heeler.packages.releases.doing import Applying

        found.run(action.check(found.doing, release_of(outcome, "pending-install"), Applying()))
    if flags.text("output-dir"):
        _write_files(call, outcome)
        return 0
    text = outcome.manifest.strip() + "\n"
    if not flags.on("no-hooks"):
        for hook in hooks_shown(outcome.hooks, flags.on("skip-tests")):
            text += f"---\n# Source: {hook.path}\n{hook.manifest}\n"
    if wanted := flags.many("show-only"):
        _show_only(call, text, wanted)
    else:
        call.write(text)
    return 0


_SOURCE = re.compile(r"# Source: [^/]+/(.+)")


def _show_only(call: Call, text: str, wanted: list[str]) -> None:
    """The documents of the files that `--show-only` names, in that order; names may be patterns."""
    from heeler.packages.charts.ignore import glob
    from heeler.packages.charts.manifests import split

    documents = []
    for document in split(text):
        match = _SOURCE.search(document)
        if match is not None:
            documents.append((match[1].strip("\r"), document))
    chosen = []
    for pattern in wanted:
        path = pattern.replace("\\", "/")
        try:
            compiled = glob(path)
        except ValueError:
            compiled = re.compile(r"(?!)")
        found = [document for name, document in documents if compiled.fullmatch(name)]
        if not found:
            raise HelmError(f"could not find template {pattern} in chart")
        chosen += found
    for document in chosen:
        call.write(f"---\n{document}\n")


def _write_files(call: Call, outcome: Outcome) -> None:
    """Each document into the file that its template's path names; later ones of the same file are appended."""
    flags = call.flags
    folder = flags.text("output-dir")
    if flags.on("release-name"):
        folder = f"{folder}/{outcome.name}"
    written: set[str] = set()

    def write(path: str, content: str) -> None:
        shown = f"{folder}/{path}"
        target = call.path(shown)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("a" if path in written else "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(f"---\n# Source: {path}\n{content}\n")
        except OSError as error:
            raise HelmError(f"open {shown}: {(error.strerror or '').lower()}") from None
        written.add(path)
        call.write(f"wrote {shown}\n")

    if flags.on("include-crds"):
        for path, _, data in outcome.chart.crds():
            write(path, data.decode("utf-8", "surrogateescape"))
    for one in outcome.manifests:
        write(one.path, one.content)
    if not flags.on("no-hooks"):
        for hook in hooks_shown(outcome.hooks, flags.on("skip-tests")):
            write(hook.path, hook.manifest)
    call.write("\n")
