"""`heeler helm diff`: what an upgrade would change, how the cluster differs from a release, or two manifests side by side.

Not one of Helm's commands. What is compared is found in `packages/releases/difference.py`; here it is rendered and printed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.install import release_of
from heeler.cli.helm.options import applying
from heeler.cli.helm.printing import ordered_json
from heeler.cli.helm.releases import Session, is_name, session
from heeler.cli.helm.rendering import capabilities, load_chart, prepare
from heeler.cli.helm.upgrade import reused
from heeler.cli.helm.values_flags import read_file
from heeler.packages.charts.chart import Chart
from heeler.packages.releases import difference
from heeler.packages.releases.difference import Change, Difference
from heeler.packages.releases.doing import SSA
from heeler.packages.releases.records import Release
from heeler.packages.template.values import GoError

CHANGED = 2

_SIGNS = {"create": "+", "change": "~", "delete": "-", "keep": "=", "none": " "}
_WORDS = {
    "create": "is created",
    "change": "changes",
    "delete": "is deleted",
    "keep": "is kept",
    "none": "stays as it is",
}
_RED, _GREEN, _CYAN, _BOLD, _END = "\x1b[31m", "\x1b[32m", "\x1b[36m", "\x1b[1m", "\x1b[0m"
_ACTIONS = ("create", "change", "delete", "keep", "none")


def diff(call: Call) -> int:
    flags = call.flags
    kind = flags.text("output") or "diff"
    if kind not in ("diff", "json", "yaml"):
        raise HelmError(f'invalid argument "{kind}" for "-o, --output" flag: must be diff, json or yaml')
    if flags.number("context") < 0:
        raise HelmError("--context counts lines: it can't be negative")
    _painter(call)
    found = _of_manifests(call) if flags.on("manifests") else _of_release(call)
    if kind == "diff":
        _print(call, found)
    else:
        _structured(call, found, kind)
    if failing := found.failing:
        parts = []
        if refused := sum(bool(change.problem) for change in failing):
            parts.append(f"{refused} refused")
        if contested := sum(bool(change.conflicts) for change in failing):
            parts.append(f"{contested} with fields of other managers (--force-conflicts takes them over)")
        raise HelmError(f"an upgrade would fail: {_objects(len(failing))}: {', '.join(parts)}")
    return CHANGED if flags.on("exit-code") and not found.is_empty else 0


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count} objects"


# ---- what is compared ----------------------------------------------------------------------------------------------------


def _of_manifests(call: Call) -> Difference:
    if len(call.arguments) != 2:
        raise HelmError('"helm diff --manifests" requires 2 arguments: the files to compare')
    texts = [read_file(call, name).decode("utf-8", "surrogateescape") for name in call.arguments]
    return _between(call, *texts)


def _between(call: Call, old: str, new: str, namespace: str = "", *, hooks: bool = False) -> Difference:
    show = call.flags.on("show-secrets")
    try:
        return difference.between(old, new, namespace=namespace, show_secrets=show, hooks=hooks)
    except GoError as error:
        raise HelmError(f"a manifest can't be read: {error}") from None


def _of_release(call: Call) -> Difference:
    name, *rest = call.arguments
    if not is_name(name):
        raise HelmError(f"release name is invalid: {name}")
    with session(call) as found:
        current = _current(found, name)
        if not rest:
            return _without_chart(call, found, name, current)
        release, chart = _rendered(call, found, name, rest[0], current)
        if call.flags.changed("against-revision"):
            return _of_revisions(call, _revision(call, found, name), release)
        if found.in_memory:
            raise HelmError(
                "HELM_DRIVER=memory has no cluster to compare with: name a revision with --against-revision"
            )
        texts = [data.decode("utf-8", "surrogateescape") for _, _, data in chart.crds()]
        if call.flags.on("skip-crds"):
            texts = []
        to_come = difference.custom_kinds([*texts, release.manifest])
        changes = _live(call, found, current, release, to_come)
        if not call.flags.on("no-hooks"):
            changes.changes += difference.hooks_between(
                current, release, show_secrets=call.flags.on("show-secrets")
            ).changes
        return changes


def _current(found: Session, name: str) -> Release | None:
    """The revision whose objects are there, None for a release that is yet to be installed. Raises `HelmError`."""
    from heeler.packages.releases import upgrade as action

    last = found.last(name)
    if last is None or last.status == "uninstalled":
        return None
    _, current = found.run(action.before(found.doing, name))
    return current


def _without_chart(call: Call, found: Session, name: str, current: Release | None) -> Difference:
    """The cluster, or another revision, beside what the release says."""
    if current is None:
        raise HelmError("release: not found")
    if call.flags.changed("against-revision"):
        return _of_revisions(call, _revision(call, found, name), current)
    if found.in_memory:
        raise HelmError("HELM_DRIVER=memory has no cluster to compare with: name a revision with --against-revision")
    return _live(call, found, current, current, frozenset())


def _revision(call: Call, found: Session, name: str) -> Release:
    return found.run(found.storage.get(name, call.flags.number("against-revision")))


def _of_revisions(call: Call, old: Release, new: Release) -> Difference:
    out = _between(call, old.manifest, new.manifest, new.namespace)
    if not call.flags.on("no-hooks"):
        out.changes += difference.hooks_between(old, new, show_secrets=call.flags.on("show-secrets")).changes
    return out


def _live(
    call: Call, found: Session, current: Release | None, release: Release, to_come: frozenset[tuple[str, str]]
) -> Difference:
    asked = applying(call, current.apply_method if current is not None else SSA)
    return found.run(
        difference.against_cluster(
            found.doing,
            current,
            release,
            asked,
            show_secrets=call.flags.on("show-secrets"),
            kinds_to_come=to_come,
        )
    )


def _rendered(call: Call, found: Session, name: str, given: str, current: Release | None) -> tuple[Release, Chart]:
    """What an upgrade (or an install) would make of the chart."""
    chart, values = load_chart(call, given)
    if current is not None:
        values = reused(call, chart, values, current)
    version = 1 if current is None else found.run(found.storage.last(name)).version + 1
    outcome = prepare(
        call,
        name,
        chart,
        values,
        capabilities(call, found),
        include_crds=False,
        is_upgrade=current is not None,
        revision=version,
        session=found,
    )
    return replace(release_of(outcome, "pending-upgrade"), version=version), chart


# ---- printing --------------------------------------------------------------------------------------------------------------


def _painter(call: Call) -> bool:
    """Whether colours are wanted. Raises `HelmError`."""
    flags, environment = call.flags, call.environment
    given = next((flags.text(name) for name in ("color", "colour") if flags.changed(name)), "")
    given = given or ("never" if environment.get("NO_COLOR") else environment.get("HELM_COLOR") or "auto")
    if given not in ("never", "auto", "always"):
        raise HelmError(f'invalid color mode "{given}": must be one of: never, auto, always')
    return given == "always" or (given == "auto" and call.out_terminal)


def _print(call: Call, found: Difference) -> None:
    colours = _painter(call)

    def painted(text: str, colour: str) -> str:
        return f"{colour}{text}{_END}" if colours else text

    context = call.flags.number("context") if call.flags.changed("context") else difference.CONTEXT
    for change in found.changes:
        if change.action == "none" and not change.fails:
            continue
        sign, words = _SIGNS[change.action], _WORDS[change.action]
        call.write(painted(f"{sign} {change.title} {words}", _BOLD) + "\n")
        if change.note:
            call.write(f"  note: {change.note}\n")
        if change.problem:
            call.write(painted(f"  refused: {change.problem}", _RED) + "\n")
        for conflict in change.conflicts:
            call.write(painted(f'  conflict: {conflict.field} was set by "{conflict.manager}"', _RED) + "\n")
        if change.action != "keep":
            for line in change.lines(context):
                call.write(painted(line, _colour(line)) + "\n" if _colour(line) else line + "\n")
        call.write("\n")
    counted = (("create", "to create"), ("change", "to change"), ("delete", "to delete"))
    parts = [f"{found.count(action)} {words}" for action, words in counted]  # type: ignore[arg-type]
    unchanged = found.count("none") + found.count("keep")
    call.write(f"{', '.join(parts)}, {unchanged} unchanged\n")


def _colour(line: str) -> str:
    if line.startswith(("---", "+++")):
        return _BOLD
    return {"+": _GREEN, "-": _RED, "@": _CYAN}.get(line[:1], "")


def _structured(call: Call, found: Difference, kind: str) -> None:
    """The changes as JSON or YAML; what doesn't change is only counted."""
    shown = [change for change in found.changes if change.action != "none" or change.fails]
    value: dict[str, Any] = {
        "changes": [_row(change) for change in shown],
        "summary": {action: found.count(action) for action in _ACTIONS},  # type: ignore[arg-type]
        "fails": bool(found.failing),
    }
    if kind == "json":
        call.write(ordered_json(value) + "\n")
        return
    from heeler.packages.yaml.write import dump

    call.write(dump(value))


def _row(change: Change) -> dict[str, Any]:
    row: dict[str, Any] = {
        "action": change.action,
        "apiVersion": change.api_version,
        "kind": change.kind,
        "namespace": change.namespace,
        "name": change.name,
        "hook": change.hook,
        "before": change.before,
        "after": change.after,
        "diff": "\n".join(change.lines()),
    }
    if change.problem:
        row["problem"] = change.problem
    if change.note:
        row["note"] = change.note
    if change.conflicts:
        row["conflicts"] = [{"manager": one.manager, "field": one.field} for one in change.conflicts]
    return row
