"""`heeler scheduler`: the scheduler alone, against any API server."""

from __future__ import annotations

from pathlib import Path

import click

from heeler.cli.component import Access, elect_option, kubeconfig_option, run_component, throttle_options
from heeler.cli.flags import set_up_logging


@click.command(epilog="Example: heeler scheduler --kubeconfig scheduler.kubeconfig")
@kubeconfig_option
@elect_option
@throttle_options
@click.option("-v", "--verbose", count=True, help="Log more.")
def scheduler(kubeconfig: Path, leader_elect: bool, kube_api_qps: float, kube_api_burst: int, verbose: int) -> None:
    """Run the scheduler in the foreground until told to stop."""
    from heeler.base.clock import SystemClock
    from heeler.base.random import SystemRandom
    from heeler.client.https import HttpsClient
    from heeler.scheduler.scheduler import Scheduler

    set_up_logging(verbose)

    async def work(client: HttpsClient) -> None:
        await Scheduler(client, clock=SystemClock(), random=SystemRandom()).run()

    run_component(Access(kubeconfig, kube_api_qps, kube_api_burst), "kube-scheduler", leader_elect, work)
