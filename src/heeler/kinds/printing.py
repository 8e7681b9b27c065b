"""Cells of tables: ages, selectors, lists, and the two columns that nearly every kind has.

Source: what `kubectl get` shows; https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from heeler.base.clock import parse_rfc3339
from heeler.kinds.kind import Cell, Column
from heeler.objects.value import Object

NONE = "<none>"
UNKNOWN = "<unknown>"
UNSET = "<unset>"

OBJECT_META = "apimachinery.pkg.apis.meta.v1.ObjectMeta"


def human_duration(seconds: float) -> str:
    """A span of time, short: "5m10s", "3h", "2d4h"."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 0:
        return "0s"
    if whole < 120:
        return f"{whole}s"
    minutes = whole // 60
    if minutes < 10:
        return f"{minutes}m{whole % 60}s" if whole % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours = whole // 3600
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return f"{hours // 24}d{hours % 24}h" if hours % 24 else f"{hours // 24}d"
    if hours < 24 * 365 * 2:
        return f"{hours // 24}d"
    if hours < 24 * 365 * 8:
        days = hours // 24 % 365
        return f"{hours // 24 // 365}y{days}d" if days else f"{hours // 24 // 365}y"
    return f"{hours // 24 // 365}y"


def since(moment: Any, now: float) -> str:
    """The age of a time as objects write it."""
    return human_duration(now - parse_rfc3339(moment)) if moment else UNKNOWN


def name(obj: Object, now: float) -> str:
    return str(obj["metadata"].get("name", ""))


def age(obj: Object, now: float) -> str:
    return since(obj["metadata"].get("creationTimestamp"), now)


def created(obj: Object, now: float) -> Any:
    return obj["metadata"].get("creationTimestamp")


NAME = Column("Name", name, "string", "name", 0, f"{OBJECT_META}.name")
AGE = Column("Age", age, "string", "", 0, f"{OBJECT_META}.creationTimestamp")
CREATED = Column("Created At", created, "date", "", 0, f"{OBJECT_META}.creationTimestamp")
DEFAULT_COLUMNS = (NAME, CREATED)


def at(path: str, default: Any = None) -> Cell:
    """A cell that shows the field at a dotted path."""
    steps = path.split(".")

    def cell(obj: Object, now: float) -> Any:
        return dig(obj, steps, default)

    return cell


def dig(obj: Any, steps: Iterable[str], default: Any = None) -> Any:
    here = obj
    for step in steps:
        if not isinstance(here, dict):
            return default
        here = here.get(step)
    return default if here is None else here


def text_at(path: str, default: str = "") -> Cell:
    """A cell that shows the field as text."""
    inner = at(path, default)
    return lambda obj, now: text(inner(obj, now))


def text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def count_at(path: str) -> Cell:
    """A cell that shows how many entries a list or map has."""
    inner = at(path)
    return lambda obj, now: len(inner(obj, now) or ())


def cell(function: Callable[[Object], Any]) -> Cell:
    """A cell that does not depend on the time."""
    return lambda obj, now: function(obj)


def label_text(labels: dict[str, str] | None) -> str:
    """ "a=b,c=d", or <none>."""
    return ",".join(f"{k}={v}" for k, v in sorted((labels or {}).items())) or NONE


def selector_text(selector: Object | None) -> str:
    """A label selector as its text form, or <none>."""
    if selector is None:
        return NONE
    parts: list[tuple[str, str]] = [(k, f"{k}={v}") for k, v in (selector.get("matchLabels") or {}).items()]
    for row in selector.get("matchExpressions") or ():
        key, values = row.get("key", ""), ",".join(sorted(row.get("values") or ()))
        parts.append(
            (
                key,
                {
                    "In": f"{key} in ({values})",
                    "NotIn": f"{key} notin ({values})",
                    "Exists": key,
                    "DoesNotExist": f"!{key}",
                }.get(row.get("operator", ""), "<error>"),
            )
        )
    return ",".join(shown for _, shown in sorted(parts, key=lambda part: part[0])) or NONE


def containers(path: str) -> tuple[Cell, Cell]:
    """Cells with the names and the images of a pod spec's containers."""
    steps = [*path.split("."), "containers"]

    def names(obj: Object, now: float) -> str:
        return ",".join(c.get("name", "") for c in dig(obj, steps, ()))

    def images(obj: Object, now: float) -> str:
        return ",".join(c.get("image", "") for c in dig(obj, steps, ()))

    return names, images


def container_columns(path: str, priority: int = 1) -> tuple[Column, Column]:
    names, images = containers(path)
    return (
        Column("Containers", names, "string", "", priority, "=Names of each container in the template."),
        Column("Images", images, "string", "", priority, "=Images referenced by each container in the template."),
    )
