"""Rules about Chart.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from heeler.packages.charts.chart import Metadata
from heeler.packages.charts.decode import METADATA, decode, unknown_field
from heeler.packages.charts.lint import ERROR, INFO, WARNING, Message
from heeler.packages.charts.versions import is_strict_version, is_version
from heeler.packages.template.values import GoError, type_name
from heeler.packages.yaml import read

PATH = "Chart.yaml"
_EMAIL_LOCAL = re.compile(r"[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+\Z")
_DOMAIN = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)+\Z")


def check(folder: Path) -> Iterator[Message]:
    file = folder / PATH
    if file.is_dir():
        yield Message(ERROR, PATH, "should be a file, not a directory")
    try:
        data = file.read_bytes()
        content = read.parse(data)
        metadata: Metadata = decode(content, METADATA)
    except (OSError, GoError) as error:
        said = f"read {file}: {(error.strerror or '').lower()}" if isinstance(error, OSError) else error
        yield Message(ERROR, PATH, f"unable to parse YAML\n\t{said}")
        return
    try:
        read.parse(data, strict=True)
        if (name := unknown_field(content, METADATA)) is not None:
            raise GoError(f'error unmarshaling JSON: while decoding JSON: json: unknown field "{name}"')
    except GoError as error:
        yield Message(WARNING, PATH, f"failed to strictly parse chart metadata file\n\t{error}")
    fields = read.load(data)
    yield from _check(metadata, fields if isinstance(fields, dict) else {})


def _check(metadata: Metadata, fields: dict[str, Any]) -> Iterator[Message]:
    def wrong(text: str) -> Message:
        return Message(ERROR, PATH, text)

    if not metadata.name:
        yield wrong("name is required")
    elif "/" in metadata.name:
        yield wrong(f'chart name "{metadata.name}" is invalid')
    either = 'The value must be either "v1" or "v2"'
    if not metadata.api_version:
        yield wrong(f"apiVersion is required. {either}")
    elif metadata.api_version not in ("v1", "v2"):
        yield wrong(f"apiVersion '{metadata.api_version}' is not valid. {either}")
    if text := _not_text("version", fields):
        yield wrong(text)
    if not metadata.version:
        yield wrong("version is required")
    elif not is_version(metadata.version):
        yield wrong(f"version '{metadata.version}' is not a valid SemVer")
    if text := _not_text("appVersion", fields):
        yield wrong(text)
    for text in (_maintainer(metadata), _sources(metadata)):
        if text:
            yield wrong(text)
    if not metadata.icon:
        yield Message(INFO, PATH, "icon is recommended")
    elif not _is_url(metadata.icon):
        yield wrong(f"invalid icon URL '{metadata.icon}'")
    version = metadata.api_version
    if metadata.type and version != "v2":
        yield wrong(f"chart type is not valid in apiVersion '{version}'. It is valid in apiVersion 'v2'")
    if metadata.dependencies and version != "v2":
        yield wrong(
            f"dependencies are not valid in the Chart file with apiVersion '{version}'. They are valid in apiVersion 'v2'"
        )
    if not is_strict_version(metadata.version):
        yield Message(WARNING, PATH, f"version '{metadata.version}' is not a valid SemVerV2")


def _not_text(key: str, fields: dict[str, Any]) -> str:
    if key in fields and not isinstance(fields[key], str):
        return f"{key} should be of type string but it's of type {type_name(fields[key])}"
    return ""


def _maintainer(metadata: Metadata) -> str:
    """The first fault of a maintainer."""
    for maintainer in metadata.maintainers:
        if maintainer is None:
            return "a maintainer entry is empty"
        if not maintainer.name:
            return "each maintainer requires a name"
        if maintainer.email and not _is_email(maintainer.email):
            return f"invalid email '{maintainer.email}' for maintainer '{maintainer.name}'"
        if maintainer.url and not _parses(maintainer.url):
            return f"invalid url '{maintainer.url}' for maintainer '{maintainer.name}'"
    return ""


def _sources(metadata: Metadata) -> str:
    for source in metadata.sources:
        if not _is_request_url(source):
            return f"invalid source URL '{source}'"
    return ""


def _is_email(text: str) -> bool:
    local, at, domain = text.rpartition("@")
    return bool(at) and _EMAIL_LOCAL.match(local) is not None and _DOMAIN.match(domain) is not None


def _parses(text: str) -> bool:
    """Whether Go can parse an address."""
    head = text.partition("/")[0]
    if re.search(r"[\x00-\x1f\x7f]", text) or (":" in head and not re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:", text)):
        return False
    if re.search("%(?![0-9a-fA-F]{2})", text):
        return False
    try:
        host = urlsplit(text).netloc
        _ = urlsplit(text).port
    except ValueError:
        return False
    return " " not in host


def _is_request_url(text: str) -> bool:
    """Whether an address has a scheme and could be asked for."""
    return _parses(text) and re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:", text) is not None


def _is_url(text: str) -> bool:
    """Whether an address has a scheme, and a host or a path below the root."""
    return _is_request_url(text)
