"""sprig's functions of lists. None changes the list it gets."""

from __future__ import annotations

import math
from typing import Any, Final

from heeler.packages.functions.convert import NIL_POINTER, as_list, is_empty, to_int
from heeler.packages.functions.types import deep_equal
from heeler.packages.template.values import Function, GoPanic, NilSlice, Slice, go, kind_name


def pushed(values: Any, value: Any) -> list[Any]:
    return [*as_list(values, "Cannot push on type"), value]


def prepended(values: Any, value: Any) -> list[Any]:
    return [value, *as_list(values, "Cannot prepend on type")]


def chunked(size: int, values: Any) -> Slice:
    items = as_list(values, "Cannot chunk type")
    if size == 0:
        raise GoPanic("runtime error: makeslice: len out of range")
    count = math.floor((len(items) - 1) / size) + 1
    if count < 0 or (size < 0 and count):
        raise GoPanic("runtime error: makeslice: len out of range")
    return Slice("[][]interface {}", [list(items[at * size : (at + 1) * size]) for at in range(count)])


def last(values: Any) -> Any:
    items = as_list(values, "Cannot find last on type")
    return items[-1] if items else None


def first(values: Any) -> Any:
    items = as_list(values, "Cannot find first on type")
    return items[0] if items else None


def rest(values: Any) -> Any:
    items = as_list(values, "Cannot find rest on type")
    return list(items[1:]) if items else NilSlice("[]interface {}")


def initial(values: Any) -> Any:
    items = as_list(values, "Cannot find initial on type")
    return list(items[:-1]) if items else NilSlice("[]interface {}")


def reversed_list(values: Any) -> list[Any]:
    return list(reversed(as_list(values, "Cannot find reverse on type")))


def compacted(values: Any) -> list[Any]:
    return [item for item in as_list(values, "Cannot compact on type") if not is_empty(item)]


def unique(values: Any) -> list[Any]:
    kept: list[Any] = []
    seen: set[tuple[type, Any]] = set()
    for item in as_list(values, "Cannot find uniq on type"):
        if isinstance(item, str | int) or item is None:
            mark = (type(item), item)
            if mark in seen:
                continue
            seen.add(mark)
        elif any(deep_equal(item, other) for other in kept):
            continue
        kept.append(item)
    return kept


def without(values: Any, *omitted: Any) -> list[Any]:
    items = as_list(values, "Cannot find without on type")
    return [item for item in items if not any(deep_equal(item, other) for other in omitted)]


def has(needle: Any, haystack: Any) -> bool:
    if haystack is None:
        return False
    return any(deep_equal(needle, item) for item in as_list(haystack, "Cannot find has on type"))


def sliced(values: Any, *bounds: Any) -> Any:
    items = as_list(values, "list should be type of slice or array but")
    if not items:
        return None
    start = to_int(bounds[0]) if bounds else 0
    end = to_int(bounds[1]) if len(bounds) > 1 else len(items)
    if not 0 <= start <= end <= len(items):
        raise GoPanic("reflect.Value.Slice: slice index out of bounds")
    if isinstance(values, bytes):
        return values[start:end]
    return Slice(values.go_type, items[start:end]) if isinstance(values, Slice) else items[start:end]


def concatenated(*lists: Any) -> list[Any]:
    joined: list[Any] = []
    for values in lists:
        if values is None:
            raise GoPanic(NIL_POINTER)
        if not isinstance(values, list | bytes):
            raise GoPanic(f"Cannot concat type {kind_name(values)} as list")
        joined += as_list(values, "")
    return joined or NilSlice("[]interface {}")


def _both(signature: str, call: Any) -> list[Function]:
    """A function and its twin with `must` before it, which returns the error that the first panics with."""
    name = signature[0].upper() + signature[1:]
    inside, _, result = name.rpartition(") ")
    return [go(signature)(call), go(f"must{inside}) {result}")(call)]


FUNCTIONS: Final[list[Function]] = [
    go("list(...interface {}) []interface {}")(lambda *values: list(values)),
    go("tuple(...interface {}) []interface {}")(lambda *values: list(values)),
    go("push(interface {}, interface {}) []interface {}")(pushed),
    go("mustPush(interface {}, interface {}) []interface {}")(pushed),
    *_both("append(interface {}, interface {}) []interface {}", pushed),
    *_both("prepend(interface {}, interface {}) []interface {}", prepended),
    *_both("chunk(int, interface {}) [][]interface {}", chunked),
    *_both("last(interface {}) interface {}", last),
    *_both("first(interface {}) interface {}", first),
    *_both("rest(interface {}) []interface {}", rest),
    *_both("initial(interface {}) []interface {}", initial),
    *_both("reverse(interface {}) []interface {}", reversed_list),
    *_both("compact(interface {}) []interface {}", compacted),
    *_both("uniq(interface {}) []interface {}", unique),
    *_both("without(interface {}, ...interface {}) []interface {}", without),
    *_both("has(interface {}, interface {}) bool", has),
    *_both("slice(interface {}, ...interface {}) interface {}", sliced),
    go("concat(...interface {}) interface {}")(concatenated),
]
