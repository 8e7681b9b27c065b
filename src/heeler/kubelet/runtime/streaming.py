"""A client of the streaming server of containerd's CRI plugin: one container's own streams, over SPDY.

SPDY and not WebSocket, since only there a stream ends by itself: that is how the runtime hears of the end of the input
(v4 over WebSocket can't tell it, and containerd before 2.0 has no v5).
Source: k8s.io/kubelet's pkg/cri/streaming/remotecommand; what containerd does then: its internal/cri/io/container_io.go.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from urllib.parse import urlsplit

from heeler.base.netns import NetNamespace
from heeler.kubelet.runtime.cri import RuntimeFault
from heeler.wire.streams import channels, spdy

PIECE = 32 * 1024


class Attached:
    """One attachment. `write` and `end_input` go to the container, `read` gives what comes from it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, names: Sequence[str]) -> None:
        self._reader, self._writer = reader, writer
        self._codec = spdy.Codec()
        self._numbers = {name: 2 * i + 1 for i, name in enumerate(names)}
        self._names = {number: name for name, number in self._numbers.items()}

    @classmethod
    async def open(cls, url: str, netns: NetNamespace, names: Sequence[str]) -> Attached:
        """Attach to the streams "error", "stdin", "stdout", "stderr", "resize" of `names`: exactly those that the
        runtime was asked for, it waits for each. Raises RuntimeFault, OSError, EOFError."""
        parts = urlsplit(url)
        made = await netns.connect(str(parts.hostname), parts.port or 80)
        reader, writer = await asyncio.open_connection(sock=made)
        attached = cls(reader, writer, names)
        try:
            await attached._upgrade(f"{parts.path}{'?' + parts.query if parts.query else ''}", parts.netloc)
        except BaseException:
            writer.close()
            raise
        return attached

    async def _upgrade(self, target: str, host: str) -> None:
        lines = [f"POST {target} HTTP/1.1", f"Host: {host}", "Upgrade: SPDY/3.1", "Connection: Upgrade"]
        lines += [f"X-Stream-Protocol-Version: {channels.V4}", "Content-Length: 0"]
        self._writer.write("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n")
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise RuntimeFault("UNAVAILABLE", head.split(b"\r\n")[0].decode(errors="replace"))
        for name, number in self._numbers.items():
            self._writer.write(self._codec.open(number, {"streamtype": name}))
        await self._writer.drain()

    async def write(self, name: str, data: bytes) -> None:
        for start in range(0, len(data), PIECE):
            self._writer.write(self._codec.data(self._numbers[name], data[start : start + PIECE]))
            await self._writer.drain()

    async def end_input(self) -> None:
        """No more input. The runtime closes the container's own where it is `stdin_once`, else it ends the attachment."""
        self._writer.write(self._codec.data(self._numbers["stdin"], b"", end=True))
        await self._writer.drain()

    async def read(self) -> list[tuple[str, bytes]] | None:
        """Some bytes by their stream's name; None at the end. Raises OSError."""
        data = await self._reader.read(65536)
        if not data:
            return None
        out: list[tuple[str, bytes]] = []
        try:
            events = self._codec.feed(data)
        except spdy.SpdyError as error:
            raise ConnectionError(f"the runtime's streaming server: {error}") from error
        for event in events:
            if isinstance(event, spdy.Data) and event.data and event.stream in self._names:
                out.append((self._names[event.stream], event.data))
            elif isinstance(event, spdy.Pinged):
                self._writer.write(self._codec.ping(event.id))
        return out

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._writer.close()
