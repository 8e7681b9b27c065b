"""The releases that a command is about: by `HELM_DRIVER`, in memory (out of files, as Helm's memory driver) or in a cluster."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.settings import namespace
from heeler.packages.releases.records import RecordError, Release, from_json
from heeler.packages.releases.storage import Memory, ReleaseNotFound, Storage, StorageError

T = TypeVar("T")


def storage(call: Call) -> Storage:
    """Where the releases of the call's namespace are. Raises `HelmError`."""
    driver = call.environment.get("HELM_DRIVER", "")
    if driver == "memory":
        return Storage(Memory(namespace(call), _read(call)))
    if driver not in ("", "secret", "secrets", "configmap", "configmaps", "sql"):
        raise HelmError(f'unknown driver "{driver}"')
    raise HelmError("heeler helm keeps no releases in clusters yet: only HELM_DRIVER=memory is there")


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


def wait_for(step: Coroutine[Any, Any, T]) -> T:
    """Run what the storage is asked. Its errors become Helm's. Raises `HelmError`."""
    import asyncio

    try:
        return asyncio.run(step)
    except StorageError as error:
        raise HelmError(str(error)) from None


def is_name(name: str) -> bool:
    """Whether releases may be called that."""
    from heeler.cli.helm.rendering import NAME_LIMIT, NAME_PATTERN

    return len(name) <= NAME_LIMIT and NAME_PATTERN.match(name) is not None


def find(call: Call, name: str, version: int = 0) -> Release:
    """A release's revision, the last one for 0. Raises `HelmError`."""
    if not is_name(name):
        raise HelmError(f"releaseContent: Release name is invalid: {name}")
    kept = storage(call)
    return wait_for(kept.last(name) if version <= 0 else kept.get(name, version))


__all__ = ["ReleaseNotFound", "find", "is_name", "storage", "wait_for"]
