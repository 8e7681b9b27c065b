"""Requests at a steady rate, each on a connection of its own; what went wrong is kept."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: Seconds for one request.
PATIENCE = 5.0


class Load:
    """`sent` requests, of which `failed` (what happened, for each)."""

    def __init__(self, port: int, host: str, rate: float) -> None:
        self.port, self.host, self.rate = port, host, rate
        self.sent, self.slowest = 0, 0.0
        self.failed: list[str] = []
        self._stop = threading.Event()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        pending: set[asyncio.Task[None]] = set()
        due = loop.time()
        while not self._stop.is_set():
            task = asyncio.ensure_future(self._one())
            pending.add(task)
            task.add_done_callback(pending.discard)
            due += 1 / self.rate
            await asyncio.sleep(max(0.0, due - loop.time()))
        await asyncio.gather(*pending)

    async def _one(self) -> None:
        self.sent += 1
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                try:
                    writer.write(f"GET / HTTP/1.1\r\nHost: {self.host}\r\nConnection: close\r\n\r\n".encode())
                    answer = await reader.read()
                finally:
                    writer.close()
            if not answer.startswith(b"HTTP/1.1 200") and not answer.startswith(b"HTTP/1.0 200"):
                self.failed.append(repr(answer[:60]))
        except (OSError, TimeoutError) as error:
            self.failed.append(repr(error))
        self.slowest = max(self.slowest, asyncio.get_running_loop().time() - began)


@contextmanager
def load(port: int, host: str = "localhost", rate: float = 200.0) -> Iterator[Load]:
    """Requests from a thread of its own while the block runs."""
    found = Load(port, host, rate)
    thread = threading.Thread(target=lambda: asyncio.run(found._run()), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found._stop.set()
        thread.join(PATIENCE + 5)
