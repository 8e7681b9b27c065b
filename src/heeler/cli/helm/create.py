"""`helm create`: a new chart's folder."""

from __future__ import annotations

from pathlib import Path

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.settings import data_home
from heeler.packages.charts.chart import Chart, ChartError
from heeler.packages.charts.create import check_name, create_from
from heeler.packages.charts.create import create as write_new


def create(call: Call) -> int:
    given = call.arguments[0]
    call.write(f"Creating {given}\n")
    head, _, name = given.rpartition("/")
    folder = call.path(head or ("/" if given.startswith("/") else ""))
    starter = call.flags.text("starter")
    try:
        if given and not name:  # a slash at the end
            raise ChartError(f"stat {folder}: no such file or directory")
        if not starter:
            write_new(name, Path(folder), lambda line: call.write(line + "\n"))
            return 0
        check_name(name)
        path = Path(starter) if starter.startswith("/") else Path(data_home(call.environment), "starters", starter)
        create_from(_starter(call, path), name, "A Helm chart for Kubernetes", Path(folder) / name)
    except ChartError as error:
        raise HelmError(str(error)) from None
    return 0


def _starter(call: Call, path: Path) -> Chart:
    from heeler.packages.charts.load import load

    if not path.exists():
        raise ChartError(f"could not load {path}: stat {path}: no such file or directory")
    try:
        return load(path, call.log)
    except ChartError as error:
        raise ChartError(f"could not load {path}: {error}") from None
