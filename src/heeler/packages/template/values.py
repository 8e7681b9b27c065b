"""Go's values as templates see them, in Python's.

==========================  ===================================================
Go                          Python
==========================  ===================================================
nil                         `None`
bool                        `bool`
int                         `int`
int64, int32, uint8, …      `Int64`, … (an `int` that remembers its type)
float64                     `float`
float32                     `Float32`
string                      `str`; bytes that are no UTF-8 as lone surrogates (`surrogateescape`)
map[string]interface {}     `dict`
map[string]string, …        `Map` (a `dict` that remembers its type)
[]interface {}              `list`
[]string, []int, …          `Slice` (a `list` that remembers its type)
[]uint8 ([]byte)            `bytes`
a struct, a pointer to one  a subclass of `Struct`
time.Duration               `Duration` (nanoseconds)
error                       `GoError`
==========================  ===================================================

Nothing here knows templates or Helm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


class Sized(int):
    """A whole number of another type than int. Arithmetic gives a plain int: who computes wraps the result again."""

    go_type: ClassVar[str]
    go_kind: ClassVar[str]
    bits: ClassVar[int]
    signed: ClassVar[bool] = True

    __slots__ = ()

    def __init_subclass__(cls, *, go: str, kind: str = "", bits: int = 64, signed: bool = True) -> None:
        cls.go_type, cls.go_kind, cls.bits, cls.signed = go, kind or go, bits, signed

    @classmethod
    def wrapped(cls, value: int) -> Sized:
        """`value` as it overflows in this type."""
        value &= (1 << cls.bits) - 1
        if cls.signed and value >> (cls.bits - 1):
            value -= 1 << cls.bits
        return cls(value)


class Int8(Sized, go="int8", bits=8):
    __slots__ = ()


class Int16(Sized, go="int16", bits=16):
    __slots__ = ()


class Int32(Sized, go="int32", bits=32):
    __slots__ = ()


class Int64(Sized, go="int64"):
    __slots__ = ()


class Uint(Sized, go="uint", signed=False):
    __slots__ = ()


class Uint8(Sized, go="uint8", bits=8, signed=False):
    __slots__ = ()


class Uint16(Sized, go="uint16", bits=16, signed=False):
    __slots__ = ()


class Uint32(Sized, go="uint32", bits=32, signed=False):
    __slots__ = ()


class Uint64(Sized, go="uint64", signed=False):
    __slots__ = ()


class Duration(Sized, go="time.Duration", kind="int64"):
    """Nanoseconds."""

    __slots__ = ()


class Float32(float):
    """A number that has been rounded to 32 bits."""

    __slots__ = ()


class Map(dict[Any, Any]):
    """A map of another type than map[string]interface {}; `go_type` is the whole type, `map[string]string`."""

    __slots__ = ("go_type",)

    def __init__(self, go_type: str, content: Mapping[Any, Any] | Iterable[tuple[Any, Any]] = ()) -> None:
        super().__init__(content)
        self.go_type = go_type


class Slice(list[Any]):
    """A slice of another type than []interface {}; `go_type` is the whole type, `[]string`."""

    __slots__ = ("go_type",)

    def __init__(self, go_type: str, content: Iterable[Any] = ()) -> None:
        super().__init__(content)
        self.go_type = go_type


class NilMap(Map):
    """A map that was never made. It is an empty one but for JSON and YAML, which show null."""

    __slots__ = ()

    def __setitem__(self, key: Any, value: Any) -> None:
        raise GoPanic("assignment to entry in nil map")


class NilSlice(Slice):
    """A slice that was never made. It is an empty one but for JSON and YAML, which show null."""

    __slots__ = ()


class Struct:
    """A struct, or a pointer to one. A subclass names its Go type and what templates may reach.

    `go_fields` maps a field's Go name to the attribute that holds it, in Go's order (that is how it is printed);
    `go_methods` maps a method's name to a `Function` whose first parameter and argument is the object itself; types of maps,
    slices and numbers may have one too.
    """

    go_type: ClassVar[str] = "struct {}"
    go_fields: ClassVar[Mapping[str, str]] = {}
    go_methods: ClassVar[Mapping[str, Function]] = {}
    go_by_pointer: ClassVar[bool] = False
    """Its methods take a pointer: fmt doesn't find `String` then, but what a template prints does."""

    __slots__ = ()


