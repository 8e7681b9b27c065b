"""Chart.lock: its digest, and writing it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from heeler.packages.charts.chart import Chart, ChartError, Dependency, Lock
from heeler.packages.charts.save import lock_map
from heeler.packages.yaml import json as go_json


def _plain(entry: Dependency) -> dict[str, Any]:
    """An entry as Go writes it in JSON, in its order of fields."""
    fields = (
        *(("name", entry.name), ("version", entry.version), ("repository", entry.repository)),
        *(("condition", entry.condition), ("tags", entry.tags), ("enabled", entry.enabled)),
        *(("import-values", entry.import_values), ("alias", entry.alias)),
    )
    return {key: value for key, value in fields if value or key in ("name", "repository")}


def digest(wanted: Sequence[Dependency | None], locked: Sequence[Dependency | None]) -> str:
    """What tells that a lock is of these dependencies."""

    def listed(entries: Sequence[Dependency | None]) -> str:
        return f"[{','.join(_object(_plain(entry)) for entry in entries if entry is not None)}]"

    return "sha256:" + hashlib.sha256(f"[{listed(wanted)},{listed(locked)}]".encode()).hexdigest()


def _object(fields: dict[str, Any]) -> str:
    return "{" + ",".join(f"{go_json.quote(key)}:{go_json.dumps(value)}" for key, value in fields.items()) + "}"


def write(folder: Path, chart: Chart, locked: list[Dependency | None], now: datetime) -> None:
    """Write the lock of `locked` into the chart's folder, unless the one that is there says the same."""
    from heeler.packages.yaml.write import dump

    made = digest(chart.metadata.dependencies, locked)
    if chart.lock is not None and chart.lock.digest == made:
        return
    generated = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    name = "requirements.lock" if chart.metadata.api_version == "v1" else "Chart.lock"
    target = folder / name
    if target.is_symlink():
        raise ChartError(f"the {name} file is a symlink to {target.readlink()}")
    target.write_text(dump(lock_map(Lock(generated, made, locked))))
