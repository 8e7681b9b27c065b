"""A chart rendered with every set of values for several versions of Kubernetes, each object held against what these serve.

`sets.py` finds the sets, `cells` renders one of them, `check.py` looks at objects, `served.py` knows the versions. `run` does
all of them, in processes where that pays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heeler.objects.value import Object
from heeler.packages.charts.chart import Chart, ChartError
from heeler.packages.charts.matrix import served
from heeler.packages.charts.matrix.check import Checker, Findings
from heeler.packages.charts.matrix.sets import ValuesSet
from heeler.packages.charts.values import Table, copy, merge_maps
from heeler.packages.template.values import GoError

#: Seconds that the sets that are left must take for processes to pay.
PROCESSES_PAY_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Options:
    """`given`: the caller's values, over those of each set. `definitions`: CRDs beside the chart's own."""

    name: str = "release-name"
    namespace: str = "default"
    given: Table = field(default_factory=dict)
    definitions: tuple[Object, ...] = ()
    skip_schema: bool = False


@dataclass(frozen=True, slots=True)
class Remark:
    """What is to be said of an object; `path` is its template."""

    path: str
    object: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.object}: {self.text}"


@dataclass(slots=True)
class Cell:
    """One set of values in one version. `error`: it doesn't render; `skipped`: the chart isn't for this version."""

    values: str
    minor: int
    documents: int = 0
    faults: list[Remark] = field(default_factory=list)
    warnings: list[Remark] = field(default_factory=list)
    unchecked: list[Remark] = field(default_factory=list)
    error: str = ""
    skipped: str = ""

    @property
    def version(self) -> str:
        return f"1.{self.minor}"

    def failed(self, *, strict: bool = False) -> bool:
        return bool(self.error or self.faults or (strict and (self.warnings or self.unchecked)))


def run(
    path: Path, sets: Sequence[ValuesSet], minors: Sequence[int], options: Options, jobs: int = 0
) -> Iterator[list[Cell]]:
    """The cells of each set, in their order. `jobs`: processes, 0 for as many as pay on this machine."""
    import os
    import threading

    from heeler.base.clock import SystemClock

    clock = SystemClock()
    started = clock.monotonic()
    yield cells(path, sets[0], minors, options)  # here: what it has loaded and parsed, forked processes have, too
    took = clock.monotonic() - started
    rest = sets[1:]
    workers = min(jobs or os.cpu_count() or 1, len(rest))
    if workers <= 1 or (not jobs and took * len(rest) < PROCESSES_PAY_SECONDS):
        for one in rest:
            yield cells(path, one, minors, options)
        return
    from concurrent.futures import ProcessPoolExecutor
    from functools import partial
    from multiprocessing import get_context

    alone = threading.active_count() == 1  # a process with other threads isn't to be forked
    with ProcessPoolExecutor(workers, mp_context=get_context("fork" if alone else "spawn")) as pool:
        yield from pool.map(partial(_cells_of, path, tuple(minors), options), rest)


def _cells_of(path: Path, minors: Sequence[int], options: Options, one: ValuesSet) -> list[Cell]:
    return cells(path, one, minors, options)


def _silent(*_: object, **__: object) -> None:
    return None


def cells(path: Path, one: ValuesSet, minors: Sequence[int], options: Options) -> list[Cell]:
    """A set of values in each version. What is wrong stands in the cells."""
    from heeler.packages.charts.load import load_for_release
    from heeler.packages.charts.render import process, render_values

    out = [Cell(one.name, minor) for minor in minors]
    config = merge_maps(one.values, options.given)
    try:
        chart = load_for_release(path, _silent)
        process(chart, config, _silent)
        values = render_values(chart, config, _silent, skip_schema=options.skip_schema)
    except (ChartError, GoError) as error:
        for cell in out:
            cell.error = str(error)
        return out
    documents = [document for _, _, data in chart.crds() for document in _parsed(data.decode("utf-8", "replace"))]
    checker = Checker([*options.definitions, *(obj for obj in documents if _is_definition(obj))])
    known: dict[tuple[str, int], Findings] = {}
    for cell in out:
        _fill(cell, chart, values, checker, known, options)
    return out


def _fill(
    cell: Cell,
    chart: Chart,
    values: Table,
    checker: Checker,
    known: dict[tuple[str, int], Findings],
    options: Options,
) -> None:
    """Render for one version and look at what comes of it. `known` holds what was found of a text in a version."""
    from heeler.packages import objects
    from heeler.packages.charts.manifests import INSTALL_ORDER, sort
    from heeler.packages.charts.render import ReleaseInfo, kube_version_fault, render

    version = f"v{cell.version}.0"
    if fault := kube_version_fault(chart, version):
        cell.skipped = fault
        return
    names = [*served.api_versions(cell.minor), *checker.api_versions()]
    capabilities = objects.capabilities(version, names, more=False)
    try:
        # templates may change what they are given
        rendered = render(chart, copy(values), ReleaseInfo(options.name, options.namespace), capabilities)
        hooks, manifests = sort(rendered.files, INSTALL_ORDER, _silent)
    except (ChartError, GoError) as error:
        cell.error = str(error)
        return
    texts = [(one.path, one.content) for one in manifests] + [(hook.path, hook.manifest) for hook in hooks]
    found: list[tuple[str, str, Any]] = []
    for path, text in texts:
        try:
            found += [(path, text, obj) for obj in _objects(text)]
        except GoError as error:
            cell.faults.append(Remark(path, "document", str(error)))
    for _, _, obj in found:
        if _is_definition(obj):
            checker.define(obj)  # what the same chart brings
    for number, (path, text, obj) in enumerate(found):
        cell.documents += 1
        key = (f"{number}\0{text}", cell.minor)
        if key not in known:
            known[key] = checker.check(obj, cell.minor, options.namespace)
        findings, title = known[key], _title(obj)
        cell.faults += [Remark(path, title, text) for text in findings.faults]
        cell.warnings += [Remark(path, title, text) for text in findings.warnings]
        if findings.unknown:
            cell.unchecked.append(Remark(path, title, f"{obj['apiVersion']} is not known here"))


def _objects(text: str) -> list[Any]:
    """The objects of a document; a key that stands twice is a fault, as it is to a strict server. Raises GoError."""
    from heeler.packages.yaml import read

    obj = read.parse(text, strict=True)
    if isinstance(obj, dict) and str(obj.get("kind", "")).endswith("List") and isinstance(obj.get("items"), list):
        return [item for item in obj["items"] if isinstance(item, dict)]
    return [obj] if isinstance(obj, dict) and obj else []


def _parsed(text: str) -> list[Any]:
    from heeler.packages.charts.manifests import split

    out: list[Any] = []
    for document in split(text):
        try:
            out += _objects(document)
        except GoError:
            continue  # an install tells of it
    return out


def definitions(text: str) -> list[Object]:
    """The CustomResourceDefinitions among the objects of a text."""
    return [obj for obj in _parsed(text) if _is_definition(obj)]


def _is_definition(obj: Any) -> bool:
    return isinstance(obj, dict) and obj.get("kind") == "CustomResourceDefinition"


def _title(obj: Object) -> str:
    metadata = obj.get("metadata")
    name = metadata.get("name") or metadata.get("generateName") if isinstance(metadata, dict) else ""
    return f"{obj.get('kind') or 'object'} {name or ''}".rstrip()
