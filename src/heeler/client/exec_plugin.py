"""Credential plugins of kubeconfigs (`users[].user.exec`): a program prints an ExecCredential with a token or a certificate.

Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from heeler.base.clock import parse_rfc3339

#: Seconds that a plugin may take, and bytes that it may print.
SECONDS, MAX_BYTES = 60, 1 << 20
VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")


class PluginError(OSError):
    """The plugin isn't there, failed, or printed something else."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """A program with its arguments and variables. `hint` tells how to install it; `cluster` is what it is told, if anything."""

    command: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    api_version: str
    hint: str = ""
    cluster: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Credential:
    """PEM bytes or b""; `until` is when it ends, in seconds, None if it doesn't say."""

    token: str = ""
    certificate: bytes = b""
    key: bytes = b""
    until: float | None = None


def plugin(entry: Mapping[str, Any], cluster: Mapping[str, Any], folder: Path) -> Plugin:
    """The plugin of a user's `exec`. Raises ValueError."""
    api_version, command = entry.get("apiVersion") or "", entry.get("command") or ""
    if not command:
        raise ValueError("exec has no command")
    if api_version not in VERSIONS:
        raise ValueError(f"exec speaks {api_version or 'no version'}: Heeler knows {' and '.join(VERSIONS)}")
    if os.sep in command and not os.path.isabs(command):
        command = str(folder / command)
    variables = {one["name"]: one.get("value", "") for one in entry.get("env") or ()}
    told = dict(cluster) if entry.get("provideClusterInfo") else None
    return Plugin(command, tuple(entry.get("args") or ()), variables, api_version, entry.get("installHint") or "", told)


async def run(plugin: Plugin) -> Credential:
    """What the plugin answers. Raises PluginError."""
    program = shutil.which(plugin.command)
    if program is None:
        hint = f"\n\n{plugin.hint.strip()}" if plugin.hint else ""
        raise PluginError(f"getting credentials: exec: executable {plugin.command} not found{hint}")
    spec: dict[str, Any] = {"interactive": False}
    if plugin.cluster is not None:
        spec["cluster"] = dict(plugin.cluster)
    asked = {"kind": "ExecCredential", "apiVersion": plugin.api_version, "spec": spec}
    environment = {**os.environ, **plugin.environment, "KUBERNETES_EXEC_INFO": orjson.dumps(asked).decode()}
    process = await asyncio.create_subprocess_exec(
        program, *plugin.arguments, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(SECONDS):
            printed, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise PluginError(f"getting credentials: {plugin.command} didn't answer within {SECONDS} s") from None
    if process.returncode:
        raise PluginError(
            f"getting credentials: exec: executable {plugin.command} failed with exit code {process.returncode}"
        )
    return _read(printed, plugin)


def _read(printed: bytes, plugin: Plugin) -> Credential:
    try:
        found = orjson.loads(printed[:MAX_BYTES])
        status = found["status"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise PluginError(f"getting credentials: {plugin.command} printed no ExecCredential with a status") from error
    if found.get("apiVersion") != plugin.api_version:
        said = f"plugin returned version {found.get('apiVersion')}"
        raise PluginError(
            f"getting credentials: exec plugin is configured to use API version {plugin.api_version}, {said}"
        )
    certificate, key = status.get("clientCertificateData") or "", status.get("clientKeyData") or ""
    if not status.get("token") and not (certificate and key):
        raise PluginError("getting credentials: exec plugin didn't return a token or cert/key pair")
    moment = status.get("expirationTimestamp")
    until = parse_rfc3339(moment) if moment else None
    return Credential(status.get("token") or "", certificate.encode(), key.encode(), until)
