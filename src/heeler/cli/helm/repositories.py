"""`repositories.yaml`: the repositories that the caller has added, and the indexes of them that are kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.settings import place
from heeler.packages.repositories.fetch import Repository as Source
from heeler.packages.repositories.index import Index, parse

_TEXTS = ("caFile", "certFile", "keyFile", "name", "password", "url", "username")
_SWITCHES = ("insecure_skip_tls_verify", "pass_credentials_all")


@dataclass(slots=True)
class Repository:
    """An entry; `fields` has all that the file says of it."""

    name: str
    url: str = ""
    fields: dict[str, Any] = field(default_factory=dict)

    def source(self, call: Call) -> Source:
        """The repository as charts are fetched from it."""
        from heeler.packages.repositories.web import Login, Tls

        def text(name: str) -> str:
            return str(self.fields.get(name) or "")

        def file(name: str) -> str:
            return str(call.path(text(name))) if text(name) else ""

        login = Login(text("username"), text("password"), bool(self.fields.get("pass_credentials_all")))
        insecure = bool(self.fields.get("insecure_skip_tls_verify"))
        return Source(self.name, self.url, login, Tls(file("caFile"), file("certFile"), file("keyFile"), not insecure))


@dataclass(slots=True)
class RepositoryFile:
    """The file. `found` tells whether there is one."""

    repositories: list[Repository] = field(default_factory=list)
    api_version: str = ""
    generated: str = ""
    found: bool = True

    def get(self, name: str) -> Repository | None:
        return next((entry for entry in self.repositories if entry.name == name), None)


def path(call: Call) -> Path:
    return call.path(place(call, "repository-config"))


def load_file(call: Call) -> RepositoryFile:
    """Raises `HelmError` for a file that can't be read."""
    from heeler.packages.template.values import GoError
    from heeler.packages.yaml import read

    file = path(call)
    if not file.is_file():
        return RepositoryFile(found=False)
    try:
        content = read.parse(file.read_bytes())
    except GoError as error:
        raise HelmError(str(error)) from None
    made = RepositoryFile()
    if isinstance(content, dict):
        made.api_version = str(content.get("apiVersion") or "")
        made.generated = str(content.get("generated") or "")
        for entry in content.get("repositories") or ():
            if isinstance(entry, dict):
                made.repositories.append(Repository(str(entry.get("name") or ""), str(entry.get("url") or ""), entry))
    return made


def save_file(call: Call, content: RepositoryFile) -> None:
    """Write the file with every field of every entry, readable by its owner only. Raises `HelmError`."""
    from heeler.base.files import write_atomic
    from heeler.packages.yaml.write import dump

    entries = [
        {name: str(entry.fields.get(name) or "") for name in _TEXTS}
        | {name: bool(entry.fields.get(name)) for name in _SWITCHES}
        for entry in content.repositories
    ]
    generated = content.generated or "0001-01-01T00:00:00Z"
    file = path(call)
    text = dump({"apiVersion": content.api_version, "generated": generated, "repositories": entries})
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, text.encode("utf-8", "surrogateescape"), 0o600)
    except OSError as error:
        raise HelmError(f"open {file}: {(error.strerror or '').lower()}") from None


@contextlib.contextmanager
def locked_file(call: Call) -> Iterator[None]:
    """Hold the repository file against other commands."""
    from heeler.base.files import locked

    file = path(call)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HelmError(f"mkdir {file.parent}: {(error.strerror or '').lower()}") from None
    try:
        with locked(file.with_suffix(".lock")):
            yield
    except OSError as error:
        raise HelmError(f"open {error.filename or file}: {(error.strerror or '').lower()}") from None


def known(call: Call) -> list[Repository]:
    """The entries of the repository file; none where there is no file. Raises `HelmError`."""
    return load_file(call).repositories


def index_name(call: Call, repository: str) -> str:
    """Where a repository's index is kept, as it is named from here."""
    return f"{place(call, 'repository-cache')}/{repository}-index.yaml"


def read_file(call: Call, repository: str) -> Path:
    """Where what a large index says is kept once it was read, beside the index."""
    return call.path(f"{place(call, 'repository-cache')}/{repository}-index.json")


def load_index(call: Call, repository: str, chart: str = "") -> Index:
    """The index of a repository that is kept, of large ones only `chart` if that is named. Raises `ChartError`, `OSError`."""
    name = index_name(call, repository)
    data = call.path(name).read_bytes()
    return parse(data, name, call.log, chart=chart, kept=read_file(call, repository))


def keep_index(call: Call, repository: str, index: Index, data: bytes) -> None:
    """Keep a repository's index, and the names of its charts beside it (for completion). Raises `HelmError`."""
    from heeler.base.files import write_atomic

    file = call.path(index_name(call, repository))
    names = "".join(f"{name}\n" for name in sorted(index.entries))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file.with_name(f"{repository}-charts.txt"), names.encode("utf-8", "surrogateescape"), 0o644)
        write_atomic(file, data, 0o644)
    except OSError as error:
        raise HelmError(f"open {file}: {(error.strerror or '').lower()}") from None
