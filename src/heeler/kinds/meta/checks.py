"""Small checks that many kinds share: numbers in bounds, one of several words, counts or percents, paths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from heeler.kinds.meta.objectmeta import each
from heeler.objects import names
from heeler.objects.faults import Fault, invalid, not_supported, required

NOT_NEGATIVE = "must be greater than or equal to 0"
IMMUTABLE = "field is immutable"
MAX_INT32 = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Declared:
    """A fault that upstream finds by what is declared at the field, which runs after the checks that are written out."""

    fault: Fault


def written_first(faults: Iterable[Fault | Declared]) -> Iterator[Fault]:
    """The faults in the order in which upstream tells them."""
    declared = []
    for fault in faults:
        if isinstance(fault, Declared):
            declared.append(fault.fault)
        else:
            yield fault
    yield from declared


def as_declared(faults: Iterable[Fault]) -> Iterator[Declared]:
    return map(Declared, faults)


def not_negative(value: int | None, path: str) -> tuple[Fault, ...]:
    return (invalid(path, value, NOT_NEGATIVE),) if value is not None and value < 0 else ()


def positive(value: int | None, path: str) -> Iterator[Fault]:
    if value is not None and value <= 0:
        yield invalid(path, value, "must be greater than 0")


def one_of(value: str | None, allowed: tuple[str, ...], path: str) -> tuple[Fault, ...]:
    """The word is one of `allowed`; an empty one is missing."""
    if not value:
        return (required(path),)
    return () if value in allowed else (not_supported(path, value, allowed),)


def optional_one_of(value: str | None, allowed: tuple[str, ...], path: str) -> Iterator[Fault]:
    """The word is absent or one of `allowed`."""
    if value is not None and value not in allowed:
        yield not_supported(path, value, allowed)


def immutable(new: Any, old: Any, path: str) -> Iterator[Fault]:
    if (new or None) != (old or None):
        yield invalid(path, new, IMMUTABLE)


def needed(value: Any, path: str, detail: str = "") -> tuple[Fault, ...]:
    """There is a value that is not empty."""
    return () if value else (required(path, detail),)


def count_or_percent(value: Any, path: str) -> Iterator[Fault]:
    """A number that is not negative, or a percentage."""
    if isinstance(value, str):
        yield from each(path, value, names.percent(value))
    elif value is not None:
        yield from not_negative(value, path)


def not_over_100_percent(value: Any, path: str) -> Iterator[Fault]:
    if isinstance(value, str) and value.endswith("%") and value[:-1].isdigit() and int(value[:-1]) > 100:
        yield invalid(path, value, "must not be greater than 100%")


def as_number(value: Any) -> int:
    """A count, or the number of a percentage; 0 for what is neither."""
    if isinstance(value, str):
        return int(value[:-1]) if value.endswith("%") and value[:-1].isdigit() else 0
    return value or 0


def port_or_name(value: Any, path: str) -> Iterator[Fault]:
    if isinstance(value, str):
        yield from each(path, value, names.port_name(value))
    else:
        yield from each(path, value, names.port(value or 0))


def no_backsteps(path_text: str, path: str) -> Iterator[Fault]:
    if ".." in path_text.split("/"):
        yield invalid(path, path_text, "must not contain '..'")


def descending_path(path_text: str, path: str) -> Iterator[Fault]:
    """A relative path that does not leave its folder."""
    if path_text.startswith("/"):
        yield invalid(path, path_text, "must be a relative path")
    yield from no_backsteps(path_text, path)


def unreserved_path(path_text: str, path: str) -> Iterator[Fault]:
    """A descending path whose first name does not start with two dots."""
    yield from descending_path(path_text, path)
    if path_text.startswith("..") and not path_text.startswith("../"):
        yield invalid(path, path_text, "must not start with '..'")


def numbered(values: Iterable[Any] | None) -> Iterator[tuple[int, Any]]:
    return enumerate(values or ())
