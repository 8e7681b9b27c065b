"""What `template`, `install` and `upgrade` have in common: names, chart, values, and what is rendered."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heeler.cli.helm.extensions import EXPLAIN_VALUE
from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.locate import locate
from heeler.cli.helm.settings import namespace
from heeler.cli.helm.values_flags import collect
from heeler.packages.charts import dependencies
from heeler.packages.charts.chart import Chart, ChartError
from heeler.packages.charts.load import load_for_release
from heeler.packages.charts.render import ReleaseInfo, check_installable, check_version, process, render, render_values

if TYPE_CHECKING:
    from heeler.cli.helm.releases import Session
    from heeler.packages.charts.manifests import Hook, Manifest
    from heeler.packages.engine import Lookup
    from heeler.packages.objects import Capabilities

NAME_LIMIT = 53
NAME_PATTERN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_NAME_RULE = (
    "invalid release name, must match regex ^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$ "
    f"and the length must not be longer than {NAME_LIMIT}"
)


class RenderFailed(HelmError):
    """Rendering failed after a release was begun; `manifest` is what there is of it."""

    def __init__(self, message: str, manifest: str = "") -> None:
        super().__init__(message)
        self.manifest = manifest


@dataclass(slots=True)
class Outcome:
    """What came of a chart: its documents in order, hooks, notes and the caller's values."""

    name: str
    namespace: str
    chart: Chart
    config: dict[str, Any]
    manifests: list[Manifest] = field(default_factory=list)
    hooks: list[Hook] = field(default_factory=list)
    manifest: str = ""
    notes: str = ""
    values: dict[str, Any] = field(default_factory=dict)


def name_and_chart(call: Call, default: str = "") -> tuple[str, str]:
    """(the release's name, the chart as it was given) of a command's arguments."""
    arguments, flags = call.arguments, call.flags
    named = flags.text("name-template")
    generate = flags.on("generate-name")
    if len(arguments) > 2:
        raise HelmError(f"expected at most two arguments, unexpected arguments: {', '.join(arguments[2:])}")
    if len(arguments) == 2:
        if generate:
            raise HelmError("cannot set --generate-name and also specify a name")
        if named:
            raise HelmError("cannot set --name-template and also specify a name")
        return arguments[0], arguments[1]
    if named:
        return _from_template(named), arguments[0]
    if default:
        return default, arguments[0]
    if not generate:
        raise HelmError("must either provide a name or specify --generate-name")
    base = arguments[0].rstrip("/").rsplit("/", 1)[-1]
    base = "chart" if base in (".", "") else base
    from heeler.base.clock import SystemClock

    return f"{base.partition('.')[0] or base}-{int(SystemClock().time())}", arguments[0]


def _from_template(text: str) -> str:
    from heeler.packages.functions import FUNCTIONS
    from heeler.packages.template.templates import Templates
    from heeler.packages.template.values import GoError

    try:
        templates = Templates(FUNCTIONS, "name-template")
        templates.parse("name-template", text)
        return str(templates.execute("name-template", None))
    except GoError as error:
        raise HelmError(str(error)) from None


def capabilities(call: Call, session: Session | None = None) -> Capabilities:
    """What templates know of the cluster: the flags' say, the session's, or the defaults. Raises `HelmError`."""
    from heeler.packages import objects
    from heeler.packages.template.values import GoError

    given = call.flags.text("kube-version")
    try:
        if session is not None and not session.in_memory:
            cluster = session.doing.cluster
            version = str(session.run(cluster.version()).get("gitVersion") or objects.KUBE_VERSION)
            known = session.run(cluster.api_versions())
            found = objects.capabilities(given or version, [*known, *call.flags.many("api-versions")], more=False)
            if given:
                return found
            # a cluster's version is shown whole
            return replace(found, kube_version=replace(found.kube_version, normalized=""))
        return objects.capabilities(given or objects.KUBE_VERSION, call.flags.many("api-versions"))
    except GoError as error:
        raise HelmError(f"invalid kube version '{given}': {error}") from None


def load_chart(call: Call, given: str) -> tuple[Chart, dict[str, Any]]:
    """(the chart, the caller's values): found, loaded and held against what its Chart.yaml says."""
    call.log("DEBUG", "Original chart version", version=call.flags.text("version"))
    path = locate(call, given)
    call.log("DEBUG", "Chart path", path=str(path))
    values = collect(call)
    try:
        chart = load_for_release(path, call.log)
        check_installable(chart)
        if chart.metadata.deprecated:
            call.log("WARN", "this chart is deprecated")
        chart = _with_dependencies(call, chart, path)
        check_version(chart)
    except ChartError as error:
        raise HelmError(str(error)) from None
    return chart, values


def _with_dependencies(call: Call, chart: Chart, path: Path) -> Chart:
    """The chart, once what Chart.yaml names is in `charts/`; with --dependency-update it is put there."""
    try:
        dependencies.check(chart)
    except ChartError as error:
        if call.flags.on("dependency-update"):
            from heeler.cli.helm.dependency import update_chart

            update_chart(call, str(path))
            return load_for_release(path, call.log)
        raise ChartError(
            "an error occurred while checking for chart dependencies. You may need to run 'helm dependency build' "
            f"to fetch missing dependencies: {error}"
        ) from None
    return chart


