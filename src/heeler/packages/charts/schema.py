"""Values against the charts' JSON schemas."""

from __future__ import annotations

from typing import Any

from heeler.packages.charts.chart import Chart, ChartError


def validate(chart: Chart, values: dict[str, Any]) -> None:
    raise ChartError("heeler doesn't hold values against schemas yet: use --skip-schema-validation")
