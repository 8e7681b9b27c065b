"""What tests apply and name: objects out of text and files, and kinds as kubectl calls them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from heeler.kinds.kind import Kind
from heeler.objects import yaml_text
from heeler.objects.value import Object

#: Where a document of a YAML text ends and the next begins.
DOCUMENTS = re.compile(r"^---(?:[ \t].*)?$", re.MULTILINE)

#: What a test may apply: an object, several, YAML text with one or more documents, or a file or folder of them.
Manifest: TypeAlias = "Object | Iterable[Object] | str | Path"


def find_kind(kinds: Iterable[Kind], resource: str) -> Kind:
    """The kind that kubectl means by "pods", "po", "Pod", "deployments.apps". Raises ValueError."""
    plural, _, group = resource.lower().partition(".")
    for kind in kinds:
        names = (kind.plural, kind.singular, kind.kind.lower(), *kind.short_names)
        if plural in names and (not group or kind.group == group):
            return kind
    raise ValueError(f'the cluster serves nothing called "{resource}"')


def objects_of(manifest: Manifest) -> list[Object]:
    """The objects of a manifest (see `Manifest`), those of lists one by one. Raises ValueError, OSError."""
    if isinstance(manifest, Mapping):
        items = manifest.get("items")
        if str(manifest.get("kind", "")).endswith("List") and isinstance(items, list):
            return [found for item in items for found in objects_of(item)]
        return [_checked(manifest)]
    if isinstance(manifest, Path) or (isinstance(manifest, str) and "\n" not in manifest and ":" not in manifest):
        return _of_files(Path(manifest))
    if isinstance(manifest, str):
        return [found for text in DOCUMENTS.split(manifest) for found in _of_text(text)]
    return [found for one in manifest for found in objects_of(one)]


def _of_files(path: Path) -> list[Object]:
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in (".yaml", ".yml", ".json") and p.is_file())
        return [found for file in files for found in _of_files(file)]
    try:
        return objects_of(path.read_text(encoding="utf-8") + "\n")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _checked(manifest: Mapping[str, Any]) -> Object:
    """Raises ValueError for what isn't an object of an API."""
    metadata = manifest.get("metadata")
    named = isinstance(metadata, Mapping) and (metadata.get("name") or metadata.get("generateName"))
    missing = [field for field in ("apiVersion", "kind") if not isinstance(manifest.get(field), str)]
    missing += [] if named else ["metadata.name"]
    if missing:
        there = ", ".join(map(str, manifest)) or "nothing"
        raise ValueError(f"no manifest: it has no {' and no '.join(missing)} (it has {there})")
    return dict(manifest)


def _of_text(text: str) -> list[Object]:
    try:
        value, _ = yaml_text.load(text)
    except yaml_text.YamlError as error:
        raise ValueError(f"no YAML: {error}") from error
    if value is None:
        return []
    if not isinstance(value, dict):
        raise ValueError(f"a manifest is an object with apiVersion and kind, not {value!r}")
    return objects_of(value)
