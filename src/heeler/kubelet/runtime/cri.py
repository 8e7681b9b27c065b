"""A container runtime over CRI v1 (gRPC): the calls a node makes, with plain values in and protobuf messages out.

Source: https://kubernetes.io/docs/concepts/containers/cri/ and the message facts in `heeler.wire.protobuf`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from heeler.wire.protobuf.schema import Service, schema, unix_channel

Plain = dict[str, Any]

#: Seconds; a pull has no deadline of its own.
SHORT, LONG = 30.0, 240.0


class RuntimeFault(Exception):
    """The runtime refused: `code` is gRPC's name (NOT_FOUND, UNKNOWN…), the text its message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Runtime:
    """CRI's two services on one socket. Every call raises RuntimeFault."""

    def __init__(self, socket: Path) -> None:
        self._channel = unix_channel(str(socket))
        facts = schema("cri")
        self._runtime = facts.service(self._channel, "runtime.v1.RuntimeService")
        self._images = facts.service(self._channel, "runtime.v1.ImageService")
        #: How many starts of sandboxes have begun, and the numbers of those (from 0) that are not answered yet.
        self.begun, self.under_way = 0, set[int]()

    async def close(self) -> None:
        await self._channel.close()

    async def _call(self, service: Service, method: str, deadline: float | None = SHORT, **fields: Any) -> Any:
        import grpc

        try:
            request = service.request(method, fields)
            return await service.call(method, request, timeout=deadline)
        except grpc.aio.AioRpcError as error:
            raise RuntimeFault(error.code().name, error.details() or error.code().name) from error

    async def version(self) -> Any:
        """VersionResponse: runtime_name, runtime_version."""
        return await self._call(self._runtime, "Version")

    async def conditions(self) -> dict[str, tuple[bool, str, str]]:
        """RuntimeReady and NetworkReady -> (status, reason, message)."""
        answer = await self._call(self._runtime, "Status")
        return {c.type: (c.status, c.reason, c.message) for c in answer.status.conditions}

    async def features(self) -> tuple[str, ...]:
        """What the runtime says that it can do, by CRI's names (1.6 says nothing)."""
        answer = await self._call(self._runtime, "Status")
        found = [field.name for field, value in answer.features.ListFields() if value is True]
        for handler in answer.runtime_handlers:
            if handler.name in ("", "runc"):
                found += [field.name for field, value in handler.features.ListFields() if value is True]
        return tuple(sorted(dict.fromkeys(found)))

    async def run_sandbox(self, config: Plain, handler: str = "") -> str:
        """The new sandbox' id."""
        number = self.begun
        self.begun += 1
        self.under_way.add(number)
        try:
            answer = await self._call(self._runtime, "RunPodSandbox", LONG, config=config, runtime_handler=handler)
        finally:
            self.under_way.discard(number)
        return str(answer.pod_sandbox_id)

    async def stop_sandbox(self, sandbox: str) -> None:
        await self._call(self._runtime, "StopPodSandbox", LONG, pod_sandbox_id=sandbox)

    async def remove_sandbox(self, sandbox: str) -> None:
        await self._call(self._runtime, "RemovePodSandbox", LONG, pod_sandbox_id=sandbox)

    async def sandbox_status(self, sandbox: str, verbose: bool = False) -> Any:
        """PodSandboxStatusResponse."""
        return await self._call(self._runtime, "PodSandboxStatus", pod_sandbox_id=sandbox, verbose=verbose)

    async def sandboxes(self, labels: dict[str, str] | None = None) -> list[Any]:
        """PodSandbox messages, of those with all these labels."""
        fields: Plain = {"filter": {"label_selector": labels}} if labels else {}
        return list((await self._call(self._runtime, "ListPodSandbox", **fields)).items)

    async def create_container(self, sandbox: str, config: Plain, sandbox_config: Plain) -> str:
        """The new container's id."""
        answer = await self._call(
            self._runtime,
            "CreateContainer",
            LONG,
            pod_sandbox_id=sandbox,
            config=config,
            sandbox_config=sandbox_config,
        )
        return str(answer.container_id)

    async def start_container(self, container: str) -> None:
        await self._call(self._runtime, "StartContainer", LONG, container_id=container)

    async def stop_container(self, container: str, grace: float) -> None:
        """Signal, wait up to `grace` seconds, kill; returns once it has ended."""
        await self._call(self._runtime, "StopContainer", grace + 60, container_id=container, timeout=int(grace))

    async def remove_container(self, container: str) -> None:
        await self._call(self._runtime, "RemoveContainer", LONG, container_id=container)

    async def containers(self, labels: dict[str, str] | None = None) -> list[Any]:
        """Container messages, of those with all these labels."""
        fields: Plain = {"filter": {"label_selector": labels}} if labels else {}
        return list((await self._call(self._runtime, "ListContainers", **fields)).containers)

    async def container_status(self, container: str, verbose: bool = False) -> Any:
        """ContainerStatusResponse."""
        return await self._call(self._runtime, "ContainerStatus", container_id=container, verbose=verbose)

    async def update_resources(self, container: str, linux: Plain) -> None:
        await self._call(self._runtime, "UpdateContainerResources", container_id=container, linux=linux)

    async def exec_sync(self, container: str, command: list[str], timeout: int) -> tuple[int, bytes, bytes]:
        """(exit code, output, error output). A timeout raises RuntimeFault with DEADLINE_EXCEEDED."""
        answer = await self._call(
            self._runtime, "ExecSync", timeout + 10.0, container_id=container, cmd=command, timeout=timeout
        )
        return int(answer.exit_code), bytes(answer.stdout), bytes(answer.stderr)

    async def attach_url(self, container: str, stdin: bool, tty: bool, stdout: bool, stderr: bool) -> str:
        """Where the runtime's streaming server takes the attach (an address inside the node's namespace)."""
        answer = await self._call(
            self._runtime, "Attach", container_id=container, stdin=stdin, tty=tty, stdout=stdout, stderr=stderr
        )
        return str(answer.url)

    async def container_stats(self) -> list[Any]:
        """ContainerStats messages of all containers."""
        return list((await self._call(self._runtime, "ListContainerStats")).stats)

    async def reopen_log(self, container: str) -> None:
        await self._call(self._runtime, "ReopenContainerLog", container_id=container)

    def events(self) -> Any:
        """A stream of ContainerEventResponse; ends with UNIMPLEMENTED where the runtime has none (1.6)."""
        return self._runtime.stream("GetContainerEvents")

    async def images(self) -> list[Any]:
        """Image messages."""
        return list((await self._call(self._images, "ListImages")).images)

    async def image(self, name: str) -> Any | None:
        """The Image message of a name or id; None where the runtime doesn't have it."""
        answer = await self._call(self._images, "ImageStatus", image={"image": name})
        return answer.image if answer.HasField("image") else None

    async def pull(self, name: str, auth: Plain | None, sandbox_config: Plain | None) -> str:
        """Fetch an image; its reference."""
        fields: Plain = {"image": {"image": name}}
        if auth:
            fields["auth"] = auth
        if sandbox_config:
            fields["sandbox_config"] = sandbox_config
        return str((await self._call(self._images, "PullImage", None, **fields)).image_ref)

    async def remove_image(self, name: str) -> None:
        await self._call(self._images, "RemoveImage", LONG, image={"image": name})

    async def image_filesystem(self) -> tuple[int, str]:
        """(used bytes, mount point) of the images' filesystem."""
        answer = await self._call(self._images, "ImageFsInfo")
        for usage in answer.image_filesystems:
            return int(usage.used_bytes.value), str(usage.fs_id.mountpoint)
        return 0, ""
