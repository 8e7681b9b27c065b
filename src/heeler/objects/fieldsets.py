"""Sets of field paths, in the `fieldsV1` form of managed fields, and what sets objects make.

A set is a tree of plain dicts: `{"f:spec": {"f:replicas": {}}}`. An empty dict is a member without children; a node
with children is a member itself only if it holds `"."`. The root is never a member: `{}` there is the empty set. Trees
are shared freely and never changed once they are made.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/ and the recorded managed fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import orjson

from heeler.objects.go_text import plain
from heeler.objects.schema import ANY, Field, Type
from heeler.objects.value import Object, Value

FieldSet: TypeAlias = dict[str, Any]

SELF = "."
MEMBER: FieldSet = {}
EMPTY: FieldSet = {}

#: The type of what a custom resource keeps without a schema: maps are merged, lists are one value.
FREE = Type("any", preserve=True)

# --- algebra ----------------------------------------------------------------------------------------------------


def _node(member: bool, children: FieldSet) -> FieldSet | None:
    if not children:
        return MEMBER if member else None
    return {SELF: MEMBER, **children} if member else children


def has_self(node: FieldSet) -> bool:
    return not node or SELF in node


def union(left: FieldSet, right: FieldSet) -> FieldSet:
    """Members of either set."""
    if not left or left is right:
        return right
    if not right:
        return left
    out: FieldSet = {}
    for key, a in left.items():
        if key == SELF:
            continue
        b = right.get(key)
        if b is None or a is b:
            out[key] = a
            continue
        children = union(children_of(a), children_of(b))
        out[key] = _node(has_self(a) or has_self(b), children) or MEMBER
    for key, b in right.items():
        if key != SELF and key not in left:
            out[key] = b
    return out


def children_of(node: FieldSet) -> FieldSet:
    return {k: v for k, v in node.items() if k != SELF} if SELF in node else node


def difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """Members of `left` that are not members of `right`. A member's children are members of their own."""
    if not left or not right:
        return left
    out: FieldSet = {}
    for key, a in left.items():
        if key == SELF:
            continue
        b = right.get(key)
        if b is None:
            out[key] = a
            continue
        kept = _node(has_self(a) and not has_self(b), difference(children_of(a), children_of(b)))
        if kept is not None:
            out[key] = kept
    return out


def intersection(left: FieldSet, right: FieldSet) -> FieldSet:
    """Members of both sets."""
    out: FieldSet = {}
    for key, a in left.items():
        b = right.get(key)
        if b is None or key == SELF:
            continue
        kept = _node(has_self(a) and has_self(b), intersection(children_of(a), children_of(b)))
        if kept is not None:
            out[key] = kept
    return out


def without(left: FieldSet, fields: FieldSet) -> FieldSet:
    """`left` without the members of `fields` and everything below them."""
    if not left or not fields:
        return left
    out: FieldSet = {}
    for key, a in left.items():
        b = fields.get(key)
        if b is None or key == SELF:
            out[key] = a
        elif not has_self(b):
            kept = _node(has_self(a), without(children_of(a), b))
            if kept is not None:
                out[key] = kept
    return out


def ordered(tree: FieldSet) -> FieldSet:
    """The same set with its keys in upstream's order (`.` first, then by text)."""
    return {key: ordered(tree[key]) if tree[key] else MEMBER for key in sorted(tree)}


