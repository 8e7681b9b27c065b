"""`repositories.yaml`: the repositories that the caller has added."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.settings import place


@dataclass(slots=True)
class Repository:
    name: str
    url: str = ""
    fields: dict[str, Any] = field(default_factory=dict)


def known(call: Call) -> list[Repository]:
    """The entries of the repository file; none where there is no file. Raises `HelmError`."""
    from heeler.packages.template.values import GoError
    from heeler.packages.yaml import read

    name = place(call, "repository-config")
    path = call.path(name)
    if not path.is_file():
        return []
    try:
        content = read.parse(path.read_bytes())
    except GoError as error:
        raise HelmError(str(error)) from None
    entries = content.get("repositories") if isinstance(content, dict) else None
    found = []
    for entry in entries or ():
        if isinstance(entry, dict):
            found.append(Repository(str(entry.get("name") or ""), str(entry.get("url") or ""), entry))
    return found
