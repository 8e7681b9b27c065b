"""What commands that fetch and send charts have in common: logins and TLS of their flags, downloads, registries."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.settings import home, place
from heeler.packages.repositories import oci
from heeler.packages.repositories.content import ContentCache
from heeler.packages.repositories.credentials import Credentials
from heeler.packages.repositories.fetch import DEVELOPMENT, FAULTS, Downloads, Fetched, Repository, Wish
from heeler.packages.repositories.index import Index
from heeler.packages.repositories.web import Login, Tls, Web, WebError


class Added:
    """The repositories that the caller has added."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def repositories(self) -> Sequence[Repository]:
        from heeler.cli.helm.repositories import known

        return [entry.source(self.call) for entry in known(self.call)]

    def index(self, name: str, chart: str = "") -> Index:
        from heeler.cli.helm.repositories import load_index

        return load_index(self.call, name, chart)

    def index_file(self, name: str) -> str:
        from heeler.cli.helm.repositories import index_name

        return index_name(self.call, name)


def tls(call: Call, insecure: str = "insecure-skip-tls-verify") -> Tls:
    flags = call.flags

    def path(name: str) -> str:
        return str(call.path(flags.text(name))) if flags.text(name) else ""

    return Tls(path("ca-file"), path("cert-file"), path("key-file"), not flags.on(insecure))


def login(call: Call) -> Login:
    flags = call.flags
    return Login(flags.text("username"), flags.text("password"), flags.on("pass-credentials"))


def keyring(call: Call) -> Path:
    """The file of keys that signatures are checked and made with."""
    return call.path(call.flags.text("keyring").replace("<HOME>", call.environment.get("HOME", "")))


def registry(call: Call, given: Login | None = None, *, insecure: str = "insecure-skip-tls-verify") -> oci.Registry:
    """A client of registries by the call's flags; the login is what was kept, unless one is given."""
    environment = call.environment
    docker = Path(environment.get("DOCKER_CONFIG") or f"{home(environment)}/.docker") / "config.json"
    credentials = Credentials(call.path(place(call, "registry-config")), (docker,))
    return oci.Registry(Web(tls(call, insecure)), credentials, call.flags.on("plain-http"), given)


def check_tls(call: Call) -> None:
    """Refuse files of trust that can't be read before anything is asked. Raises `HelmError`."""
    if call.flags.text("ca-file") or call.flags.text("cert-file"):
        try:
            tls(call).context()
        except WebError as error:
            raise HelmError(f"missing registry client: {said(call, error)}") from None


def downloads(call: Call, say: Callable[[str], None]) -> Downloads:
    """What fetches charts for a call; `say` gets what is reported of a registry's. Raises `HelmError`."""
    check_tls(call)
    cache = ContentCache(call.path(place(call, "content-cache")))
    return Downloads(Added(call), cache, lambda given: registry(call, given), say, call.log)


def wish(call: Call) -> Wish:
    """What the call's flags say of the chart to fetch."""
    flags = call.flags
    version = flags.text("version")
    if not version and flags.on("devel"):
        version = DEVELOPMENT
    return Wish(
        version,
        flags.text("repo"),
        login(call),
        tls(call),
        provenance=flags.on("prov"),
        keyring=keyring(call) if flags.on("verify") else None,
    )


def locate_remote(call: Call, name: str) -> Path:
    """Fetch a chart into the cache; where it lies. Raises `HelmError`."""
    # what is installed shows it with its output, everything else keeps that clean
    say = call.write if call.command in ("install", "upgrade") else lambda text: call.errors.append(text)
    fetched = fetch(call, downloads(call, say), name, wish(call))
    cache = ContentCache(call.path(place(call, "content-cache")))
    try:
        return cache.keep(fetched.archive, fetched.provenance)
    except OSError as error:
        raise HelmError(f"{cache.folder}: {(error.strerror or str(error)).lower()}") from None


def fetch(call: Call, source: Downloads, name: str, wanted: Wish) -> Fetched:
    """Raises `HelmError`."""
    try:
        return source.fetch(name, wanted)
    except FAULTS as error:
        raise HelmError(said(call, error)) from None


def said(call: Call, error: Exception) -> str:
    """A fault with the files of flags as the caller named them."""
    text = str(error)
    for flag in ("keyring", "ca-file", "cert-file", "key-file"):
        if given := call.flags.text(flag):
            text = text.replace(str(call.path(given)), given)
    return text


def verify_file(call: Call, path: Path, shown: str) -> None:
    """Check the signature of a chart's archive that lies here. Raises `HelmError`."""
    from heeler.cli.helm.verify import verify_path

    verify_path(path, shown, keyring(call))


def secret(call: Call, prompt: str, end: str = "") -> str:
    """Ask at the terminal for what isn't shown. Raises `HelmError` where there is no terminal."""
    import getpass

    if not _at_terminal():
        call.write(prompt + end)
        raise HelmError("inappropriate ioctl for device")
    return getpass.getpass(prompt)


def line(call: Call, prompt: str) -> str:
    """Ask for a line of text. Raises `HelmError` where there is none."""
    if _at_terminal():
        try:
            return input(prompt)
        except EOFError:
            raise HelmError("EOF") from None
    call.write(prompt)
    text = call.stdin().decode("utf-8", "replace").split("\n")[0]
    if not text:
        raise HelmError("EOF")
    return text


def _at_terminal() -> bool:
    try:
        return os.isatty(sys.stdin.fileno())
    except (OSError, ValueError, AttributeError):
        return False
