"""`repositories.yaml`: the repositories that the caller has added, and the indexes of them that are kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.settings import place
from heeler.packages.repositories.index import Index, parse

_TEXTS = ("caFile", "certFile", "keyFile", "name", "password", "url", "username")
_SWITCHES = ("insecure_skip_tls_verify", "pass_credentials_all")


@dataclass(slots=True)
class Repository:
    """An entry; `fields` has all that the file says of it."""

    name: str
    url: str = ""
    fields: dict[str, Any] = field(default_factory=dict)


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
    """Write the file with every field of every entry, readable by its owner only."""
    from heeler.packages.yaml.write import dump

    entries = [
        {name: str(entry.fields.get(name) or "") for name in _TEXTS}
        | {name: bool(entry.fields.get(name)) for name in _SWITCHES}
        for entry in content.repositories
    ]
    generated = content.generated or "0001-01-01T00:00:00Z"
    file = path(call)
    file.parent.mkdir(parents=True, exist_ok=True)
    text = dump({"apiVersion": content.api_version, "generated": generated, "repositories": entries})
    temporary = file.with_name(f"{file.name}.new")
    temporary.touch(mode=0o600)
    temporary.write_text(text)
    temporary.replace(file)


def known(call: Call) -> list[Repository]:
    """The entries of the repository file; none where there is no file. Raises `HelmError`."""
    return load_file(call).repositories


def index_name(call: Call, repository: str) -> str:
    """Where a repository's index is kept, as it is named from here."""
    return f"{place(call, 'repository-cache')}/{repository}-index.yaml"


def load_index(call: Call, repository: str) -> Index:
    """The index of a repository that is kept. Raises `ChartError`, `OSError`."""
    return parse(call.path(index_name(call, repository)).read_bytes())
