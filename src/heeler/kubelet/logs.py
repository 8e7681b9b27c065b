"""Containers' logs as the runtime writes them (CRI's format), read as `kubectl logs` wants them.

A line is `TIME STREAM P|F TEXT`; P is a part of a longer line. Rotated files (N.log.TIME) are read before the present
one. Source: https://kubernetes.io/docs/concepts/cluster-administration/logging/
"""

from __future__ import annotations

import gzip
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from heeler.base.clock import Clock, parse_rfc3339

PIECE = 64 * 1024
#: Seconds between looks at a log that is followed.
POLL = 0.1


@dataclass(frozen=True, slots=True)
class LogOptions:
    """`since` is in seconds since the epoch (0.0: from the beginning); None for no limit."""

    follow: bool = False
    timestamps: bool = False
    tail: int | None = None
    limit: int | None = None
    since: float = 0.0
    streams: tuple[str, ...] = ("stdout", "stderr")


@dataclass(frozen=True, slots=True)
class Line:
    time: bytes
    stream: str
    partial: bool
    text: bytes

    def shown(self, timestamps: bool) -> bytes:
        end = b"" if self.partial else b"\n"
        return (self.time + b" " if timestamps else b"") + self.text + end


def parse(line: bytes) -> Line | None:
    """A line of the file without its line break; None for one that isn't in the format."""
    parts = line.split(b" ", 3)
    if len(parts) < 3 or parts[1] not in (b"stdout", b"stderr"):
        return None
    tags = parts[2].split(b":")
    return Line(parts[0], parts[1].decode(), tags[0] == b"P", parts[3] if len(parts) > 3 else b"")


def moment(line: Line) -> float:
    """A line's time in seconds since the epoch; 0.0 where it can't be read."""
    text = line.time.decode(errors="replace")
    head, dot, rest = text.partition(".")
    if dot:
        digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        text = f"{head}.{digits[:6]}{rest[len(digits) :]}"
    try:
        return parse_rfc3339(text)
    except ValueError:
        return 0.0


def files(path: Path) -> list[Path]:
    """The rotated files of a log in the order of time, then the log itself (where it exists)."""
    rotated = sorted(p for p in path.parent.glob(f"{path.name}.*") if not p.name.endswith(".tmp"))
    return [*rotated, *([path] if path.exists() else [])]


def _read(path: Path) -> bytes:
    if path.suffix == ".gz":
        with gzip.open(path) as zipped:
            return zipped.read()
    return path.read_bytes()


def _tail_offset(path: Path, count: int) -> int:
    """Where the last `count` lines of a file begin (blocks are read from the end)."""
    with path.open("rb") as file:
        # The line break that ends the file ends the last line and begins none.
        position = max(0, file.seek(0, os.SEEK_END) - 1)
        found = 0
        while position > 0:
            start = max(0, position - PIECE)
            file.seek(start)
            block = file.read(position - start)
            at = len(block)
            while (at := block.rfind(b"\n", 0, at)) >= 0:
                found += 1
                if found == count:
                    return start + at + 1
            position = start
        return 0


class _Cursor:
    """Reads a growing file line by line."""

    def __init__(self, path: Path, offset: int) -> None:
        self._file = path.open("rb")
        self._file.seek(offset)
        self._rest = b""
        self.path = path

    def lines(self) -> list[bytes]:
        data = self._file.read(PIECE)
        if not data:
            return []
        *whole, self._rest = (self._rest + data).split(b"\n")
        return whole or [b""]

    def rotated(self) -> bool:
        """Whether another file stands under the name by now."""
        try:
            return os.fstat(self._file.fileno()).st_ino != self.path.stat().st_ino
        except FileNotFoundError:
            return False

    def close(self) -> None:
        self._file.close()


async def read(path: Path, options: LogOptions, running: Callable[[], bool], clock: Clock) -> AsyncIterator[bytes]:
    """Pieces of the log as they are to be sent. With `follow` it goes on until `running` says no."""
    left = options.limit
    async for line in _lines(path, options, running, clock):
        if line.stream not in options.streams or (options.since and moment(line) < options.since):
            continue
        data = line.shown(options.timestamps)
        if left is not None:
            data = data[:left]
            left -= len(data)
        if data:
            yield data
        if left == 0:
            return


async def _lines(path: Path, options: LogOptions, running: Callable[[], bool], clock: Clock) -> AsyncIterator[Line]:
    if options.tail == 0 and not options.follow:
        return
    offset = 0
    if options.tail is None:
        for old in files(path)[:-1]:
            for raw in _read(old).splitlines():
                line = parse(raw)
                if line is not None:
                    yield line
    elif path.exists():  # noqa: ASYNC240 (one look at a local file)
        offset = _tail_offset(path, options.tail) if options.tail else path.stat().st_size  # noqa: ASYNC240
    while not path.exists():  # noqa: ASYNC240
        if not options.follow or not running():
            return
        await clock.sleep(POLL)
    cursor = _Cursor(path, offset)
    try:
        while True:
            # Asked before reading: what was written before the end is still read.
            alive = running()
            found = cursor.lines()
            for raw in found:
                line = parse(raw)
                if line is not None:
                    yield line
            if found:
                continue
            if cursor.rotated():
                cursor.close()
                cursor = _Cursor(path, 0)
            elif not options.follow or not alive:
                return
            else:
                await clock.sleep(POLL)
    finally:
        cursor.close()
