"""What a rule may cost at worst, estimated from its tree and from the sizes that the schema allows.

The rules are those by which `costs.py` counts, over ranges of sizes. What the schema leaves open is as large as a request may
be.
Source: https://kubernetes.io/docs/reference/using-api/cel/#resource-constraints and KEP-2876 (estimated cost limits)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from heeler.kinds.cel import costs
from heeler.kinds.cel.checked import Call, Fold, ListOf, Literal, Name, Node, Select, Struct, Tree, Type
from heeler.kinds.cel.structures import escaped, fields
from heeler.objects.value import Object

_TOP = (1 << 64) - 1
#: Bytes of a request.
MAX_REQUEST = 3 * 1024 * 1024


class Range(NamedTuple):
    """The least and the most of a size or a cost; nothing grows beyond 64 bits."""

    low: int
    high: int

    def plus(self, other: Range) -> Range:
        return Range(min(self.low + other.low, _TOP), min(self.high + other.high, _TOP))

    def times(self, other: Range) -> Range:
        return Range(min(self.low * other.low, _TOP), min(self.high * other.high, _TOP))

    def by(self, factor: float) -> Range:
        """Each bound times the factor, rounded up."""
        return Range(*(min(math.ceil(bound * factor), _TOP) for bound in self))

    def or_(self, other: Range) -> Range:
        """What holds both."""
        return Range(min(self.low, other.low), max(self.high, other.high))


UNKNOWN, NONE, ONE = Range(0, _TOP), Range(0, 0), Range(1, 1)


def _fixed(size: int) -> Range:
    return Range(size, size)


# Schemas.


def least_bytes(schema: Object, *, root: bool = False) -> int:
    """Bytes that a value of the schema has at least as JSON."""
    if schema.get("x-kubernetes-int-or-string"):
        return 1
    match schema.get("type"):
        case "object" if not schema.get("additionalProperties"):
            needed = schema.get("required") or ()
            known = fields(schema, root=root)
            # a name in quotes, a colon, a comma
            return 2 + sum(
                len(name) + 4 + least_bytes(known[name])
                for name in needed
                if name in known and "default" not in known[name]
            )
        case "object" | "array":
            return 2
        case "string":
            return {"date": 12, "date-time": 22}.get(schema.get("format", ""), 2)
        case "boolean":
            return 4
        case _:
            return 1


#: In a schema: just how large a value may be.
SIZE = "x-size"


def most_elements(schema: Object) -> int:
    """How large (`size()`) a value of the schema may be; texts are counted in bytes."""
    if SIZE in schema:
        return int(schema[SIZE])
    if schema.get("x-kubernetes-int-or-string"):
        return MAX_REQUEST - 2
    match schema.get("type"):
        case "array":
            found = schema.get("maxItems")
            least = least_bytes(schema.get("items") or {})
            return (MAX_REQUEST - 2) // (least + 1) if found is None else max(int(found), 0)
        case "object" if isinstance(more := schema.get("additionalProperties"), dict) and not schema.get("properties"):
            found = schema.get("maxProperties")
            return (MAX_REQUEST - 2) // (least_bytes(more) + 6) if found is None else max(int(found), 0)
        case "string":
            return _most_bytes(schema)
        case _:
            return 0


def _most_bytes(schema: Object) -> int:
    form, limit, enum = schema.get("format", ""), schema.get("maxLength"), schema.get("enum")
    if form == "byte":
        return MAX_REQUEST - 2 if limit is None else max(int(limit), 0)
    if form in _FORMS:
        return _FORMS[form]
    if limit is not None:
        return max(int(limit), 0) * 4
    if enum:
        return max((len(text.encode()) for text in enum if isinstance(text, str)), default=0)
    return MAX_REQUEST - 2


#: The longest texts of these formats, in quotes.
_FORMS = {"date": 12, "date-time": 32, "datetime": 32, "duration": 32}


def cardinality(schema: Object, *, root: bool = False) -> int:
    """How many values of the schema fit into a request."""
    return MAX_REQUEST // (least_bytes(schema, root=root) + 1)


# Trees.

_Path = tuple[str, ...]


class _Entries(NamedTuple):
    """The sizes of a list's items (`values`), or of a map's keys and values."""

    kind: str
    keys: Range
    values: Range


@dataclass(slots=True)
class _Local:
    """A variable of a macro: where in the schema its values stand, and what is known of their sizes."""

    path: _Path
    size: Range | None = None
    entries: _Entries | None = None


@dataclass(slots=True)
class Estimate:
    """The cost of one tree. `self` and `oldSelf` are of the schema; `root`: it is a whole object's. `variable`: that is of the
    schema, and nothing else is; its fields may be variables of their own (`device.capacity`)."""

    tree: Tree
    schema: Object
    root: bool = False
    variable: str = ""
    _paths: dict[int, _Path] = field(default_factory=dict)
    _sizes: dict[int, Range] = field(default_factory=dict)
    _entries: dict[int, _Entries] = field(default_factory=dict)
    _locals: dict[str, list[_Local]] = field(default_factory=dict)

    def most(self) -> int:
        return self.cost(self.tree.root).high

    def cost(self, node: Node) -> Range:
        match node:
            case Name():
                local = self._local(node.name)
                parts: _Path = (node.name,)
                if self.variable and node.name.startswith(f"{self.variable}."):
                    parts = tuple(node.name.split("."))
                self._paths[node.id] = local.path if local else parts
                return _fixed(len(parts))
            case Select():
                return self._select(node)
            case Call():
                return self._call(node)
            case ListOf():
                return self._list(node)
            case Struct():
                return self._struct(node)
            case Fold():
                return self._bind(node) if _is_bind(node) else self._fold(node)
            case _:
                return NONE

    def _select(self, node: Select) -> Range:
        total = self.cost(node.operand)
        if node.test:
            return total
        self._paths[node.id] = (*self._path(node.operand), node.field)
        return total.plus(ONE) if self.tree.type(node.operand).kind in ("map", "message", "param") else total

    def _list(self, node: ListOf) -> Range:
        total, items = _fixed(costs.LIST), None
        for part in node.elements:
            total = total.plus(self.cost(part))
            size = self._size_or_unknown(part)
            items = size if items is None else items.or_(size)
        self._entries[node.id] = _Entries("list", ONE, items or NONE)
        return total

    def _struct(self, node: Struct) -> Range:
        total, keys, values = _fixed(costs.STRUCT if node.message else costs.MAP), NONE, NONE
        for at, entry in enumerate(node.entries):
            for part in (entry.key, entry.value):
                if isinstance(part, Node):
                    total = total.plus(self.cost(part))
            key = self._size_or_unknown(entry.key) if isinstance(entry.key, Node) else UNKNOWN
            value = self._size_or_unknown(entry.value)
            keys, values = (keys.or_(key), values.or_(value)) if at else (key, value)
        if not node.message:
            self._entries[node.id] = _Entries("map", keys, values)
        return total

    def _bind(self, node: Fold) -> Range:
        total = self.cost(node.range).plus(self.cost(node.start))
        self._push(node.result_name, self._as_local(node.start))
        total = total.plus(self.cost(node.result))
        self._locals[node.result_name].pop()
        self._copy(node, node.result)
        return total

    def _fold(self, node: Fold) -> Range:
        total = self.cost(node.range).plus(self.cost(node.start))
        self._push(node.result_name, self._as_local(node.start))
        path, entries = self._path(node.range), self._entry_sizes(node.range)
        of_list = (entries.kind if entries else self.tree.type(node.range).kind) == "list"
        if node.second:
            keys = _Local((*path, "@indices" if of_list else "@keys"), entries.keys if entries else None)
            self._push(node.variable, keys)
            values = _Local((*path, "@items" if of_list else "@values"), entries.values if entries else None)
            self._push(node.second, values)
        elif of_list:
            self._push(node.variable, _Local((*path, "@items"), entries.values if entries else None))
        else:
            self._push(node.variable, _Local((*path, "@keys"), entries.keys if entries else None))
        each = self.cost(node.condition).plus(self.cost(node.step))
        for name in filter(None, (node.variable, node.second)):
            self._locals[name].pop()
        total = total.plus(self.cost(node.result))
        self._locals[node.result_name].pop()
        count = self._size_or_unknown(node.range)
        if isinstance(node.start, Literal):
            self._keep(node, self._size(node.start))
        elif isinstance(node.start, (ListOf, Struct)):
            self._keep(node, count)
            if (found := self._entry_sizes(node.step)) is not None:
                self._entries[node.id] = found
        return total.plus(count.times(each))

    def _call(self, node: Call) -> Range:
        if node.function == "dyn":
            total = self.cost(node.arguments[0]).plus(ONE)
            self._copy(node, node.arguments[0])
            return total
        spent = [self.cost(part) for part in node.arguments]
        total = self.cost(node.target) if node.target is not None else NONE
        parts = ([node.target] if node.target is not None else []) + node.arguments
        overloads = self.tree.overloads.get(node.id, ())
        if not overloads:
            return NONE
        found, size = Range(_TOP, 0), None
        for overload in overloads:
            cost, made = self._overload(node, overload, parts, spent)
            found = found.or_(cost)
            size = made if size is None else size.or_(made) if made is not None else size
            if overload in ("index_list", "index_map"):
                entries = self._entry_sizes(node.arguments[0])
                size = entries.values if entries else None
                step = "@items" if overload == "index_list" else "@values"
                self._paths[node.id] = (*self._path(node.arguments[0]), step)
            size = self._size(node) if size is None else size
        self._keep(node, size)
        return total.plus(found)

    def _overload(self, node: Call, overload: str, parts: list[Node], spent: list[Range]) -> tuple[Range, Range | None]:
        """What a call costs with its arguments, and the size of what it gives."""
        if overload in ("logical_or", "logical_and"):
            return Range(spent[0].low, spent[0].plus(spent[1]).high), None
        if overload == "conditional":
            then, otherwise = parts[1], parts[2]
            self._merge_entries(node, then, otherwise)
            size = self._size_or_unknown(then).or_(self._size_or_unknown(otherwise))
            return spent[0].plus(spent[1].or_(spent[2])), size
        sizes = [self._size_or_unknown(part) for part in parts]
        rule = _RULES.get(node.function)
        cost, made = ONE, None
        if rule is not None:
            items = self._item_size(parts[0]) if parts else None
            cost, made = rule(_Given(node, overload, sizes, items, self.tree.type(parts[0]) if parts else None))
        if overload in ("add_string", "add_bytes", "add_list"):
            self._merge_entries(node, *parts)
        for one in spent:
            cost = cost.plus(one)
        return cost, made

    def _merge_entries(self, node: Node, a: Node, b: Node) -> None:
        first, second = self._entry_sizes(a), self._entry_sizes(b)
        if first is not None and second is not None:
            keys, values = first.keys.or_(second.keys), first.values.or_(second.values)
            self._entries[node.id] = _Entries(first.kind, keys, values)

    # What is known of nodes.

    def _push(self, name: str, local: _Local) -> None:
        self._locals.setdefault(name, []).append(local)

    def _local(self, name: str) -> _Local | None:
        found = self._locals.get(name)
        return found[-1] if found else None

    def _as_local(self, node: Node) -> _Local:
        return _Local(self._path(node), self._size(node), self._entry_sizes(node))

    def _path(self, node: Node) -> _Path:
        if isinstance(node, Name) and (local := self._local(node.name)) is not None:
            return local.path
        return self._paths.get(node.id, ())

    def _keep(self, node: Node, size: Range | None) -> None:
        if size is not None:
            self._sizes[node.id] = size

    def _copy(self, node: Node, source: Node) -> None:
        self._keep(node, self._size(source))
        if (entries := self._entry_sizes(source)) is not None:
            self._entries[node.id] = entries

    def _entry_sizes(self, node: Node) -> _Entries | None:
        if (found := self._entries.get(node.id)) is not None:
            return found
        local = self._local(node.name) if isinstance(node, Name) else None
        return local.entries if local else None

    def _size_or_unknown(self, node: Node) -> Range:
        found = self._size(node)
        return UNKNOWN if found is None else found

    def _size(self, node: Node) -> Range | None:
        found = self._sizes.get(node.id) or _literal_size(node)
        if found is not None:
            return found
        found = self._size_at(self._path(node))
        if found is not None:
            self._sizes[node.id] = found
            return found
        if self.tree.type(node).kind in _SCALARS:
            return ONE
        local = self._local(node.name) if isinstance(node, Name) else None
        return local.size if local else None

    def _size_at(self, path: _Path) -> Range | None:
        """What the schema says of the values at a path."""
        if not path or (self.variable and path[0] != self.variable):
            return None
        # upstream takes any first step for the root: items of lists that a macro made are as large as that may be
        node: Object | None = self.schema
        for at, step in enumerate(path[1:]):
            node = _below(node, step, root=self.root and at == 0)
            if node is None:
                return None
        return Range(0, most_elements(node)) if node is not None else None

    def _item_size(self, node: Node) -> Range | None:
        """The size of a list's items, None for anything else."""
        type = self.tree.type(node)
        if type.kind != "list":
            return None
        found = self._size_at((*self._path(node), "@items"))
        return UNKNOWN if found is None else found


