"""`heeler scheduler`: the scheduler alone, against any API server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
    help="A KubeSchedulerConfiguration. What it says of clientConnection and leaderElection goes before other flags.",
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
    from heeler.scheduler.configuration.fields import ConfigurationError, seconds
    from heeler.scheduler.configuration.given import checked
    from heeler.scheduler.scheduler import Scheduler

    set_up_logging(verbose)
    try:
        configuration, others = checked(config.read_text() if config else None)
    except OSError as error:
        fail(f"open {config}: {(error.strerror or str(error)).lower()}", code=1)
    except (ConfigurationError, ValueError) as error:
        fail(str(error), code=1)
    connection = configuration.get("clientConnection") or {}
    access = kubeconfig or (Path(connection["kubeconfig"]) if connection.get("kubeconfig") else None)
    if access is None:
        fail("--kubeconfig is needed, or a --config that names one", code=2)
    given = configuration.get("leaderElection") or {}
    election = LeaderElection(
        given.get("leaderElect", election.on),
        seconds(given["leaseDuration"]) if "leaseDuration" in given else election.lease_duration,
        seconds(given["renewDeadline"]) if "renewDeadline" in given else election.renew_deadline,
        seconds(given["retryPeriod"]) if "retryPeriod" in given else election.retry_period,
        given.get("resourceName") or election.resource_name,
        given.get("resourceNamespace") or election.resource_namespace,
    )
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
