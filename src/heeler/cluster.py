"""A cluster's control plane in one process: the list of its parts, started in order, stopped in reverse.

    async with heeler.Cluster(simulated_nodes=3) as cluster:
        await cluster.client.list(PODS)

As a library it keeps everything in memory (or in `data_dir`) and serves HTTPS on a free port as well, so that kubectl can
look in. `heeler up` runs the same class in a process of its own and adds real nodes (`heeler.local`).
"""

from __future__ import annotations

import contextlib
import logging
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from heeler.apiserver.authenticate.service_accounts import ServiceAccountTokens
from heeler.apiserver.run import Options, running
from heeler.apiserver.server import ApiServer
from heeler.apiserver.user import MASTERS, User, authenticated, service_account
from heeler.base import pki
from heeler.base.clock import Clock, SystemClock
from heeler.base.part import Part
from heeler.base.pki import Renewing
from heeler.base.random import Random, SystemRandom
from heeler.base.tasks import Tasks
from heeler.client.client import Client
from heeler.in_process import InProcessClient
from heeler.local import certificates
from heeler.local.layout import Layout, Owner, Spec, real_names, simulated_names
from heeler.objects.value import GroupVersionResource
from heeler.store.open import open_store

if TYPE_CHECKING:
    from heeler.kubelet.simulated import SimulatedNodes
    from heeler.scheduler.configuration.given import Given

log = logging.getLogger(__name__)

NODES = GroupVersionResource("", "v1", "nodes")
PODS = GroupVersionResource("", "v1", "pods")
#: A node that is taken away has no pods when so many looks, so many seconds apart, find none; looks at the most.
QUIET_LOOKS, LOOK_SECONDS, LOOKS = 3, 0.1, 100
ADMIN = authenticated("heeler-admin", "", (MASTERS,))
SCHEDULER = authenticated("system:kube-scheduler")


@dataclass(slots=True)
class Context:
    """What parts are started with."""

    server: ApiServer
    spec: Spec
    #: PEM of the authority that signed the API server's certificate.
    root_ca: str
    tasks: Tasks
    clock: Clock
    random: Random
    #: What certificate requests are signed with; None signs none.
    authority: pki.KeyPair | None = None
    #: The simulated nodes, once they run.
    simulated: SimulatedNodes | None = None
    #: The API server's own, where it serves HTTPS.
    certificate: Renewing | None = None

    def client(self, user: User, agent: str) -> Client:
        return InProcessClient(self.server, user, user_agent=agent)


async def _supervised(name: str, run: Callable[[], Awaitable[None]], clock: Clock) -> None:
    """Run a part for ever: a defect in it is logged and it starts anew, the others go on."""
    wait = 0.5
    while True:
        began = clock.monotonic()
        try:
            await run()
            return
        except Exception:
            log.exception("the %s failed; it starts again in %.1f s", name, wait)
        await clock.sleep(wait)
        wait = 0.5 if clock.monotonic() - began > 300 else min(30.0, wait * 2)


def signing(authority: pki.KeyPair, clock: Clock) -> Callable[[bytes, tuple[str, ...], float], bytes]:
    """Signs certificate requests with an authority."""

    def sign(request: bytes, usages: tuple[str, ...], seconds: float) -> bytes:
        return pki.sign_request(authority, request, usages, seconds, clock.time())

    return sign


async def _controllers(context: Context) -> None:
    from heeler.controllers.list import run
    from heeler.controllers.loop import Settings

    tokens = context.server.service_accounts
    settings = Settings(
        root_ca=context.root_ca,
        sign=tokens.sign if isinstance(tokens, ServiceAccountTokens) else None,
        sign_certificate=signing(context.authority, SystemClock()) if context.authority else None,
    )

    def client(account: str) -> Client:
        return context.client(service_account("kube-system", account), "kube-controller-manager")

    async def work() -> None:
        await run(client, clock=context.clock, random=context.random, settings=settings)

    context.tasks.spawn(_supervised("controller-manager", work, context.clock), "controller-manager")


async def _scheduler(context: Context) -> None:
    from heeler.scheduler.configuration.given import checked
    from heeler.scheduler.scheduler import Scheduler

    client = context.client(SCHEDULER, "kube-scheduler")
    given, others = checked(context.spec.scheduler_config or None)

    async def work() -> None:
        made = Scheduler(client, clock=context.clock, random=context.random, configuration=given, others=others)
        await made.run()

    context.tasks.spawn(_supervised("scheduler", work, context.clock), "scheduler")


