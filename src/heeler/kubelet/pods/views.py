"""What a node sees of a pod in the runtime, as plain values, and what it remembers besides.

Times are seconds since the epoch, 0.0 where there is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from heeler.objects.value import Object

State = Literal["created", "running", "exited", "unknown"]


@dataclass(frozen=True, slots=True)
class ContainerView:
    """One container in the runtime; a restart makes another one with the next attempt."""

    id: str
    name: str
    attempt: int
    state: State
    sandbox: str = ""
    created_at: float = 0.0
    started_at: float = 0.0
    finished_at: float = 0.0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    #: The image as the pod's specification named it then, the image's name and id in the runtime.
    spec_image: str = ""
    image: str = ""
    image_id: str = ""
    #: Of the specification that it was made of: another one means that it must be replaced.
    hash: str = ""
    #: The resources that it was made with (None: not known).
    resources: Object | None = None
    user: Object | None = None


@dataclass(frozen=True, slots=True)
class SandboxView:
    id: str
    attempt: int
    ready: bool
    created_at: float = 0.0
    ips: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """One look at the runtime; both newest first."""

    sandboxes: tuple[SandboxView, ...] = ()
    containers: tuple[ContainerView, ...] = ()

    @property
    def sandbox(self) -> SandboxView | None:
        """The newest sandbox that is ready, else the newest."""
        for sandbox in self.sandboxes:
            if sandbox.ready:
                return sandbox
        return self.sandboxes[0] if self.sandboxes else None

    def latest(self, name: str) -> ContainerView | None:
        return next((c for c in self.containers if c.name == name), None)

    def current(self, name: str) -> ContainerView | None:
        """The latest one of this name if it belongs to the newest sandbox."""
        found, sandbox = self.latest(name), self.sandbox
        return found if found is not None and sandbox is not None and found.sandbox == sandbox.id else None

    def previous(self, name: str) -> ContainerView | None:
        """The one before the latest, if the runtime still has it."""
        found = [c for c in self.containers if c.name == name]
        return found[1] if len(found) > 1 else None

    def running(self) -> Iterator[ContainerView]:
        return (c for c in self.containers if c.state in ("running", "unknown"))


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a container is not there yet, in the words of its status."""

    reason: str
    message: str = ""


@dataclass(slots=True)
class Health:
    """What the probes of one running container (by id) say; `failed` names the probe after which it must go."""

    container: str
    started: bool
    ready: bool
    failed: str = ""


@dataclass(slots=True)
class Backoff:
    """How long the next restart has to wait: doubles with each, forgotten after a good while."""

    delay: float = 0.0
    counted_at: float = 0.0


@dataclass(slots=True)
class Memory:
    """What the agent remembers of a pod between two looks; what matters of it is found again after a restart."""

    started_at: float = 0.0
    #: Operations under way, by key: "sandbox", "stop", "start/NAME", "kill/ID".
    busy: dict[str, None] = field(default_factory=dict)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    #: Not before these moments: by container name, or "sandbox".
    retry_at: dict[str, float] = field(default_factory=dict)
    health: dict[str, Health] = field(default_factory=dict)
    backoffs: dict[str, Backoff] = field(default_factory=dict)
    #: Container ids that are being killed or were (they are not killed twice at once).
    killed: dict[str, str] = field(default_factory=dict)
    #: Container ids whose postStart hook has not ended well: they don't count as running yet.
    hooking: dict[str, None] = field(default_factory=dict)
    #: The resources that running containers (by id) were given since they were made.
    resized: dict[str, Object] = field(default_factory=dict)
    #: The pod's end was decided: phase, reason and message, e.g. ("Failed", "DeadlineExceeded", …).
    ended: tuple[str, str, str] | None = None
    #: The grace period where the node decided on the end, and the reason and message of the disruption.
    grace: float | None = None
    disrupted: tuple[str, str] | None = None
    #: When the end began, for the grace period that is left to sidecars.
    ending_since: float = 0.0


def is_sidecar(container: Object) -> bool:
    """An init container that runs beside the others."""
    return container.get("restartPolicy") == "Always"


def spec_of(pod: Object) -> Object:
    found: Object = pod.get("spec") or {}
    return found


def init_containers(pod: Object) -> list[Object]:
    return list(spec_of(pod).get("initContainers") or [])


def main_containers(pod: Object) -> list[Object]:
    return list(spec_of(pod).get("containers") or [])


def sidecars(pod: Object) -> list[Object]:
    return [c for c in init_containers(pod) if is_sidecar(c)]


def all_containers(pod: Object) -> list[Object]:
    """Init containers, then the others, then ephemeral ones."""
    return init_containers(pod) + main_containers(pod) + list(spec_of(pod).get("ephemeralContainers") or [])


def container_of(pod: Object, name: str) -> Object | None:
    return next((c for c in all_containers(pod) if c.get("name") == name), None)


def restart_policy(pod: Object) -> str:
    return str(spec_of(pod).get("restartPolicy") or "Always")


def deleting(pod: Object) -> bool:
    return bool((pod.get("metadata") or {}).get("deletionTimestamp"))


def grace_of(pod: Object) -> float:
    """Seconds that a pod's containers have to end by themselves."""
    meta: dict[str, Any] = pod.get("metadata") or {}
    if meta.get("deletionGracePeriodSeconds") is not None:
        return float(meta["deletionGracePeriodSeconds"])
    value = spec_of(pod).get("terminationGracePeriodSeconds")
    return 30.0 if value is None else float(value)