_SCALARS = ("bool", "int", "uint", "double", "timestamp", "duration", "null_type", "type")


def _literal_size(node: Node) -> Range | None:
    if isinstance(node, Literal):
        return _fixed(len(node.value)) if isinstance(node.value, (str, bytes)) else ONE
    if isinstance(node, ListOf):
        return Range(len(node.elements) - len(node.optional), len(node.elements))
    if isinstance(node, Struct) and not node.message:
        return Range(sum(not entry.optional for entry in node.entries), len(node.entries))
    return None


def _below(schema: Object | None, step: str, *, root: bool) -> Object | None:
    if schema is None:
        return None
    if step == "@items":
        found = schema.get("items")
        return found if isinstance(found, dict) else None
    more = schema.get("additionalProperties")
    is_map = isinstance(more, dict) and not schema.get("properties")
    if step == "@values":
        return more if is_map else None
    if step == "@keys":
        return schema.get("propertyNames") or {} if is_map else None
    if is_map and isinstance(more, dict) and SIZE in more:
        return more  # whatever its name, a value is no larger
    if is_map or step == "@indices":
        return None
    return next((part for name, part in fields(schema, root=root).items() if escaped(name) == step), None)


def _is_bind(node: Fold) -> bool:
    nothing = isinstance(node.range, ListOf) and not node.range.elements
    return nothing and isinstance(node.condition, Literal) and node.condition.value is False


