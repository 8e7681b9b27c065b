"""`heeler helm test-matrix`: a chart with every declared set of values, held against several versions of Kubernetes.

Not one of Helm's commands. `packages/charts/matrix/` renders and checks; here results are printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.locate import locate
from heeler.cli.helm.printing import ordered_json
from heeler.cli.helm.settings import namespace
from heeler.cli.helm.table import table
from heeler.cli.helm.values_flags import collect, read_file
from heeler.packages.charts import dependencies
from heeler.packages.charts.chart import ChartError
from heeler.packages.charts.load import load_for_release
from heeler.packages.charts.matrix import Cell, Options, Remark, definitions, run, served
from heeler.packages.charts.matrix.sets import DEFAULT, declared
from heeler.packages.charts.render import check_installable

#: Versions that are tried if nobody names any: those that Kubernetes supports at a time.
DEFAULT_COUNT = 3
#: Sets of values that are named with one fault.
MAX_NAMES = 5
_ORDER = ("error", "fault", "deprecated", "not checked", "skipped")


def test_matrix(call: Call) -> int:
    flags = call.flags
    kind = flags.text("output") or "table"
    if kind not in ("table", "json", "junit"):
        raise HelmError(f'invalid argument "{kind}" for "-o, --output" flag: must be table, json or junit')
    if flags.changed("jobs") and flags.number("jobs") < 1:
        raise HelmError("--jobs counts processes: it must be 1 or more")
    path = locate(call, call.arguments[0])
    try:
        chart = load_for_release(path, call.log)
        check_installable(chart)
        dependencies.check(chart)
        found = declared(chart, path if path.is_dir() else None)
    except ChartError as error:
        raise HelmError(str(error)) from None
    minors = _minors(flags.many("kube-versions") or found.kube_versions)
    wanted = flags.many("only")
    sets = [one for one in found.sets if not wanted or one.name in wanted]
    for name in wanted:
        if all(one.name != name for one in sets):
            raise HelmError(f"the chart declares no values {name!r}: {', '.join(one.name for one in found.sets)}")
    options = Options(
        flags.text("release-name") or "release-name",
        namespace(call),
        collect(call),
        tuple(obj for name in flags.many("crds") for obj in _definitions(call, name)),
        flags.on("skip-schema-validation"),
    )
    cells = [cell for row in run(path, sets, minors, options, flags.number("jobs")) for cell in row]
    strict = flags.on("strict")
    if kind == "table":
        _table(call, cells, strict)
    elif kind == "json":
        call.write(ordered_json([_row(cell, strict) for cell in cells]) + "\n")
    else:
        call.write(_junit(chart.name, cells, strict))
    failed = sum(cell.failed(strict=strict) for cell in cells)
    if failed:
        raise HelmError(f"{failed} of {len(cells)} combinations failed")
    return 0


def _minors(given: Sequence[str]) -> list[int]:
    if not given:
        return list(range(served.NEWEST - DEFAULT_COUNT + 1, served.NEWEST + 1))
    try:
        return sorted({served.minor(version) for version in given})
    except ValueError as error:
        raise HelmError(f"invalid argument for --kube-versions: {error}") from None


def _definitions(call: Call, name: str) -> list[Any]:
    """The definitions of a file, or of the files of a folder."""
    path = call.path(name)
    if path.is_dir():
        files = sorted(file for ending in ("*.yaml", "*.yml", "*.json") for file in Path(path).glob(ending))
        texts = [read_file(call, str(file)) for file in files]
    else:
        texts = [read_file(call, name)]
    found = [obj for text in texts for obj in definitions(text.decode("utf-8", "replace"))]
    if not found:
        raise HelmError(f"{name} holds no CustomResourceDefinition")
    return found


# ---- printing --------------------------------------------------------------------------------------------------------------


def _word(cell: Cell, strict: bool) -> str:
    if cell.skipped:
        return "skipped"
    if cell.error:
        return "error"
    count = len(cell.faults) + (len(cell.warnings) + len(cell.unchecked) if strict else 0)
    if count:
        return f"{count} fault{'s' if count > 1 else ''}"
    return f"ok, {len(cell.warnings)} deprecated" if cell.warnings else "ok"


def _table(call: Call, cells: Sequence[Cell], strict: bool) -> None:
    versions = list(dict.fromkeys(cell.version for cell in cells))
    rows = [["VALUES", *versions]]
    for name, row in groupby(cells, lambda cell: cell.values):
        rows.append([name, *(_word(cell, strict) for cell in row)])
    call.write(table(rows) + "\n")
    for line, where in sorted(_told(cells, strict).items(), key=lambda one: _ORDER.index(one[0].partition(":")[0])):
        call.write(f"\n{line}\n")
        by_versions: dict[tuple[str, ...], list[str]] = {}
        for name, found in where.items():
            by_versions.setdefault(tuple(found), []).append(name)
        for versions_of, names in by_versions.items():
            shown = ", ".join(names[:MAX_NAMES]) + (
                f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
            )
            call.write(f"  {', '.join(versions_of)}: {shown}\n")
    documents = sum(cell.documents for cell in cells)
    call.write(f"\n{len(cells)} combinations, {documents} objects\n")


def _told(cells: Sequence[Cell], strict: bool) -> dict[str, dict[str, list[str]]]:
    """What is to be said, each once -> sets of values -> the versions in which it is so."""
    told: dict[str, dict[str, list[str]]] = {}
    for cell in cells:
        lines = [f"error: {cell.error}"] if cell.error else [f"fault: {one}" for one in cell.faults]
        lines += [f"skipped: {cell.skipped}"] if cell.skipped else []
        lines += [f"{'fault' if strict else 'deprecated'}: {one}" for one in cell.warnings]
        lines += [f"{'fault' if strict else 'not checked'}: {one}" for one in cell.unchecked]
        for line in dict.fromkeys(lines):
            told.setdefault(line, {}).setdefault(cell.values, []).append(cell.version)
    return told


def _remarks(found: Sequence[Remark]) -> list[dict[str, str]]:
    return [{"template": one.path, "object": one.object, "message": one.text} for one in found]


def _row(cell: Cell, strict: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "values": cell.values,
        "kubeVersion": cell.version,
        "status": "skipped" if cell.skipped else "failed" if cell.failed(strict=strict) else "passed",
        "objects": cell.documents,
        "faults": _remarks(cell.faults),
        "deprecated": _remarks(cell.warnings),
        "notChecked": _remarks(cell.unchecked),
    }
    if cell.error:
        row["error"] = cell.error
    if cell.skipped:
        row["skipped"] = cell.skipped
    return row


def _junit(chart: str, cells: Sequence[Cell], strict: bool) -> str:
    """A test suite a set of values, a test a version."""
    from xml.etree import ElementTree as tree

    root = tree.Element("testsuites", name=f"helm test-matrix {chart}")
    for name, group in groupby(cells, lambda cell: cell.values):
        row = list(group)
        failures = sum(cell.failed(strict=strict) and not cell.error for cell in row)
        suite = tree.SubElement(
            root,
            "testsuite",
            name=f"{chart} {name if name != DEFAULT else 'default values'}",
            tests=str(len(row)),
            failures=str(failures),
            errors=str(sum(bool(cell.error) for cell in row)),
            skipped=str(sum(bool(cell.skipped) for cell in row)),
        )
        for cell in row:
            case = tree.SubElement(suite, "testcase", classname=f"{chart}.{name}", name=f"Kubernetes {cell.version}")
            if cell.skipped:
                tree.SubElement(case, "skipped", message=_xml(cell.skipped))
            elif cell.error:
                tree.SubElement(case, "error", message=_xml(cell.error.partition("\n")[0])).text = _xml(cell.error)
            elif cell.failed(strict=strict):
                remarks = [*cell.faults, *(cell.warnings + cell.unchecked if strict else ())]
                text = "\n".join(str(one) for one in remarks)
                tree.SubElement(case, "failure", message=_xml(str(remarks[0]))).text = _xml(text)
    tree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tree.tostring(root, encoding="unicode") + "\n"


def _xml(text: str) -> str:
    """Text without what XML can't hold."""
    return "".join(c if c >= " " or c in "\n\t" else "?" for c in text).encode("utf-8", "replace").decode()
