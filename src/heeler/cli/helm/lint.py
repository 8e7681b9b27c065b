"""`helm lint`: charts held against Helm's rules."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

from heeler.cli.helm.extensions import EXPLAIN_VALUE, KUBE_VERSIONS
from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.settings import namespace
from heeler.cli.helm.values_flags import collect
from heeler.packages.charts.chart import ChartError
from heeler.packages.charts.lint import ERROR, WARNING, Message, Options
from heeler.packages.charts.lint import lint as run_rules
from heeler.packages.charts.lint.templates import RELEASE
from heeler.packages.charts.values import copy


def lint(call: Call) -> int:
    flags = call.flags
    kube_version = flags.text("kube-version")
    if kube_version:
        _check_version(kube_version)
    versions = flags.many(KUBE_VERSIONS)
    if versions and kube_version:
        raise HelmError("--kube-version and --kube-versions exclude one another")
    for version in versions:
        _check_version(version)
    paths = list(call.arguments)
    if flags.on("with-subcharts"):
        paths = [one for path in paths for one in (path, *_below(call, path))]
    options = Options(collect(call), namespace(call), kube_version, flags.on("skip-schema-validation"))
    bound = WARNING if flags.on("strict") else ERROR
    failed = 0
    for path in paths:
        try:
            messages = _for_each(call, path, options, versions) if versions else _lint(call, path, options)
            bad = any(message.severity >= bound for message in messages)
            text = "".join(f"{m}\n" for m in messages if m.severity >= WARNING or not flags.on("quiet"))
        except ChartError as error:
            bad, text = True, f"Error {error}\n"
        failed += bad
        if text or not flags.on("quiet"):
            call.write(f"==> Linting {path}\n{text}\n")
    summary = f"{len(paths)} chart(s) linted, {failed} chart(s) failed"
    if failed:
        raise HelmError(summary)
    if not flags.on("quiet"):
        call.write(f"{summary}\n")
    return 0


def _for_each(call: Call, path: str, options: Options, versions: list[str]) -> list[Message]:
    """The messages for all of the versions, each once; what isn't said for all of them names those it is said for."""
    found: dict[Message, list[str]] = {}
    for version in versions:
        for message in _lint(call, path, replace(options, values=copy(options.values), kube_version=version)):
            found.setdefault(message, []).append(version)
    return [
        message
        if len(where) == len(versions)
        else replace(message, text=f"{message.text} (Kubernetes {', '.join(where)})")
        for message, where in found.items()
    ]


def _check_version(given: str) -> None:
    from heeler.packages import objects
    from heeler.packages.template.values import GoError

    try:
        objects.kube_version(given)
    except GoError as error:
        raise HelmError(f"invalid kube version '{given}': {error}") from None


def _below(call: Call, path: str) -> list[str]:
    """The folders of charts below `charts/`, as they are named from here."""
    found = []
    top = call.path(path) / "charts"
    for folder, names, files in os.walk(top):
        names.sort()
        inner = os.path.normpath(f"{path}/{os.path.relpath(folder, call.path(path))}")
        if "Chart.yaml" in files:
            found.append(inner)
        found += [f"{inner}/{file}" for file in sorted(files) if file.endswith((".tgz", ".tar.gz"))]
    return sorted(found)


def _lint(call: Call, given: str, options: Options) -> list[Message]:
    path = call.path(given)
    if given.endswith((".tgz", ".tar.gz")):
        return _lint_archive(path, options, call)
    if not (path / "Chart.yaml").exists():
        name = os.path.normpath(f"{given}/Chart.yaml")
        reason = "not a directory" if path.is_file() else "no such file or directory"
        raise ChartError(f"unable to check Chart.yaml file in chart: stat {name}: {reason}")
    return _messages(call, Path(os.path.abspath(path)), options)


def _lint_archive(path: Path, options: Options, call: Call) -> list[Message]:
    """Unpack an archive into a folder of its own and lint that."""
    from heeler.packages.charts.load import build, read_archive

    try:
        data = path.read_bytes()
    except OSError as error:
        raise ChartError(f"unable to open tarball: open {path}: {(error.strerror or '').lower()}") from None
    try:
        files = read_archive(data)
    except ChartError as error:
        raise ChartError(f"unable to extract tarball: {error}") from None
    if not any(file.name == "Chart.yaml" for file in files):
        raise ChartError("unable to extract tarball: chart name not specified")
    try:
        name = build(files).name
    except ChartError:
        name = "chart"
    with tempfile.TemporaryDirectory(prefix="helm-lint") as folder:
        for file in files:
            target = Path(folder, name, file.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.data)
        return _messages(call, Path(folder, name), options)


def _messages(call: Call, folder: Path, options: Options) -> list[Message]:
    messages = run_rules(folder, options, call.log)
    failed = next((m.text for m in messages if m.severity == ERROR and m.path == "templates/"), "")
    paths = call.flags.many(EXPLAIN_VALUE)
    if paths or failed:
        _explain(call, folder, options, failed, paths)
    return messages


def _explain(call: Call, folder: Path, options: Options, failed: str, paths: list[str]) -> None:
    """What values are behind a failure, and about those that --explain-value names, if that is wanted."""
    from heeler.cli.helm.explain import Explanation, wanted
    from heeler.packages import objects
    from heeler.packages.charts.load import load
    from heeler.packages.charts.render import ReleaseInfo, process
    from heeler.packages.template.values import GoError

    if not wanted(call):
        return

    def silent(*_: object, **__: object) -> None:
        return None

    try:
        chart = load(folder, silent)
        process(chart, options.values, silent)
        release = ReleaseInfo(RELEASE, options.namespace)
        known = objects.capabilities(options.kube_version or objects.KUBE_VERSION)
        explanation = Explanation(call, chart, options.values, release, known, lint=True)
    except (ChartError, GoError):
        return  # no values are behind that
    if failed:
        explanation.failure(ChartError(failed))
    for path in paths:
        explanation.value(path)
