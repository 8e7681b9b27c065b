"""From a chart and the caller's values to text: what `template`, `install`, `upgrade` and `lint` have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from heeler.packages import objects
from heeler.packages.charts import dependencies
from heeler.packages.charts.chart import Chart, ChartError
from heeler.packages.charts.load import Log
from heeler.packages.charts.metadata import as_map
from heeler.packages.charts.values import Table, coalesce

if TYPE_CHECKING:
    from heeler.packages.engine import Lookup

NOTES = "NOTES.txt"


@dataclass(slots=True)
class ReleaseInfo:
    """What templates know of the release, as `.Release`."""

    name: str
    namespace: str
    revision: int = 1
    is_upgrade: bool = False


@dataclass(slots=True)
class Rendered:
    """Rendered files by path, and the notes."""

    files: dict[str, str] = field(default_factory=dict)
    notes: str = ""


def check_installable(chart: Chart) -> None:
    """Refuse a chart that only others use."""
    if chart.metadata.type not in ("", "application"):
        raise ChartError(f"{chart.metadata.type} charts are not installable")


def check_version(chart: Chart) -> None:
    """Refuse a chart of version 3: Helm reads them, and has no use for them."""
    if chart.metadata.api_version == "v3":
        raise ChartError("invalid chart apiVersion")


def render_values(chart: Chart, values: Table, log: Log, *, skip_schema: bool) -> Table:
    """`.Values` of the chart and those below: coalesced and held against schemas."""

    def warn(message: str) -> None:
        log("INFO", message)

    whole = coalesce(chart, values, warn)
    if not skip_schema and any(one.schema is not None for one in chart.walk()):
        from heeler.packages.charts.schema import validate

        validate(chart, whole)
    return whole


#: Makes `.Values` of a chart's values, which stand at a path in all of them.
MakeValues = Callable[[Table, tuple[str, ...]], objects.Values]


def sources(
    chart: Chart,
    values: Table,
    release: ReleaseInfo,
    capabilities: objects.Capabilities,
    make_values: MakeValues = lambda table, path: objects.Values(table),
) -> list[Any]:
    """All templates of the chart and those below, each with what it sees."""
    found: list[Any] = []
    shown = objects.release(release.name, release.namespace, release.revision, upgrade=release.is_upgrade)
    _gather(chart, values, shown, capabilities, found, (), make_values)
    return found


def _gather(
    chart: Chart,
    values: Table,
    release: dict[str, Any],
    capabilities: objects.Capabilities,
    found: list[Any],
    path: tuple[str, ...],
    make_values: MakeValues,
) -> dict[str, Any]:
    from heeler.packages.engine import Source

    below: dict[str, Any] = {}
    top: dict[str, Any] = {
        "Chart": objects.chart(as_map(chart.metadata), is_root=not path),
        "Files": objects.Files({file.name: file.data for file in chart.files}),
        "Release": release,
        "Capabilities": capabilities,
        "Values": make_values(values, path),
        "Subcharts": below,
    }
    for sub in chart.dependencies:
        inner = values.get(sub.name)
        table = inner if isinstance(inner, dict) else {}
        below[sub.name] = _gather(sub, table, release, capabilities, found, (*path, sub.name), make_values)
    folder = chart.full_path
    for file in chart.templates:
        if chart.is_library and not file.name.rsplit("/", 1)[-1].startswith("_"):
            continue
        text = file.data.decode("utf-8", "surrogateescape")
        found.append(Source(f"{folder}/{file.name}", text, f"{folder}/templates", top))
    return top


def kube_version_fault(chart: Chart, kube_version: str) -> str:
    """What is wrong with the cluster's version for this chart, or nothing."""
    from heeler.packages.charts.versions import compatible

    wanted = chart.metadata.kube_version
    if wanted and not compatible(wanted, kube_version):
        return f"chart requires kubeVersion: {wanted} which is incompatible with Kubernetes {kube_version}"
    return ""


def render(
    chart: Chart,
    values: Table,
    release: ReleaseInfo,
    capabilities: objects.Capabilities,
    *,
    subchart_notes: bool = False,
    strict: bool = False,
    enable_dns: bool = False,
    lookup: Lookup | None = None,
) -> Rendered:
    """Run the templates over `values` (as `render_values` gives them). Raises the engine's errors and `ChartError`."""
    from heeler.packages import engine

    if fault := kube_version_fault(chart, capabilities.kube_version.version):
        raise ChartError(fault)
    files = engine.render(
        sources(chart, values, release, capabilities), strict=strict, enable_dns=enable_dns, lookup=lookup
    )
    notes = [path for path in files if path.endswith(NOTES)]
    own = f"{chart.name}/templates/{NOTES}"
    said = {path: files[path] for path in notes}
    kept = {path: text for path, text in files.items() if path not in said}
    shown = [
        text
        for path, text in sorted(said.items(), key=lambda one: (one[0].count("/"), one[0]))
        if subchart_notes or path == own
    ]
    return Rendered(kept, "\n".join(text for text in shown))


def render_lint(
    chart: Chart, values: Table, release: ReleaseInfo, capabilities: objects.Capabilities, log: Log
) -> dict[str, str]:
    """All files as `helm lint` renders them: what is required and missing is only told."""
    from heeler.packages import engine

    def told(level: str, message: str, words: Mapping[str, str]) -> None:
        log(level, message, **words)

    return engine.render(sources(chart, values, release, capabilities), lint=True, log=told)


def process(chart: Chart, values: Table, log: Log) -> None:
    """Decide on dependencies, in place; a failure is logged too, as Helm does."""
    try:
        dependencies.process(chart, values, log)
    except ChartError as error:
        log("ERROR", "chart dependencies processing failed", error=str(error))
        raise ChartError(f"chart dependencies processing failed: {error}") from None
