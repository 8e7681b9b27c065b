"""What a chart is once it is loaded: metadata, files, values, and the charts below it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


class ChartError(Exception):
    """What is wrong with a chart, its values or its dependencies; `str()` is Helm's message."""


@dataclass(slots=True)
class File:
    """A file of a chart; `name` is its path in the chart's folder, with `/`, `modified` seconds since 1970."""

    name: str
    data: bytes
    modified: float = 0


@dataclass(slots=True)
class Maintainer:
    name: str = ""
    email: str = ""
    url: str = ""


@dataclass(slots=True)
class Dependency:
    """An entry of Chart.yaml's `dependencies`. `enabled` is decided by conditions and tags before rendering."""

    name: str = ""
    version: str = ""
    repository: str = ""
    condition: str = ""
    tags: list[str] = field(default_factory=list)
    enabled: bool = False
    import_values: list[Any] = field(default_factory=list)
    alias: str = ""


@dataclass(slots=True)
class Metadata:
    """Chart.yaml. Absent fields are empty, as Go's zero values are."""

    name: str = ""
    home: str = ""
    sources: list[str] = field(default_factory=list)
    version: str = ""
    description: str = ""
    keywords: list[str] = field(default_factory=list)
    maintainers: list[Maintainer | None] = field(default_factory=list)
    icon: str = ""
    api_version: str = ""
    condition: str = ""
    tags: str = ""
    app_version: str = ""
    deprecated: bool = False
    annotations: dict[str, str] = field(default_factory=dict)
    kube_version: str = ""
    dependencies: list[Dependency | None] = field(default_factory=list)
    type: str = ""


@dataclass(slots=True)
class Lock:
    """Chart.lock: what `dependency update` has resolved."""

    generated: str = ""
    digest: str = ""
    dependencies: list[Dependency | None] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Chart:
    """A chart and, in `dependencies`, those that lie in its `charts/`. `raw` has every file as it was read."""

    metadata: Metadata
    raw: list[File] = field(default_factory=list)
    templates: list[File] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    schema: bytes | None = None
    lock: Lock | None = None
    dependencies: list[Chart] = field(default_factory=list)
    parent: Chart | None = None

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def is_root(self) -> bool:
        return self.parent is None

    @property
    def is_library(self) -> bool:
        return self.metadata.type.lower() == "library"

    @property
    def full_path(self) -> str:
        """`app`, `app/charts/sub`: the folder under which templates of this chart are known."""
        return self.name if self.parent is None else f"{self.parent.full_path}/charts/{self.name}"

    @property
    def values_path(self) -> str:
        """`app.sub`, as messages about values name it."""
        return self.name if self.parent is None else f"{self.parent.values_path}.{self.name}"

    def adopt(self, charts: list[Chart]) -> None:
        """Make `charts` this chart's dependencies."""
        for chart in charts:
            chart.parent = self
        self.dependencies = charts

    def walk(self) -> Iterator[Chart]:
        """This chart and all below it."""
        yield self
        for chart in self.dependencies:
            yield from chart.walk()

    def crds(self) -> Iterator[tuple[str, str, bytes]]:
        """(path with the charts' folders, name in its chart, content) of the files below `crds/`, this chart's first."""
        for file in self.files:
            if file.name.startswith("crds/") and file.name.lower().endswith((".yaml", ".yml", ".json")):
                yield f"{self.full_path}/{file.name}", file.name, file.data
        for chart in self.dependencies:
            yield from chart.crds()
