"""A whole control plane in simulated time: store in memory, API server, controllers, scheduler, simulated nodes.

One seed decides everything that is drawn (names, uids, faults, the order of what happens at once), so that a run is the
same every time, and a failure can be run again. Nothing here uses threads, sockets or files.

    async def story(cluster: Simulation) -> None: ...
    history = simulate_cluster(story, seed=7)
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from heeler.apiserver.server import ApiServer
from heeler.apiserver.server import Settings as ServerSettings
from heeler.apiserver.user import MASTERS, User, authenticated, service_account
from heeler.base.clock import LoopClock
from heeler.base.loop import simulate
from heeler.base.random import SeededRandom
from heeler.base.tasks import Tasks
from heeler.client.client import Client
from heeler.client.faulty import Faults, FaultyClient
from heeler.controllers import list as controllers
from heeler.controllers.loop import Settings
from heeler.in_process import InProcessClient
from heeler.kubelet.simulated import Shape, SimulatedNodes
from heeler.objects.value import Object, Revision
from heeler.scheduler.scheduler import Scheduler
from heeler.store.memory import MemoryStore
from heeler.store.store import Change

#: Nobody goes wrong.
CALM = Faults(refused=0, lost=0, busy=0, expired=0, broken=0, delay=0)


@dataclass(slots=True)
class Simulation:
    """What a story has to do with: a client with all rights, the clock, the nodes, the weather."""

    server: ApiServer
    client: Client
    clock: LoopClock
    random: SeededRandom
    nodes: SimulatedNodes
    faulty: list[FaultyClient]

    def weather(self, faults: Faults) -> None:
        """From now on clients of controllers, scheduler and nodes go wrong like this."""
        for client in self.faulty:
            client.faults = faults

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


Story = Callable[[Simulation], Awaitable[None]]


async def run(
    story: Story,
    *,
    seed: int = 0,
    nodes: int = 3,
    faults: Faults = CALM,
    shape: Shape | None = None,
    settings: Settings | None = None,
) -> list[Change]:
    """Tell a story in the running (simulated) loop; all writes to the store, in order."""
    clock, random = LoopClock(), SeededRandom(seed)
    store = MemoryStore()
    server = ApiServer(
        store,
        clock=clock,
        random=random,
        settings=ServerSettings(authorization_modes=("Node", "RBAC"), resource_metrics=True, local_path=True),
    )
    await server.start()
    faulty: list[FaultyClient] = []

    def make_client(user: User, agent: str) -> Client:
        inner = InProcessClient(server, user, user_agent=agent)
        client = FaultyClient(inner, random=random, clock=clock, faults=faults)
        faulty.append(client)
        return client

    def of_controller(name: str) -> Client:
        return make_client(service_account("kube-system", name), "kube-controller-manager")

    def of_node(name: str) -> Client:
        return make_client(authenticated(f"system:node:{name}", groups=("system:nodes",)), "kubelet")

    scheduler_user = authenticated("system:kube-scheduler")
    admin = InProcessClient(server, authenticated("admin", groups=(MASTERS,)), user_agent="story")
    simulated = SimulatedNodes(
        [f"node-{number}" for number in range(nodes)],
        of_node,
        make_client(scheduler_user, "kubelet"),
        clock=clock,
        shape=shape,
    )
    scheduler = Scheduler(make_client(scheduler_user, "kube-scheduler"), clock=clock, random=random)
    wanted = settings or Settings(root_ca="simulated", workers=2)
    try:
        async with Tasks() as tasks:
            tasks.spawn(controllers.run(of_controller, clock=clock, random=random, settings=wanted), "controllers")
            tasks.spawn(scheduler.run(), "scheduler")
            tasks.spawn(simulated.run(), "simulated nodes")
            await story(Simulation(server, admin, clock, random, simulated, faulty))
    finally:
        await server.close()
    return store.history.since(Revision(0))


def simulate_cluster(
    story: Story,
    *,
    seed: int = 0,
    nodes: int = 3,
    faults: Faults = CALM,
    shuffle: bool = False,
    shape: Shape | None = None,
    settings: Settings | None = None,
) -> list[Change]:
    """`run` in a simulated loop of its own. `shuffle`: what is ready at once runs in an order drawn by the seed."""
    order = SeededRandom(seed + 1) if shuffle else None
    return simulate(run(story, seed=seed, nodes=nodes, faults=faults, shape=shape, settings=settings), order)


def digest(history: list[Change]) -> str:
    """A hash of every write: equal for equal histories."""
    found = hashlib.sha256()
    for change in history:
        found.update(f"{change.type} {change.key} {change.revision}\n".encode())
        found.update(change.value)
    return found.hexdigest()


def deployment(name: str, replicas: int, image: str = "app:1", **spec: object) -> Object:
    """A small Deployment for stories."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "app", "image": image}]},
            },
            **spec,
        },
    }
