"""`helm package`: charts into archives."""

from __future__ import annotations

import os
import re
from pathlib import Path

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.packages.charts import dependencies
from heeler.packages.charts.chart import ChartError
from heeler.packages.charts.load import load_for_release
from heeler.packages.charts.render import check_version
from heeler.packages.charts.save import save
from heeler.packages.charts.versions import Version


def package(call: Call) -> int:
    flags = call.flags
    if not call.arguments:
        raise HelmError("need at least one argument, the path to the chart")
    if flags.on("sign"):
        if not flags.text("key"):
            raise HelmError("--key is required for signing a package")
        if not flags.text("keyring"):
            raise HelmError("--keyring is required for signing a package")
        raise HelmError("heeler signs no packages yet")
    for given in call.arguments:
        path = Path(os.path.normpath(call.path(given)))
        if not path.exists():
            raise HelmError(f"stat {given}: no such file or directory")
        if flags.on("dependency-update"):
            from heeler.cli.helm.dependency import update_chart

            update_chart(call, str(path))
        try:
            shown = _package(call, path)
        except ChartError as error:
            raise HelmError(str(error)) from None
        call.write(f"Successfully packaged chart and saved it to: {shown}\n")
    return 0


def _package(call: Call, path: Path) -> str:
    flags = call.flags
    if not path.is_dir():
        lacking = path / "Chart.yaml"
        raise ChartError(f"unable to detect chart at {lacking}: open {lacking}: not a directory")
    chart = load_for_release(path, call.log)
    check_version(chart)
    if version := flags.text("version"):
        chart.metadata.version = _checked(version)
    elif chart.metadata.version:
        _checked(chart.metadata.version)
    if app_version := flags.text("app-version"):
        chart.metadata.app_version = app_version
    dependencies.check(chart)
    given = flags.text("destination")
    folder = call.path("" if given in ("", ".") else given)
    try:
        target = save(chart, folder, _moment(call))
    except ChartError as error:
        said = str(error).replace(str(folder), given) if given not in ("", ".") and not given.startswith("/") else error
        raise ChartError(f"failed to save: {said}") from None
    return str(target) if given in ("", ".") else os.path.normpath(f"{given}/{target.name}")


def _checked(version: str) -> str:
    try:
        Version.parse(version)
    except ValueError as error:
        raise ChartError(str(error)) from None
    return version


def _moment(call: Call) -> float | None:
    """The moment that all members get, if the caller wants archives that don't depend on files' moments."""
    given = call.environment.get("SOURCE_DATE_EPOCH")
    if not given:
        return None
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", given):
        raise ChartError(f'strconv.ParseInt: parsing "{given}": invalid syntax')
    return float(given)
