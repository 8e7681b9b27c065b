"""The HTTP server against raw bytes: bounds, pipelining, trailers, old clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from heeler.wire.http import server
from heeler.wire.http.messages import Request, Response

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(request: Request) -> Response:
    """Says what it was asked; /slow after a while, /stream in parts, /pause until the client goes on, /long at length."""
    if request.path == "/slow":
        await asyncio.sleep(0.05)
    if request.path == "/stream":

        async def parts() -> AsyncIterator[bytes]:
            yield b"one,"
            yield b"two"

        return Response(200, [], parts())
    if request.path == "/pause":
        return Response(200, [], paused())
    if request.path == "/long":
        return Response(200, [], at_length())
    user = request.headers.get("impersonate-user", "")
    return Response(200, [], f"{request.method} {request.path} {len(request.body)} {user}".encode())


RESUME = asyncio.Event()


async def paused() -> AsyncIterator[bytes]:
    for text in (b"a", b"b", b"", b"c"):
        yield text
    await RESUME.wait()
    yield b"d"


async def at_length() -> AsyncIterator[bytes]:
    for _ in range(200):
        yield b"x" * 1000


def talk(story: Talk) -> None:
    async def main() -> None:
        listening = await server.serve(echo)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", listening.port)
            async with asyncio.timeout(10):
                await story(reader, writer)
            writer.close()
        finally:
            await listening.close(0.1)

    asyncio.run(main())


async def answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """(status line, body)"""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    return head.split(b"\r\n")[0], await reader.readexactly(length)


def test_a_header_without_an_end_is_refused_soon() -> None:
    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
        sent = 0
        while sent < 64 * server.MAX_HEADER_BYTES and not reader.at_eof():
            writer.write(b"a" * 65536)
            sent += 65536
            await asyncio.sleep(0)
            try:
                await writer.drain()
            except ConnectionError:
                break
        assert sent < 64 * server.MAX_HEADER_BYTES

    talk(story)


def test_a_long_header_gets_431() -> None:
    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * (server.MAX_HEADER_BYTES + 1))
        assert (await answer(reader))[0] == b"HTTP/1.1 431 Request Header Fields Too Large"

    talk(story)


def test_a_body_of_many_parts_is_no_header() -> None:
    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = 4 * server.MAX_HEADER_BYTES
        writer.write(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 4096):
            writer.write(b"b" * 4096)
            await writer.drain()
        assert (await answer(reader))[1] == b"POST /body %d " % size

    talk(story)


def test_requests_in_one_packet_are_all_answered_in_order() -> None:
    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        one = b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        writer.write(one + b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in range(20)))
        assert (await answer(reader))[1] == b"POST /slow 3 "
        for number in range(20):
            assert (await answer(reader))[1] == b"GET /%d 0 " % number
        writer.write(b"GET /again HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await answer(reader))[1] == b"GET /again 0 "

    talk(story)


def test_trailers_are_not_taken_for_headers() -> None:
    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"POST /t HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n0\r\nImpersonate-User: mallory\r\n\r\n"
        )
        assert (await answer(reader))[1] == b"POST /t 3 "

    talk(story)


def test_an_old_client_gets_a_stream_without_chunks() -> None:
    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET /stream HTTP/1.0\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert b"chunked" not in head
        assert body == b"one,two"

    talk(story)


def test_what_a_stream_says_in_one_go_is_one_chunk_and_comes_at_once() -> None:
    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        RESUME.clear()
        writer.write(b"GET /pause HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(8) == b"3\r\nabc\r\n"
        RESUME.set()
        assert await reader.readexactly(11) == b"1\r\nd\r\n0\r\n\r\n"

    talk(story)


def test_a_long_stream_comes_in_pieces_and_whole() -> None:
    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        sizes = []
        while size := int(await reader.readuntil(b"\r\n"), 16):
            sizes.append(size)
            await reader.readexactly(size + 2)
        assert sum(sizes) == 200_000
        assert max(sizes) < server.GATHERED_BYTES + 1000

    talk(story)


def test_an_upgrade_that_was_refused_ends_the_connection() -> None:
    """The parser takes nothing after it: a client that kept the connection would wait for ever."""

    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n")
        await answer(reader)
        assert await reader.read() == b""

    talk(story)


def test_a_method_that_no_parser_knows_reaches_the_application() -> None:
    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"FOO /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
        assert await answer(reader) == (b"HTTP/1.1 200 OK", b"FOO /a 2 ")
        writer.write(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await answer(reader) == (b"HTTP/1.1 200 OK", b"GET /b 0 ")
        writer.write(b"CONNECT-X /c HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await answer(reader) == (b"HTTP/1.1 200 OK", b"CONNECT-X /c 0 ")

    talk(story)


def test_an_unknown_method_behind_another_request_is_no_request() -> None:
    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nFOO /b HTTP/1.1\r\nHost: x\r\n\r\n")
        said = await reader.read()
        assert said.count(b"HTTP/1.1 400") == 1 and b"FOO" not in said

    talk(story)


def test_what_is_no_method_is_refused() -> None:
    for line in (b"G(ET / HTTP/1.1", b"A" * 33 + b" / HTTP/1.1", b"FOO FOO / HTTP/1.1"):

        async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes = line) -> None:
            writer.write(line + b"\r\nHost: x\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 400")

        talk(story)
