"""One look at a pod in the runtime: CRI's messages made into plain views. What can't change any more is asked once."""

from __future__ import annotations

import asyncio
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from heeler.kubelet.pods import config
from heeler.kubelet.pods.views import ContainerView, SandboxView, State, View
from heeler.kubelet.pods.volumes import termination_file
from heeler.kubelet.runtime.cri import Runtime, RuntimeFault
from heeler.objects.value import Object

STATES: tuple[State, ...] = ("created", "running", "exited", "unknown")
#: Bytes of a termination message; bytes and lines of a log that stands in for one.
MAX_MESSAGE, MAX_LOG, MAX_LINES = 4096, 2048, 80


@dataclass(frozen=True, slots=True)
class Listed:
    """All sandboxes and containers of the node at one moment, by their pod's uid."""

    sandboxes: dict[str, list[Any]]
    containers: dict[str, list[Any]]


class Lister:
    """Lists for everybody who asks at the same time: fifty pods that start at once ask the runtime once, not fifty times."""

    def __init__(self, runtime: Runtime, node: str) -> None:
        self._runtime, self._labels = runtime, {config.NODE: node}
        self._now: asyncio.Task[Listed] | None = None
        self._next: asyncio.Task[Listed] | None = None

    async def fresh(self) -> Listed:
        """What there was at a moment after this was called. Raises RuntimeFault."""
        if self._now is None or self._now.done():
            self._now = asyncio.ensure_future(self._list())
            return await asyncio.shield(self._now)
        if self._next is None:
            self._next = asyncio.ensure_future(self._after(self._now))
        return await asyncio.shield(self._next)

    async def _after(self, before: asyncio.Task[Listed]) -> Listed:
        """The list that follows one which is under way."""
        await asyncio.wait([before])
        self._now, self._next = self._next, None
        return await self._list()

    async def _list(self) -> Listed:
        found = Listed({}, {})
        for sandbox in await self._runtime.sandboxes(self._labels):
            found.sandboxes.setdefault(sandbox.labels[config.POD_UID], []).append(sandbox)
        for container in await self._runtime.containers(self._labels):
            found.containers.setdefault(container.labels[config.POD_UID], []).append(container)
        return found


class Observer:
    """Looks at one pod, again and again."""

    def __init__(self, runtime: Runtime, lister: Lister, pods: Path, uid: str) -> None:
        self._runtime, self._lister, self._pods, self._uid = runtime, lister, pods, uid
        self._containers: dict[str, tuple[int, ContainerView]] = {}
        self._ips: dict[str, tuple[str, ...]] = {}

    async def look(self) -> View:
        """Raises RuntimeFault."""
        listed = await self._lister.fresh()
        sandboxes = [await self._sandbox(s) for s in listed.sandboxes.get(self._uid, [])]
        found = []
        seen: dict[str, None] = {}
        for container in listed.containers.get(self._uid, []):
            seen[container.id] = None
            known = self._containers.get(container.id)
            if known is None or known[0] != container.state:
                try:
                    view = await self._container(container)
                except RuntimeFault as fault:
                    if fault.code == "NOT_FOUND":
                        continue
                    raise
                known = (container.state, view)
                self._containers[container.id] = known
            found.append(known[1])
        self._containers = {k: v for k, v in self._containers.items() if k in seen}
        return View(
            tuple(sorted(sandboxes, key=lambda s: (s.created_at, s.attempt), reverse=True)),
            tuple(sorted(found, key=lambda c: (c.created_at, c.attempt), reverse=True)),
        )

    async def _sandbox(self, sandbox: Any) -> SandboxView:
        ready = sandbox.state == 0
        ips = self._ips.get(sandbox.id, ())
        if not ips and ready:
            network = (await self._runtime.sandbox_status(sandbox.id)).status.network
            ips = tuple(ip for ip in [network.ip, *(more.ip for more in network.additional_ips)] if ip)
            self._ips[sandbox.id] = ips
        return SandboxView(sandbox.id, int(sandbox.metadata.attempt), ready, sandbox.created_at / 1e9, ips)

    async def _container(self, container: Any) -> ContainerView:
        status = (await self._runtime.container_status(container.id)).status
        name, attempt = str(status.metadata.name), int(status.metadata.attempt)
        state = STATES[status.state]
        notes = dict(status.annotations)
        message = str(status.message)
        if state == "exited":
            message = self._message(container, status, notes) or message
        user: Object | None = None
        if status.HasField("user") and status.user.HasField("linux"):
            who = status.user.linux
            user = {"linux": {"uid": int(who.uid), "gid": int(who.gid)}}
            groups = [int(g) for g in who.supplemental_groups]
            if groups:
                user["linux"]["supplementalGroups"] = groups
        return ContainerView(
            id=str(status.id),
            name=name,
            attempt=attempt,
            state=state,
            sandbox=str(container.pod_sandbox_id),
            created_at=status.created_at / 1e9,
            started_at=status.started_at / 1e9,
            finished_at=status.finished_at / 1e9,
            exit_code=int(status.exit_code),
            reason=str(status.reason),
            message=message,
            spec_image=notes.get(config.SPEC_IMAGE, ""),
            image=str(status.image.image),
            image_id=str(status.image_ref),
            hash=notes.get(config.HASH, ""),
            resources=_resources(notes),
            user=user,
        )

    def _message(self, container: Any, status: Any, notes: dict[str, str]) -> str:
        """What the container left as its last words: its termination file, or the end of its log."""
        path = termination_file(self._pods, self._uid, str(status.metadata.name), int(status.metadata.attempt))
        data = _last_words(path)
        policy = notes.get("io.kubernetes.container.terminationMessagePolicy", "File")
        if not data and policy == "FallbackToLogsOnError" and status.exit_code != 0 and status.log_path:
            data = _log_end(Path(str(status.log_path)))
        return data.decode(errors="replace")


def _resources(notes: dict[str, str]) -> Object | None:
    try:
        found: Object = orjson.loads(notes[config.RESOURCES])
    except (KeyError, orjson.JSONDecodeError):
        return None
    return found


def _last_words(path: Path) -> bytes:
    """The start of a termination file; nothing where it can't be read. Containers write there what they like: no more than
    a message is read, and neither a link nor what isn't a plain file is followed or waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    with open(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        try:
            return file.read(MAX_MESSAGE)
        except OSError:
            return b""


_LOG_LINE = re.compile(rb"\S+ (?:stdout|stderr) ([PF]) (.*)\Z", re.DOTALL)


def _log_end(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 64 * 1024))
            lines = file.read().splitlines()[-MAX_LINES:]
    except OSError:
        return b""
    parts = []
    for line in lines:
        found = _LOG_LINE.match(line)
        if found:
            parts.append(found[2] + (b"\n" if found[1] == b"F" else b""))
    return b"".join(parts)[-MAX_LOG:]