# Functions, by name; those without a rule cost 1.


@dataclass(frozen=True, slots=True)
class _Given:
    """A call's arguments (a member's target first): their sizes, what is known of the first one."""

    call: Call
    overload: str
    sizes: Sequence[Range]
    items: Range | None
    first: Type | None

    @property
    def target(self) -> bool:
        return self.call.target is not None


_Rule = Callable[[_Given], tuple[Range, Range | None]]


def _characters(size: Range, factor: float = 1) -> Range:
    return size.by(factor * costs.PER_CHARACTER)


def _same_size(given: _Given) -> tuple[Range, Range | None]:
    return _characters(given.sizes[0]), given.sizes[0]


def _elements(given: _Given) -> tuple[Range, Range | None]:
    if given.items is None:
        return _characters(given.sizes[0]), None
    each = ONE
    if given.first is not None and given.first.of[0].kind in ("string", "bytes"):
        each = each.plus(_characters(given.items))
    return given.sizes[0].times(each), None


_NEW_LIST = _fixed(1 + costs.LIST)


def _rearranged(given: _Given) -> tuple[Range, Range | None]:
    """Another list of the same items."""
    return given.sizes[0].plus(_NEW_LIST), given.sizes[0]


def _flattened(given: _Given) -> tuple[Range, Range | None]:
    depth = _number_or(given.call.arguments, 0, _TOP) if given.call.arguments else 1
    return given.sizes[0].by(depth).plus(_NEW_LIST), given.sizes[0]


