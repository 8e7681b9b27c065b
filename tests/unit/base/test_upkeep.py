"""Long-lived processes keep their logs short and take up new certificates."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from cryptography import x509

from heeler.base import pki
from heeler.base.files import shorten


def test_a_log_is_put_aside_while_somebody_appends_to_it(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    with path.open("ab", buffering=0) as file:
        file.write(b"x" * 100)
        assert not shorten(path, 100) and shorten(path, 99)
        file.write(b"new")
    assert path.read_bytes() == b"new" and (tmp_path / "a.log.1").read_bytes() == b"x" * 100
    assert not shorten(tmp_path / "none", 0)


def test_a_server_takes_up_a_new_certificate(tmp_path: Path) -> None:
    authority = pki.new_authority("a", time.time())
    authority.save(tmp_path / "ca.crt", tmp_path / "ca.key")
    files = tmp_path / "s.crt", tmp_path / "s.key"

    def issue(name: str, moment: float) -> None:
        pki.issue(authority, name, time.time(), server_names=["localhost"]).save(*files)
        for file in files:
            os.utime(file, (moment, moment))

    async def served(port: int) -> str:
        tls = pki.client_context(tmp_path / "ca.crt")
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname="localhost")
        found = x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(True))
        writer.close()
        return found.subject.rfc4514_string()

    async def main() -> None:
        issue("old", 1.0)
        context = pki.server_context(*files, None)
        renewing = pki.Renewing(context, *files)

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        assert await served(port) == "CN=old"
        assert not renewing.look()
        issue("new", 2.0)
        assert renewing.look() and not renewing.look()
        assert await served(port) == "CN=new"
        server.close()
        await server.wait_closed()

    asyncio.run(main())
