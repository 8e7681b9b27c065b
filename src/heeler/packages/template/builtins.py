"""The functions that text/template itself offers (https://pkg.go.dev/text/template#hdr-Functions).

Their parameters are `reflect.Value` where they take anything with nil told from nothing (`execution.INVALID`). `and`, `or`
and `call` are here for their signatures: `compile.py` runs them itself.
"""

from __future__ import annotations

from typing import Any, Final

from heeler.packages.template.execution import INVALID, element_zero, indirect_text, truth
from heeler.packages.template.formatting import sprint, sprintf, sprintln
from heeler.packages.template.values import (
    Function,
    GoError,
    GoPanic,
    Slice,
    Struct,
    Uint8,
    go,
    kind_name,
    type_name,
)

_ZERO_VALUE = "reflect: call of reflect.Value.Type on zero Value"


# --- containers


@go("index(reflect.Value, ...reflect.Value) reflect.Value")
def index(item: Any, *indexes: Any) -> Any:
    if _nothing(item):
        raise GoError("index of untyped nil")
    for key in indexes:
        if item is None:
            raise GoError("index of nil pointer")
        if isinstance(item, dict):
            _check_key(key)
            item = item[key] if key in item else element_zero(item)
        elif isinstance(item, (list, bytes, str)):
            item = _element(item, key)
        else:
            raise GoError(f"can't index item of type {type_name(item).removeprefix('*')}")
    return item


def _element(item: list[Any] | bytes | str, key: Any) -> Any:
    content: Any = item.encode("utf-8", "surrogateescape") if isinstance(item, str) else item
    at = _position(key, len(content))
    if at == len(content):  # this one reflection finds
        raise GoPanic(f"reflect: {'string' if isinstance(item, str) else 'slice'} index out of range")
    return content[at] if isinstance(content, list) else Uint8(content[at])


def _position(key: Any, most: int) -> int:
    if _nothing(key):
        raise GoError("cannot index slice/array with nil")
    if not isinstance(key, int) or isinstance(key, bool):
        raise GoError(f"cannot index slice/array with type {type_name(key)}")
    if not 0 <= key <= most:
        raise GoError(f"index out of range: {int(key)}")
    return int(key)


def _check_key(key: Any) -> None:
    if _nothing(key):
        raise GoError("value is nil; should be of type string")
    if not isinstance(key, str):
        raise GoError(f"value has type {type_name(key)}; should be string")


@go("slice(reflect.Value, ...reflect.Value) reflect.Value")
def slice_(item: Any, *indexes: Any) -> Any:
    if _nothing(item):
        raise GoError("slice of untyped nil")
    if len(indexes) > 3:
        raise GoError(f"too many slice indexes: {len(indexes)}")
    if isinstance(item, str):
        if len(indexes) == 3:
            raise GoError("cannot 3-index slice a string")
    elif not isinstance(item, (list, bytes)):
        raise GoError(f"can't slice item of type {type_name(item)}")
    content: Any = item.encode("utf-8", "surrogateescape") if isinstance(item, str) else item
    bounds = [_position(key, len(content)) for key in indexes]
    start, end, *_ = (*bounds, *(0, len(content), 0)[len(bounds) :])
    for low, high in zip((start, end), (end, bounds[2] if len(bounds) > 2 else end)):
        if low > high:
            raise GoError(f"invalid slice index: {low} > {high}")
    part = content[start:end]
    if isinstance(item, str):
        return part.decode("utf-8", "surrogateescape")
    return Slice(item.go_type, part) if isinstance(item, Slice) else part


@go("len(reflect.Value) int")
def len_(item: Any) -> int:
    if item is INVALID:
        raise GoPanic(_ZERO_VALUE)
    if item is None:
        raise GoError("len of nil pointer")
    if isinstance(item, str):
        return len(item) if item.isascii() else len(item.encode("utf-8", "surrogateescape"))
    if isinstance(item, (dict, list, bytes)):
        return len(item)
    raise GoError(f"len of type {type_name(item).removeprefix('*')}")


@go("not(reflect.Value) bool")
def not_(item: Any) -> bool:
    return not truth(item)


def _nothing(value: Any) -> bool:
    return value is None or value is INVALID


# --- comparison

_INTEGERS: Final = frozenset({"int", "int8", "int16", "int32", "int64"})
_UNSIGNED: Final = frozenset({"uint", "uint8", "uint16", "uint32", "uint64", "uintptr"})


def _basic_kind(value: Any) -> str:
    """The kind by which values compare; empty for what has none."""
    if _nothing(value):
        return ""
    kind = kind_name(value)
    if kind in _INTEGERS:
        return "int"
    if kind in _UNSIGNED:
        return "uint"
    if kind in ("float32", "float64"):
        return "float"
    if kind == "complex128":
        return "complex"
    return kind if kind in ("string", "bool") else ""


def _incompatible(first: Any, second: Any) -> GoError:
    return GoError(f"incompatible types for comparison: {type_name(first)} and {type_name(second)}")


