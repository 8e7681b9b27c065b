"""A repository's index: the charts that it has, each with its versions, the newest first."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

from heeler.objects.go_text import json_kind
from heeler.packages.charts.chart import ChartError, Metadata
from heeler.packages.charts.decode import METADATA, ListOf, Record, decode
from heeler.packages.charts.load import Log, load, silent
from heeler.packages.charts.metadata import as_map, faults
from heeler.packages.charts.versions import NO_VERSION, Version, check_range, in_range
from heeler.packages.template.values import GoError
from heeler.packages.yaml import read

MAX_BYTES = 64 << 20
"""How large an index may be; the largest public ones have some 20 MiB."""

LARGE_BYTES = 512 << 10
"""From where on an index takes more than half a second to read."""


#: What an index may say beside its entries; whatever else is in it makes it none.
_FIELDS = ("serverInfo", "apiVersion", "generated", "entries", "publicKeys", "annotations")


#: A fault with which a version is still taken.
_BORNE = "more than one dependency with name or alias"


@dataclass(slots=True)
class _More:
    urls: list[str] = field(default_factory=list)
    created: str = ""
    removed: bool = False
    digest: str = ""


_MORE = Record(
    "ChartVersion",
    _More,
    {
        "urls": ("urls", ListOf(str, "[]string")),
        "created": ("created", str),
        "removed": ("removed", bool),
        "digest": ("digest", str),
    },
)


@dataclass(slots=True)
class Entry:
    """A version of a chart, and where it is."""

    metadata: Metadata
    urls: list[str] = field(default_factory=list)
    created: str = ""
    removed: bool = False
    digest: str = ""

    def as_map(self) -> dict[str, Any]:
        """As it is written, in Go's order of fields."""
        more = {"urls": self.urls, "created": self.created, "removed": self.removed, "digest": self.digest}
        return as_map(self.metadata) | {key: value for key, value in more.items() if value or key == "urls"}


@dataclass(slots=True)
class Index:
    entries: dict[str, list[Entry]] = field(default_factory=dict)
    generated: str = ""

    def add(self, entry: Entry) -> None:
        self.entries.setdefault(entry.metadata.name, []).append(entry)

    def has(self, name: str, version: str) -> bool:
        return any(entry.metadata.version == version for entry in self.entries.get(name, ()))

    def get(self, name: str, wanted: str = "") -> Entry:
        """The version that is called so, else the newest in the range `wanted`. Raises `ChartError`."""
        if not self.entries.get(name):
            raise ChartError("no chart name found")
        entries = self.entries[name]
        if exact := next((entry for entry in entries if wanted and entry.metadata.version == wanted), None):
            return exact
        try:
            check_range(wanted or "*")
        except ValueError as error:
            raise ChartError(str(error)) from None
        for entry in entries:
            if in_range(wanted or "*", entry.metadata.version):
                return entry
        raise ChartError(f"no chart version found for {name}-{wanted}")

    def merge(self, other: Index) -> None:
        """Take over what `other` has and this hasn't."""
        for name, entries in other.entries.items():
            for entry in entries:
                if not self.has(name, entry.metadata.version):
                    self.entries.setdefault(name, []).append(entry)

    def sort(self) -> None:
        for entries in self.entries.values():
            entries.sort(key=newest, reverse=True)

    def as_map(self) -> dict[str, Any]:
        entries = {name: [entry.as_map() for entry in self.entries[name]] for name in sorted(self.entries)}
        return {"apiVersion": "v1", "generated": self.generated, "entries": entries}


def absolute(repository: str, reference: str) -> str:
    """A chart's URL, which an index may give relative to its repository's."""
    base, at = urlsplit(repository), urlsplit(reference)
    if at.scheme:
        return reference
    found = urlsplit(urljoin(f"{repository.partition('?')[0].rstrip('/')}/", reference))
    return urlunsplit(found._replace(query=found.query or base.query))  # a token in the repository's URL


def newest(entry: Entry) -> tuple[bool, Version]:
    """A key by which newer versions are greater; what is no version is the least."""
    try:
        return True, Version.parse(entry.metadata.version)
    except ValueError:
        return False, NO_VERSION


