"""Rules about dependencies: that Chart.yaml and `charts/` name the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from heeler.packages.charts.chart import ChartError
from heeler.packages.charts.lint import ERROR, WARNING, Message
from heeler.packages.charts.load import Log, load


def check(folder: Path, log: Log) -> Iterator[Message]:
    try:
        chart = load(folder, log)
    except ChartError as error:
        yield Message(ERROR, "", f"unable to load chart\n\t{error}")
        return
    declared = [entry.name for entry in chart.metadata.dependencies if entry is not None]
    there = [sub.name for sub in chart.dependencies]
    if lacking := [name for name in there if name not in declared]:
        yield Message(ERROR, str(folder), f"chart metadata is missing these dependencies: {','.join(lacking)}")
    if lacking := [name for name in declared if name not in there]:
        yield Message(WARNING, str(folder), f"chart directory is missing these dependencies: {','.join(lacking)}")