async def _simulated_nodes(context: Context) -> None:
    from heeler.kubelet.simulated import Shape, start

    await _settle_simulated(context)
    if not context.spec.simulated_nodes:
        return

    def client(node: str) -> Client:
        return context.client(authenticated(f"system:node:{node}", "", ("system:nodes",)), "kubelet")

    # beside real nodes the upper half of the pods' range is theirs
    mixed = bool(context.spec.nodes)
    shape = Shape(pod_network="10.244.128.0/17" if mixed else "10.0.0.0/9", mixed=mixed)
    context.simulated = await start(
        simulated_names(context.spec),
        client,
        context.tasks,
        reader=context.client(SCHEDULER, "kubelet"),  # one watch of all pods for all nodes
        clock=context.clock,
        random=context.random,
        shape=shape,
    )


async def _settle_simulated(context: Context) -> None:
    """Simulated nodes of an earlier start that are no longer wanted go, with their pods; those that stay are kept from (or
    opened to) ordinary pods as the cluster is now."""
    from heeler.kubelet.simulated import TAINT, is_simulated

    client, wanted = context.client(ADMIN, "heeler"), set(simulated_names(context.spec))
    nodes = [node for node in (await client.list(NODES)).items if is_simulated(node)]
    unwanted = [node["metadata"]["name"] for node in nodes if node["metadata"]["name"] not in wanted]
    await _take_away(client, unwanted, context.clock)
    for node in nodes:
        name = node["metadata"]["name"]
        if name in unwanted:
            continue
        others = [t for t in (node.get("spec") or {}).get("taints") or () if t.get("key") != TAINT["key"]]
        taints = [*others, TAINT] if context.spec.nodes else others
        if taints != ((node.get("spec") or {}).get("taints") or []):
            await client.patch(NODES, name, {"spec": {"taints": taints}})


async def _take_away(client: Client, nodes: list[str], clock: Clock) -> None:
    """Delete nodes, then their pods, until no pod that the scheduler had in hand comes to them any more."""
    for name in nodes:
        await client.delete(NODES, name)
    quiet = 0
    for _ in range(LOOKS if nodes else 0):
        quiet += 1
        for name in nodes:
            for pod in (await client.list(PODS, field_selector=f"spec.nodeName={name}")).items:
                await client.delete(PODS, pod["metadata"]["name"], pod["metadata"]["namespace"], grace_seconds=0)
                quiet = 0
        if quiet >= QUIET_LOOKS:
            return
        await clock.sleep(LOOK_SECONDS)


#: The parts of a control plane, in the order of their start. Each returns once it has begun.
PARTS: tuple[Part[Context], ...] = (
    Part("controller-manager", _controllers, needs=("apiserver",)),
    Part("scheduler", _scheduler, needs=("apiserver",)),
    Part("simulated-nodes", _simulated_nodes, needs=("apiserver",)),
)


async def start_parts(
    context: Context, started: Callable[[str], None] = lambda _: None, without: Collection[str] = ()
) -> None:
    """Start everything beside the API server but `without`; `started` is told each part that has begun."""
    for part in PARTS:
        if part.name not in without:
            await part.start(context)
            started(part.name)


