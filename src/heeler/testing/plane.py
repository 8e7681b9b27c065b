"""A control plane for tests, inside its own event loop: memory store, API server with HTTPS, controllers, scheduler, nodes.

Everything here runs in the loop's thread; `heeler.testing.cluster` is what tests hold. The parts run in the loop's virtual
time, sockets in the real one (`heeler.base.stepped`).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from heeler.apiserver.aggregation.transport import Credentials
from heeler.apiserver.aggregation.trust import Trust
from heeler.apiserver.authenticate.service_accounts import ServiceAccountTokens
from heeler.apiserver.cache import ROOT
from heeler.apiserver.loops.compaction import compact_for_ever
from heeler.apiserver.request import serve
from heeler.apiserver.server import ApiServer
from heeler.apiserver.server import Settings as ServerSettings
from heeler.base import pki
from heeler.base.clock import Clock, SystemClock
from heeler.base.files import memory_file
from heeler.base.random import Random
from heeler.base.stepped import SteppedClock, SteppedLoop
from heeler.base.tasks import Tasks
from heeler.client.kubeconfig import Access
from heeler.cluster import Context, start_parts
from heeler.local.certificates import FRONT_PROXY
from heeler.local.layout import Spec
from heeler.objects.status import StatusError
from heeler.store.memory import MemoryStore
from heeler.wire.http.messages import Request, Response, Upgrade
from heeler.wire.http.server import serve as listen

#: Real seconds without a request, an answer or a watch event after which those outside count as quiet.
QUIET_SECONDS = 0.03
#: Real seconds that those who are connected get before `until` lets time jump.
OUTSIDE_SECONDS = 0.5
#: Real seconds that the cluster may be kept busy before `settle` gives up.
BUSY_SECONDS = 60.0
#: Requests that were refused and are remembered for the report.
REMEMBERED = 50
#: Heartbeats and the addresses of API servers: what a reset leaves alone.
ALIVE = (f"{ROOT}coordination.k8s.io/leases/kube-node-lease/", f"{ROOT}coordination.k8s.io/leases/kube-system/")
CUSTOM_KINDS = f"{ROOT}apiextensions.k8s.io/customresourcedefinitions/"
#: Rounds after which a reset that controllers keep undoing gives up.
RESET_ROUNDS = 8

ISSUER = "https://kubernetes.default.svc.cluster.local"


class Identity(NamedTuple):
    """Keys of all clusters of this process; they live in its memory only."""

    authority: pki.KeyPair
    server: pki.KeyPair
    admin: pki.KeyPair
    #: Signs the certificate with which requests are handed on to other API servers.
    proxy_authority: pki.KeyPair
    proxy: pki.KeyPair
    signing: bytes


@functools.cache
def identity() -> Identity:
    """Made once in a process."""
    now = SystemClock().time()
    authority, proxies = pki.new_authority("heeler-test-ca", now), pki.new_authority("heeler-test-front-proxy-ca", now)
    return Identity(
        authority,
        pki.issue(authority, "kube-apiserver", now, server_names=["localhost", "127.0.0.1", "kubernetes.default.svc"]),
        pki.issue(authority, "heeler-admin", now, organizations=("system:masters",), client=True),
        proxies,
        pki.issue(proxies, FRONT_PROXY, now, client=True),
        pki.new_authority("service-accounts", now).key,  # an RSA key would take a tenth of a second to make
    )


@dataclass(frozen=True, slots=True)
class Refused:
    """A request from outside that was answered with an error."""

    at: float
    method: str
    target: str
    status: int
    message: str


#: A store's content: values by key.
State = dict[str, bytes]


class Plane:
    """One control plane. `started` gives a running one."""

    def __init__(self, context: Context, store: MemoryStore, clock: SteppedClock, loop: SteppedLoop) -> None:
        self.context, self.store, self.clock = context, store, clock
        self.server = context.server
        self.refused: deque[Refused] = deque(maxlen=REMEMBERED)
        self._loop = loop
        self.clients: Callable[[], int] = lambda: 0
        self._outside = 0
        self._activity = 0
        self._settled = 0
        self.initial: State = {}

    # what comes from outside is counted, so that `settle` can wait for it

    async def _handle(self, request: Request) -> Response | Upgrade:
        self._outside += 1
        self._activity += 1
        try:
            answer = await serve(request, self.server)
        finally:
            self._outside -= 1
            self._activity += 1
        if isinstance(answer, Response):
            if answer.status >= 400:
                self._remember(request, answer)
            if not isinstance(answer.body, bytes):
                answer.body = self._counted(answer.body)
        return answer

    async def _counted(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for chunk in body:
                self._activity += 1
                yield chunk
        finally:
            close = getattr(body, "aclose", None)
            if close is not None:
                await close()

    def remember_own(self, error: StatusError) -> None:
        """A refusal of the test's own call."""
        self.refused.append(Refused(self.clock.time(), "(the test)", "", error.code, error.message))

    def _remember(self, request: Request, answer: Response) -> None:
        message = ""
        if isinstance(answer.body, bytes):
            with contextlib.suppress(ValueError):
                found = orjson.loads(answer.body)
                message = str(found.get("message", "")) if isinstance(found, dict) else ""
        self.refused.append(Refused(self.clock.time(), request.method, request.target, answer.status, message))

    # time

    async def settle(self) -> None:
        """Until nobody has anything to do at the present moment. Raises TimeoutError after `BUSY_SECONDS`.

        Those outside are given `QUIET_SECONDS` of real time to react if anything passed between them and the server
        since the last time.
        """
        began = self._loop.time()
        while True:
            await self._loop.quiet()
            seen = self._activity
            if seen == self._settled and not self._busy:
                return
            await asyncio.sleep(QUIET_SECONDS)
            await self._loop.quiet()
            if seen == self._activity and not self._busy:
                self._settled = seen
                return
            if self._loop.time() - began > BUSY_SECONDS:
                raise TimeoutError(
                    f"the cluster isn't quiet after {BUSY_SECONDS:g} s: somebody keeps asking or writing"
                )

    @property
    def _busy(self) -> bool:
        return self._outside > 0 or self.server.seats.under_way > 0

    async def advance(self, seconds: float) -> None:
        """Let virtual time pass, timer by timer."""
        virtual = self._loop.virtual
        virtual.freeze()
        try:
            await self.settle()
            target = virtual.time() + seconds
            while (due := virtual.due()) is not None and due <= target:
                virtual.jump(due)
                await self.settle()
            virtual.jump(target)
            await self.settle()
        finally:
            virtual.thaw()

    async def until(self, condition: Callable[[], bool], timeout: float, patience: float) -> bool:
        """Whether something becomes true within `timeout` virtual seconds and `patience` real ones after them.

        With clients outside, these get a moment of real time before time jumps: an operator isn't done in no time.
        """
        virtual = self._loop.virtual
        await self.settle()
        if condition():
            return True
        if self.clients() and await self._really(condition, OUTSIDE_SECONDS):
            return True
        virtual.freeze()
        try:
            target = virtual.time() + timeout
            while True:
                await self.settle()
                if condition():
                    return True
                due = virtual.due()
                if due is None or due > target:
                    break
                virtual.jump(due)
        finally:
            virtual.thaw()
        return await self._really(condition, patience)

    async def _really(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Whether something becomes true within so many real seconds."""
        end = self._loop.time() + seconds
        while not condition():
            if self._loop.time() >= end:
                return False
            await asyncio.sleep(QUIET_SECONDS)
        return True

    # state

    async def state(self) -> State:
        """All that is stored, but heartbeats."""
        page = await self.store.list("")
        return {entry.key: entry.value for entry in page.entries if not entry.key.startswith(ALIVE)}

    async def reset(self, wanted: State) -> None:
        """Make the stored state what it was. Revisions go on; uids are those of the time. Raises TimeoutError."""
        for _ in range(RESET_ROUNDS):
            await self.settle()
            now = await self.state()
            if now == wanted:
                return
            await self._put_back(now, wanted)
        raise TimeoutError(f"{RESET_ROUNDS} times the state was put back, and each time somebody changed it")

    async def _put_back(self, now: State, wanted: State) -> None:
        """Objects of custom kinds go before their kind and come after it."""
        for key in sorted(now.keys() - wanted.keys(), key=lambda key: key.startswith(CUSTOM_KINDS)):
            entry = await self.store.get(key)
            if entry is not None:
                await self.store.delete(key, entry.revision)
        for key in sorted(wanted, key=lambda key: not key.startswith(CUSTOM_KINDS)):
            entry = await self.store.get(key)
            if entry is None:
                await self.store.create(key, wanted[key])
            elif entry.value != wanted[key]:
                await self.store.update(key, wanted[key], entry.revision)


@contextlib.asynccontextmanager
async def started(nodes: int, random: Random, scheduler_config: str = "") -> AsyncIterator[tuple[Plane, Access]]:
    """A running control plane with so many simulated nodes, and how its administrator reaches it. `scheduler_config`: a
    KubeSchedulerConfiguration as YAML, "" for the defaults."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteppedLoop)
    real: Clock = SystemClock()
    clock = SteppedClock(loop, real.time())
    keys, store = identity(), MemoryStore()
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    stack = contextlib.ExitStack()
    try:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        settings = ServerSettings(
            service_cluster_ip_range="10.96.0.0/16",
            service_account_issuer=ISSUER,
            authorization_modes=("Node", "RBAC"),
            advertise_port=port,
            resource_metrics=True,
            local_path=True,
        )
        server = ApiServer(store, clock=clock, random=random, settings=settings)
        tokens = ServiceAccountTokens(
            issuer=ISSUER,
            audiences=(ISSUER,),
            signing_key=keys.signing,
            lookup=server.lookup,
            clock=real,
            random=random,
            used=server.legacy_tokens.used,
        )
        server.service_accounts = tokens
        server.token_sources.append(tokens)
        server.aggregator.transport.credentials = Credentials(
            stack.enter_context(memory_file("front-proxy.crt", keys.proxy.certificate)),
            stack.enter_context(memory_file("front-proxy.key", keys.proxy.key)),
        )
        server.trust = Trust(
            keys.authority.certificate.decode(), keys.proxy_authority.certificate.decode(), (FRONT_PROXY,)
        )
        with (
            memory_file("ca.crt", keys.authority.certificate) as authority,
            memory_file("apiserver.crt", keys.server.certificate) as certificate,
            memory_file("apiserver.key", keys.server.key) as key,
        ):
            tls = pki.server_context(certificate, key, authority)
        await server.start()
        try:
            async with Tasks() as tasks:
                spec = Spec(
                    name="heeler-test",
                    nodes=0,
                    simulated_nodes=nodes,
                    port=port,
                    scheduler_config=scheduler_config,
                )
                context = Context(
                    server,
                    spec,
                    keys.authority.certificate.decode(),
                    tasks,
                    clock,
                    random,
                    authority=keys.authority,
                )
                plane = Plane(context, store, clock, loop)
                listener = await listen(plane._handle, tls=tls, bound=bound)
                plane.clients = functools.partial(len, listener.connections)
                try:
                    tasks.spawn(compact_for_ever(store, clock), "compaction")
                    await start_parts(context)
                    await plane.settle()
                    plane.initial = await plane.state()
                    access = Access(
                        server=f"https://127.0.0.1:{port}",
                        authority=keys.authority.certificate,
                        certificate=keys.admin.certificate,
                        key=keys.admin.key,
                    )
                    yield plane, access
                finally:
                    await listener.close(grace_seconds=0.2)
        finally:
            await server.close()
    finally:
        stack.close()
        bound.close()
