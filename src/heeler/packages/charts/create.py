"""A new chart's files: the ones that Helm writes (`starter/`), or those of a starter chart of the caller's."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from heeler.packages.charts.chart import Chart, ChartError
from heeler.packages.charts.metadata import as_map

PLACEHOLDER = "<CHARTNAME>"
_NAME = re.compile(r"[a-zA-Z0-9._-]+\Z")
MAX_NAME = 250

#: In the order in which Helm writes them: path in the chart, path in `starter/`.
FILES = (
    *(("Chart.yaml", "Chart.yaml"), ("values.yaml", "values.yaml"), (".helmignore", "helmignore")),
    *((f"templates/{name}", f"templates/{name}") for name in ("ingress.yaml", "httproute.yaml", "deployment.yaml")),
    *((f"templates/{name}", f"templates/{name}") for name in ("service.yaml", "serviceaccount.yaml", "hpa.yaml")),
    *((f"templates/{name}", f"templates/{name}") for name in ("NOTES.txt", "_helpers.tpl")),
    ("templates/tests/test-connection.yaml", "templates/tests/test-connection.yaml"),
)


def check_name(name: str) -> None:
    if not 1 <= len(name) <= MAX_NAME:
        raise ChartError(f"chart name must be between 1 and {MAX_NAME} characters")
    if not _NAME.match(name):
        raise ChartError('chart name must match the regular expression "^[a-zA-Z0-9._-]+$"')


def create(name: str, folder: Path, warn: Callable[[str], None]) -> None:
    """Write a new chart `name` into `folder`/`name`; `warn` is told of files that are overwritten. Raises `ChartError`."""
    check_name(name)
    if not folder.exists():
        raise ChartError(f"stat {folder}: no such file or directory")
    if not folder.is_dir():
        raise ChartError(f"no such directory {folder}")
    target = folder / name
    if target.exists() and not target.is_dir():
        raise ChartError(f"file {target} already exists and is not a directory")
    starter = Path(__file__).parent / "starter"
    for path, source in FILES:
        file = target / path
        if file.exists():
            warn(f'WARNING: File "{file}" already exists. Overwriting.')
        text = (starter / source).read_text().replace(PLACEHOLDER, name)
        _write(file, text.encode())
    (target / "charts").mkdir(exist_ok=True)


def create_from(starter: Chart, name: str, description: str, target: Path) -> None:
    """Write a chart like `starter` into the folder `target`; its templates and values get the new name."""
    from heeler.packages.yaml.write import dump

    metadata = as_map(starter.metadata) | {
        "apiVersion": "v2",
        "name": name,
        "description": description,
        "type": "application",
        "version": "0.1.0",
        "appVersion": "0.1.0",
    }
    _write(target / "Chart.yaml", dump(metadata).encode())
    old, new = PLACEHOLDER.encode(), name.encode()
    for file in starter.raw:
        if file.name == "values.yaml":
            _write(target / file.name, file.data.replace(old, new))
    if starter.schema is not None:
        _write(target / "values.schema.json", starter.schema)
    for file in starter.templates:
        _write(target / file.name, file.data.replace(old, new))
    for file in starter.files:
        _write(target / file.name, file.data)
    from heeler.packages.charts.save import save

    for sub in starter.dependencies:
        save(sub, target / "charts")


def _write(file: Path, data: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    except OSError as error:
        raise ChartError(f"open {file}: {(error.strerror or '').lower()}") from None
