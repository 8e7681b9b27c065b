"""What the closures that `compile.py` makes share while a template runs: the run, its frames, errors and lookups.

Two kinds of nil must be told apart, as reflection does: `None` is the nil that an interface holds (a map's null or missing
key), `INVALID` is no value at all. The first becomes the second at the end of a pipeline; that is why `(.Values.a).b` is
lenient and `.Values.a.b` is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from heeler.base.clock import SystemClock
from heeler.objects import go_duration
from heeler.packages.template.formatting import quote, text
from heeler.packages.template.nodes import Node, Source, Tree
from heeler.packages.template.stack import room
from heeler.packages.template.values import (
    Duration,
    Float32,
    Function,
    GoError,
    Map,
    NilMap,
    NilSlice,
    Sized,
    Slice,
    Struct,
    element_type,
    type_name,
)

if TYPE_CHECKING:
    from heeler.packages.template.compile import Compiled

MAX_TEMPLATE_DEPTH: Final = 10_000
"""How deep `template` may call itself. Go stops at 100,000 and the message tells that: what gets this far has no end."""

MAX_OUTPUT: Final = 256 << 20
"""Characters that one run may write, included texts counted each time they are."""

MAX_STEPS: Final = 20_000_000
"""Turns of loops and calls of templates in one run: seconds of nothing but turns."""

MAX_SECONDS: Final = 60.0
"""How long a run may take: functions that are costly by themselves (keys, sorting) make few turns."""

TOO_LONG: Final = "the template runs too long"

LARGE: Final = 1 << 16
"""A text or list of so many characters or items is counted when a function gives it."""

MAX_MADE: Final = 256 << 20
"""Characters in all such texts (an item counts for eight): what doubles in a loop ends here."""


class _Invalid:
    """reflect's zero Value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<invalid reflect.Value>"

    def __bool__(self) -> bool:
        return False


INVALID: Final = _Invalid()
MISSING: Final = _Invalid()
"""No final argument came down a pipeline."""


class ExecError(GoError):
    """`template: NAME:LINE:COLUMN: executing "NAME" at <…>: message`. What a function raised is the `__cause__`.

    `name`, `place`, `context` and `message` are the parts. A wrong template name has no place.
    """

    def __init__(self, name: str, place: str, context: str, message: str) -> None:
        self.name, self.place, self.context, self.message = name, place, context, message
        super().__init__(f"template: {place}: executing {quote(name)} at <{context}>: {message}")


@dataclass(slots=True)
class Run:
    """One execution with all that it includes. A subclass may carry what its own functions need."""

    templates: Mapping[str, Compiled]
    missing_key_error: bool = False
    depth: int = 0
    """How many templates are under way by `template` (not by functions)."""
    stack_room: int = field(default_factory=room)
    """Frames that this thread may still have."""
    clock: Callable[[], float] = SystemClock().monotonic
    until: float = 0.0
    """When it is over, by the clock."""
    steps: int = 0
    written: int = 0
    made: int = 0
    watch: Callable[[Frame, Node, Any, str], None] | None = None
    """Told of each field that is read of a map that isn't a plain one: (frame, the chain's node, the map, the name)."""

    def __post_init__(self) -> None:
        self.until = self.until or self.clock() + MAX_SECONDS

    @property
    def late(self) -> bool:
        return self.clock() > self.until


class Frame:
    """A template under way: its variables, its output and the node that an error would point at."""

    __slots__ = ("name", "node", "out", "receiver", "run", "source", "variables")

    def __init__(self, run: Run, tree: Tree, node: Node, variables: list[Any], out: list[str]) -> None:
        self.run = run
        self.name = tree.name
        self.source: Source = tree.source
        self.node = node
        self.variables = variables
        self.out = out
        self.receiver: Any = None
        """Whose method is about to be called."""

    def fault(self, message: str) -> ExecError:
        return ExecError(self.name, self.source.place(self.node.at), str(self.node), message)

    def step(self, size: int) -> None:
        """Count a turn of a loop or a call, which writes `size` characters of the template's own text."""
        run = self.run
        run.steps += 1
        run.written += size
        if run.steps > MAX_STEPS or run.written > MAX_OUTPUT:
            raise self.fault(TOO_LONG)
        if not run.steps & 15 and run.late:
            raise self.fault(TOO_LONG)

    def count(self, made: Any) -> None:
        """Count a large text or list that a function gave."""
        run = self.run
        run.made += len(made) * (1 if isinstance(made, str) else 8)
        if run.made > MAX_MADE:
            raise self.fault("the template makes too much")

    def write(self, value: str) -> None:
        run = self.run
        run.written += len(value)
        if run.written > MAX_OUTPUT:
            raise self.fault("the template writes too much")
        self.out.append(value)


@dataclass(frozen=True, slots=True)
class RunFunction(Function):
    """A function that is given the `Run` before its arguments."""


# --- types


def underlying(value: Any) -> str:
    """The type under a named map's or slice's name: `map[string]interface {}` of common.Values."""
    go_type = type_name(value)
    if isinstance(value, (Map, Slice)) and not go_type.startswith(("map[", "[]")):
        return UNDERLYING.get(go_type, "map[string]interface {}" if isinstance(value, dict) else "[]interface {}")
    return go_type


