"""A whole control plane in simulated time: store in memory, API server, controllers, scheduler, simulated nodes.

One seed decides everything that is drawn (names, uids, faults, the order of what happens at once), so that a run is the
same every time, and a failure can be run again. Nothing here uses threads, sockets or files. Each program is a `Process`
that can be killed in the middle of anything and started again with nothing but what is in the store.

    async def story(cluster: Simulation) -> None: ...
    told = simulate_cluster(story, seed=7)
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from heeler.apiserver.cache import encode
from heeler.apiserver.loops.compaction import compact_for_ever
from heeler.apiserver.server import ApiServer
from heeler.apiserver.server import Settings as ServerSettings
from heeler.apiserver.user import MASTERS, User, authenticated, service_account
from heeler.base.clock import EPOCH, LoopClock
from heeler.base.loop import simulate
from heeler.base.random import SeededRandom
from heeler.base.tasks import Tasks, settled
from heeler.client.client import Client
from heeler.client.faulty import Faults, FaultyClient, Link
from heeler.controllers import list as controllers
from heeler.controllers.loop import Settings
from heeler.in_process import InProcessClient
from heeler.kinds.registry import Kinds
from heeler.kubelet.simulated import Shape, SimulatedNodes
from heeler.objects.status import StatusError
from heeler.scheduler.scheduler import Scheduler
from heeler.store.memory import MemoryStore
from heeler.store.store import Change, Entry, StoreError
from heeler.testing.simulation.disk import Disk, Slowness

T = TypeVar("T")

#: Nobody goes wrong.
CALM = Faults(refused=0, lost=0, busy=0, expired=0, broken=0, delay=0)
QUICK = Slowness()
#: The programs, by the names under which they are killed and started.
APISERVER, CONTROLLERS, SCHEDULER, NODES = "apiserver", "controller-manager", "scheduler", "nodes"
PROCESSES = (APISERVER, CONTROLLERS, SCHEDULER, NODES)
SERVER = ServerSettings(authorization_modes=("Node", "RBAC"), resource_metrics=True, local_path=True)
SCHEDULER_USER = authenticated("system:kube-scheduler")
ADMIN = authenticated("admin", groups=(MASTERS,))
#: Seconds between the tries of somebody who doesn't give up, and tries.
PERSIST_SECONDS, PERSIST_TRIES = 1.0, 600


@dataclass(frozen=True, slots=True)
class Told:
    """What a run wrote to the store: how much, and a hash of every write (equal for equal histories)."""

    writes: int
    digest: str


class History:
    """Listens to the store and adds up what is written."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._writes = 0

    def __call__(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._hash.update(f"{change.type} {change.key} {change.revision}\n".encode())
            self._hash.update(change.value)
            self._writes += 1

    def told(self) -> Told:
        return Told(self._writes, self._hash.hexdigest())


class Defects(logging.Handler):
    """Errors with a stack trace in the log: a part went on, but something in it is broken."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            error = record.exc_info[1]
            self.found.append(f"{record.name}: {record.getMessage()}: {type(error).__name__}: {error}")


class Process:
    """One program of the cluster. Its clock can be set, its link to the API server can go wrong."""

    def __init__(self, name: str, plane: Simulation, body: Callable[[Process], Coroutine[Any, Any, None]]) -> None:
        self.name, self.clock = name, LoopClock(plane.epoch)
        self._plane, self._body = plane, body
        self._clients: list[tuple[FaultyClient, User, str]] = []
        self._task: Any = None
        self.link = Link(name, plane.faults)

    @property
    def running(self) -> bool:
        return self._task is not None

    def start(self) -> None:
        """Start it anew, unless it runs."""
        if self._task is None:
            self.link = Link(self.name, self._plane.faults, straggler=self._plane.leave)
            self._task = self._plane.tasks.spawn(self._body(self), self.name)

    async def kill(self) -> None:
        """It is gone at once: nothing that it was about to send is sent (but see `Faults.straggling`)."""
        if self._task is not None:
            task, self._task = self._task, None
            self.link.cut = True
            self._clients.clear()
            task.cancel()
            await settled(task)

    def client(self, user: User, agent: str) -> Client:
        """A client of this process; it finds the server wherever it was started again."""
        made = FaultyClient(
            self._plane.connect(user, agent),
            random=self._plane.random,
            clock=self._plane.clock,
            link=self.link,
            caller=user.name,
        )
        self._clients.append((made, user, agent))
        return made

    def server_changed(self) -> None:
        for client, user, agent in self._clients:
            client.client = self._plane.connect(user, agent)


class Simulation:
    """What a story has to do with: a client with all rights, the clock, the nodes, the weather, the processes.

    `client` never goes wrong but while the API server is down; `clock` is never set.
    """

    def __init__(
        self,
        store: MemoryStore,
        random: SeededRandom,
        tasks: Tasks,
        *,
        nodes: Sequence[str],
        faults: Faults = CALM,
        shape: Shape | None = None,
        shapes: Mapping[str, Shape] | None = None,
        settings: Settings | None = None,
        epoch: float = EPOCH,
    ) -> None:
        self.store, self.random, self.tasks, self.epoch = store, random, tasks, epoch
        self.clock = LoopClock(epoch)
        self.faults, self.slowness = faults, QUICK
        self.settings = settings or Settings(root_ca="simulated", workers=2)
        self.defects = Defects()
        self._shape = shape
        self._server: ApiServer | None = None
        self._disk: Disk | None = None
        self._up = False
        self._kinds: Kinds | None = None
        self._clocks = {APISERVER: LoopClock(epoch)}
        self._processes = {
            CONTROLLERS: Process(CONTROLLERS, self, self._run_controllers),
            SCHEDULER: Process(SCHEDULER, self, self._run_scheduler),
            NODES: Process(NODES, self, self._run_nodes),
        }
        self._clocks |= {name: process.clock for name, process in self._processes.items()}
        self._admin = FaultyClient(None, random=random, clock=self.clock, link=Link("admin", CALM))
        agents = self._processes[NODES]
        agents.link = Link(NODES, faults, straggler=self.leave)
        self.nodes = SimulatedNodes(
            list(nodes),
            self._node_client,
            agents.client(SCHEDULER_USER, "kubelet"),
            clock=agents.clock,
            shape=shape,
            shapes=shapes,
            random=random,
        )

    # processes

    async def begin(self) -> None:
        """Start everything."""
        await self._start_server()
        for process in self._processes.values():
            process.start()

    async def end(self) -> None:
        await self._stop_server()

    async def kill(self, name: str) -> None:
        """Kill a process (see PROCESSES; nodes are killed one by one, see `nodes`). Raises KeyError."""
        if name == APISERVER:
            await self._stop_server()
        else:
            await self._processes[name].kill()

    async def start(self, name: str) -> None:
        """Start a process that was killed. Raises KeyError."""
        if name == APISERVER:
            await self._start_server()
        else:
            self._processes[name].start()

    def set_clock(self, name: str, by: float) -> None:
        """A process' clock is set forward, or back, by so many seconds. Raises KeyError."""
        self._clocks[name].set(by)

    def weather(self, faults: Faults, slowness: Slowness = QUICK) -> None:
        """From now on clients of controllers, scheduler and nodes go wrong like this, and the store is so slow."""
        self.faults, self.slowness = faults, slowness
        for process in self._processes.values():
            process.link.faults = faults
        if self._disk is not None:
            self._disk.slowness = slowness

    @property
    def server(self) -> ApiServer:
        if self._server is None:
            raise ConnectionRefusedError("simulated: the API server is down")
        return self._server

    @property
    def kinds(self) -> Kinds:
        """What the API server serves, or served when it was last up."""
        assert self._kinds is not None, "the cluster has begun"
        return self._kinds

    @property
    def client(self) -> Client:
        return self._admin

    def connect(self, user: User, agent: str) -> Client | None:
        """A connection to the API server that runs now; None: there is none."""
        return InProcessClient(self._server, user, user_agent=agent) if self._server is not None and self._up else None

    def check_shared(self) -> None:
        """The server shares its objects with who is in its process. Raises AssertionError where somebody changed one."""
        for cache in self._server.cache if self._server is not None else ():
            for item in cache.items.values():
                if not item.parsed or item.kind.webhook is not None or encode(item.object()) == item.value:
                    continue
                if item.object() != item.fresh():
                    raise AssertionError(f"{item.key} was changed by who read it: copy it before that")

    def leave(self, work: Coroutine[Any, Any, None]) -> None:
        """What a dead process still had on its way."""
        try:
            self.tasks.spawn(work, "straggler")
        except RuntimeError:
            return  # everything ends

    async def _start_server(self) -> None:
        if self._server is not None:
            return
        disk = Disk(self.store, clock=self.clock, random=self.random, slowness=self.slowness)
        server = ApiServer(disk, clock=self._clocks[APISERVER], random=self.random, settings=SERVER)
        self._server, self._disk, self._kinds = server, disk, server.kinds
        try:
            await server.start()
        except StoreError:
            if self._server is server:
                raise
            return  # killed while it started
        self._up = self._server is server
        self._server_changed()

    async def _stop_server(self) -> None:
        server, disk = self._server, self._disk
        if server is None or disk is None:
            return
        self._server = self._disk = None
        self._up = False
        disk.cut()
        self._server_changed()
        for cache in server.cache:  # whoever waits for an event learns that the connection broke off
            for watcher in cache.watchers:
                watcher.overflown = True
                watcher.wake()
        await server.close()

    def _server_changed(self) -> None:
        self._admin.client = self.connect(ADMIN, "story")
        for process in self._processes.values():
            process.server_changed()

    def _node_client(self, name: str) -> Client:
        user = authenticated(f"system:node:{name}", groups=("system:nodes",))
        return self._processes[NODES].client(user, "kubelet")

    async def _run_controllers(self, process: Process) -> None:
        def make(account: str) -> Client:
            return process.client(service_account("kube-system", account), "kube-controller-manager")

        await controllers.run(make, clock=process.clock, random=self.random, settings=self.settings)

    async def _run_scheduler(self, process: Process) -> None:
        client = process.client(SCHEDULER_USER, "kube-scheduler")
        await Scheduler(client, clock=process.clock, random=self.random).run()

    async def _run_nodes(self, process: Process) -> None:
        await self.nodes.run()

    # stories

    async def until(
        self, condition: Callable[[], Awaitable[bool]], *, seconds: float = 600.0, every: float = 0.25
    ) -> float:
        """Wait for something to become true; the simulated seconds that it took. Raises TimeoutError."""
        start = self.clock.monotonic()
        while not await condition():
            if self.clock.monotonic() - start > seconds:
                raise TimeoutError(f"not true after {seconds} simulated seconds")
            await self.clock.sleep(every)
        return self.clock.monotonic() - start

    async def persist(self, call: Callable[[Client], Awaitable[T]]) -> T:
        """Do something as a person would who tries again while the server is down or busy. Raises StatusError, OSError."""
        for left in range(PERSIST_TRIES - 1, -1, -1):
            try:
                return await call(self._admin)
            except (StatusError, OSError) as error:
                if not left or (isinstance(error, StatusError) and error.code < 429 and error.code != 409):
                    raise
                if isinstance(error, StatusError) and error.reason == "AlreadyExists":
                    raise
            await self.clock.sleep(PERSIST_SECONDS)
        raise AssertionError("unreachable")


Story = Callable[[Simulation], Awaitable[None]]


#: Simulated seconds after which a cluster without nodes has done all that it does by itself (accounts, roles, …).
SETTLED_SECONDS = 5.0
_FIRST: list[Sequence[Entry]] = []


def first_entries() -> Sequence[Entry]:
    """What the store of a settled, empty cluster has: made once in a process, it takes a third of a second."""
    if not _FIRST:

        async def story(cluster: Simulation) -> None:
            await cluster.clock.sleep(SETTLED_SECONDS)
            _FIRST.append(cluster.store.entries())

        simulate(run(story, nodes=0, epoch=EPOCH - 2 * SETTLED_SECONDS))
    return _FIRST[0]


async def run(
    story: Story,
    *,
    seed: int = 0,
    nodes: int | Mapping[str, Shape] = 3,
    faults: Faults = CALM,
    shape: Shape | None = None,
    settings: Settings | None = None,
    entries: Sequence[Entry] = (),
    epoch: float = EPOCH,
) -> Told:
    """Tell a story in the running (simulated) loop. `nodes`: how many, or the shape of each by its name. `entries`: what
    the store begins with (see `first_entries`)."""
    store, history = MemoryStore.of(entries), History()
    store.history.listen(history)
    random = SeededRandom(seed)
    logger = logging.getLogger("heeler")
    names = [f"node-{number}" for number in range(nodes)] if isinstance(nodes, int) else list(nodes)
    shapes = None if isinstance(nodes, int) else nodes
    async with Tasks() as tasks:
        cluster = Simulation(
            store,
            random,
            tasks,
            nodes=names,
            faults=faults,
            shape=shape,
            shapes=shapes,
            settings=settings,
            epoch=epoch,
        )
        logger.addHandler(cluster.defects)
        try:
            await cluster.begin()
            tasks.spawn(compact_for_ever(store, cluster.clock), "compaction")
            await story(cluster)
            cluster.check_shared()
        finally:
            logger.removeHandler(cluster.defects)
            await tasks.stop()
            await cluster.end()
    return history.told()


def simulate_cluster(
    story: Story,
    *,
    seed: int = 0,
    nodes: int | Mapping[str, Shape] = 3,
    faults: Faults = CALM,
    shuffle: bool = False,
    shape: Shape | None = None,
    settings: Settings | None = None,
) -> Told:
    """`run` in a simulated loop of its own. `shuffle`: what is ready at once runs in an order drawn by the seed."""
    order = SeededRandom(seed + 1) if shuffle else None
    entries = first_entries()
    return simulate(
        run(story, seed=seed, nodes=nodes, faults=faults, shape=shape, settings=settings, entries=entries), order
    )
