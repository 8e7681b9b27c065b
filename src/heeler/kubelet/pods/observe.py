"""One look at a pod in the runtime: CRI's messages made into plain views. What can't change any more is asked once."""

from __future__ import annotations

import re
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


class Observer:
    """Looks at one pod, again and again."""

    def __init__(self, runtime: Runtime, pods: Path, logs: Path, uid: str) -> None:
        self._runtime, self._pods, self._logs, self._uid = runtime, pods, logs, uid
        self._containers: dict[str, tuple[int, ContainerView]] = {}
        self._ips: dict[str, tuple[str, ...]] = {}

    async def look(self) -> View:
        """Raises RuntimeFault."""
        labels = {config.POD_UID: self._uid}
        sandboxes = [await self._sandbox(s) for s in await self._runtime.sandboxes(labels)]
        found = []
        seen: dict[str, None] = {}
        for container in await self._runtime.containers(labels):
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
        try:
            data = path.read_bytes()[:MAX_MESSAGE]
        except OSError:
            data = b""
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