UNDERLYING: Final[Mapping[str, str]] = {"engine.files": "map[string][]uint8", "common.VersionSet": "[]string"}
"""What named types are of which values have neither strings as keys nor anything as elements."""


def assignable(value: Any, go_type: str) -> bool:
    """Whether a variable of the type may hold the value."""
    if go_type == "interface {}":
        return True
    if type_name(value) == go_type:
        return True
    if isinstance(value, (dict, list)) and underlying(value) == go_type:
        return True
    if go_type == "error":
        return isinstance(value, GoError)
    return go_type == "[]byte" and isinstance(value, bytes)


def is_nillable(go_type: str) -> bool:
    return go_type.startswith(("map[", "[]", "*", "func(")) or go_type in ("interface {}", "error")


def zero(go_type: str) -> Any:
    """A type's zero value."""
    if go_type.startswith("map["):
        return NilMap(go_type)
    if go_type in ("[]byte", "[]uint8"):
        return b""
    if go_type.startswith("[]"):
        return NilSlice(go_type)
    return _ZEROS.get(go_type)


_ZEROS: Final[Mapping[str, Any]] = {
    "string": "",
    "bool": False,
    "int": 0,
    "float64": 0.0,
    "float32": Float32(0.0),
    **{kind.go_type: kind(0) for kind in Sized.__subclasses__()},
}
SIZED: Final[Mapping[str, type[Sized]]] = {kind.go_type: kind for kind in Sized.__subclasses__()}


# --- values


def truth(value: Any) -> bool:
    """What `if` takes for true: all but zeros, nil and what is empty."""
    if value is None or value is INVALID:
        return False
    if isinstance(value, (bool, int, float, str, dict, list, bytes, complex)):
        return bool(value)
    return True


def printed(frame: Frame, node: Node, value: Any) -> str:
    """A value as an action prints it."""
    kind = type(value)
    if kind is str:
        return value  # type: ignore[no-any-return]
    if value is INVALID:
        return "<no value>"
    if isinstance(value, Function):
        frame.node = node
        raise frame.fault(f"can't print {node} of type {type_name(value)}")
    try:
        return shown(value)
    except (GoError, RecursionError) as error:
        frame.node = node
        told = "value nests too deeply to be printed" if isinstance(error, RecursionError) else str(error)
        raise frame.fault(told) from error


def shown(value: Any) -> str:
    """A value as an action prints it: methods are found behind pointers, and a pointer counts as what it points at."""
    if isinstance(value, Struct) and value.go_by_pointer and "String" in value.go_methods:
        return str(value.go_methods["String"].call(value))
    return indirect_text(value)


def indirect_text(value: Any) -> str:
    """`%v` of a value, or of what it points at."""
    if isinstance(value, Struct) and value.go_type.startswith("*"):
        return text(value).removeprefix("&")
    return text(value)


def value_text(value: Any) -> str:
    """A value in an error's words."""
    return text(None if value is INVALID else value)


# --- fields


def methods_of(value: Any) -> Mapping[str, Function] | None:
    """What a value's type has of methods; None for most."""
    return getattr(value, "go_methods", None) or _METHODS.get(type(value))


def missing_key(frame: Frame, receiver: dict[Any, Any], name: str) -> Any:
    """What a map without the key gives: its elements' zero value."""
    if frame.run.missing_key_error:
        raise frame.fault(f"map has no entry for key {quote(name)}")
    return element_zero(receiver)


def element_zero(container: dict[Any, Any]) -> Any:
    """The zero value of a map's elements."""
    return zero(element_type(underlying(container))) if isinstance(container, Map) else None


def member_type(container: Any, member: Any) -> str:
    """The type by which errors call a value that was read out of `container`."""
    if isinstance(container, Struct):
        return type_name(member)
    return element_type(underlying(container)) if isinstance(container, (dict, list)) else type_name(member)


def _nanoseconds_in(unit: int) -> Callable[[Duration], float]:
    return lambda duration: int(duration) / unit


_METHODS: Final[Mapping[type, Mapping[str, Function]]] = {
    Duration: {
        "String": Function("String", ("time.Duration",), False, "string", go_duration.text),
        "Hours": Function("Hours", ("time.Duration",), False, "float64", _nanoseconds_in(3_600_000_000_000)),
        "Minutes": Function("Minutes", ("time.Duration",), False, "float64", _nanoseconds_in(60_000_000_000)),
        "Seconds": Function("Seconds", ("time.Duration",), False, "float64", _nanoseconds_in(1_000_000_000)),
        "Milliseconds": Function(
            "Milliseconds", (), False, "int64", lambda duration: SIZED["int64"](duration // 1_000_000)
        ),
        "Microseconds": Function(
            "Microseconds", (), False, "int64", lambda duration: SIZED["int64"](duration // 1_000)
        ),
        "Nanoseconds": Function(
            "Nanoseconds", ("time.Duration",), False, "int64", lambda duration: SIZED["int64"](duration)
        ),
    }
}
"""Methods of types that are plain numbers in Python."""
