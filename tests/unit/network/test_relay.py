"""A relay that is closed while connections are open."""

from __future__ import annotations

import asyncio
import socket

import pytest

from heeler.network.relay import Relay, listen


def test_one_who_is_cancelled_while_closing_leaves_no_port_open() -> None:
    async def story() -> None:
        listening = listen("127.0.0.1", 0)

        async def connect() -> socket.socket:
            while True:  # it takes its time to end
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    await asyncio.sleep(0.2)
                    raise

        relay = Relay(listening, connect)
        _, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        await asyncio.sleep(0.05)
        closing = asyncio.ensure_future(relay.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert listening.fileno() == -1
        writer.close()
        await asyncio.sleep(0.3)

    asyncio.run(story())