def paths(tree: FieldSet, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every member as a tuple of path elements; the members of a node before those below it."""
    keys = sorted(key for key in tree if key != SELF)
    for key in keys:
        if has_self(tree[key]):
            yield (*prefix, key)
    for key in keys:
        yield from paths(tree[key], (*prefix, key))


def path_text(path: tuple[str, ...]) -> str:
    """A path as messages show it: `.spec.containers[name="web"].image`."""
    out = []
    for element in path:
        mark, rest = element[0], element[2:]
        if mark == "f":
            out.append(f".{rest}")
        elif mark == "k":
            keys = orjson.loads(rest)
            out.append("[" + ",".join(f"{key}={_go_value(keys[key])}" for key in sorted(keys)) + "]")
        elif mark == "v":
            out.append(f"[={_go_value(orjson.loads(rest))}]")
        else:
            out.append(f"[{rest}]")
    return "".join(out)


def _go_value(value: Value) -> str:
    return orjson.dumps(value).decode() if isinstance(value, (str, list, dict)) else plain(value)


def check(tree: Value) -> FieldSet:
    """A set that came from outside. Raises ValueError for what is no `fieldsV1`."""
    if not isinstance(tree, dict):
        raise ValueError("fieldsV1 must be an object")
    for key, node in tree.items():
        if key == SELF:
            continue
        if key[1:2] != ":" or key[0] not in "fkvi":
            raise ValueError(f"unknown path element {key}")
        if key[0] in "kv":
            orjson.loads(key[2:])
        check(node)
    return tree


# --- path elements of list items ----------------------------------------------------------------------------------


def item_key(item: Value, type: Type) -> str:
    """How a list item is named in a set. Raises ValueError if it has none of its keys, and these no default."""
    if type.list_type == "set":
        if isinstance(item, list):
            raise ValueError("not supported: associative list with lists as elements")
        if isinstance(item, dict):
            raise ValueError("associative list without keys has an element that's a map type")
        return "v:" + orjson.dumps(item).decode()
    keys = type.keys
    if not isinstance(item, dict):
        raise ValueError("associative list with keys may not have non-map elements")
    if len(keys) == 1:
        value = item.get(keys[0])
        if type_is_plain_text(value):
            return f'k:{{"{keys[0]}":"{value}"}}'
    found = {}
    for key in keys:
        value = item.get(key)
        if value is None:
            value = _key_default(key, type)
            if value is None:
                continue
        found[key] = value
    if not found:
        names = " ".join(f'"{key}"' for key in keys)
        raise ValueError(
            f"associative list with keys has an element that omits all key fields [{names}] "
            "(and doesn't have default values for any key fields)"
        )
    return "k:" + orjson.dumps(found, option=orjson.OPT_SORT_KEYS).decode()


def _key_default(key: str, type: Type) -> Value:
    """What a key is that an item leaves out: fields of Go's that are no pointers are empty then."""
    if key in type.key_defaults:
        found: Value = type.key_defaults[key]
        return found
    field = type.item.fields.get(key) if type.item is not None else None
    if field is None or field.pointer or not field.always:
        return None
    return 0 if field.type.form in ("int32", "int64") else "" if field.type.form == "string" else None


def type_is_plain_text(value: Value) -> bool:
    """Text that JSON writes as it is."""
    return isinstance(value, str) and value.isascii() and value.isprintable() and '"' not in value and "\\" not in value


def items_by_key(values: list[Value] | None, type: Type) -> dict[str, Value]:
    """List items by name. Items that have no key are named by their place, so that nothing is lost."""
    out: dict[str, Value] = {}
    for at, item in enumerate(values or ()):
        try:
            key = item_key(item, type)
        except ValueError:
            key = f"i:{at}"
        out.setdefault(key, item)
    return out


class Untypable(ValueError):
    """An item of a list has no name: nobody's fields can be told."""


def members(values: list[Value] | None, type: Type) -> dict[str, Any]:
    """List items by name; of those that share a name a tuple: such items are members together, what is in them isn't.

    Raises Untypable."""
    out: dict[str, Any] = items_by_key(values, type)
    if any(key[0] == "i" for key in out):
        raise Untypable
    if len(out) == len(values or ()):
        return out
    together: dict[str, list[Value]] = {}
    for item in values or ():
        together.setdefault(next(iter(items_by_key([item], type))), []).append(item)
    return out | {key: tuple(items) for key, items in together.items() if len(items) > 1}


# --- sets of whole values, compiled once for each type --------------------------------------------------------------

#: Makes the node of a present value; None stands for "a leaf, whatever the value".
_Maker: TypeAlias = Callable[[Any], FieldSet] | None


def is_leaf(type: Type) -> bool:
    match type.form:
        case "struct" | "map":
            return type.atomic
        case "list":
            return type.list_type == "atomic"
        case "any":
            return not type.preserve
        case _:
            return True


def _added_maker(type: Type) -> _Maker:
    """Makes the node of a value that was not there before: it and all below it are members."""
    known: _Maker | str = type.added
    if not isinstance(known, str):
        return known
    if is_leaf(type):
        type.added = None
        return None
    # A type may hold itself: the maker is registered before its parts are looked up, at first use.
    maker: Callable[[Any], FieldSet]
    if type.form == "list":
        maker = _list_maker(type)
    elif type.form == "map":
        maker = _map_maker(type.item or ANY)
    elif type.form == "any":
        maker = _free_node
    else:
        maker = _struct_maker(type)
    type.added = maker
    return maker


def _free_node(value: Any) -> FieldSet:
    if not isinstance(value, dict) or not value:
        return MEMBER
    out: FieldSet = {SELF: MEMBER}
    for key in sorted(value):
        out["f:" + key] = _free_node(value[key])
    return out


def _struct_maker(type: Type) -> Callable[[Any], FieldSet]:
    table: dict[str, tuple[str, _Maker]] = {}

    def entry(name: str) -> tuple[str, _Maker]:
        field = type.fields.get(name)
        found = ("f:" + name, _added_maker(field.type) if field else _free_node)
        if field:
            table[name] = found
        return found

    def make(value: Any) -> FieldSet:
        if not value or not isinstance(value, dict):
            return MEMBER
        out: FieldSet = {SELF: MEMBER}
        for name in sorted(value):
            key, maker = table.get(name) or entry(name)
            out[key] = MEMBER if maker is None else maker(value[name])
        return out

    return make


def _map_maker(item: Type) -> Callable[[Any], FieldSet]:
    def make(value: Any) -> FieldSet:
        if not value or not isinstance(value, dict):
            return MEMBER
        maker = _added_maker(item)
        out: FieldSet = {SELF: MEMBER}
        for name in sorted(value):
            out["f:" + name] = MEMBER if maker is None else maker(value[name])
        return out

    return make


def _list_maker(type: Type) -> Callable[[Any], FieldSet]:
    item = type.item or ANY

    def make(value: Any) -> FieldSet:
        if not value or not isinstance(value, list):
            return MEMBER
        maker = _added_maker(item)
        out: FieldSet = {SELF: MEMBER}
        for key, one in members(value, type).items():
            out[key] = MEMBER if maker is None or isinstance(one, tuple) else maker(one)
        return out

    return make


def zero(type: Type) -> Value:
    """What a new, empty object of the type holds: the fields that are always written."""
    match type.form:
        case "struct":
            return {f.name: zero(f.type) for f in type.fields.values() if f.always and not f.pointer}
        case "string":
            return ""
        case "int32" | "int64" | "float":
            return 0
        case "bool":
            return False
        case "quantity":
            return "0"
        case "intorstring":
            return 0
        case _:
            return None


def created(obj: Object, type: Type) -> FieldSet:
    """The set of a new object: what differs from an empty one. Metadata that the server owns is left out."""
    if type.created is None:
        type.created = _created_maker(type)
    out: FieldSet = type.created(obj)
    return strip(out)


#: What is never tracked: who the object is, and what the server sets.
_STRIPPED_ROOT = ("f:apiVersion", "f:kind")
_STRIPPED_META = (
    "f:name",
    "f:namespace",
    "f:creationTimestamp",
    "f:selfLink",
    "f:uid",
    "f:clusterName",
    "f:generation",
    "f:managedFields",
    "f:resourceVersion",
)


def strip(tree: FieldSet) -> FieldSet:
    """A set without the fields that are never tracked."""
    out = {key: node for key, node in tree.items() if key not in _STRIPPED_ROOT}
    node = out.get("f:metadata")
    if node is not None:
        rest = {key: sub for key, sub in node.items() if key not in _STRIPPED_META and key != SELF}
        if rest:
            out["f:metadata"] = rest
        else:
            del out["f:metadata"]
    return out


def _created_maker(type: Type) -> Callable[[Any], FieldSet]:
    """Like the maker for added values, but fields that an empty object has are no members themselves."""
    table: dict[str, tuple[str, _Maker, bool, Value]] = {}

    def entry(name: str) -> tuple[str, _Maker, bool, Value]:
        field = type.fields.get(name)
        if field is None:
            return ("f:" + name, _free_node, False, None)
        maker: _Maker
        filled = field.always and not field.pointer
        if filled and field.type.form == "struct" and not field.type.atomic:
            maker = _created_maker(field.type)
        else:
            maker = _added_maker(field.type)
        # an empty object has a field that is always written, be it null
        found = ("f:" + name, maker, field.always, zero(field.type) if filled else None)
        table[name] = found
        return found

    def make(value: Any) -> FieldSet:
        out: FieldSet = {}
        for name in sorted(value):
            key, maker, there, empty = table.get(name) or entry(name)
            one = value[name]
            if not there:
                out[key] = MEMBER if maker is None else maker(one)
            elif one == empty:
                continue
            elif maker is None:
                out[key] = MEMBER
            elif one:
                node = maker(one)
                if SELF in node:
                    node = {k: v for k, v in node.items() if k != SELF}
                if node:
                    out[key] = node
            elif one is not None:
                out[key] = MEMBER
        return out

    return make


def applied(value: Object, type: Type) -> FieldSet:
    """The set that an applied configuration claims: its leaves and list items, not the maps that hold them."""
    return _claimed(value, type)


def _claimed(value: Value, type: Type) -> FieldSet:
    if is_leaf(type) or value is None:
        return MEMBER
    out: FieldSet = {}
    if type.form == "list":
        item = type.item or ANY
        for key, one in items_by_key(value, type).items():
            node = MEMBER if type.list_type == "set" else _claimed(one, item)
            out[key] = {SELF: MEMBER, **node} if node else MEMBER
        return out
    if not isinstance(value, dict):
        return MEMBER
    for name in sorted(value):
        one = value[name]
        field = type.fields.get(name)
        sub = field.type if field else (type.item or FREE) if type.form == "map" else FREE
        # lists of a type that nobody tells are atomic
        whole = is_leaf(sub) or (sub.form == "any" and isinstance(one, list))
        if isinstance(one, list) and not one and not whole:
            continue  # an empty list claims nothing
        node = _claimed(one, sub)
        if not field and node:
            node = {SELF: MEMBER, **node}
        if node or whole or not isinstance(one, (dict, list)) or one == {}:
            out["f:" + name] = node
    return out


def with_named_fields(tree: FieldSet, type: Type) -> FieldSet:
    """The set and also, for every member below it, the struct field on the way."""
    out: FieldSet = {}
    for key, node in tree.items():
        if key == SELF:
            out[key] = node
            continue
        sub, named = FREE, False
        if key[0] == "f":
            field = type.fields.get(key[2:])
            if field:
                sub, named = field.type, True
            elif type.form == "map":
                sub = type.item or ANY
        elif type.form == "list":
            sub = type.item or ANY
        child = with_named_fields(node, sub) if node else node
        out[key] = {SELF: MEMBER, **child} if named and child and SELF not in child else child
    return out


# --- comparing two objects ------------------------------------------------------------------------------------------


class Comparison(NamedTuple):
    added: FieldSet
    modified: FieldSet
    removed: FieldSet

    @property
    def same(self) -> bool:
        return not (self.added or self.modified or self.removed)


_SAME = Comparison(EMPTY, EMPTY, EMPTY)
_CHANGED = Comparison(EMPTY, MEMBER, EMPTY)


def compare(old: Object, new: Object, type: Type) -> Comparison:
    """What was added, changed and removed from `old` to `new`, as sets."""
    return _compare(old, new, type) or _SAME


def _equal(old: Value, new: Value) -> bool:
    """Equal as JSON (Python holds true and 1 for equal)."""
    return bool(old == new) and isinstance(old, bool) == isinstance(new, bool)


def _compare(old: Value, new: Value, type: Type) -> Comparison | None:
    """None if nothing differs; `_CHANGED` stands for a leaf that differs."""
    if old is new or _equal(old, new):
        return None
    if isinstance(old, tuple) or isinstance(new, tuple):
        return _CHANGED
    if is_leaf(type) or (type.form == "any" and not (isinstance(old, dict) and isinstance(new, dict))):
        return _CHANGED
    if not old and not new:
        return _CHANGED
    if type.form == "list":
        if not isinstance(old or [], list) or not isinstance(new or [], list):
            return _CHANGED
        item = type.item or ANY
        if type.list_type == "set":
            item = _LEAF
        return _compare_children("", members(old, type), members(new, type), lambda _: (item, None))
    if not isinstance(old or {}, dict) or not isinstance(new or {}, dict):
        return _CHANGED
    if type.form == "struct":
        return _compare_children("f:", old or {}, new or {}, lambda name: _of_field(type.fields.get(name)))
    item = (type.item or ANY) if type.form == "map" else FREE
    return _compare_children("f:", old or {}, new or {}, lambda _: (item, None))


_LEAF = Type("string")
_ABSENT = object()


def _of_field(field: Field | None) -> tuple[Type, Field | None]:
    return (field.type, field) if field else (FREE, None)


def _compare_children(
    prefix: str, olds: dict[str, Value], news: dict[str, Value], look_up: Callable[[str], tuple[Type, Field | None]]
) -> Comparison | None:
    """`prefix` goes before the names in the sets."""
    added: FieldSet = {}
    modified: FieldSet = {}
    removed: FieldSet = {}
    for name in {**olds, **news}:
        old, new = olds.get(name, _ABSENT), news.get(name, _ABSENT)
        if old is new or _equal(old, new):
            continue
        key = prefix + name
        type, field = look_up(name)
        if field is not None and field.always and not field.pointer:
            # An object that leaves such a field out has it all the same, empty.
            old = zero(type) if old is _ABSENT else old
            new = zero(type) if new is _ABSENT else new
        if old is _ABSENT:
            added[key] = _whole(new, type)
        elif new is _ABSENT:
            removed[key] = _whole(old, type)
        else:
            found = _compare(old, new, type)
            if found is _CHANGED:
                modified[key] = MEMBER
            elif found is not None:
                if found.added:
                    added[key] = found.added
                if found.modified:
                    modified[key] = found.modified
                if found.removed:
                    removed[key] = found.removed
    return Comparison(added, modified, removed) if added or modified or removed else None


def _whole(value: Value, type: Type) -> FieldSet:
    maker = _added_maker(type)
    return MEMBER if maker is None or isinstance(value, tuple) else maker(value)
