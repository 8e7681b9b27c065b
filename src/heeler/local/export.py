"""A cluster's state and logs in one archive, for a bug report: secrets removed, keys and kubeconfigs never looked at.

heeler-NAME/summary.json          versions, machine, components, what `heeler doctor` finds
heeler-NAME/objects/GROUP/RESOURCE.yaml
heeler-NAME/events.txt            the last ones, as text
heeler-NAME/logs/COMPONENT.log    and of pods: logs/pods/NAMESPACE/POD/CONTAINER.log
heeler-NAME/machine/…             addresses, routes, rules, mounts, as root sees them
"""

from __future__ import annotations

import asyncio
import io
import platform
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import orjson

from heeler import __version__
from heeler.base.clock import Clock
from heeler.base.netns import NETNS_FOLDER
from heeler.client.client import Client
from heeler.client.discovery import discover
from heeler.local import redact
from heeler.local.layout import Layout, Spec, real_names
from heeler.objects import yaml_text
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object
from heeler.workloads import events

#: Bytes of a log's end, objects of a kind, pods whose logs are taken, bytes of each.
LOG_BYTES, MAX_OBJECTS, MAX_PODS, POD_LOG_BYTES = 4 << 20, 5_000, 200, 256 << 10
#: Kinds that say nothing about a fault, or too much about people.
IGNORED = {("authentication.k8s.io", ""), ("coordination.k8s.io", "leases")}
#: Commands that show a node's network, in its namespace.
_IN_NODE = (("ip", "addr"), ("ip", "route"), ("nft", "list", "ruleset"))
_PODS = GroupVersionResource("", "v1", "pods")
_EVENTS = GroupVersionResource("", "v1", "events")

#: Told each stage that is done, and a remark.
Report = Callable[[str, str], None]


class Archive:
    """A compressed tar that is written to as things are found."""

    def __init__(self, path: Path, root: str, now: float) -> None:
        self._root, self._now = root, int(now)
        path.touch(mode=0o600)
        self._tar = tarfile.open(path, "w:gz")  # noqa: SIM115 (`close` ends it)

    def add(self, name: str, data: bytes | str) -> None:
        content = data.encode() if isinstance(data, str) else data
        entry = tarfile.TarInfo(f"{self._root}/{name}")
        entry.size, entry.mtime, entry.mode = len(content), self._now, 0o600
        self._tar.addfile(entry, io.BytesIO(content))

    def close(self) -> None:
        self._tar.close()


async def export(
    layout: Layout, spec: Spec, client: Client | None, path: Path, summary: Object, clock: Clock, report: Report
) -> None:
    """Write the archive. What can't be had (the cluster is down) is left out and said. Raises OSError."""
    archive = Archive(path, f"heeler-{spec.name}", clock.time())
    try:
        machine = {
            "heeler": __version__,
            "python": platform.python_version(),
            "system": platform.platform(),
            "spec": {
                **asdict(spec),
                # both may hold keys
                "registries": sorted(spec.registries),
                "scheduler_config": bool(spec.scheduler_config),
            },
        }
        archive.add("summary.json", orjson.dumps({**machine, **summary}, option=orjson.OPT_INDENT_2))
        report("logs", f"{_logs(archive, layout)} files")
        if client is None:
            report("objects", "none: the API server doesn't answer")
        else:
            report("objects", f"{await _objects(archive, client)} objects")
            report("pods' logs", f"{await _pod_logs(archive, client)} containers")
        report("machine", f"{await _machine(archive, layout, spec)} files")
    finally:
        archive.close()


def _logs(archive: Archive, layout: Layout) -> int:
    files = sorted(layout.logs.glob("*.log*")) if layout.logs.is_dir() else []
    files += sorted((layout.root / "nodes").glob("*/containerd.log"))
    count = 0
    for path in files:
        try:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - LOG_BYTES))
                data = file.read(LOG_BYTES)
        except OSError:
            continue  # a node's log is root's
        archive.add(
            f"logs/{path.name if path.parent == layout.logs else f'{path.parent.name}-{path.name}'}", _clean(data)
        )
        count += 1
    return count


def _clean(data: bytes) -> str:
    return redact.text(data.decode("utf-8", "replace"))


async def _objects(archive: Archive, client: Client) -> int:
    count = 0
    for resource in (await discover(client)).preferred():
        name = resource.name
        if "list" not in resource.verbs or (name.group, name.resource) in IGNORED or "/" in name.resource:
            continue
        try:
            items = (await client.list(name, limit=MAX_OBJECTS)).items
        except (StatusError, OSError) as error:
            archive.add(f"objects/{name.group or 'core'}/{name.resource}.error", str(error))
            continue
        if items:
            cleaned = [redact.obj(item) for item in items]
            archive.add(f"objects/{name.group or 'core'}/{name.resource}.yaml", yaml_text.dump({"items": cleaned}))
            count += len(items)
            if name == _EVENTS:
                archive.add("events.txt", redact.text("\n".join(events.lines(items)) + "\n"))
    return count


async def _pod_logs(archive: Archive, client: Client) -> int:
    """The end of each container's log, and of the one before where it was started again."""
    count = 0
    for pod in (await client.list(_PODS, limit=MAX_PODS)).items:
        metadata = pod["metadata"]
        status = pod.get("status") or {}
        for container in (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or []):
            for previous in (False, True) if container.get("restartCount") else (False,):
                query = {"container": container["name"], "tailLines": "2000", "limitBytes": str(POD_LOG_BYTES)}
                if previous:
                    query["previous"] = "true"
                where = _PODS.path(metadata["namespace"], metadata["name"], "log")
                try:
                    async with asyncio.timeout(10):
                        code, data = await client.request("GET", where, query=query)
                except (StatusError, OSError, TimeoutError):
                    continue
                if code == 200 and data:
                    name = f"{container['name']}{'.previous' if previous else ''}.log"
                    archive.add(f"logs/pods/{metadata['namespace']}/{metadata['name']}/{name}", _clean(data))
                    count += 1
    return count


async def _machine(archive: Archive, layout: Layout, spec: Spec) -> int:
    from heeler.local.node import options as node_options

    commands: list[tuple[str, list[str]]] = [("uname.txt", ["uname", "-a"]), ("disk.txt", ["df", "-h"])]
    for node in real_names(spec):
        namespace = NETNS_FOLDER / node_options(layout, spec, node).node_netns
        if namespace.exists():
            for command in _IN_NODE:
                commands.append((f"{node}/{'-'.join(command)}.txt", ["nsenter", f"--net={namespace}", *command]))
    count = 0
    for name, words in commands:
        if shutil.which(words[0]) is None:
            continue
        process = await asyncio.create_subprocess_exec(
            *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        out, _ = await process.communicate()
        archive.add(f"machine/{name}", _clean(out[:LOG_BYTES]))
        count += 1
    return count
