"""What the components that run alone have in common: a client, a leader's lease, and how they are stopped."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import click

from heeler.cli.flags import duration, fail, switch

if TYPE_CHECKING:
    from heeler.client.component_server import Serving

kubeconfig_option = click.option(
    "--kubeconfig", type=click.Path(path_type=Path), required=True, help="Access to the API server."
)
elect_option = switch(
    "--leader-elect", default=True, help="Work only while holding the lease, so that several may stand by."
)


class LeaderElection(NamedTuple):
    """Whether to wait for a lease, and for which. Times in seconds."""

    on: bool = True
    lease_duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0
    resource_name: str = ""
    resource_namespace: str = "kube-system"


def election_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--leader-elect and what belongs to it; the command gets one `election: LeaderElection`."""

    @functools.wraps(command)
    def with_election(**given: Any) -> Any:
        own = {name: given.pop(f"leader_elect_{name}") for name in LeaderElection._fields[1:]}
        return command(election=LeaderElection(given.pop("leader_elect"), **own), **given)

    called: Callable[..., Any] = with_election
    usual = LeaderElection()
    for name, text in (
        ("resource_namespace", "Where the lease is."),
        ("resource_name", "The lease's name; the component's without it."),
        ("retry_period", "Seconds between two tries to get or renew the lease."),
        ("renew_deadline", "Who leads gives up after so long without a renewal."),
        ("lease_duration", "Others may lead so long after the last renewal."),
    ):
        default: Any = getattr(usual, name)
        how: dict[str, Any] = {"default": default, "show_default": bool(default)}
        if isinstance(default, float):
            how = {"type": duration, "default": f"{default:g}s", "show_default": True}
        flag = f"--leader-elect-{name.replace('_', '-')}"
        called = click.option(flag, f"leader_elect_{name}", help=text, **how)(called)
    locks = click.Choice(["leases"])
    called = click.option(
        "--leader-elect-resource-lock",
        type=locks,
        default="leases",
        expose_value=False,
        help="Leases are all there is.",
    )(called)
    return cast("Callable[..., Any]", elect_option(called))


def serving_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--secure-port and what belongs to it; the command gets one `serving: client.component_server.Serving`."""

    @functools.wraps(command)
    def with_serving(**given: Any) -> Any:
        from heeler.client.component_server import Serving

        serving = Serving(
            given.pop("bind_address"),
            given.pop("secure_port"),
            given.pop("tls_cert_file"),
            given.pop("tls_private_key_file"),
            given.pop("client_ca_file"),
        )
        if (serving.certificate is None) != (serving.key is None):
            fail("--tls-cert-file and --tls-private-key-file belong together", code=2)
        return command(serving=serving, **given)

    called: Callable[..., Any] = with_serving
    path = click.Path(path_type=Path)
    options: tuple[tuple[str, dict[str, Any]], ...] = (
        (
            "--secure-port",
            {"type": click.IntRange(0, 65535), "default": 0, "help": "HTTPS with /healthz and /metrics; 0: none."},
        ),
        ("--bind-address", {"default": "127.0.0.1", "show_default": True, "help": "Address to listen on."}),
        ("--tls-cert-file", {"type": path, "default": None, "help": "Certificate; made at each start without it."}),
        ("--tls-private-key-file", {"type": path, "default": None, "help": "Its key."}),
        ("--client-ca-file", {"type": path, "default": None, "help": "Authority of client certificates."}),
    )
    for flag, how in reversed(options):
        called = click.option(flag, **how)(called)
    return called


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


def run_component(
    access: Access,
    name: str,
    election: LeaderElection,
    work: Callable[[Any], Awaitable[None]],
    serving: Serving,
    pages: Mapping[str, Callable[[], str]],
) -> None:
    """Run until told to stop (SIGTERM, Ctrl-C); with `election` only while holding the lease (`name`, if it has no other).

    `pages` of itself, by path, are served while it waits, too.
    """
    from heeler.client.kubeconfig import KubeconfigError
    from heeler.client.leases import LostLease, Terms
    from heeler.objects.status import StatusError

    try:
        terms = (
            Terms(election.lease_duration, election.renew_deadline, election.retry_period) if election.on else Terms()
        )
    except ValueError as error:
        fail(str(error), code=2)
    try:
        asyncio.run(_until_stopped(access, name, election, terms, work, serving, pages))
    except LostLease as error:
        fail(f"{error}: another one may lead now")
    except (KubeconfigError, StatusError, OSError) as error:
        fail(str(error))


async def _until_stopped(
    access: Access,
    name: str,
    election: LeaderElection,
    terms: Any,
    work: Callable[[Any], Awaitable[None]],
    serving: Serving,
    pages: Mapping[str, Callable[[], str]],
) -> None:
    from heeler.base.clock import SystemClock
    from heeler.client.component_server import ComponentServer
    from heeler.client.https import HttpsClient

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    client = HttpsClient.from_kubeconfig(access.kubeconfig, user_agent=name)
    client.hold_back(access.qps, access.burst)
    server = await ComponentServer(client, pages, clock=SystemClock()).start(serving) if serving.port else None
    running = asyncio.ensure_future(_elected(client, name, election, terms, work) if election.on else work(client))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    if server is not None:
        await server.close()
    await client.close()


async def _elected(
    client: Any, name: str, wanted: LeaderElection, terms: Any, work: Callable[[Any], Awaitable[None]]
) -> None:
    """Work while holding the lease."""
    import platform

    from heeler.base.clock import SystemClock
    from heeler.base.random import SystemRandom
    from heeler.base.tasks import Tasks
    from heeler.client.events import Recorder
    from heeler.client.leases import Election

    clock, random = SystemClock(), SystemRandom()
    identity = f"{platform.node()}_{random.uuid()}"
    events = Recorder(client, name, clock=clock)
    async with Tasks() as tasks:
        tasks.spawn(events.run(), "events of the lease")
        election = Election(
            client,
            wanted.resource_name or name,
            identity,
            namespace=wanted.resource_namespace,
            clock=clock,
            random=random,
            terms=terms,
            tell=lambda lease, message: events.record(lease, "Normal", "LeaderElection", message),
        )
        await election.run(lambda: work(client))
