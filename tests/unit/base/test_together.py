"""Coroutines that run as one."""

from __future__ import annotations

import asyncio

import pytest

from heeler.base.together import end, together


def test_the_first_failure_ends_the_others_and_is_raised() -> None:
    async def main() -> list[str]:
        told = []

        async def waits() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                told.append("ended")

        async def fails() -> None:
            await asyncio.sleep(0)
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            await together(waits(), fails())
        return told

    assert asyncio.run(main()) == ["ended"]


def test_a_task_that_misses_a_cancel_is_ended_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heeler.base.together.PAUSE", 0.01)

    async def main() -> int:
        missed = 0

        async def stubborn() -> None:
            nonlocal missed
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    missed += 1
                    if missed == 3:
                        raise

        task = asyncio.ensure_future(stubborn())
        await asyncio.sleep(0)
        await end([task])
        assert task.cancelled()
        return missed

    assert asyncio.run(main()) == 3
