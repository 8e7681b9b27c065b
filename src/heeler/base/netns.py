"""Network namespaces entered by a thread of their own, and the sockets made there.

A socket belongs for good to the namespace in which it was made: it is made in the thread, then used by the event loop
like any other. The process itself never leaves its namespace. Linux only.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

NETNS_FOLDER = Path("/run/netns")
CLONE_NEWNET = 0x40000000


def enter(path: Path) -> None:
    """Move the calling thread into the network namespace at `path`. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(descriptor, CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)


class NetNamespace:
    """A network namespace by the path of its file. `close()` ends its thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread: ThreadPoolExecutor | None = None

    @classmethod
    def named(cls, name: str) -> NetNamespace:
        """The namespace that `ip netns` knows by this name."""
        return cls(NETNS_FOLDER / name)

    async def call(self, function: Callable[[], T]) -> T:
        """Run a short function in the namespace. Raises OSError where it can't be entered."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="netns")
            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, enter, self.path)
            except OSError:
                self.close()
                raise
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    async def _made(self, make: Callable[[], socket.socket]) -> socket.socket:
        """A socket that is made inside; one that nobody waits for any more is closed as soon as it is there."""
        making = asyncio.ensure_future(self.call(make))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(_drop)
            raise

    async def connect(self, host: str, port: int, mark: int = 0) -> socket.socket:
        """A TCP connection to an IP address as seen from inside (not blocking), its packets marked. Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = await self._made(lambda: socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
        try:
            if mark:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
            await asyncio.get_running_loop().sock_connect(made, (host, port))
        except BaseException:
            made.close()
            raise
        return made

    async def connect_udp(self, host: str, port: int, mark: int = 0) -> socket.socket:
        """A UDP socket that is connected to an IP address as seen from inside (not blocking). Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = await self._made(lambda: socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK))
        try:
            if mark:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
            made.connect((host, port))
        except BaseException:
            made.close()
            raise
        return made

    async def listen(self, host: str, port: int) -> socket.socket:
        """A listening TCP socket inside (not blocking). Raises OSError."""

        def make() -> socket.socket:
            made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
            try:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                made.bind((host, port))
                made.listen(128)
                made.setblocking(False)
            except BaseException:
                made.close()
                raise
            return made

        return await self._made(make)

    async def write_sysctl(self, name: str, value: str) -> None:
        """Set e.g. "net.ipv4.ip_forward" inside: /proc/sys/net shows the reading thread's namespace."""
        path = Path("/proc/sys") / name.replace(".", "/")
        await self.call(lambda: path.write_text(value))

    def close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown(wait=False)
            self._thread = None


def _drop(made: asyncio.Task[socket.socket]) -> None:
    if not made.cancelled() and made.exception() is None:
        made.result().close()
