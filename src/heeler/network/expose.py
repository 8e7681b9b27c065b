"""What `heeler expose` remembers: Services and pods with a port of the host, in a file of the cluster's folder. Pure but
for reading and writing that file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from heeler.base.files import read_text, write_atomic

FILE = "exposed.json"
#: Entries that a cluster may have.
MAX_EXPOSED = 500
KINDS = {
    "svc": "Service",
    "service": "Service",
    "services": "Service",
    "po": "Pod",
    "pod": "Pod",
    "pods": "Pod",
}


class ExposeError(ValueError):
    """What was asked for can't be; the message says why."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """A port of a Service or pod (`port`: number or name) on `local_port` of the host."""

    kind: str
    namespace: str
    name: str
    port: str
    local_port: int

    @property
    def shown(self) -> str:
        return f"{'svc' if self.kind == 'Service' else 'pod'}/{self.name}"


def parse_target(text: str) -> tuple[str, str]:
    """svc/NAME or pod/NAME as (kind, name). Raises ExposeError."""
    kind, slash, name = text.partition("/")
    if not slash or kind.lower() not in KINDS or not name:
        raise ExposeError(f'"{text}" is neither svc/NAME nor pod/NAME')
    return KINDS[kind.lower()], name


def parse_ports(text: str) -> tuple[int, str]:
    """[LOCALPORT:]PORT as (local port, 0 for any that is free; port). Raises ExposeError."""
    local, colon, port = text.rpartition(":")
    if not port or (colon and not (local.isdigit() and 0 < int(local) < 65536)):
        raise ExposeError(f'"{text}" is no [LOCALPORT:]PORT, like 8080:80 or 8080:http')
    if port.isdigit() and not 0 < int(port) < 65536:
        raise ExposeError(f"{port} is no port: there are 1 to 65535")
    return (int(local) if colon else 0), port


def load(folder: Path) -> list[Exposure]:
    """What is remembered; a broken file counts as empty."""
    text = read_text(folder / FILE)
    try:
        return [Exposure(**entry) for entry in orjson.loads(text)] if text else []
    except (orjson.JSONDecodeError, TypeError):
        return []


def stamp(folder: Path) -> tuple[int, int]:
    """Changes when the file does."""
    try:
        found = (folder / FILE).stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_ino


def save(folder: Path, exposures: Sequence[Exposure]) -> None:
    entries = [asdict(e) for e in exposures[:MAX_EXPOSED]]
    write_atomic(folder / FILE, orjson.dumps(entries, option=orjson.OPT_INDENT_2) + b"\n", 0o600)


def added(have: Sequence[Exposure], new: Exposure) -> list[Exposure]:
    """With `new`, which takes the place of an earlier one of the same port. Raises ExposeError."""
    kept = [e for e in have if (e.kind, e.namespace, e.name, e.port) != (new.kind, new.namespace, new.name, new.port)]
    other = next((e for e in kept if e.local_port == new.local_port), None)
    if other is not None:
        raise ExposeError(f"local port {new.local_port} is {other.shown}'s: choose another")
    if len(kept) >= MAX_EXPOSED:
        raise ExposeError(f"{MAX_EXPOSED} ports are exposed already: remove some")
    return [*kept, new]