class GoError(Exception):
    """An error that a Go function returns, and the value `error` in templates. `str()` gives its message."""


class GoPanic(GoError):
    """A panic. text/template reports a function's panic as its error; elsewhere it ends the program."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function that templates may call, with Go's signature.

    `parameters` and `result` are Go's type names (`string`, `int`, `interface {}`, `map[string]interface {}`). The caller
    checks and converts arguments by them, as reflection does, before `call` sees them; a variadic function's last parameter is
    the type of one element and `call` takes the rest as `*args`. `call` raises `GoError` for a returned error.
    """

    name: str
    parameters: tuple[str, ...]
    variadic: bool
    result: str
    call: Callable[..., Any]


def signature(text: str) -> tuple[str, tuple[str, ...], bool, str]:
    """`trunc(int, string) string` as (name, parameters, variadic, result); `list(...interface {}) []interface {}`."""
    name, _, rest = text.partition("(")
    inside, _, result = rest.rpartition(") ")
    parameters = tuple(part.strip() for part in inside.split(",")) if inside.strip() else ()
    variadic = bool(parameters) and parameters[-1].startswith("...")
    if variadic:
        parameters = (*parameters[:-1], parameters[-1].removeprefix("..."))
    return name, parameters, variadic, result


def go(text: str) -> Callable[[Callable[..., Any]], Function]:
    """Make a Python function a template's: `@go("trunc(int, string) string")`."""
    name, parameters, variadic, result = signature(text)
    return lambda call: Function(name, parameters, variadic, result, call)


def type_name(value: Any) -> str:
    """The value's Go type, as `%T` prints it."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "bool"
        case Sized() | Map() | Slice() | Struct():
            return value.go_type
        case int():
            return "int"
        case Float32():
            return "float32"
        case float():
            return "float64"
        case complex():
            return "complex128"
        case str():
            return "string"
        case bytes():
            return "[]uint8"
        case dict():
            return "map[string]interface {}"
        case list():
            return "[]interface {}"
        case GoError():
            return "*errors.errorString"
        case Function():
            inside = [*value.parameters[:-1], "..." + value.parameters[-1]] if value.variadic else value.parameters
            return f"func({', '.join(inside)}) {value.result}"
        case _:
            return type(value).__name__


def kind_name(value: Any) -> str:
    """The value's kind, as reflect.Kind calls it: `map`, `slice`, `int64`, `struct`, `ptr`, `invalid` for nil."""
    match value:
        case None:
            return "invalid"
        case Sized():
            return value.go_kind
        case dict():
            return "map"
        case list() | bytes():
            return "slice"
        case Struct():
            return "ptr" if value.go_type.startswith("*") else "struct"
        case GoError():
            return "ptr"
        case Function():
            return "func"
        case _:
            return type_name(value)


def element_type(go_type: str) -> str:
    """The type of a map's or a slice's elements: `string` of `[]string`; a named type holds any values."""
    if go_type.startswith("[]"):
        return go_type[2:]
    if go_type.startswith("map["):
        return go_type[go_type.index("]") + 1 :]
    return "interface {}"


def sorted_keys(value: Mapping[Any, Any]) -> list[Any]:
    """A map's keys in the order in which Go prints and ranges over them: numbers by size, strings by their bytes."""
    try:
        keys = sorted(value)
    except TypeError:  # keys of several types, in a map of interface {}: by type, then by value
        return sorted(value, key=lambda key: (kind_name(key), str(key)))
    if any(isinstance(key, str) and not key.isascii() for key in keys):
        keys.sort(key=lambda key: key.encode("utf-8", "surrogateescape"))
    return keys
