"""sprig's functions of types and defaults, and Go's reflect.DeepEqual."""

from __future__ import annotations

from typing import Any, Final

from heeler.packages.functions.convert import is_empty
from heeler.packages.template.extent import check_extent
from heeler.packages.template.values import (
    Function,
    GoError,
    Map,
    NilMap,
    NilSlice,
    Slice,
    go,
    kind_name,
    type_name,
)


def deep_equal(one: Any, other: Any) -> bool:
    """Whether two values are the same in type and content. Raises `GoError` for what has no end."""
    if isinstance(one, dict | list) and one is not other:
        check_extent(one, "compared")
    return _equal(one, other)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        if not isinstance(other, dict) or len(one) != len(other) or type_name(one) != type_name(other):
            return False
        return one is other or all(key in other and _equal(item, other[key]) for key, item in one.items())
    if isinstance(one, list):
        if not isinstance(other, list) or len(one) != len(other) or type_name(one) != type_name(other):
            return False
        return one is other or all(map(_equal, one, other))
    return type(one) is type(other) and bool(one == other)


def copied(value: Any) -> Any:
    """A copy that shares no map and no list with the value."""
    if isinstance(value, NilMap | NilSlice):
        return value
    if isinstance(value, Map):
        return Map(value.go_type, {key: copied(item) for key, item in value.items()})
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, Slice):
        return Slice(value.go_type, map(copied, value))
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value


def deep_copied(value: Any) -> Any:
    if value is None:
        raise GoError("reflect: call of reflect.Value.Type on zero Value")
    check_extent(value, "copied")
    try:
        return copied(value)
    except RecursionError:
        raise GoError("value nests too deeply to be copied") from None


def defaulted(default: Any, *given: Any) -> Any:
    return default if not given or is_empty(given[0]) else given[0]


def coalesced(*values: Any) -> Any:
    return next((value for value in values if not is_empty(value)), None)


def type_is_like(name: str, value: Any) -> bool:
    own = type_name(value)
    return own in (name, "*" + name)


FUNCTIONS: Final[list[Function]] = [
    go("default(interface {}, ...interface {}) interface {}")(defaulted),
    go("empty(interface {}) bool")(is_empty),
    go("coalesce(...interface {}) interface {}")(coalesced),
    go("all(...interface {}) bool")(lambda *values: not any(map(is_empty, values))),
    go("any(...interface {}) bool")(lambda *values: not all(map(is_empty, values))),
    go("ternary(interface {}, interface {}, bool) interface {}")(lambda yes, no, test: yes if test else no),
    go("deepCopy(interface {}) interface {}")(deep_copied),
    go("mustDeepCopy(interface {}) interface {}")(deep_copied),
    go("deepEqual(interface {}, interface {}) bool")(deep_equal),
    go("typeOf(interface {}) string")(type_name),
    go("typeIs(string, interface {}) bool")(lambda name, value: type_name(value) == name),
    go("typeIsLike(string, interface {}) bool")(type_is_like),
    go("kindOf(interface {}) string")(kind_name),
    go("kindIs(string, interface {}) bool")(lambda name, value: kind_name(value) == name),
]
