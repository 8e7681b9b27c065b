"""What is checked of the files that volumes make of config maps, secrets and a pod's fields."""

from __future__ import annotations

from collections.abc import Iterator

from heeler.kinds.core.field_rules import VOLUME_FIELDS, field_selector, resource_selector
from heeler.kinds.meta.checks import needed, numbered, unreserved_path
from heeler.objects.faults import Fault, invalid, required
from heeler.objects.value import Object

MODE_RANGE = "must be a number between 0 and 0777 (octal), both inclusive"


def file_mode(value: int | None, path: str) -> Iterator[Fault]:
    if value is not None and not 0 <= value <= 0o777:
        yield invalid(path, value, MODE_RANGE)


def file_items(rows: list[Object] | None, path: str) -> Iterator[Fault]:
    for at, row in numbered(rows):
        here = f"{path}[{at}]"
        yield from needed(row.get("key"), f"{here}.key")
        if not row.get("path"):
            yield required(f"{here}.path")
        yield from unreserved_path(row.get("path", ""), f"{here}.path")
        yield from file_mode(row.get("mode"), f"{here}.mode")


def downward_file(row: Object, path: str) -> Iterator[Fault]:
    if not row.get("path"):
        yield required(f"{path}.path")
    yield from unreserved_path(row.get("path", ""), f"{path}.path")
    if "fieldRef" in row:
        yield from field_selector(row["fieldRef"], VOLUME_FIELDS, f"{path}.fieldRef")
        if "resourceFieldRef" in row:
            yield invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
    elif "resourceFieldRef" in row:
        yield from resource_selector(row["resourceFieldRef"], f"{path}.resourceFieldRef", True)
    else:
        yield required(path, "one of fieldRef and resourceFieldRef is required")
    yield from file_mode(row.get("mode"), f"{path}.mode")
