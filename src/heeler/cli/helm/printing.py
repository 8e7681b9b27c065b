"""Releases as commands print them: Helm's text, and the same as JSON or YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from heeler.cli.helm.frame import Call
from heeler.cli.helm.table import table
from heeler.packages.charts.chart import Chart
from heeler.packages.releases.records import Hook, Release, to_json
from heeler.packages.yaml import json as go_json

if TYPE_CHECKING:
    from heeler.packages.releases.resources import Resources


def ansic(moment: str) -> str:
    """A moment as `Mon Mar  4 09:30:15 2024`, in the local zone; nothing for none."""
    if not moment:
        return ""
    at = _parsed(moment)
    return f"{at:%a %b} {at.day:2d} {at:%H:%M:%S %Y}"


def _parsed(moment: str) -> datetime:
    return datetime.fromisoformat(moment)


def go_time(moment: str) -> str:
    """A moment as Go's `String()` prints it: `2024-03-04 09:30:15 +0000 UTC`."""
    if not moment:
        return ""
    at = _parsed(moment)
    part = f".{at.microsecond:06d}".rstrip("0") if at.microsecond else ""
    offset = f"{at:%z}"
    zone = "UTC" if offset == "+0000" else offset
    return f"{at:%Y-%m-%d %H:%M:%S}{part} {offset} {zone}"


def structured(call: Call, value: Any) -> bool:
    """Print `value` as JSON or YAML if that is asked for; whether it was."""
    kind = call.flags.text("output")
    if kind == "json":
        call.write(ordered_json(value) + "\n")
    elif kind == "yaml":
        from heeler.packages.yaml.write import dump

        call.write(dump(value))
    return kind in ("json", "yaml")


#: Fields that hold maps of the user's: their keys are sorted, those of Helm's own records stand in their order.
_MAPS = ("config", "values", "annotations", "resources")


def ordered_json(value: Any) -> str:
    """A record as Go writes it in JSON."""
    if isinstance(value, dict):
        parts = (f"{go_json.quote(key)}:{_member(key, item)}" for key, item in value.items())
        return "{" + ",".join(parts) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(ordered_json(item) for item in value) + "]"
    return go_json.dumps(value)


def _member(key: str, value: Any) -> str:
    return go_json.dumps(value) if key in _MAPS else ordered_json(value)


def rows(call: Call, head: Sequence[str], body: Sequence[Sequence[object]], *, headers: bool = True) -> None:
    lines = [head, *body] if headers else list(body)
    text = table(lines)
    call.write(f"{text}\n" if text else "\n" if not lines else "")


def chart_metadata(release: Release, field: str) -> str:
    return str(release.chart_metadata.get(field) or "")


def chart_name(release: Release) -> str:
    metadata = release.chart_metadata
    return f"{metadata.get('name') or ''}-{metadata.get('version') or ''}" if metadata else "MISSING"


def as_map(
    release: Release, *, with_chart: bool, resources: Mapping[str, list[dict[str, Any]]] | None = None
) -> dict[str, Any]:
    """A release as `-o json` has it; `resources`: what is there of its objects."""
    made = to_json(release)
    if not with_chart:
        made.pop("chart", None)
    if resources:
        made["info"]["resources"] = resources
    return made


def computed(release: Release) -> dict[str, Any]:
    """The values that the release's templates saw, as far as its record tells."""
    from heeler.packages.charts.values import coalesce

    metadata = _named(str(release.chart_metadata.get("name") or ""))
    chart = Chart(metadata, values=release.chart.get("values") or {})
    return coalesce(chart, release.config or {}, lambda message: None)


def _named(name: str) -> Any:
    from heeler.packages.charts.chart import Metadata

    return Metadata(name=name)


def status_text(
    release: Release,
    *,
    metadata: bool = False,
    values: bool = False,
    documents: bool = False,
    notes: bool = True,
    whole: dict[str, Any] | None = None,
    resources: Resources | None = None,
) -> str:
    """`helm status`; with `values` and `documents` also what `get all` and dry runs show."""
    from heeler.packages.yaml.write import dump

    out = [f"NAME: {release.name}\n"]
    if release.last_deployed:
        out.append(f"LAST DEPLOYED: {ansic(release.last_deployed)}\n")
    out.append(f"NAMESPACE: {release.namespace}\nSTATUS: {release.status}\nREVISION: {release.version}\n")
    if metadata:
        fields = (("CHART", "name"), ("VERSION", "version"), ("APP_VERSION", "appVersion"))
        out += [f"{title}: {chart_metadata(release, field)}\n" for title, field in fields]
    out.append(f"DESCRIPTION: {release.description}\n")
    if resources is not None:
        out.append(_resources(resources))
    out += _tests(release.hooks)
    if values:
        # a record without values has none, a dry run's are an empty map
        out.append(f"USER-SUPPLIED VALUES:\n{dump(release.config if whole is not None else release.config or None)}\n")
        out.append(f"COMPUTED VALUES:\n{dump(computed(release) if whole is None else whole)}\n")
    if documents:
        out.append("HOOKS:\n")
        out += [f"---\n# Source: {hook.path}\n{hook.manifest}\n" for hook in release.hooks]
        out.append(f"MANIFEST:\n{release.manifest}\n")
    if notes and release.notes.strip():
        out.append(f"NOTES:\n{release.notes.strip()}\n")
    return "".join(out)


def _resources(found: Resources) -> str:
    """What is there of the release's objects, a table for each kind."""
    out = ["RESOURCES:\n"]
    for title, head in found.heads.items():
        lines = [head, *found.rows.get(title, ())]
        widths = [max(6, max(len(line[at]) for line in lines) + 3) for at in range(len(head))]
        out.append(f"==> {title}\n")
        for line in lines:
            out.append("".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() + "\n")
        out.append("\n")
    return "".join(out) + "\n"


def _tests(hooks: Sequence[Hook]) -> list[str]:
    tests = [hook for hook in hooks if "test" in hook.events]
    if not tests:
        return ["TEST SUITE: None\n"]
    return [
        f"TEST SUITE:     {hook.name}\nLast Started:   {ansic(hook.last_run.started)}\n"
        f"Last Completed: {ansic(hook.last_run.completed)}\nPhase:          {hook.last_run.phase}\n"
        for hook in tests
        if hook.last_run.started
    ]
