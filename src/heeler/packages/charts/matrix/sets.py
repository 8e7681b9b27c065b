"""The sets of values that a chart is to be rendered with.

Its own (`default`), each file of `ci/` (as chart-testing has them), and what `values.matrix.yaml` says:

    sets:                     # each by its name
      small: {replicaCount: 1}
    axes:                     # every combination of these
      service.type: [ClusterIP, NodePort]
      ingress.enabled: [true, false]
    kubeVersions: ["1.33", "1.37"]
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heeler.packages.charts.chart import Chart, ChartError
from heeler.packages.charts.origins import parsed
from heeler.packages.charts.set_flags import assign
from heeler.packages.charts.values import Table, copy, read_values

DEFAULT = "default"
MATRIX_FILE = "values.matrix.yaml"
#: Sets of values of one chart at most.
MAX_SETS = 1000


@dataclass(frozen=True, slots=True)
class ValuesSet:
    name: str
    values: Table


@dataclass(slots=True)
class Declared:
    """What a chart declares: sets of values, and versions of Kubernetes if it names some."""

    sets: list[ValuesSet] = field(default_factory=list)
    kube_versions: list[str] = field(default_factory=list)


def declared(chart: Chart, folder: Path | None) -> Declared:
    """What the chart declares; `folder` is where it lies, if it does (files that `.helmignore` names count there).

    Raises `ChartError`.
    """
    files = {file.name: file.data for file in chart.raw if _counts(file.name)}
    if folder is not None:
        for path in [folder / MATRIX_FILE, *(folder / "ci").glob("*.y*ml")]:
            if path.is_file():
                files[path.relative_to(folder).as_posix()] = path.read_bytes()
    found = Declared([ValuesSet(DEFAULT, {})])
    for name in sorted(files):
        if name != MATRIX_FILE:
            found.sets.append(ValuesSet(name, _read(name, files[name])))
    if MATRIX_FILE in files:
        _matrix(found, _read(MATRIX_FILE, files[MATRIX_FILE]))
    if len(found.sets) > MAX_SETS:
        raise ChartError(f"{len(found.sets)} sets of values are more than {MAX_SETS}")
    return found


def _counts(name: str) -> bool:
    return name == MATRIX_FILE or (name.startswith("ci/") and name.count("/") == 1 and name.endswith((".yaml", ".yml")))


def _read(name: str, data: bytes) -> Table:
    try:
        return read_values(data)
    except ChartError as error:
        raise ChartError(f"{name}: {error}") from None


def _matrix(found: Declared, content: Mapping[str, Any]) -> None:
    unknown = sorted(set(content) - {"sets", "axes", "kubeVersions"})
    if unknown:
        raise ChartError(f"{MATRIX_FILE}: {unknown[0]!r} is unknown: sets, axes and kubeVersions are")
    content = {key: value for key, value in content.items() if value is not None}
    sets = content.get("sets", {})
    if not isinstance(sets, dict) or not all(isinstance(one, dict | None) for one in sets.values()):
        raise ChartError(f"{MATRIX_FILE}: sets must be a map of names to values")
    found.sets += [ValuesSet(name, values or {}) for name, values in sets.items()]
    axes = content.get("axes", {})
    if not isinstance(axes, dict) or not all(isinstance(one, list) and one for one in axes.values()):
        raise ChartError(f"{MATRIX_FILE}: axes must be a map of values' paths to lists")
    count = 1
    for axis in axes.values():
        count *= len(axis)
    if count > MAX_SETS:
        raise ChartError(f"{MATRIX_FILE}: axes make {count} combinations, more than {MAX_SETS}")
    if axes:
        paths = [list(parsed(path)) for path in axes]
        for combination in itertools.product(*axes.values()):
            values: Table = {}
            for path, value in zip(paths, combination, strict=True):
                assign(values, path, copy(value))
            name = ",".join(f"{path}={_shown(value)}" for path, value in zip(axes, combination, strict=True))
            found.sets.append(ValuesSet(name, values))
    versions = content.get("kubeVersions", [])
    if not isinstance(versions, list) or not all(isinstance(one, str | float) for one in versions):
        raise ChartError(f"{MATRIX_FILE}: kubeVersions must be a list of versions")
    if any(isinstance(one, float) for one in versions):
        raise ChartError(f"{MATRIX_FILE}: kubeVersions must be in quotes: 1.30 is the number 1.3 otherwise")
    found.kube_versions = list(versions)


def _shown(value: Any) -> str:
    from heeler.packages.yaml import json as go_json

    return value if isinstance(value, str) else str(go_json.dumps(value))