def _sliced(given: _Given) -> tuple[Range, Range | None]:
    end = _number_or(given.call.arguments, 1, given.sizes[0].high)
    size = _fixed(max(end - _number_or(given.call.arguments, 0, 0), 0))
    return size.plus(_NEW_LIST), size


def _ranged(given: _Given) -> tuple[Range, Range | None]:
    size = _fixed(_number_or(given.call.arguments, 0, _TOP))
    return size.plus(_NEW_LIST), size


def _sorted(given: _Given) -> tuple[Range, Range | None]:
    """Each item is compared with each other."""
    factor = 2.0
    if given.first is not None and given.first.of and given.first.of[0].kind in ("string", "bytes"):
        factor += costs.PER_CHARACTER
    size = given.sizes[0].times(given.sizes[0])
    return size.by(factor).plus(_NEW_LIST), size


def _distinct(given: _Given) -> tuple[Range, Range | None]:
    size = given.sizes[0].times(given.sizes[0])
    return size.by(2).plus(_NEW_LIST), size


def _sets(given: _Given) -> tuple[Range, Range | None]:
    factor = 2 if given.call.function == "sets.equivalent" else 1
    return given.sizes[0].times(given.sizes[1]).by(factor).plus(ONE), None


def _number_or(arguments: Sequence[Node], at: int, other: int) -> int:
    """A whole number that stands in the text."""
    found = arguments[at] if at < len(arguments) else None
    return found.value if isinstance(found, Literal) and isinstance(found.value, int) else other


