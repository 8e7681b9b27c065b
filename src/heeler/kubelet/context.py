"""What all of a node's parts share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from heeler.base.clock import Clock
from heeler.base.netns import NetNamespace
from heeler.base.random import Random
from heeler.client.client import Client
from heeler.kubelet.cgroups import Cgroups
from heeler.kubelet.events import Recorder
from heeler.kubelet.options import NodeOptions
from heeler.kubelet.pods.config import Dns
from heeler.kubelet.pods.observe import Lister
from heeler.kubelet.runtime.cri import Runtime
from heeler.kubelet.sources import Sources
from heeler.objects.value import Object

#: Sandboxes and containers that are started at the same time.
START_WORKERS = 8
#: Images pulled at the same time.
PULLS = 4


@dataclass(slots=True)
class NodeContext:
    """One node's shared things. `services` gives all Services known now; `synced` is set once they are."""

    options: NodeOptions
    client: Client
    runtime: Runtime
    netns: NetNamespace
    cgroups: Cgroups
    events: Recorder
    sources: Sources
    clock: Clock
    random: Random
    dns: Dns
    node_milli_cpu: int
    node_memory: int
    services: Callable[[], list[Object]]
    synced: asyncio.Event
    #: What the runtime can do beyond the least (see `Runtime.features`), and what pods may have in all: milli CPU, bytes.
    features: tuple[str, ...] = ()
    allocatable: tuple[int, int] = (0, 0)
    #: The pods that have their place on the node now, to see whether another one fits.
    pods: Callable[[], list[Object]] = list
    #: What the node is short of, by its conditions.
    pressure: Callable[[], Mapping[str, bool]] = dict
    #: The Node object as it was last seen.
    node: Callable[[], Object] = dict
    #: Waits until the network's rules know a pod that has got its addresses.
    guard: Callable[[Object, Sequence[str]], Awaitable[None]] | None = None
    #: What the runtime has, listed once for all who ask at a time.
    lister: Lister = field(init=False)
    starts: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(START_WORKERS))
    pulls: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PULLS))

    def __post_init__(self) -> None:
        self.lister = Lister(self.runtime, self.options.node)
