"""Rules about values.yaml: that it is there, can be read, and meets the chart's schema with the caller's values over it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from heeler.objects.go_text import json_kind
from heeler.packages.charts.chart import ChartError
from heeler.packages.charts.lint import ERROR, INFO, Message, Options
from heeler.packages.charts.load import Log
from heeler.packages.charts.values import Table, coalesce_tables, copy
from heeler.packages.template.values import GoError
from heeler.packages.yaml import read

PATH = "values.yaml"


def check(folder: Path, options: Options, log: Log) -> Iterator[Message]:
    file = folder / PATH
    if not file.exists():
        yield Message(INFO, PATH, "file does not exist")
        return
    try:
        own = read.load(file.read_bytes())
        if own is not None and not isinstance(own, dict):
            raise GoError(
                f"{read.UNMARSHAL}json: cannot unmarshal {json_kind(own)} into Go value of type common.Values"
            )
    except (OSError, GoError) as error:
        said = f"read {file}: {(error.strerror or '').lower()}" if isinstance(error, OSError) else error
        yield Message(ERROR, PATH, f"unable to parse YAML: {said}")
        return
    whole = coalesce_tables(copy(options.values), own or {}, lambda message: log("INFO", message))
    _keep_nulls(whole, own or {})
    schema = folder / "values.schema.json"
    if options.skip_schema or not schema.is_file() or not schema.stat().st_size:
        return
    from heeler.packages.charts.schema import validate_one

    try:
        validate_one(schema.read_bytes(), whole)
    except ChartError as error:
        yield Message(ERROR, PATH, str(error))


def _keep_nulls(whole: Table, own: Table) -> None:
    """Nulls of the chart's own values count for this rule, though templates never see them."""
    for key, value in own.items():
        if value is None:
            whole.setdefault(key, None)
        elif isinstance(value, dict) and isinstance(found := whole.get(key), dict):
            _keep_nulls(found, value)
