"""Checking Chart.yaml: what Helm demands of a chart before it does anything with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from heeler.packages.charts.chart import Chart, ChartError, Dependency, Maintainer, Metadata

_ALIAS = re.compile(r"[a-zA-Z0-9_-]+\Z")


def clean(text: str) -> str:
    """Text without what a terminal can't show: other white space becomes a space, the rest is dropped."""
    if text.isascii() and text.isprintable():
        return text
    spaced = (" " if char.isspace() else char for char in text)
    return "".join(char for char in spaced if char.isprintable() and char != "\ufffd")


def sanitize(metadata: Metadata) -> None:
    """Clean all of Chart.yaml's texts, in place."""
    for name in ("name", "description", "home", "icon", "condition", "tags", "app_version", "kube_version"):
        setattr(metadata, name, clean(getattr(metadata, name)))
    metadata.sources = [clean(text) for text in metadata.sources]
    metadata.keywords = [clean(text) for text in metadata.keywords]
    for dependency in metadata.dependencies:
        if dependency is not None:
            for name in ("name", "version", "repository", "condition", "alias"):
                setattr(dependency, name, clean(getattr(dependency, name)))
            dependency.tags = [clean(text) for text in dependency.tags]
    for maintainer in metadata.maintainers:
        if maintainer is not None:
            maintainer.name, maintainer.email = clean(maintainer.name), clean(maintainer.email)
            maintainer.url = clean(maintainer.url)


def faults(metadata: Metadata) -> Iterator[str]:
    """What is wrong with Chart.yaml, the first first."""
    from heeler.packages.charts.versions import is_version

    if not metadata.api_version:
        yield "chart.metadata.apiVersion is required"
    if not metadata.name:
        yield "chart.metadata.name is required"
    if metadata.name in (".", ".."):
        yield f'chart.metadata.name "{metadata.name}" is not allowed'
    if metadata.name != metadata.name.rsplit("/", 1)[-1]:
        yield f'chart.metadata.name "{metadata.name}" is invalid'
    if not metadata.version:
        yield "chart.metadata.version is required"
    elif not is_version(metadata.version):
        yield f'chart.metadata.version "{metadata.version}" is invalid'
    if metadata.type not in ("", "application", "library"):
        yield "chart.metadata.type must be application or library"
    for maintainer in metadata.maintainers:
        yield from _maintainer(maintainer)
    yield from _dependencies(metadata.dependencies)


def _maintainer(maintainer: Maintainer | None) -> Iterator[str]:
    if maintainer is None:
        yield "maintainers must not contain empty or null nodes"


def _dependencies(dependencies: list[Dependency | None]) -> Iterator[str]:
    seen = set()
    for dependency in dependencies:
        if dependency is None:
            yield "dependencies must not contain empty or null nodes"
            continue
        if dependency.alias and not _ALIAS.match(dependency.alias):
            yield f'dependency "{dependency.name}" has disallowed characters in the alias'
        known = dependency.alias or dependency.name
        if known in seen:
            yield f'more than one dependency with name or alias "{known}"'
        seen.add(known)


def validate(chart: Chart) -> None:
    """Raise `ChartError` for the first fault; texts are cleaned in passing."""
    sanitize(chart.metadata)
    for fault in faults(chart.metadata):
        raise ChartError(f"validation: {fault}")


#: Chart.yaml's fields in the order of its documentation, with the attribute.
_FIELDS = (
    *(("name", "name"), ("home", "home"), ("sources", "sources"), ("version", "version")),
    *(("description", "description"), ("keywords", "keywords"), ("maintainers", "maintainers"), ("icon", "icon")),
    *(("apiVersion", "api_version"), ("condition", "condition"), ("tags", "tags"), ("appVersion", "app_version")),
    *(("deprecated", "deprecated"), ("annotations", "annotations"), ("kubeVersion", "kube_version")),
    *(("dependencies", "dependencies"), ("type", "type")),
)
_DEPENDENCY_FIELDS = (
    *(("name", "name"), ("version", "version"), ("repository", "repository"), ("condition", "condition")),
    *(("tags", "tags"), ("enabled", "enabled"), ("import-values", "import_values"), ("alias", "alias")),
)


def as_map(metadata: Metadata) -> dict[str, Any]:
    """Chart.yaml as a map, without what is empty, as Go writes it."""
    made: dict[str, Any] = {}
    for key, attribute in _FIELDS:
        value = getattr(metadata, attribute)
        if not value:
            continue
        if key == "maintainers":
            value = [
                maintainer and _filled(maintainer, (("name",) * 2, ("email",) * 2, ("url",) * 2))
                for maintainer in value
            ]
        elif key == "dependencies":
            value = [dependency and dependency_map(dependency) for dependency in value]
        made[key] = value
    return made


def dependency_map(dependency: Dependency) -> dict[str, Any]:
    """An entry of `dependencies` as a map; name and repository are there even when they are empty."""
    fields = ((key, getattr(dependency, attribute)) for key, attribute in _DEPENDENCY_FIELDS)
    return {key: value for key, value in fields if value or key in ("name", "repository")}


def _filled(record: Any, fields: Iterable[tuple[str, ...]]) -> dict[str, Any]:
    return {key: value for key, attribute in fields if (value := getattr(record, attribute))}
