"""Logins of registries, in the file that docker and helm share: `{"auths": {HOST: {"auth": BASE64}}}`, and credential helpers.

Source: https://docs.docker.com/reference/cli/docker/login/#credential-stores
"""

from __future__ import annotations

import base64
import binascii
import os
import subprocess
from pathlib import Path
from typing import Any

import orjson

from heeler.base.files import write_atomic
from heeler.packages.repositories.web import NOBODY, Login

#: Seconds that a credential helper may take.
HELPER_SECONDS = 30


class CredentialError(Exception):
    """A login that can't be read or kept."""


class Credentials:
    """`path` is written; `fallbacks` are only read. Raises CredentialError for a file that is no JSON object."""

    def __init__(self, path: Path, fallbacks: tuple[Path, ...] = ()) -> None:
        self._path, self._fallbacks = path, fallbacks

    def get(self, host: str) -> Login:
        """The login for a host, NOBODY if there is none."""
        for path in (self._path, *self._fallbacks):
            config = _read(path)
            helper = _helper(config, host)
            found = _ask(helper, host) if helper else _decoded(_map(config, "auths").get(host))
            if found.name or found.password:
                return found
        return NOBODY

    def put(self, host: str, login: Login) -> None:
        config = _read(self._path)
        helper = _helper(config, host)
        if helper:
            said = {"ServerURL": host, "Username": login.name, "Secret": login.password}
            _run(helper, "store", orjson.dumps(said))
            return
        auth = base64.b64encode(f"{login.name}:{login.password}".encode()).decode()
        config["auths"] = {**_map(config, "auths"), host: {"auth": auth}}
        self._write(config)

    def remove(self, host: str) -> None:
        """What isn't there is fine."""
        config = _read(self._path)
        helper = _helper(config, host)
        if helper:
            _run(helper, "erase", host.encode())
        elif host in (logins := _map(config, "auths")):
            config["auths"] = {name: login for name, login in logins.items() if name != host}
            self._write(config)

    def _write(self, config: dict[str, Any]) -> None:
        import json

        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomic(self._path, json.dumps(config, indent="\t").encode(), 0o600)
        except OSError as error:
            raise CredentialError(f"{self._path}: {(error.strerror or str(error)).lower()}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        value = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CredentialError(f"failed to open config file {path}: {(error.strerror or str(error)).lower()}") from error
    except orjson.JSONDecodeError as error:
        raise CredentialError(f"failed to decode config file {path}: {error}") from error
    if not isinstance(value, dict):
        raise CredentialError(f"failed to decode config file {path}: it must hold an object")
    return value


def _map(config: dict[str, Any], name: str) -> dict[str, Any]:
    found = config.get(name)
    return found if isinstance(found, dict) else {}


def _helper(config: dict[str, Any], host: str) -> str:
    """The credential helper that keeps a host's login, "" for none."""
    return str(_map(config, "credHelpers").get(host) or config.get("credsStore") or "")


def _decoded(entry: Any) -> Login:
    if not isinstance(entry, dict):
        return NOBODY
    try:
        name, _, password = base64.b64decode(entry.get("auth") or "", validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, TypeError):
        return NOBODY
    return Login(name or entry.get("username") or "", password or entry.get("password") or "")


def _ask(helper: str, host: str) -> Login:
    try:
        found = orjson.loads(_run(helper, "get", host.encode()) or b"{}")
    except orjson.JSONDecodeError as error:
        raise CredentialError(f"docker-credential-{helper} get: it answered no JSON: {error}") from None
    if not isinstance(found, dict):
        return NOBODY
    return Login(str(found.get("Username") or ""), str(found.get("Secret") or ""))


def _run(helper: str, action: str, said: bytes) -> bytes:
    """What a credential helper answers; nothing where it knows none. The secret goes by its standard input."""
    program = f"docker-credential-{helper}"
    if os.sep in helper:
        raise CredentialError(f"{program}: a helper is named without a folder")
    try:
        done = subprocess.run([program, action], input=said, capture_output=True, timeout=HELPER_SECONDS, check=False)
    except FileNotFoundError as error:
        raise CredentialError(f'exec: "{program}": executable file not found in $PATH') from error
    except subprocess.TimeoutExpired as error:
        raise CredentialError(f"{program} {action} didn't answer within {HELPER_SECONDS} s") from error
    if done.returncode == 0:
        return done.stdout
    if action == "get" and b"not found" in done.stdout + done.stderr:
        return b""
    raise CredentialError(f"{program} {action}: {(done.stdout or done.stderr).decode(errors='replace').strip()}")
