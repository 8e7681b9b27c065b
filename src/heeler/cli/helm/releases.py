"""The releases that a command is about: by `HELM_DRIVER`, in a cluster or in memory (out of files, as Helm's memory driver).

`with session(call) as found:` opens them; `found.run(…)` asks, and turns what fails into Helm's errors.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from heeler.cli.helm.flags import HelmError, UnreachableError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.settings import namespace
from heeler.packages.releases.records import RecordError, Release, from_json, moment
from heeler.packages.releases.storage import Memory, ReleaseNotFound, Storage, StorageError

if TYPE_CHECKING:
    from heeler.packages.releases.doing import Doing

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Session:
    """What actions need, and `execute`, which runs them. `in_memory`: there is no cluster."""

    doing: Doing
    execute: Callable[[Coroutine[Any, Any, Any]], Any]
    in_memory: bool = False

    @property
    def storage(self) -> Storage:
        return self.doing.storage

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        """The result of what is asked of releases. Raises `HelmError`."""
        from heeler.packages.releases.cluster import ClusterError
        from heeler.packages.releases.doing import ActionError

        try:
            found: T = self.execute(step)
        except (StorageError, ActionError, ClusterError) as error:
            raise HelmError(str(error)) from None
        return found

    def last(self, name: str) -> Release | None:
        """The newest revision, None if there is no such release. Raises `HelmError`."""
        try:
            found: Release = self.execute(self.storage.last(name))
        except ReleaseNotFound:
            return None
        except StorageError as error:
            raise HelmError(str(error)) from None
        return found


@contextlib.contextmanager
def session(call: Call, *, most: int = 0, everywhere: bool = False) -> Iterator[Session]:
    """The releases of the call's namespace, or of all. `most`: revisions that are kept. Raises `HelmError`."""
    driver = call.environment.get("HELM_DRIVER", "")
    if driver == "memory":
        yield _in_memory(call, most, everywhere)
        return
    if driver not in ("", "secret", "secrets", "configmap", "configmaps", "sql"):
        raise HelmError(f'unknown driver "{driver}"')
    from heeler.cli.helm.connect import connect

    with connect(call) as connection:
        try:
            found = Session(connection.doing(most=most, everywhere=everywhere), connection.run)
            found.run(found.doing.cluster.version())
        except HelmError as error:
            raise UnreachableError(str(error)) from None
        yield found


def unreachable(call: Call, error: UnreachableError) -> str:
    """What a command says that asks for the cluster before all else; it is logged, too."""
    words = f"cluster reachability check failed: {error}"
    call.log("ERROR", words)
    return words


def _in_memory(call: Call, most: int, everywhere: bool) -> Session:
    import asyncio

    from heeler.base.clock import SystemClock
    from heeler.packages.releases.cluster import NoCluster
    from heeler.packages.releases.doing import Doing

    place, clock = namespace(call), SystemClock()
    storage = Storage(Memory("" if everywhere else place, _read(call)), most)
    doing = Doing(NoCluster(place), storage, lambda: moment(clock.time()), call.log, call.write)
    return Session(doing, asyncio.run, in_memory=True)


def _read(call: Call) -> list[Release]:
    """The releases of the files that HELM_MEMORY_DRIVER_DATA names."""
    from heeler.packages.template.values import GoError
    from heeler.packages.yaml import read

    found = []
    for name in (call.environment.get("HELM_MEMORY_DRIVER_DATA") or "").split(":"):
        try:
            if not name:
                raise FileNotFoundError(2, "no such file or directory")
            content = read.parse(call.path(name).read_bytes())
            found += [from_json(_plain(one)) for one in content or () if isinstance(one, dict)]
        except OSError as error:
            said = f"open {name}: {(error.strerror or '').lower()}"
            call.log("INFO", f"Unable to read memory driver data{said}")
            raise HelmError(quiet=True) from None
        except (GoError, RecordError, TypeError) as error:
            call.log("INFO", f"Unable to unmarshal memory driver data: {error}")
            raise HelmError(quiet=True) from None
    return [one if one.namespace else _in_default(one) for one in found]


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """A record's values with all numbers as Helm has them once they are read."""

    def floats(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: floats(item) for key, item in value.items()}
        if isinstance(value, list):
            return [floats(item) for item in value]
        return float(value) if type(value) is int else value

    chart = record.get("chart")
    if isinstance(chart, dict):
        record = record | {"chart": chart | {"values": floats(chart.get("values"))}}
    record = {key: value for key, value in record.items() if key != "labels"}  # they aren't in Helm's JSON
    return record | {"config": floats(record.get("config"))}


def _in_default(release: Release) -> Release:
    return replace(release, namespace="default")


def is_name(name: str) -> bool:
    """Whether releases may be called that."""
    from heeler.cli.helm.rendering import NAME_LIMIT, NAME_PATTERN

    return len(name) <= NAME_LIMIT and NAME_PATTERN.match(name) is not None


def find(call: Call, name: str, version: int = 0) -> Release:
    """A release's revision, the last one for 0. Raises `HelmError`."""
    with session(call) as found:
        return find_in(found, name, version)


def find_in(found: Session, name: str, version: int) -> Release:
    """The same of a session that is open."""
    if not is_name(name):
        raise HelmError(f"releaseContent: Release name is invalid: {name}")
    return found.run(found.storage.last(name) if version <= 0 else found.storage.get(name, version))
