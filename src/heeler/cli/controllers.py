"""`heeler controller-manager` and `heeler scheduler`: each alone, against any API server."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click

from heeler.cli.flags import fail, set_up_logging

kubeconfig_option = click.option(
    "--kubeconfig", type=click.Path(path_type=Path), required=True, help="Access to the API server."
)
elect_option = click.option(
    "--leader-elect/--no-leader-elect",
    default=True,
    show_default=True,
    help="Work only while holding the lease, so that several may stand by.",
)


@click.command(epilog="Example: heeler controller-manager --kubeconfig controller-manager.kubeconfig")
@kubeconfig_option
@elect_option
@click.option(
    "--controllers", default="*", show_default=True, help="Comma-separated: * all, NAME that one, -NAME not that one."
)
@click.option(
    "--root-ca-file",
    type=click.Path(path_type=Path),
    default=None,
    help="Authority that is published to pods (kube-root-ca.crt).",
)
@click.option(
    "--service-account-private-key-file",
    type=click.Path(path_type=Path),
    default=None,
    help="Signs the tokens that are kept in Secrets; without it none are made.",
)
@click.option(
    "--cluster-signing-cert-file",
    type=click.Path(path_type=Path),
    default=None,
    help="Authority that signs approved certificate requests; without it none are signed.",
)
@click.option("--cluster-signing-key-file", type=click.Path(path_type=Path), default=None, help="Its key.")
@click.option(
    "--use-service-account-credentials", is_flag=True, help="Act as a service account of its own in each controller."
)
@click.option("-v", "--verbose", count=True, help="Log more.")
def controller_manager(
    kubeconfig: Path,
    leader_elect: bool,
    controllers: str,
    root_ca_file: Path | None,
    service_account_private_key_file: Path | None,
    cluster_signing_cert_file: Path | None,
    cluster_signing_key_file: Path | None,
    use_service_account_credentials: bool,
    verbose: int,
) -> None:
    """Run the controllers in the foreground until told to stop."""
    from heeler.apiserver.authenticate.service_accounts import signer
    from heeler.base.clock import SystemClock
    from heeler.base.pki import KeyPair
    from heeler.base.random import SystemRandom
    from heeler.client.client import Client
    from heeler.client.https import HttpsClient
    from heeler.cluster import signing
    from heeler.controllers.list import chosen, run
    from heeler.controllers.loop import Settings

    set_up_logging(verbose)
    try:
        entries = chosen([n.strip() for n in controllers.split(",")])
        root = root_ca_file.read_text() if root_ca_file else ""
        key = service_account_private_key_file
        sign = signer(key.read_bytes()) if key else None
        sign_certificate = None
        if cluster_signing_cert_file or cluster_signing_key_file:
            if not (cluster_signing_cert_file and cluster_signing_key_file):
                fail("--cluster-signing-cert-file and --cluster-signing-key-file belong together", code=2)
            authority = KeyPair.load(cluster_signing_cert_file, cluster_signing_key_file)
            sign_certificate = signing(authority, SystemClock())
    except (ValueError, OSError) as error:
        fail(str(error), code=2)

    async def work(client: HttpsClient) -> None:
        made: dict[str, Client] = {}

        def make(name: str) -> Client:
            if not use_service_account_credentials:
                return client
            if name not in made:
                made[name] = client.as_service_account("kube-system", name)
            return made[name]

        await run(
            make,
            clock=SystemClock(),
            random=SystemRandom(),
            settings=Settings(root_ca=root, sign=sign, sign_certificate=sign_certificate),
            controllers=entries,
        )

    _run(kubeconfig, "kube-controller-manager", leader_elect, work)


@click.command(epilog="Example: heeler scheduler --kubeconfig scheduler.kubeconfig")
@kubeconfig_option
@elect_option
@click.option("-v", "--verbose", count=True, help="Log more.")
def scheduler(kubeconfig: Path, leader_elect: bool, verbose: int) -> None:
    """Run the scheduler in the foreground until told to stop."""
    from heeler.base.clock import SystemClock
    from heeler.base.random import SystemRandom
    from heeler.client.https import HttpsClient
    from heeler.scheduler.scheduler import Scheduler

    set_up_logging(verbose)

    async def work(client: HttpsClient) -> None:
        await Scheduler(client, clock=SystemClock(), random=SystemRandom()).run()

    _run(kubeconfig, "kube-scheduler", leader_elect, work)


def _run(kubeconfig: Path, name: str, elect: bool, work: Callable[[Any], Awaitable[None]]) -> None:
    from heeler.client.kubeconfig import KubeconfigError
    from heeler.objects.status import StatusError

    try:
        asyncio.run(_until_stopped(kubeconfig, name, elect, work))
    except (KubeconfigError, StatusError, OSError) as error:
        fail(str(error))


async def _until_stopped(kubeconfig: Path, name: str, elect: bool, work: Callable[[Any], Awaitable[None]]) -> None:
    from heeler.client.https import HttpsClient

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    client = HttpsClient.from_kubeconfig(kubeconfig, user_agent=name)
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
