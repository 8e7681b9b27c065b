"""How a controller runs: keys from its queue, one reconcile at a time for each key, failures tried again.

What a controller decides is in its own module, as pure functions where it can be; here is only the turning.
https://kubernetes.io/docs/concepts/architecture/controller/
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from heeler.base.clock import Clock
from heeler.base.random import Random
from heeler.base.tasks import Tasks
from heeler.client.client import Client
from heeler.client.events import Recorder
from heeler.client.informer import Informers
from heeler.client.queue import WorkQueue
from heeler.controllers.node_zones import Rates
from heeler.objects.status import StatusError
from heeler.objects.value import Object

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the controllers are told. Times in seconds; the names are those of kube-controller-manager's flags."""

    #: PEM of the authority that signed the API server's certificate; "" publishes none.
    root_ca: str = ""
    #: Signs the claims of a token that is kept in a Secret; None makes no such tokens.
    sign: Callable[[Object], str] | None = None
    #: Signs a certificate request (PEM) for usages and seconds; None signs none. TLS goes by real time, so it has its own.
    sign_certificate: Callable[[bytes, tuple[str, ...], float], bytes] | None = None
    cluster_signing_duration: float = 365 * 86400.0
    node_monitor_grace_period: float = 50.0
    node_monitor_period: float = 5.0
    #: As long a new node may say nothing at all.
    node_startup_grace_period: float = 60.0
    #: How fast pods are driven off dead nodes.
    eviction: Rates = field(default_factory=Rates)
    #: Ranges of pod addresses are given to nodes, out of the cluster's (one of each version of IP), but for those of Services.
    allocate_node_cidrs: bool = False
    cluster_cidrs: tuple[str, ...] = ()
    service_cidrs: tuple[str, ...] = ()
    #: By version of IP; 24 and 64 if they aren't there.
    node_cidr_mask_sizes: Mapping[int, int] = field(default_factory=dict)
    #: Finished pods that are kept in the whole cluster before the oldest are removed.
    terminated_pod_gc_threshold: int = 12500
    gc_resync_period: float = 30.0
    horizontal_pod_autoscaler_sync_period: float = 15.0
    #: How far from one the ratio of a metric to its target may be before anything is done, where an autoscaler doesn't say.
    horizontal_pod_autoscaler_tolerance: float = 0.1
    horizontal_pod_autoscaler_downscale_stabilization: float = 300.0
    horizontal_pod_autoscaler_cpu_initialization_period: float = 300.0
    horizontal_pod_autoscaler_initial_readiness_delay: float = 30.0
    #: How often claims that wait for a volume are looked at again.
    pvclaimbinder_sync_period: float = 15.0
    #: Unused tokens in Secrets are marked as invalid after this time, and removed after it again.
    legacy_service_account_token_clean_up_period: float = 365 * 86400.0
    #: How many keys controllers work on at once, by name; the others as `list.CONTROLLERS` says.
    syncs: Mapping[str, int] = field(default_factory=dict)
    #: As many in every controller (a simulation wants few); None: each its own number.
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """What a controller is given: a client with its own identity, the shared informers, time and chance."""

    name: str
    client: Client
    informers: Informers
    clock: Clock
    random: Random
    settings: Settings
    recorder: Callable[[str], Recorder]


class Controller(Protocol):
    """`queue` holds keys, `reconcile` brings one of them a step closer; raising means: again, later."""

    queue: WorkQueue[str]

    async def reconcile(self, key: str) -> None: ...


class Background(Protocol):
    """A controller may also do something by itself until it is cancelled."""

    async def run(self) -> None: ...


Make = Callable[[Context], Controller]


async def work(name: str, controller: Controller) -> None:
    """One worker, until cancelled."""
    queue = controller.queue
    while True:
        key = await queue.get()
        try:
            await controller.reconcile(key)
        except (StatusError, OSError) as error:
            delay = queue.add_failed(key)
            log.log(_level(error), "%s: %s: %s; again in %.3f s", name, key, error, delay)
        except Exception:
            queue.add_failed(key)
            log.exception("%s: %s failed", name, key)
        else:
            queue.forget(key)
        finally:
            queue.done(key)


def _level(error: StatusError | OSError) -> int:
    """Conflicts and a server that is away for a moment are daily business; rights that are missing no waiting mends."""
    if not isinstance(error, StatusError) or error.code in (404, 409, 429) or error.code >= 500:
        return logging.DEBUG
    return logging.WARNING if "is forbidden: User" in error.message else logging.INFO


def spawn(tasks: Tasks, name: str, controller: Controller, workers: int) -> None:
    """Start a controller's workers and what it does by itself."""
    for number in range(workers):
        tasks.spawn(work(name, controller), f"{name} {number}")
    run = getattr(controller, "run", None)
    if run is not None:
        tasks.spawn(run(), name)
