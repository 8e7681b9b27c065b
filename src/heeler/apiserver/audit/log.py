"""Where audit events go: a file of JSON lines, begun anew when it is full, or standard output.

An event is written before its request is answered. Only the file's owner may read it: it holds what was asked and answered.
Source: https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/#log-backend
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import orjson

from heeler.base.clock import Clock, rfc3339_micro
from heeler.objects.value import Object

_MEBIBYTE = 1 << 20
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Limits:
    """MiB of a file (0: any), files that are kept besides (0: all), days that they are kept (0: for ever)."""

    size: int = 100
    backups: int = 0
    age: int = 0


class AuditLog:
    """`path` "-" is standard output. Raises OSError where the file can't be opened."""

    def __init__(self, path: str, limits: Limits, clock: Clock) -> None:
        self._path = None if path == "-" else Path(path)
        self._limits, self._clock = limits, clock
        self._file = self._open()
        self._size = os.fstat(self._file).st_size if self._path else 0

    def write(self, event: Object) -> None:
        """Raises OSError (a full disk)."""
        line = orjson.dumps(event) + b"\n"
        if self._path and self._limits.size and self._size + len(line) > self._limits.size * _MEBIBYTE and self._size:
            self._turn()
        _write_all(self._file, line)
        self._size += len(line)

    def close(self) -> None:
        if self._path:
            os.close(self._file)

    def _open(self) -> int:
        if self._path is None:
            return sys.stdout.fileno()
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def _turn(self) -> None:
        """Put the file aside under the present time, as `audit-2026-01-31T10-00-00.000.log`."""
        assert self._path is not None
        os.close(self._file)
        moment = rfc3339_micro(self._clock.time())[:-4].replace(":", "-")
        os.replace(self._path, self._path.with_name(f"{self._path.stem}-{moment}{self._path.suffix}"))
        self._forget()
        self._file, self._size = self._open(), 0

    def _forget(self) -> None:
        """Remove files that are too old or too many."""
        assert self._path is not None
        found = sorted(self._path.parent.glob(f"{self._path.stem}-*{self._path.suffix}"), reverse=True)
        for number, file in enumerate(found):
            old = self._limits.age and self._clock.time() - file.stat().st_mtime > self._limits.age * _DAY
            if old or (self._limits.backups and number >= self._limits.backups):
                file.unlink(missing_ok=True)


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]