class Cluster:
    """One control plane. Enter it with `async with`; `client` is the administrator's, `kubeconfig` a file for kubectl.

    `without`: parts that don't run, since upstream's or others run in their place ("controller-manager", "scheduler",
    "simulated-nodes"). `scheduler_config`: a KubeSchedulerConfiguration, as a file (Path), YAML or an object (apiVersion and
    kind may be left out). Raises ValueError for a part that there isn't; what is wrong with a configuration is raised at the
    start.
    """

    def __init__(
        self,
        *,
        name: str = "heeler",
        simulated_nodes: int = 1,
        data_dir: Path | None = None,
        port: int = 0,
        clock: Clock | None = None,
        random: Random | None = None,
        without: Collection[str] = (),
        scheduler_config: Given | None = None,
    ) -> None:
        unknown = set(without) - {part.name for part in PARTS}
        if unknown:
            raise ValueError(f"no part {', '.join(sorted(unknown))}; there are {', '.join(p.name for p in PARTS)}")
        self._without = tuple(without)
        spec = Spec(name=name, nodes=0, simulated_nodes=simulated_nodes, port=port)
        self._spec, self._scheduler_config = spec, scheduler_config
        self._data_dir = data_dir
        self._clock = clock or SystemClock()
        self._random = random or SystemRandom()
        self._stack = contextlib.AsyncExitStack()
        self._context: Context | None = None
        self._kubeconfig = Path()

    async def __aenter__(self) -> Cluster:
        folder = self._data_dir
        if folder is None:
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="heeler-")))
        layout = Layout(folder)
        layout.prepare(_me())
        if self._scheduler_config is not None:
            from heeler.scheduler.configuration.given import text_of

            self._spec = replace(self._spec, scheduler_config=text_of(self._scheduler_config))
        self._kubeconfig = layout.admin_kubeconfig
        plane = control_plane(
            layout,
            self._spec,
            durable=self._data_dir is not None,
            clock=self._clock,
            random=self._random,
            without=self._without,
        )
        try:
            self._context = await self._stack.enter_async_context(plane)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def _entered(self) -> Context:
        if self._context is None:
            raise RuntimeError("the cluster isn't started: use `async with heeler.Cluster() as cluster`")
        return self._context

    @property
    def client(self) -> Client:
        """The administrator's client, in this process."""
        return self._entered.client(ADMIN, "heeler")

    def client_as(self, user: User) -> Client:
        """A client of somebody else."""
        return self._entered.client(user, "heeler")

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig of the administrator, for kubectl and clients of other languages."""
        _ = self._entered
        return self._kubeconfig

    @property
    def port(self) -> int:
        return self._entered.spec.port

    def __repr__(self) -> str:
        state = f"port={self.port}" if self._context else "not started"
        return f"<Cluster {self._spec.name} {state}>"


def _me() -> Owner:
    import os

    return Owner(os.geteuid(), os.getegid(), Path.home())


@contextlib.asynccontextmanager
async def control_plane(
    layout: Layout,
    spec: Spec,
    *,
    durable: bool,
    clock: Clock,
    random: Random,
    started: Callable[[str], None] = lambda _: None,
    without: Collection[str] = (),
) -> AsyncIterator[Context]:
    """Run the API server and all parts but `without`. `started` is told each part that has begun."""
    bound = None
    if spec.port == 0:  # any port, held from here on: another cluster could take it otherwise
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        bound.bind(("127.0.0.1", 0))
        spec = replace(spec, port=bound.getsockname()[1])
    certificates.prepare(layout, spec, real_names(spec), clock)
    store = open_store(layout.store if durable else None)
    keys = layout.pki
    options = Options(
        cert_dir=keys,
        secure_port=spec.port,
        tls_cert_file=keys / "apiserver.crt",
        tls_private_key_file=keys / "apiserver.key",
        client_ca_file=keys / "ca.crt",
        service_account_issuer="https://kubernetes.default.svc.cluster.local",
        service_account_signing_key_file=keys / "sa.key",
        service_cluster_ip_range=spec.service_cidr,
        kubelet_client_certificate=keys / "apiserver-kubelet-client.crt",
        kubelet_client_key=keys / "apiserver-kubelet-client.key",
        kubelet_certificate_authority=keys / "ca.crt",
        proxy_client_cert_file=keys / "front-proxy-client.crt",
        proxy_client_key_file=keys / "front-proxy-client.key",
        requestheader_client_ca_file=keys / "front-proxy-ca.crt",
        requestheader_allowed_names=(certificates.FRONT_PROXY,),
        warn_not_enforced=True,
        resource_metrics=True,
        local_path=True,
        bound=bound,
    )
    try:
        async with running(options, store, clock=clock, random=random) as found, Tasks() as tasks:
            started("apiserver")
            authority = pki.KeyPair.load(keys / "ca.crt", keys / "ca.key")
            context = Context(
                found.server, spec, authority.certificate.decode(), tasks, clock, random, authority=authority
            )
            context.certificate = found.certificate
            await start_parts(context, started, without)
            yield context
    finally:
        await store.close()
        if bound is not None:
            bound.close()
