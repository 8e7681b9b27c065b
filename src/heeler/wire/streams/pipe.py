"""Two byte streams joined, or a socket and a stream: what comes from one goes to the other until either ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence

from heeler.base.together import end
from heeler.wire.http.messages import Stream

PIECE = 65536
#: What a connection to a node's agent is upgraded to when it is to carry another one (Heeler's own protocol).
TCP_TUNNEL = "heeler-tunnel"


async def join(one: Stream, other: Stream) -> None:
    """Returns when one side has ended; both are closed then."""

    async def pump(source: Stream, target: Stream) -> None:
        while data := await source.read():
            await target.write(data)

    both = [asyncio.ensure_future(pump(one, other)), asyncio.ensure_future(pump(other, one))]
    try:
        await _either(both)
    finally:
        for stream in (one, other):
            with contextlib.suppress(OSError):
                await stream.close()


async def pipe(made: socket.socket, stream: Stream) -> None:
    """Returns when one side has ended; both are closed then. The socket must not block."""
    loop = asyncio.get_running_loop()

    async def out() -> None:
        while data := await loop.sock_recv(made, PIECE):
            await stream.write(data)

    async def back() -> None:
        while data := await stream.read(PIECE):
            await loop.sock_sendall(made, data)

    try:
        await _either([asyncio.ensure_future(out()), asyncio.ensure_future(back())])
    finally:
        made.close()
        with contextlib.suppress(OSError):
            await stream.close()


async def _either(both: Sequence[asyncio.Task[None]]) -> None:
    """Until one is done; the other is ended too."""
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(both)
