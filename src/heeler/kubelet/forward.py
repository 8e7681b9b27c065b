"""Port-forwards: each of a client's connections is a pair of streams, joined to a port inside the pod's namespace."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

from heeler.base.dialing import dial_error
from heeler.base.netns import NetNamespace
from heeler.base.together import end
from heeler.kubelet.spdy import SpdyConnection, SpdyStream

#: A connection to a port of the pod, as seen from inside. Raises OSError in words for a person.
Connect = Callable[[int], Awaitable[socket.socket]]
PIECE = 32 * 1024


async def dial(inside: NetNamespace, sandbox: str, port: int) -> socket.socket:
    """A connection to the port of a pod's loopback, in the words of containerd where there is none. Raises OSError.

    A server may listen on one address family only: the second is tried after the first."""
    try:
        return await inside.connect("127.0.0.1", port)
    except OSError as first:
        try:
            return await inside.connect("::1", port)
        except OSError as second:
            four, six = dial_error("127.0.0.1", port, first, "tcp4"), dial_error("::1", port, second, "tcp6")
            why = f'failed to connect to localhost:{port} inside namespace "{sandbox}", IPv4: {four} IPv6 {six} '
            raise OSError(f'failed to execute portforward in network namespace "{inside.path}": {why}') from None


async def serve(connection: SpdyConnection, sandbox: str, connect: Connect) -> None:
    """Forward to a pod (told by its `sandbox`) until the client is gone."""
    reading = asyncio.ensure_future(connection.run())
    waiting: dict[str, dict[str, SpdyStream]] = {}
    tasks: dict[asyncio.Task[None], None] = {}
    try:
        while (stream := await connection.accept()) is not None:
            number = stream.headers.get("requestid", "")
            pair = waiting.setdefault(number, {})
            pair[stream.headers.get("streamtype", "").lower()] = stream
            if "data" in pair and "error" in pair:
                del waiting[number]
                task = asyncio.ensure_future(_forward(connection, pair["data"], pair["error"], sandbox, connect))
                tasks[task] = None
                task.add_done_callback(lambda done: tasks.pop(done, None))
    finally:
        await end([reading, *tasks])
        await connection.close()


async def _forward(
    connection: SpdyConnection, data: SpdyStream, error: SpdyStream, sandbox: str, connect: Connect
) -> None:
    port = data.headers.get("port", "")
    try:
        number = int(port)
        made = await connect(number)
    except (ValueError, OSError) as failure:
        text = f"error forwarding port {port} to pod {sandbox}, uid : {failure}"
        with contextlib.suppress(ConnectionError):
            await error.write(text.encode())
        await error.end()
        await data.end()
        _forget(connection, data, error)
        return
    outward = asyncio.ensure_future(_out(made, data))
    inward = asyncio.ensure_future(_in(data, made))
    try:
        # The pod's answer decides when it is over; a client that only ends its side still gets it.
        await asyncio.gather(outward, inward)
    except OSError:
        pass
    finally:
        for way in (outward, inward):
            way.cancel()
        made.close()
        await data.end()
        await error.end()
        _forget(connection, data, error)


def _forget(connection: SpdyConnection, *streams: SpdyStream) -> None:
    for stream in streams:
        connection.forget(stream)


async def _out(made: socket.socket, data: SpdyStream) -> None:
    loop = asyncio.get_running_loop()
    while piece := await loop.sock_recv(made, PIECE):
        await data.write(piece)
    await data.end()


async def _in(data: SpdyStream, made: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while piece := await data.read():
        await loop.sock_sendall(made, piece)
    with contextlib.suppress(OSError):
        made.shutdown(socket.SHUT_WR)