def prepare(
    call: Call,
    name: str,
    chart: Chart,
    config: dict[str, Any],
    known: Capabilities,
    *,
    include_crds: bool,
    is_upgrade: bool = False,
    revision: int = 1,
    hide_secret: bool = False,
    session: Session | None = None,
) -> Outcome:
    """Render a chart. Raises `RenderFailed` after the point from which Helm has a release to show, `HelmError` before."""
    from heeler.packages.charts.manifests import INSTALL_ORDER, sort
    from heeler.packages.template.values import GoError

    check_name(call, name)
    entries = chart.metadata.dependencies
    call.log("DEBUG", "number of dependencies in the chart", chart=chart.name, dependencies=len(entries))
    outcome = Outcome(name, namespace(call), chart, config)
    try:
        process(chart, config, call.log)
        release = ReleaseInfo(name, outcome.namespace, revision, is_upgrade)
    except ChartError as error:
        raise HelmError(str(error)) from None
    explain = partial(_explain, call, chart, config, release, known, _lookup(session))
    try:
        values = render_values(chart, config, call.log, skip_schema=call.flags.on("skip-schema-validation"))
    except ChartError as error:
        explain(error)
        raise HelmError(str(error)) from None
    outcome.values = values
    explain(None)
    notes = call.flags.on("render-subchart-notes")
    try:
        rendered = render(
            chart,
            values,
            release,
            known,
            subchart_notes=notes,
            enable_dns=call.flags.on("enable-dns"),
            lookup=_lookup(session),
        )
    except (ChartError, GoError) as error:
        explain(error)
        raise RenderFailed(str(error)) from None
    if call.flags.text("post-renderer"):
        from heeler.cli.helm.plugins import post_render

        try:
            rendered.files = post_render(call, call.flags, rendered.files)
        except (HelmError, ChartError) as error:
            raise RenderFailed(str(error), _as_it_is(rendered.files)) from None
    try:
        outcome.hooks, outcome.manifests = sort(rendered.files, INSTALL_ORDER, call.log)
    except ChartError as error:
        _show_text(call, rendered.files)
        raise RenderFailed(str(error), _as_it_is(rendered.files)) from None
    outcome.notes = rendered.notes
    parts = [f"---\n# Source: {path}\n{_text(data)}\n" for path, _, data in chart.crds()] if include_crds else []
    for one in outcome.manifests:
        if hide_secret and one.head.kind == "Secret" and one.head.api_version == "v1":
            parts.append(f"---\n# Source: {one.path}\n# HIDDEN: The Secret output has been suppressed\n")
        else:
            parts.append(f"---\n# Source: {one.path}\n{one.content}\n")
    outcome.manifest = "".join(parts)
    return outcome


def _explain(
    call: Call,
    chart: Chart,
    config: dict[str, Any],
    release: ReleaseInfo,
    known: Capabilities,
    lookup: Lookup | None,
    error: Exception | None,
) -> None:
    """Tell what values are behind an error, or about those that --explain-value names, if that is wanted."""
    paths = call.flags.many(EXPLAIN_VALUE)
    if not paths and error is None:
        return
    from heeler.cli.helm.explain import Explanation, wanted

    if error is not None and not wanted(call):
        return
    explanation = Explanation(call, chart, config, release, known, lookup=lookup)
    if error is not None:
        explanation.failure(error)
    if error is None or not call.explained_values:
        call.explained_values = True
        for path in paths:
            explanation.value(path)


def _show_text(call: Call, files: Mapping[str, str]) -> None:
    """Show where a document can't be read, if that is wanted."""
    from heeler.cli.helm.explain import rendered_lines, wanted

    if wanted(call):
        call.explained += rendered_lines(files)


def check_name(call: Call, name: str) -> None:
    """Refuse what no release may be called. Raises `HelmError`."""
    if not NAME_PATTERN.match(name) or len(name) > NAME_LIMIT:
        said = f'release name "{name}": {_NAME_RULE}'
        call.log("ERROR", "release name check failed", error=said)
        raise HelmError(f"release name check failed: {said}")


def _lookup(session: Session | None) -> Lookup | None:
    """The function `lookup` of templates: it asks the cluster, where there is one."""
    if session is None or session.in_memory:
        return None

    def lookup(api_version: str, kind: str, namespace: str, name: str) -> Mapping[str, Any]:
        from heeler.packages.template.values import GoError

        try:
            found: Mapping[str, Any] = _sized(
                session.run(session.doing.cluster.lookup(api_version, kind, namespace, name))
            )
        except HelmError as error:
            raise GoError(str(error)) from None
        return found

    return lookup


def _sized(value: Any) -> Any:
    """What a server answered as templates see it: whole numbers are int64."""
    from heeler.packages.template.values import Int64

    if isinstance(value, dict):
        return {key: _sized(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_sized(item) for item in value]
    return Int64(value) if type(value) is int else value


def _as_it_is(files: dict[str, str]) -> str:
    """Rendered files that couldn't be split, for `--debug`."""
    return "".join(f"---\n# Source: {path}\n{text}\n" for path, text in sorted(files.items()) if text.strip())


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def hooks_shown(hooks: Sequence[Hook], skip_tests: bool) -> list[Hook]:
    return [hook for hook in hooks if not (skip_tests and "test" in hook.events)]
