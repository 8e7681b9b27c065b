"""`helm install`: a chart becomes a release, in a cluster or as a dry run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from heeler.base.clock import SystemClock
from heeler.cli.helm.dry_run import mode
from heeler.cli.helm.flags import HelmError, UnreachableError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.options import applying, labels, waiting
from heeler.cli.helm.printing import as_map, status_text, structured
from heeler.cli.helm.releases import Session, session, unreachable
from heeler.cli.helm.rendering import (
    Outcome,
    RenderFailed,
    capabilities,
    check_name,
    load_chart,
    name_and_chart,
    prepare,
)
from heeler.packages.charts.chart import Chart
from heeler.packages.releases.records import Hook, Release, chart_json, moment

FAILED = "INSTALLATION FAILED"


def install(call: Call) -> int:
    dry_run = mode(call)
    try:
        if call.environment.get("HELM_DRIVER") == "memory":
            with session(call):
                pass  # its files must be readable whatever is done with them
        run_install(call, dry_run, call.arguments)
    except UnreachableError as error:
        raise HelmError(f"{FAILED}: {unreachable(call, error)}") from None
    except HelmError as error:
        if error.quiet:
            raise
        raise HelmError(f"{FAILED}: {error}") from None
    return 0


def run_install(call: Call, dry_run: str, arguments: list[str]) -> None:
    """Install a chart and print its release. Raises `HelmError`."""
    call.arguments = arguments
    flags = call.flags
    name, given = name_and_chart(call)
    chart, values = load_chart(call, given)
    if flags.on("hide-secret") and dry_run == "none":
        call.log("ERROR", "hiding Kubernetes secrets requires a dry-run mode")
        raise HelmError("hiding Kubernetes secrets requires a dry-run mode")
    if dry_run == "client":
        outcome = _prepared(call, name, chart, values, None)
        show(
            call,
            replace(release_of(outcome, "pending-install"), description="Dry run complete"),
            outcome,
            documents=True,
        )
        return
    with session(call) as found:
        if found.in_memory:
            raise HelmError("HELM_DRIVER=memory keeps nothing: install with --dry-run=client")
        _install(call, found, name, chart, values, dry_run)


def _install(call: Call, found: Session, name: str, chart: Chart, values: dict[str, Any], dry_run: str) -> None:
    """Install into a cluster, or ask it what would come of that."""
    from heeler.packages.releases import install as action

    flags, doing = call.flags, found.doing
    options = action.Options(
        waiting(call),
        applying(call),
        create_namespace=flags.on("create-namespace"),
        replace=flags.on("replace"),
        rollback_on_failure=flags.on("rollback-on-failure"),
        no_hooks=flags.on("no-hooks"),
        description=flags.text("description"),
    )
    check_name(call, name)
    version = 1
    if dry_run == "none":
        try:
            version = found.run(action.check_name(doing, name, replacing=flags.on("replace")))
        except HelmError as error:
            call.log("ERROR", "release name check failed", error=str(error))
            raise HelmError(f"release name check failed: {error}") from None
        if not flags.on("skip-crds"):
            definitions = action.documents_of([data for _, _, data in chart.crds()])
            found.run(action.definitions(doing, definitions, options.applying))
    outcome = _prepared(call, name, chart, values, found, version)
    release = replace(release_of(outcome, "pending-install"), version=version, labels=labels(call))
    if dry_run == "server":
        found.run(action.check(doing, release, options.applying))
        show(call, replace(release, description="Dry run complete"), outcome, documents=True)
        return
    release = found.run(action.install(doing, release, options))
    show(call, release, outcome, documents=flags.on("debug"))


def _prepared(
    call: Call, name: str, chart: Chart, values: dict[str, Any], found: Session | None, version: int = 1
) -> Outcome:
    known = capabilities(call, found)
    hide = call.flags.on("hide-secret")
    return prepare(
        call, name, chart, values, known, include_crds=False, revision=version, session=found, hide_secret=hide
    )


def release_of(outcome: Outcome, status: str) -> Release:
    """The record of what was rendered."""
    now = moment(SystemClock().time())
    return Release(
        name=outcome.name,
        namespace=outcome.namespace,
        version=1,
        status=status,
        chart=chart_json(outcome.chart),
        config=outcome.config,
        manifest=outcome.manifest,
        hooks=tuple(
            Hook(
                hook.name,
                hook.kind,
                hook.path,
                hook.manifest,
                tuple(hook.events),
                hook.weight,
                tuple(hook.delete_policies),
                tuple(hook.output_log_policies),
            )
            for hook in outcome.hooks
        ),
        notes=outcome.notes,
        first_deployed=now,
        last_deployed=now,
        apply_method="ssa",
    )


def show(call: Call, release: Release, outcome: Outcome, *, documents: bool) -> None:
    """Print a release; `documents`: with its manifest and hooks, as a dry run's."""
    shown: dict[str, Any] = as_map(release, with_chart=True)
    if structured(call, shown):
        return
    debug = call.flags.on("debug")
    notes = not call.flags.on("hide-notes")
    call.write(status_text(release, values=debug, documents=documents, notes=notes, whole=outcome.values))


__all__ = ["RenderFailed", "install", "release_of", "run_install", "show"]
