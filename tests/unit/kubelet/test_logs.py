"""Logs as `kubectl logs` wants them."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.base.clock import SystemClock
from heeler.kubelet import logs
from heeler.kubelet.logs import LogOptions

LINES = [
    b"2026-01-01T00:00:00.5Z stdout F one",
    b"2026-01-01T00:00:01.123456789Z stderr F two",
    b"2026-01-01T00:00:02Z stdout P thr",
    b"2026-01-01T00:00:02Z stdout F ee",
    b"2026-01-01T00:00:03Z stdout F ",
]


async def collect(path: Path, options: LogOptions, running: bool = False) -> bytes:
    return b"".join([piece async for piece in logs.read(path, options, lambda: running, SystemClock())])


def read(path: Path, **options: object) -> bytes:
    return asyncio.run(collect(path, LogOptions(**options)))  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "0.log"
    made.write_bytes(b"\n".join(LINES) + b"\n")
    return made


def test_all_lines_come_without_their_marks_and_parts_are_joined(path: Path) -> None:
    assert read(path) == b"one\ntwo\nthree\n\n"


def test_times_are_shown_on_demand(path: Path) -> None:
    assert read(path, timestamps=True, tail=5).startswith(b"2026-01-01T00:00:00.5Z one\n")


@pytest.mark.parametrize(("tail", "text"), [(0, b""), (1, b"\n"), (2, b"ee\n\n"), (99, b"one\ntwo\nthree\n\n")])
def test_the_last_lines_are_found_from_the_end(path: Path, tail: int, text: bytes) -> None:
    assert read(path, tail=tail) == text


def test_a_stream_a_time_and_a_size_can_be_asked_for(path: Path) -> None:
    assert read(path, streams=("stderr",)) == b"two\n"
    assert read(path, since=1767225602.0) == b"three\n\n"
    assert read(path, limit=5) == b"one\nt"


def test_rotated_files_come_first(path: Path) -> None:
    with gzip.open(path.with_name("0.log.20260101-000000.gz"), "wb") as old:
        old.write(b"2025-12-31T00:00:00Z stdout F older\n")
    path.with_name("0.log.20260101-000001").write_bytes(b"2025-12-31T00:00:01Z stdout F old\n")
    assert read(path) == b"older\nold\none\ntwo\nthree\n\n"


def test_a_missing_log_is_empty(tmp_path: Path) -> None:
    assert read(tmp_path / "none.log") == b""


async def until(check: Callable[[], bool]) -> None:
    while not check():
        await asyncio.sleep(0)


def rotate(path: Path, line: bytes) -> None:
    path.rename(path.with_name("0.log.20260101-000002"))
    path.write_bytes(line)


def test_a_followed_log_goes_on_over_a_rotation_until_the_container_ends(path: Path) -> None:
    async def main() -> bytes:
        alive = True
        got: list[bytes] = []

        async def follow() -> None:
            async for piece in logs.read(path, LogOptions(follow=True), lambda: alive, SystemClock()):
                got.append(piece)

        task = asyncio.ensure_future(follow())
        await until(lambda: b"".join(got).endswith(b"\n\n"))
        with path.open("ab") as file:
            file.write(b"2026-01-01T00:00:04Z stdout F more\n")
        await until(lambda: b"".join(got).endswith(b"more\n"))
        rotate(path, b"2026-01-01T00:00:05Z stdout F new\n")
        await until(lambda: b"".join(got).endswith(b"new\n"))
        alive = False
        await task
        return b"".join(got)

    assert asyncio.run(main()) == b"one\ntwo\nthree\n\nmore\nnew\n"


@given(st.lists(st.binary(max_size=300).filter(lambda b: b"\n" not in b), max_size=60), st.integers(1, 70))
def test_the_tail_is_the_end_of_the_whole(lines: list[bytes], count: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "0.log"
        path.write_bytes(b"".join(b"2026-01-01T00:00:00Z stdout F " + line + b"\n" for line in lines))
        assert read(path, tail=count) == b"".join(line + b"\n" for line in lines[-count:])