def _pattern(given: _Given) -> tuple[Range, Range | None]:
    if not given.target:
        return ONE, None
    cost = _characters(given.sizes[0].plus(ONE)).times(given.sizes[1].by(costs.PER_PATTERN_CHARACTER))
    return cost, None if given.call.function == "matches" else Range(0, given.sizes[0].high)


def _replace(given: _Given) -> tuple[Range, Range | None]:
    """The result is longest if the shortest thing to be replaced becomes the longest, wherever it may stand."""
    size, old, new = given.sizes[:3]
    if old.low == 0:
        high = min(size.high + 1, _TOP) * new.high + size.high
    elif new.high <= old.low:
        high = size.high
    else:
        high = math.ceil(size.high / old.low) * new.high
    if old.high == 0:
        low = (size.low + 1) * new.low + size.low
    elif old.high <= new.low:
        low = size.low
    else:
        low = math.ceil(size.low / old.high) * new.low
    return _characters(size, 2), Range(min(low, _TOP), min(high, _TOP))


def _split(given: _Given) -> tuple[Range, Range | None]:
    most, limit = given.sizes[0].high, given.call.arguments[-1]
    if len(given.call.arguments) > 1 and isinstance(limit, Literal) and isinstance(limit.value, int):
        most = limit.value if limit.value >= 0 else _TOP
    return _characters(given.sizes[0], 2), Range(0, most)


def _join(given: _Given) -> tuple[Range, Range | None]:
    count, size = given.sizes[0], NONE
    if given.items is not None:
        size = count.times(given.items)
    if len(given.sizes) > 1:
        size = size.plus(given.sizes[1].times(Range(max(count.low - 1, 0), max(count.high - 1, 0))))
    return _characters(size), size


def _selector(given: _Given) -> tuple[Range, Range | None]:
    size = given.sizes[1]
    parts = size.by(costs.REQUIREMENTS_PER_CHARACTER).by(costs.PER_REQUIREMENT)
    return _fixed(costs.LIST).plus(_characters(size)).plus(parts), None


