"""`helm lint`: what is wrong with a chart, or could be better.

`lint` runs the rules in Helm's order (`chartfile.py`, `values.py`, `templates.py`, `dependencies.py`, `crds.py`), which yield
messages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heeler.packages.charts.load import Log

INFO, WARNING, ERROR = 1, 2, 3
NAMES = {INFO: "INFO", WARNING: "WARNING", ERROR: "ERROR"}


@dataclass(frozen=True, slots=True)
class Message:
    severity: int
    path: str
    text: str

    def __str__(self) -> str:
        return f"[{NAMES[self.severity]}] {self.path}: {self.text}"


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller's flags say about linting."""

    values: dict[str, Any]
    namespace: str
    kube_version: str = ""
    skip_schema: bool = False


def lint(folder: Path, options: Options, log: Log) -> list[Message]:
    """All messages about the chart in `folder`."""
    return list(_rules(folder, options, log))


def _rules(folder: Path, options: Options, log: Log) -> Iterator[Message]:
    from heeler.packages.charts.lint import chartfile, crds, dependencies, templates, values

    yield from chartfile.check(folder)
    yield from values.check(folder, options, log)
    yield from templates.check(folder, options, log)
    yield from dependencies.check(folder, log)
    yield from crds.check(folder)