def parse(data: bytes, source: str = "", log: Log = silent, *, chart: str = "", kept: Path | None = None) -> Index:
    """An index out of its YAML or JSON. `log` is told of versions that can't be and so are left out. Raises `ChartError`.

    Large ones take their time: of them only `chart` is read, if one is named, and what YAML says is put into `kept`, from where
    it is taken the next time.
    """
    if len(data) > MAX_BYTES:
        raise ChartError(f"the index is larger than {MAX_BYTES >> 20} MiB")
    large = len(data) >= LARGE_BYTES
    content = _content(data) if kept is None or not large else _kept(data, kept)
    if content is None:
        raise ChartError("empty index.yaml file")
    for key in content if isinstance(content, dict) else ():
        if key not in _FIELDS:
            raise ChartError(f'error unmarshaling JSON: while decoding JSON: json: unknown field "{key}"')
    if not isinstance(content, dict) or not content.get("apiVersion"):
        raise ChartError("no API version specified")
    index = Index(generated=str(content.get("generated") or ""))
    entries = content.get("entries")
    _shaped(entries, dict, "map[string]repo.ChartVersions")
    for name, versions in (entries or {}).items():
        _shaped(versions, list, "repo.ChartVersions")
        if large and chart and name != chart:
            continue
        for one in reversed(versions or []):
            _shaped(one, Mapping, "repo.ChartVersion")
            entry = _entry(one)
            if entry is None:
                continue
            if fault := next((one for one in faults(entry.metadata) if not one.startswith(_BORNE)), None):
                log(
                    "WARN",
                    "skipping loading invalid entry for chart",
                    name=name,
                    version=entry.metadata.version,
                    source=source,
                    error=f"validation: {fault}",
                )
                continue
            index.entries.setdefault(str(name), []).append(entry)
        index.entries.get(str(name), []).reverse()
    index.sort()
    return index


def _shaped(value: Any, wanted: type, go_type: str) -> None:
    """Raises `ChartError` for what is neither null nor of the type."""
    if value is not None and not isinstance(value, wanted):
        words = f"cannot unmarshal {json_kind(value)} into Go struct field IndexFile.entries of type {go_type}"
        raise ChartError(f"error unmarshaling JSON: while decoding JSON: json: {words}")


def _kept(data: bytes, file: Path) -> Any:
    """What an index says, by the file that keeps it as JSON; the file is written if it is of another index."""
    import orjson

    from heeler.base.files import write_atomic

    digest = hashlib.sha256(data).hexdigest()
    try:
        found = orjson.loads(file.read_bytes())
        if found["digest"] == digest:
            return found["content"]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        pass
    content = _content(data)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, orjson.dumps({"digest": digest, "content": content}), 0o644)
    except (OSError, TypeError):
        pass  # it is read again the next time, then
    return content


def _content(data: bytes) -> Any:
    if data.lstrip()[:1] == b"{":  # large indexes come as JSON for their speed
        import orjson

        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            pass  # YAML in braces, or the fault is told by the reader of YAML
    try:
        return read.parse(data)
    except GoError as error:
        raise ChartError(str(error)) from None


def _entry(fields: Any) -> Entry | None:
    """A version, or None for one that isn't one (as Helm skips it)."""
    if not isinstance(fields, Mapping):
        return None
    try:
        more = decode(dict(fields), _MORE)
        metadata: Metadata = decode(dict(fields), METADATA)
    except GoError:
        return None
    metadata.api_version = metadata.api_version or "v1"
    return Entry(metadata, more.urls, more.created, more.removed, more.digest)


def of_folder(folder: Path, base_url: str, now: str) -> Index:
    """The index of the archives in a folder and in those right below it; what is no chart is left out."""
    index = Index(generated=now)
    for file in _archives(folder):
        try:
            chart = load(file)
        except ChartError:
            continue
        where = file.relative_to(folder).as_posix()
        url = f"{base_url.rstrip('/')}/{where}" if base_url else where
        index.add(Entry(chart.metadata, [url], now, digest=hashlib.sha256(file.read_bytes()).hexdigest()))
    return index


def _archives(folder: Path) -> Iterator[Path]:
    below: Iterable[Path] = (one for one in sorted(folder.iterdir()) if one.is_dir()) if folder.is_dir() else ()
    yield from sorted(folder.glob("*.tgz"))
    for inner in below:
        yield from sorted(inner.glob("*.tgz"))
