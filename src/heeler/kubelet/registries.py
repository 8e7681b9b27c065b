"""Registries as containerd is told of them: mirrors, private authorities, plain HTTP; also those on the host's loopback.

The settings stand in a file (a JSON object by registry host) that is looked at again while the node runs; containerd reads
its hosts.toml at every pull, so a change needs no restart. A node lives in a network namespace of its own: what listens on
the host's 127.0.0.1 is made to be found at the node's 127.0.0.1, at the same port.
Source: https://github.com/containerd/containerd/blob/main/docs/hosts.md
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from heeler.base.clock import Clock
from heeler.base.files import write_atomic
from heeler.base.netns import NetNamespace
from heeler.network import relay

log = logging.getLogger(__name__)

#: Seconds between looks at the file; registries that it may name.
PERIOD, MAX_REGISTRIES = 2.0, 100
KNOWN = ("mirrors", "ca", "skipVerify")
_HOST = re.compile(r"_default|[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Registry:
    """One registry: URLs that are asked before it, the PEM file of its authority, whether TLS is checked at all."""

    host: str
    mirrors: tuple[str, ...] = ()
    ca: str = ""
    skip_verify: bool = False


def registries(told: Any, where: str) -> list[Registry]:
    """Settings by registry host: {"docker.io": {"mirrors": [URL], "ca": FILE, "skipVerify": bool}}. Raises ValueError."""
    if not isinstance(told, Mapping) or len(told) > MAX_REGISTRIES:
        raise ValueError(f"{where} must name registries: HOST: {{{', '.join(KNOWN)}}}")
    out = []
    for host, settings in told.items():
        if not isinstance(host, str) or not _HOST.fullmatch(host):
            raise ValueError(f"{where}: {host!r} is no registry's host, as in registry.example:5000")
        if not isinstance(settings, Mapping) or any(key not in KNOWN for key in settings):
            raise ValueError(f"{where}: {host}: there are {', '.join(KNOWN)}")
        mirrors = settings.get("mirrors") or []
        if not isinstance(mirrors, list) or not all(isinstance(m, str) and _is_url(m) for m in mirrors):
            raise ValueError(f"{where}: {host}: mirrors must be URLs, as in http://127.0.0.1:5000")
        ca, skip = settings.get("ca") or "", settings.get("skipVerify", False)
        if not isinstance(ca, str) or not isinstance(skip, bool):
            raise ValueError(f"{where}: {host}: ca must be a file, skipVerify true or false")
        if ca and not Path(ca).is_file():
            raise ValueError(f"{where}: {host}: the file {ca} isn't there")
        out.append(Registry(host, tuple(mirrors), str(Path(ca).absolute()) if ca else "", skip))
    return out


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def plain(found: list[Registry]) -> dict[str, Any]:
    """The settings as a file holds them."""
    return {r.host: {"mirrors": list(r.mirrors), "ca": r.ca, "skipVerify": r.skip_verify} for r in found}


def hosts_toml(registry: Registry) -> str:
    """containerd's hosts.toml of a registry: its mirrors in their order, then itself."""
    quoted = orjson.dumps
    lines = []
    own = "" if registry.host == "_default" else f"https://{registry.host}"
    if registry.host == "docker.io":
        own = "https://registry-1.docker.io"
    if own:
        lines.append(f"server = {quoted(own).decode()}")
    trusted = [own] if own and (registry.ca or registry.skip_verify) else []
    for url in [*registry.mirrors, *(u for u in trusted if u not in registry.mirrors)]:
        lines += ["", f"[host.{quoted(url.rstrip('/')).decode()}]", '  capabilities = ["pull", "resolve"]']
        if registry.ca and url.startswith("https:"):
            lines.append(f"  ca = {quoted(registry.ca).decode()}")
        if registry.skip_verify:
            lines.append("  skip_verify = true")
    return "\n".join(lines) + "\n"


def write(folder: Path, found: list[Registry]) -> None:
    """Make the folder hold these registries and no others. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.iterdir()):
        if old.name not in {r.host: None for r in found}:
            shutil.rmtree(old, ignore_errors=True)
    for registry in found:
        place = folder / registry.host
        place.mkdir(exist_ok=True)
        write_atomic(place / "hosts.toml", hosts_toml(registry).encode(), 0o644)


def on_loopback(found: list[Registry]) -> list[int]:
    """Ports of the host's loopback that the registries lead to."""
    ports: dict[int, None] = {}
    for registry in found:
        for url in [*registry.mirrors, *([] if registry.mirrors else [f"https://{registry.host}"])]:
            parts = urlsplit(url)
            if parts.hostname in ("127.0.0.1", "localhost"):
                ports[parts.port or (443 if parts.scheme == "https" else 80)] = None
    return list(ports)


class Registries:
    """Keeps containerd's folder in step with the settings' file. `run` until cancelled."""

    def __init__(self, file: Path, folder: Path, netns: NetNamespace, clock: Clock) -> None:
        self._file, self._folder, self._netns, self._clock = file, folder, netns, clock
        self._stamp = 0.0
        self._relays: dict[int, relay.Relay] = {}

    async def run(self) -> None:
        try:
            while True:
                await self.look()
                await self._clock.sleep(PERIOD)
        finally:
            async with contextlib.AsyncExitStack() as stack:  # one that is cancelled leaves none of the others open
                for open_one in self._relays.values():
                    stack.push_async_callback(open_one.close)

    async def look(self) -> None:
        """Read the file again where it has changed; one that can't be read leaves all as it was."""
        try:
            stamp = self._file.stat().st_mtime
        except FileNotFoundError:
            return
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            found = registries(orjson.loads(self._file.read_bytes()), str(self._file))
            write(self._folder, found)
        except (ValueError, OSError) as error:
            log.warning("the registries of %s are not used: %s", self._file, error)
            return
        await self._listen(on_loopback(found))

    async def _listen(self, ports: list[int]) -> None:
        for port in [p for p in self._relays if p not in ports]:
            await self._relays.pop(port).close()
        for port in [p for p in ports if p not in self._relays]:
            try:
                listening = await self._netns.listen("127.0.0.1", port)
            except OSError as error:
                log.warning("port %d of the host is not to be found in the node: %s", port, error)
                continue
            self._relays[port] = relay.Relay(listening, _host(port))


def _host(port: int) -> relay.Connect:
    async def connect() -> Any:
        made = relay.outside("127.0.0.1")
        try:
            await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
        except BaseException:
            made.close()
            raise
        return made

    return connect