def _range(given: _Given) -> tuple[Range, Range | None]:
    """Addresses have 4 or 16 bytes."""
    address = Range(4, 16)
    cost = _characters(address.plus(address))
    if given.call.function == "containsCIDR":
        cost = cost.plus(_characters(address)).plus(ONE)
    if given.first is not None and given.overload.endswith("string"):
        cost = cost.plus(_characters(given.sizes[1]))
    return cost, None


def _compared(given: _Given) -> tuple[Range, Range | None]:
    if given.call.function in ("_==_", "_!=_"):
        if given.first is not None and given.first.kind == "message" and not given.first.name.startswith("heeler."):
            return ONE, None
    elif not given.overload.endswith(("_string", "_bytes")):
        return ONE, None
    most = min(given.sizes[0].high, given.sizes[1].high)
    return _characters(Range(1 if most else 0, most)), None


def _sum(given: _Given) -> tuple[Range, Range | None]:
    if given.overload not in ("add_string", "add_bytes", "add_list"):
        return ONE, None
    size = given.sizes[0].plus(given.sizes[1])
    return (ONE if given.overload == "add_list" else _characters(size)), size


def _contains(given: _Given) -> tuple[Range, Range | None]:
    return _characters(given.sizes[0]).times(_characters(given.sizes[1])), None


#: A named format's regular expression is reckoned as long as that.
_FORMAT_PATTERN = 128


def _validate(given: _Given) -> tuple[Range, Range | None]:
    return _characters(given.sizes[1]).by(_FORMAT_PATTERN * costs.PER_PATTERN_CHARACTER), None


def _bytes_of(given: _Given) -> tuple[Range, Range | None]:
    if given.overload != "string_to_bytes":
        return ONE, None
    size = given.sizes[0]
    return _characters(size), Range(size.low, min(size.high * 4, _TOP))


def _text_of(given: _Given) -> tuple[Range, Range | None]:
    if given.overload != "bytes_to_string":
        return ONE, None
    size = given.sizes[0]
    return _characters(size), Range(size.low // 4, size.high)


def _quoted(given: _Given) -> tuple[Range, Range | None]:
    size = given.sizes[0]
    return _characters(size), Range(size.low + 2, min(size.high * 2 + 2, _TOP))


def _formatted(given: _Given) -> tuple[Range, Range | None]:
    return _characters(given.sizes[0]), given.sizes[0].plus(given.sizes[1])


def _second(given: _Given) -> tuple[Range, Range | None]:
    return _characters(given.sizes[1]), None


def _in(given: _Given) -> tuple[Range, Range | None]:
    return (given.sizes[1] if given.overload == "in_list" else ONE), None


_RULES: Mapping[str, _Rule] = {
    "check": lambda given: (_fixed(costs.CHECK), None),
    **dict.fromkeys(("fieldSelector", "labelSelector"), _selector),
    **dict.fromkeys(("isSorted", "sum", "max", "min", "indexOf", "lastIndexOf"), _elements),
    **dict.fromkeys(("sort", "__sorted"), _sorted),
    **dict.fromkeys(("sets.contains", "sets.intersects", "sets.equivalent"), _sets),
    "reverse": _rearranged,
    "flatten": _flattened,
    "slice": _sliced,
    "distinct": _distinct,
    "lists.range": _ranged,
    **dict.fromkeys(("url", "jsonpatch.escapeKey", "lowerAscii", "upperAscii", "substring", "trim"), _same_size),
    **dict.fromkeys(("find", "findAll", "matches"), _pattern),
    **dict.fromkeys(("containsIP", "containsCIDR"), _range),
    **dict.fromkeys(("startsWith", "endsWith"), _second),
    **dict.fromkeys(("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"), _compared),
    "replace": _replace,
    "split": _split,
    "join": _join,
    "validate": _validate,
    "contains": _contains,
    "@in": _in,
    "_+_": _sum,
    "bytes": _bytes_of,
    "string": _text_of,
    "strings.quote": _quoted,
    "format": _formatted,
}
