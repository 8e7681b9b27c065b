"""`heeler scheduler`: the scheduler alone, against any API server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from heeler.cli.component import (
    Access,
    LeaderElection,
    election_options,
    run_component,
    serving_options,
    throttle_options,
)
from heeler.cli.flags import fail, set_up_logging, verbosity

if TYPE_CHECKING:
    from heeler.client.component_server import Serving
    from heeler.objects.value import Object


#: What leaderElection calls the fields of `LeaderElection`.
FIELDS = ("leaderElect", "leaseDuration", "renewDeadline", "retryPeriod", "resourceName", "resourceNamespace")


def _said(election: LeaderElection) -> Object:
    """What flags say of the election: parts of a configuration's leaderElection."""
    from heeler.objects import go_duration

    source, given = click.get_current_context().get_parameter_source, click.core.ParameterSource.COMMANDLINE
    flags = ("leader_elect", *(f"leader_elect_{name}" for name in LeaderElection._fields[1:]))
    return {
        field: go_duration.text(round(value * 1e9)) if isinstance(value, float) else value
        for flag, field, value in zip(flags, FIELDS, election, strict=True)
        if source(flag) is given
    }


@click.command(epilog="Example: heeler scheduler --kubeconfig scheduler.kubeconfig --config scheduler.yaml")
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path),
    default=None,
    help="Access to the API server; without it the one that --config names.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=None,
    help="A KubeSchedulerConfiguration. --kubeconfig and --leader-elect… go before what it says, if they are given.",
)
@election_options
@throttle_options
@serving_options
@verbosity
def scheduler(
    kubeconfig: Path | None,
    config: Path | None,
    election: LeaderElection,
    kube_api_qps: float,
    kube_api_burst: int,
    serving: Serving,
    verbose: int,
) -> None:
    """Run the scheduler in the foreground until told to stop."""
    import platform

    from heeler.base.clock import SystemClock
    from heeler.base.random import SystemRandom
    from heeler.client.https import HttpsClient
    from heeler.scheduler.configuration.fields import DURATIONS, ConfigurationError, seconds
    from heeler.scheduler.configuration.given import checked
    from heeler.scheduler.scheduler import Scheduler

    set_up_logging(verbose)
    try:
        configuration, others = checked(config.read_text() if config else None, _said(election))
    except OSError as error:
        fail(f"open {config}: {(error.strerror or str(error)).lower()}", code=1)
    except (ConfigurationError, ValueError) as error:
        fail(str(error), code=1)
    connection = configuration.get("clientConnection") or {}
    access = kubeconfig or (Path(connection["kubeconfig"]) if connection.get("kubeconfig") else None)
    if access is None:
        fail("--kubeconfig is needed, or a --config that names one", code=2)
    chosen = configuration["leaderElection"]
    values: list[Any] = [seconds(chosen[name]) if name in DURATIONS else chosen[name] for name in FIELDS]
    election = LeaderElection(*values)
    running: list[Scheduler] = []
    pages = {
        "/healthz": lambda: "ok",
        "/livez": lambda: "ok",
        "/readyz": lambda: "ok",
        "/metrics": lambda: running[0].measures.text(running[0]) if running else "",
    }

    async def work(client: HttpsClient) -> None:
        made = Scheduler(
            client,
            clock=SystemClock(),
            random=SystemRandom(),
            host=platform.node(),
            configuration=configuration,
            others=others,
        )
        running[:] = [made]
        await made.run()

    how = Access(access, connection.get("qps") or kube_api_qps, connection.get("burst") or kube_api_burst)
    run_component(how, "kube-scheduler", election, work, serving, pages)