@go("eq(reflect.Value, ...reflect.Value) bool")
def eq(first: Any, *others: Any) -> bool:
    if not others:
        raise GoError("missing argument for comparison")
    kind = _basic_kind(first)
    return any(_equal(first, kind, other) for other in others)


def _equal(first: Any, kind: str, other: Any) -> bool:
    other_kind = _basic_kind(other)
    if kind != other_kind:
        if {kind, other_kind} == {"int", "uint"}:
            return int(first) == int(other)
        if _nothing(first) or _nothing(other):
            return False
        raise _incompatible(first, other)
    if kind:
        return bool(first == other)
    if _nothing(first) or _nothing(other):
        return _nothing(first) and _nothing(other)
    if kind_name(first) != kind_name(other):
        kinds = f"{sprintf('%s', first)}: {type_name(first)}, {type_name(other)}: {sprintf('%v', other)}"
        raise GoError(f"non-comparable types {kinds}")
    if not isinstance(other, Struct) and not isinstance(other, GoError):
        raise GoError(f"non-comparable type {sprintf('%s', other)}: {type_name(other)}")
    return first is other or (type(first) is type(other) and first == other)


@go("ne(reflect.Value, reflect.Value) bool")
def ne(first: Any, second: Any) -> bool:
    return not eq.call(first, second)


@go("lt(reflect.Value, reflect.Value) bool")
def lt(first: Any, second: Any) -> bool:
    return _less(first, second)


@go("le(reflect.Value, reflect.Value) bool")
def le(first: Any, second: Any) -> bool:
    return _less(first, second) or bool(eq.call(first, second))


@go("gt(reflect.Value, reflect.Value) bool")
def gt(first: Any, second: Any) -> bool:
    return not le.call(first, second)


@go("ge(reflect.Value, reflect.Value) bool")
def ge(first: Any, second: Any) -> bool:
    return not _less(first, second)


def _less(first: Any, second: Any) -> bool:
    kind, other_kind = _basic_kind(first), _basic_kind(second)
    if not kind or not other_kind:
        raise GoError("invalid type for comparison")
    if kind != other_kind and {kind, other_kind} != {"int", "uint"}:
        raise _incompatible(first, second)
    if kind in ("bool", "complex"):
        raise GoError("invalid type for comparison")
    if kind == "string":
        if first.isascii() and second.isascii():
            return bool(first < second)
        return bool(first.encode("utf-8", "surrogateescape") < second.encode("utf-8", "surrogateescape"))
    return bool(first < second)


# --- text


def _joined(values: tuple[Any, ...]) -> str:
    """The arguments of an escaping function as one text, printed as an action would."""
    if len(values) == 1 and isinstance(values[0], str):
        return values[0]
    return sprint(*["<no value>" if value is None else _pointed_at(value) for value in values])


def _pointed_at(value: Any) -> Any:
    return indirect_text(value) if isinstance(value, Struct) else value


_HTML: Final = str.maketrans({"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"})
_JS: Final = str.maketrans(
    {
        "\\": "\\\\",
        "'": "\\'",
        '"': '\\"',
        "<": "\\u003C",
        ">": "\\u003E",
        "&": "\\u0026",
        "=": "\\u003D",
        **{chr(code): f"\\u{code:04X}" for code in range(0x20)},
    }
)


@go("html(...interface {}) string")
def html(*values: Any) -> str:
    return _joined(values).translate(_HTML)


@go("js(...interface {}) string")
def js(*values: Any) -> str:
    escaped = _joined(values).translate(_JS)
    if escaped.isascii():
        return escaped
    return "".join([_js_char(char) for char in escaped])


def _js_char(char: str) -> str:
    if char.isprintable() or "\udc80" <= char <= "\udcff":
        return char
    return f"\\u{ord(char):04X}"


@go("urlquery(...interface {}) string")
def urlquery(*values: Any) -> str:
    from urllib.parse import quote_plus  # costs more than the rest of this module, and hardly anybody calls it

    return quote_plus(_joined(values).encode("utf-8", "surrogateescape"), safe="~")


@go("print(...interface {}) string")
def print_(*values: Any) -> str:
    return sprint(*values)


@go("printf(string, ...interface {}) string")
def printf(template: str, *values: Any) -> str:
    return sprintf(template, *values)


@go("println(...interface {}) string")
def println(*values: Any) -> str:
    return sprintln(*values)


# --- what compile.py runs itself


def _never(*values: Any) -> Any:
    raise AssertionError("run by compile.py")


BUILTINS: Final[dict[str, Function]] = {
    "and": go("and(reflect.Value, ...reflect.Value) reflect.Value")(_never),
    "or": go("or(reflect.Value, ...reflect.Value) reflect.Value")(_never),
    "call": go("call(reflect.Value, ...reflect.Value) reflect.Value")(_never),
    "index": index,
    "slice": slice_,
    "len": len_,
    "not": not_,
    "eq": eq,
    "ne": ne,
    "lt": lt,
    "le": le,
    "gt": gt,
    "ge": ge,
    "html": html,
    "js": js,
    "urlquery": urlquery,
    "print": print_,
    "printf": printf,
    "println": println,
}
