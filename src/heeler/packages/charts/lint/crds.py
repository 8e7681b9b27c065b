"""Rules about `crds/`: that definitions are in it and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from heeler.packages.charts.chart import ChartError
from heeler.packages.charts.lint import ERROR, Message
from heeler.packages.charts.lint.templates import Document, documents
from heeler.packages.charts.load import load
from heeler.packages.template.values import GoError


def check(folder: Path) -> Iterator[Message]:
    place = folder / "crds"
    if not place.exists():
        return
    if not place.is_dir():
        yield Message(ERROR, "crds/", "not a directory")
        return
    try:
        chart = load(folder)
    except ChartError as error:
        yield Message(ERROR, "crds/", str(error))
        return
    for _, name, data in chart.crds():
        try:
            for document in documents(data.decode("utf-8", "surrogateescape")):
                if document is not None:
                    yield from _one(name, document)
        except GoError as error:
            yield Message(ERROR, name, f"unable to parse YAML: {error}")
            return


def _one(name: str, document: Document) -> Iterator[Message]:
    if not document.api_version.startswith("apiextensions.k8s.io"):
        yield Message(ERROR, name, "apiVersion is not in 'apiextensions.k8s.io'")
    if document.kind != "CustomResourceDefinition":
        yield Message(ERROR, name, "object kind is not 'CustomResourceDefinition'")
