"""Give memory back after a burst: malloc keeps what large answers freed for the next ones (`heeler.base.memory`)."""

from __future__ import annotations

import asyncio

from heeler.apiserver.flow_control import Seats
from heeler.base import memory
from heeler.base.clock import Clock

#: Seconds between looks.
INTERVAL_SECONDS = 30.0
#: Bytes that must have come since the last time.
WORTH_IT = 32 << 20


async def give_back_for_ever(seats: Seats, clock: Clock) -> None:
    """Run until cancelled. Only while no request is under way: whoever allocates waits for it (tens of ms)."""
    kept = 0
    while True:
        await clock.sleep(INTERVAL_SECONDS)
        now = memory.resident()
        if seats.under_way == 0 and now > kept + WORTH_IT:
            await asyncio.to_thread(memory.give_back)
            kept = memory.resident()
        else:
            kept = min(kept, now) if kept else now
