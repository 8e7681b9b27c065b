"""`helm upgrade`: a release gets another chart or other values; with --install it is made if it isn't there."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from heeler.base.clock import SystemClock
from heeler.cli.helm.dry_run import mode
from heeler.cli.helm.flags import HelmError, UnreachableError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.install import release_of, run_install, show
from heeler.cli.helm.locate import locate
from heeler.cli.helm.options import applying, labels, waiting
from heeler.cli.helm.releases import Session, is_name, session
from heeler.cli.helm.rendering import capabilities, load_chart, prepare
from heeler.cli.helm.values_flags import collect
from heeler.packages.charts.chart import Chart
from heeler.packages.charts.values import coalesce_tables
from heeler.packages.releases.records import Release, moment

FAILED = "UPGRADE FAILED"


def upgrade(call: Call) -> int:
    name, given = call.arguments
    dry_run = mode(call)
    install = call.flags.on("install")
    try:
        if not install:  # what is wrong with the chart is told before the cluster is asked
            locate(call, given)
            collect(call)
        return _upgrade_or_install(call, name, given, dry_run, install)
    except UnreachableError as error:
        raise HelmError(str(error) if install else f"{FAILED}: {error}") from None


def _upgrade_or_install(call: Call, name: str, given: str, dry_run: str, install: bool) -> int:
    with session(call, most=call.flags.number("history-max")) as found:
        if install:
            last = found.last(name)
            if last is None or last.status == "uninstalled":
                if not call.flags.changed("output") or call.flags.text("output") == "table":
                    call.write(f'Release "{name}" does not exist. Installing it now.\n')
                run_install(call, dry_run, [name, given])
                return 0
            locate(call, given)
            collect(call)
        if not is_name(name):
            raise HelmError(f"{FAILED}: release name is invalid: {name}")
        try:
            _upgrade(call, found, name, given, dry_run)
        except HelmError as error:
            raise HelmError(f"{FAILED}: {error}") from None
    return 0


def _upgrade(call: Call, found: Session, name: str, given: str, dry_run: str) -> None:
    from heeler.packages.releases import upgrade as action

    flags = call.flags
    if flags.on("hide-secret") and dry_run == "none":
        raise HelmError("hiding Kubernetes secrets requires a dry-run mode")
    last, current = found.run(action.before(found.doing, name))
    if found.in_memory and dry_run == "none":
        raise HelmError("HELM_DRIVER=memory keeps nothing: upgrade with --dry-run=client")
    chart, values = load_chart(call, given)
    values = reused(call, chart, values, current)
    outcome = prepare(
        call,
        name,
        chart,
        values,
        capabilities(call, None if dry_run == "client" else found),
        include_crds=False,
        is_upgrade=True,
        revision=last.version + 1,
        hide_secret=flags.on("hide-secret"),
        session=None if dry_run == "client" else found,
    )
    asked = applying(call, last.apply_method)
    release = replace(
        release_of(outcome, "pending-upgrade"),
        version=last.version + 1,
        first_deployed=current.first_deployed,
        last_deployed=moment(SystemClock().time()),
        labels=labels(call, current.labels),
        apply_method=asked.method,
    )
    if dry_run == "none":
        options = action.Options(
            waiting(call),
            asked,
            rollback_on_failure=flags.on("rollback-on-failure"),
            cleanup_on_fail=flags.on("cleanup-on-fail"),
            no_hooks=flags.on("no-hooks"),
            description=flags.text("description"),
        )
        release = found.run(action.upgrade(found.doing, current, release, options))
    else:
        if dry_run == "server":
            found.run(found.doing.targets(release.manifest))
        release = replace(release, description="Dry run complete")
    if flags.text("output") not in ("json", "yaml"):
        call.write(f'Release "{name}" has been upgraded. Happy Helming!\n')
    show(call, release, outcome, documents=dry_run != "none" or flags.on("debug"))


def reused(call: Call, chart: Chart, values: dict[str, Any], current: Release) -> dict[str, Any]:
    """The values to use: what was given, over what the release had as far as flags want that (in place for the chart's own)."""
    from heeler.cli.helm.printing import computed

    def warn(message: str) -> None:
        call.log("INFO", message)

    flags = call.flags
    before = copy.deepcopy(dict(current.config))
    if not flags.on("reset-values"):
        from heeler.packages.charts.origins import Layer

        if flags.on("reuse-values"):
            call.values_before.append(Layer(f"computed values of revision {current.version}", computed(current)))
        if flags.on("reuse-values") or flags.on("reset-then-reuse-values") or not values:
            call.values_before.append(Layer(f"values of revision {current.version}", before))
    if flags.on("reset-values"):
        return values
    if flags.on("reuse-values"):
        chart.values = computed(current)
        return coalesce_tables(values, before, warn)
    if flags.on("reset-then-reuse-values"):
        return coalesce_tables(values, before, warn)
    return values or before
