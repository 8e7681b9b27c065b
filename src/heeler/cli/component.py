"""What the components that run alone have in common: a client, a leader's lease, and how they are stopped."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import click

from heeler.cli.flags import fail, switch

kubeconfig_option = click.option(
    "--kubeconfig", type=click.Path(path_type=Path), required=True, help="Access to the API server."
)
elect_option = switch(
    "--leader-elect", default=True, help="Work only while holding the lease, so that several may stand by."
)


def throttle_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--kube-api-qps and --kube-api-burst. Unlike upstream's, our components don't hold back by default: the server's
    flow control does that where it has to."""
    qps = click.option(
        "--kube-api-qps", type=float, default=0.0, help="Requests a second at most; as many as it takes without it."
    )
    burst = click.option(
        "--kube-api-burst",
        type=click.IntRange(min=1),
        default=30,
        show_default=True,
        help="Requests at once before --kube-api-qps holds back.",
    )
    return qps(burst(command))


class Access(NamedTuple):
    """How a component reaches the API server."""

    kubeconfig: Path
    qps: float
    burst: int


def run_component(access: Access, name: str, elect: bool, work: Callable[[Any], Awaitable[None]]) -> None:
    """Run until told to stop (SIGTERM, Ctrl-C); with `elect` only while holding the lease `name`."""
    from heeler.client.kubeconfig import KubeconfigError
    from heeler.objects.status import StatusError

    try:
        asyncio.run(_until_stopped(access, name, elect, work))
    except (KubeconfigError, StatusError, OSError) as error:
        fail(str(error))


async def _until_stopped(access: Access, name: str, elect: bool, work: Callable[[Any], Awaitable[None]]) -> None:
    from heeler.client.https import HttpsClient

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    client = HttpsClient.from_kubeconfig(access.kubeconfig, user_agent=name)
    client.hold_back(access.qps, access.burst)
    running = asyncio.ensure_future(_elected(client, name, work) if elect else work(client))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await client.close()


async def _elected(client: Any, name: str, work: Callable[[Any], Awaitable[None]]) -> None:
    """Work while holding the lease of this name in kube-system."""
    import platform

    from heeler.base.clock import SystemClock
    from heeler.base.random import SystemRandom
    from heeler.client.leases import Election

    clock, random = SystemClock(), SystemRandom()
    identity = f"{platform.node()}_{random.uuid()}"
    election = Election(client, name, identity, clock=clock, random=random)
    await election.run(lambda: work(client))
