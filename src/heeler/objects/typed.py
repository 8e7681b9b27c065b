"""Checks, merges and prunes objects by their type, as server-side apply needs it.

`check` says in upstream's words what does not fit the type, `merge` lays an applied configuration over an object, and
`remove` takes fields away. Sources: https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy.
"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.objects.faults import quote
from heeler.objects.fieldsets import FREE, FieldSet, has_self, is_leaf, item_key, items_by_key, path_text
from heeler.objects.go_text import kind, plain
from heeler.objects.schema import ANY, Type
from heeler.objects.value import Object, Value

# --- checks -----------------------------------------------------------------------------------------------------


def check(value: Value, type: Type) -> None:
    """Whether a value fits its type. Raises ValueError with every fault found."""
    found = list(_faults(value, type, ()))
    if len(found) == 1:
        raise ValueError(found[0])
    if found:
        raise ValueError("errors:\n" + "\n".join(f"  {text}" for text in found))


def _faults(value: Value, type: Type, path: tuple[str, ...]) -> Iterator[str]:
    if value is None:
        return
    where = f"{path_text(path)}: " if path else ""
    match type.form:
        case "struct" | "map":
            if not isinstance(value, dict):
                yield f"{where}expected map, got &{{{plain(value)}}}"
                return
            undeclared = ""
            for name, one in value.items():
                field = type.fields.get(name)
                here = (*path, "f:" + name)
                if field:
                    yield from _faults(one, field.type, here)
                elif type.form == "map":
                    yield from _faults(one, type.item or ANY, here)
                elif not type.preserve:
                    undeclared = undeclared or f"{path_text(here)}: field not declared in schema"
            if undeclared:  # upstream tells one of each map
                yield undeclared
        case "list":
            if not isinstance(value, list):
                yield f"{where}expected list, got &{{{plain(value)}}}"
                return
            yield from _list_faults(value, type, path)
        case "any" | "intorstring":
            return
        case _:
            text = _scalar_fault(value, type)
            if text:
                yield f"{where}{text}"


def _list_faults(values: list[Value], type: Type, path: tuple[str, ...]) -> Iterator[str]:
    seen: dict[str, None] = {}
    for at, item in enumerate(values):
        if type.list_type == "atomic":
            key = f"i:{at}"
        else:
            try:
                if item is None:
                    raise ValueError(_NULL_ITEMS[type.list_type])
                key = item_key(item, type)
            except ValueError as error:
                yield f"{path_text(path)}: element {at}: {error}"
                continue
            if key in seen:
                yield f"{path_text(path)}: duplicate entries for key {path_text((key,))}"
                continue
            seen[key] = None
        yield from _faults(item, type.item or ANY, (*path, key))


_NULL_ITEMS = {
    "set": "associative list without keys has an element that's an explicit null",
    "map": "associative list with keys may not have a null element",
}


def _scalar_fault(value: Value, type: Type) -> str:
    have = kind(value)
    match type.form:
        case "string" | "bytes":
            return "" if have == "string" else f"expected string, got {_go_value(value)}"
        case "int32" | "int64" | "float":
            return "" if have in ("int64", "float64") else f"expected numeric (int or float), got {have}"
        case "bool":
            return "" if have == "bool" else f"expected boolean, got &{{{plain(value)}}}"
        case _:
            return (
                ""
                if have in ("string", "int64", "float64", "bool")
                else f"expected any scalar, got &{{{plain(value)}}}"
            )


def _go_value(value: Value) -> str:
    return f"&value.valueUnstructured{{Value:{_go_syntax(value)}}}"


def _go_syntax(value: Value) -> str:
    """Go's %#v."""
    match value:
        case None:
            return "interface {}(nil)"
        case str():
            return quote(value)
        case list():
            return "[]interface {}{" + ", ".join(_go_syntax(item) for item in value) + "}"
        case dict():
            inner = ", ".join(f"{quote(key)}:{_go_syntax(value[key])}" for key in sorted(value))
            return f"map[string]interface {{}}{{{inner}}}"
        case _:
            return plain(value)


# --- merging ----------------------------------------------------------------------------------------------------


def merge(live: Value, change: Value, type: Type) -> Value:
    """`live` with what `change` says; neither is changed. An atomic value is taken as a whole."""
    if is_leaf(type) or (not live and not change):
        return change
    if type.form == "list":
        if not isinstance(live or [], list) or not isinstance(change or [], list):
            return change
        return _merge_list(live or [], change or [], type)
    if not isinstance(live or {}, dict) or not isinstance(change or {}, dict):
        return change
    out = dict(live or {})
    for name, value in (change or {}).items():
        out[name] = merge(out[name], value, _sub(type, name)) if name in out else value
    return out


def _sub(type: Type, name: str) -> Type:
    field = type.fields.get(name)
    if field:
        return field.type
    return (type.item or ANY) if type.form == "map" else FREE


def _merge_list(live: list[Value], change: list[Value], type: Type) -> list[Value]:
    """Items of both; the applied order decides among applied items, others stay where they stood."""
    item = type.item or ANY
    lefts, rights = items_by_key(live, type), items_by_key(change, type)
    left_keys, right_keys = list(lefts), list(rights)
    shared = [key for key in right_keys if key in lefts]
    out: list[Value] = []
    done: dict[str, None] = {}
    i = j = 0

    def take(key: str) -> None:
        done[key] = None
        old = lefts.get(key)
        out.append(rights[key] if old is None else merge(old, rights[key], item))
        if shared and shared[0] == key:
            shared.pop(0)

    while i < len(left_keys) or j < len(right_keys):
        left = left_keys[i] if i < len(left_keys) else None
        if left is not None and j < len(right_keys):
            if left == right_keys[j]:
                take(left)
                i, j = i + 1, j + 1
                continue
            if left in rights and shared and shared[0] != left:
                i += 1  # its turn comes with the applied item
                continue
        if left is not None:
            if left not in rights:
                out.append(lefts[left])
                i += 1
                continue
            if left in done:
                i += 1
                continue
        if j < len(right_keys):
            take(right_keys[j])
            j += 1
    return out


# --- removing ---------------------------------------------------------------------------------------------------


def remove(value: Object, fields: FieldSet, type: Type, *, hollow: bool = False) -> Object:
    """The object without the members of a set (and what they hold).

    A container that loses all goes as well; with `hollow` it stays as null, since it was not removed itself.
    """
    out = _remove(value, fields, type, hollow)
    return out if isinstance(out, dict) else {}


def _remove(value: Value, fields: FieldSet, type: Type, hollow: bool) -> Value:
    if not fields or not value:
        return value
    if isinstance(value, list) and type.form == "list":
        kept: list[Value] = []
        for item in value:
            key = next(iter(items_by_key([item], type)))
            node = fields.get(key)
            if node is None:
                kept.append(item)
            elif not has_self(node):
                kept.append(_remove(item, node, type.item or ANY, hollow))
        return kept or None
    if not isinstance(value, dict):
        return value
    out: Object = {}
    for name, one in value.items():
        node = fields.get("f:" + name)
        if node is None:
            out[name] = one
        elif not has_self(node):
            rest = _remove(one, node, _sub(type, name), hollow)
            if rest is not None or hollow:
                out[name] = rest
    return out or None
