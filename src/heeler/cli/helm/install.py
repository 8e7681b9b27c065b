"""`helm install`: so far what it would do (`--dry-run=client`)."""

from __future__ import annotations

from typing import Any

from heeler.base.clock import SystemClock
from heeler.cli.helm.dry_run import mode
from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.printing import as_map, status_text, structured
from heeler.cli.helm.rendering import Outcome, capabilities, load_chart, name_and_chart, prepare
from heeler.packages.releases.records import Hook, Release, chart_json, moment

FAILED = "INSTALLATION FAILED"


def install(call: Call) -> int:
    dry_run = mode(call)
    if call.environment.get("HELM_DRIVER") == "memory":
        from heeler.cli.helm.releases import storage

        storage(call)  # its files must be readable whatever is done with them
    try:
        run_install(call, dry_run, call.arguments)
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
    if dry_run != "client":
        raise HelmError("heeler helm installs into no cluster yet: only --dry-run=client is there")
    outcome = prepare(
        call,
        name,
        chart,
        values,
        capabilities(call),
        include_crds=False,
        hide_secret=flags.on("hide-secret"),
    )
    show(call, _release(outcome, "pending-install"), outcome)


def _release(outcome: Outcome, status: str) -> Release:
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
        description="Dry run complete",
        notes=outcome.notes,
        first_deployed=now,
        last_deployed=now,
        apply_method="ssa",
    )


def show(call: Call, release: Release, outcome: Outcome) -> None:
    """Print a dry run's release."""
    shown: dict[str, Any] = as_map(release, with_chart=True)
    if structured(call, shown):
        return
    debug = call.flags.on("debug")
    call.write(
        status_text(release, values=debug, documents=True, notes=not call.flags.on("hide-notes"), whole=outcome.values)
    )
