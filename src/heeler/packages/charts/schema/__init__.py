"""Values against the charts' JSON schemas, in the words of the library that Helm uses.

`documents.py` reads schemas and finds what `$ref`s mean, `evaluate.py` holds values against them, `formats.py` has the formats.
Metaschemas (`metaschemas.json`) are those of https://json-schema.org, drafts 4 to 2020-12.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from heeler.packages.charts.chart import Chart, ChartError

INTRODUCTION = "values don't meet the specifications of the schema(s) in the following chart(s):\n"


def validate(chart: Chart, values: dict[str, Any]) -> None:
    """Hold `values` against the schemas of the chart and those below. Raises `ChartError` with all faults."""
    found = "".join(_faults(chart, values))
    if found:
        raise ChartError(INTRODUCTION + found)


def _faults(chart: Chart, values: dict[str, Any]) -> Iterator[str]:
    if chart.schema is not None:
        try:
            validate_one(chart.schema, values)
        except ChartError as error:
            yield f"{chart.name}:\n{error}"
    for sub in chart.dependencies:
        inner = values.get(sub.name)
        if isinstance(inner, dict):
            yield from _faults(sub, inner)


def validate_one(schema: bytes, values: Any) -> None:
    """Hold `values` against one schema. Raises `ChartError`."""
    from heeler.packages.charts.schema.documents import Documents
    from heeler.packages.charts.schema.evaluate import Evaluation, show

    documents = Documents()
    root = documents.compile(schema)
    faults = Evaluation(documents).check(root, values)
    if faults:
        raise ChartError(show(faults))
