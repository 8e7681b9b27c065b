"""Strategic merge patch: lists of objects are merged by their merge key, directives begin with `$`.

Source: https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/ and the community's
strategic-merge-patch.md. The facts (strategy, merge key) are those of the `Type`'s fields. The result's types are
checked only as far as upstream does at this point; decoding it is the caller's work.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from heeler.objects import faults
from heeler.objects.go_text import kind, plain, reflect_kind, text
from heeler.objects.schema import ANY, Type
from heeler.objects.status import StatusError, bad_request, invalid
from heeler.objects.value import Object, Value

PATCH = "$patch"
RETAIN = "$retainKeys"
ORDER = "$setElementOrder/"
DELETE_FROM = "$deleteFromPrimitiveList/"
_NONE: Any = object()


def apply(doc: Object, patch: Object, type: Type) -> Object:
    """The patched document; neither argument is changed.

    Raises StatusError: 400 for a malformed directive, 422 if the result does not fit the type, 500 for what
    upstream's server answers with a bare error (a missing merge key, an unknown directive).
    """
    out = _merge_object(doc, patch, type)
    try:
        check_form(out, type, doc)
    except ValueError as error:
        raise unfit(patch, str(error)) from None
    return truncated(out, type) if has_odd_numbers(patch) else out


def fitted(value: Object, type: Type, given: Value) -> Object:
    """The value as upstream's converter reads it; `given`: what it was made of may hold what isn't read as it is.

    Raises ValueError in the converter's words."""
    check_form(value, type)
    return truncated(value, type) if has_odd_numbers(given) else value


def has_odd_numbers(value: Value) -> bool:
    """Is there a whole number that 32 bits don't hold, or a list that may be one of bytes?"""
    if isinstance(value, dict):
        return any(has_odd_numbers(item) for item in value.values())
    if isinstance(value, list):
        return not value or value[0] is None or any(isinstance(i, int) or has_odd_numbers(i) for i in value)
    return isinstance(value, int) and not -(1 << 31) <= value < 1 << 31


def truncated(value: Value, type: Type) -> Any:
    """The value as upstream's converter reads it: it keeps the lower bits of a number that is too large for its field."""
    if type.form == "struct" and isinstance(value, dict):
        return {
            key: truncated(item, type.fields[key].type) if key in type.fields else item for key, item in value.items()
        }
    if type.form == "map" and isinstance(value, dict):
        return {key: truncated(item, type.item or ANY) for key, item in value.items()}
    if type.form == "list" and isinstance(value, list):
        return [truncated(item, type.item or ANY) for item in value]
    if type.form == "bytes" and isinstance(value, list):
        return base64.b64encode(bytes((item or 0) & 0xFF for item in value)).decode()
    if type.form == "int32" and isinstance(value, int):
        return (value + (1 << 31)) % (1 << 32) - (1 << 31)
    return value


def unfit(patch: Object, why: str) -> StatusError:
    """The result does not fit its type: the patch is shown, as Go prints a map."""
    return invalid("", "", "", [faults.invalid("patch", plain(patch), why)])


def _refuse(message: str) -> StatusError:
    return StatusError(500, "", message)


def _no_merge_key(item: Object, key: str) -> StatusError:
    return _refuse(f"map: {plain(item)} does not contain declared merge key: {key}")


def _unknown_directive(directive: Value, patch: Object) -> StatusError:
    return _refuse(f"unknown patch type: {text(directive)} in map: {plain(patch)}")


# --- objects ----------------------------------------------------------------------------------------------------


def _merge_object(doc: Object, patch: Object, type: Type) -> Object:
    if PATCH in patch:
        if patch[PATCH] == "replace":
            return {key: value for key, value in patch.items() if key != PATCH}
        if patch[PATCH] == "delete":
            return {}
        raise _unknown_directive(patch[PATCH], patch)
    out, patch = dict(doc), dict(patch)
    if RETAIN in patch:
        _retain(out, patch)
    for key in [key for key in patch if key.startswith("$setElementOrder")]:
        _merge_in_order(out, patch, key, type)
    for key, value in patch.items():
        _merge_field(out, key, value, type)
    return out


def _retain(out: Object, patch: Object) -> None:
    keys = patch.pop(RETAIN)
    kept = {key for key in keys if isinstance(key, str)} if isinstance(keys, list) else set()
    if not isinstance(keys, list) or any(
        key not in kept for key, value in patch.items() if value is not None and not key.startswith("$")
    ):
        raise bad_request("invalid patch format of retainKeys")
    for key in [key for key in out if key not in kept]:
        del out[key]


def _merge_field(out: Object, key: str, value: Value, type: Type) -> None:
    deletes = key.startswith("$deleteFromPrimitiveList")
    if deletes:
        if not key.startswith(DELETE_FROM) or key.count("/") != 1:
            raise bad_request("invalid patch format of primitive list")
        key = key.removeprefix(DELETE_FROM)
    if value is None:
        out.pop(key, None)
        return
    current = out.get(key)
    if isinstance(current, dict) and isinstance(value, dict):
        sub, strategy, _ = _look_up(type, key)
        out[key] = value if strategy == "replace" else _merge_object(current, value, sub)
    elif isinstance(current, list) and isinstance(value, list):
        sub, strategy, merge_key = _look_up(type, key)
        if deletes or strategy == "merge":
            out[key] = _merge_list(current, value, sub.item or ANY, merge_key, deletes)
        else:
            out[key] = value
    elif not deletes:
        out[key] = _plain_value(value)


def _look_up(type: Type, key: str) -> tuple[Type, str, str]:
    """The type of a field, its strategy ("", "merge" or "replace") and merge key."""
    if type.form == "map":
        return type.item or ANY, "", ""
    found = type.fields.get(key)
    if found is None:
        raise _refuse(f'unable to find api field in struct {type.name or "RawExtension"} for the json field "{key}"')
    strategies = [word for word in found.patch_strategy.split(",") if word and word != "retainKeys"]
    return found.type, strategies[0] if strategies else "", found.merge_key


def _plain_value(value: Value) -> Value:
    """A value taken over as a whole: without nulls in objects, and without directives."""
    if isinstance(value, dict):
        return {k: _plain_value(v) for k, v in value.items() if v is not None and not _is_directive(k)}
    if isinstance(value, list):
        return [_plain_value(item) for item in value]
    return value


def _is_directive(key: str) -> bool:
    return key in (PATCH, RETAIN) or key.startswith(("$setElementOrder", "$deleteFromPrimitiveList"))


# --- lists ------------------------------------------------------------------------------------------------------


def _merge_list(current: list[Value], patch: list[Value], item: Type, merge_key: str, deletes: bool) -> list[Value]:
    if not current and not patch:
        return current
    if not _all_objects(current, patch):
        if deletes:
            gone = set(patch)  # of one type, and none are lists or objects
            return [value for value in current if value not in gone]
        merged = list(dict.fromkeys([*current, *patch]))
        return _ordered(merged, patch, current, "")
    if not merge_key:
        raise _refuse(f"cannot merge lists without merge key for {item.name}")
    current, patch, replaced = _special_items(current, patch, merge_key)
    if replaced:
        return patch
    merged = _merge_items(current, patch, item, merge_key)
    return _ordered(merged, patch, current, merge_key)


def _all_objects(current: list[Value], patch: list[Value]) -> bool:
    """Whether the items are objects; one kind of item must be all there is."""
    first, lists = "", False
    for value in [*current, *patch]:
        have = kind(value) if value is not None else ""
        if have == "[]interface {}":
            lists = True
        if first and have != first:  # a null behind something else is another type as well
            raise _refuse(f"list element types are not identical: [{plain(current)} {plain(patch)}]")
        first = first or have
    if lists:
        raise StatusError(422, "", "lists of lists are not supported")
    if first == "map[string]interface {}" and any(value is None for value in patch):
        raise bad_request("a list of objects to be merged has an item that is null")
    return first == "map[string]interface {}"


def _special_items(current: list[Value], patch: list[Value], merge_key: str) -> tuple[list[Value], list[Value], bool]:
    """Do what items with `$patch` say: (current without deleted items, patch without such items, replace all)."""
    plain_items, deleted, replaced = [], set(), False
    for item in patch:
        if PATCH not in item:
            plain_items.append(item)
        elif item[PATCH] == "delete":
            if merge_key not in item:
                raise _no_merge_key(item, merge_key)
            deleted.add(_key(item, merge_key))
        elif item[PATCH] == "replace":
            replaced = True
        elif item[PATCH] == "merge":
            raise _refuse("merging lists cannot yet be specified in the patch")
        else:
            raise _unknown_directive(item[PATCH], item)
    if deleted:
        current = [other for other in current if _key(other, merge_key) not in deleted]
    return current, plain_items, replaced


def _key(item: Value, merge_key: str) -> Value:
    """What an item is known by. Raises 400 for none, and for one that is no plain value."""
    found = item.get(merge_key, _NONE) if isinstance(item, dict) else _NONE
    if found is _NONE or isinstance(found, (dict, list)):
        raise _no_merge_key(item, merge_key)
    return found


def _merge_items(current: list[Value], patch: list[Value], item: Type, merge_key: str) -> list[Value]:
    merged = list(current)
    places: dict[Value, int] = {}
    for i, other in enumerate(current if patch else ()):
        places.setdefault(_key(other, merge_key), i)
    for change in patch:
        wanted = _key(change, merge_key)
        at = places.get(wanted)
        if at is None:
            places[wanted] = len(merged)
            merged.append({**_plain_value(change), merge_key: wanted})  # a null is a value of the key here
        else:
            merged[at] = _merge_object(merged[at], change, item)
    return merged


def _merge_in_order(out: Object, patch: Object, directive: str, type: Type) -> None:
    """`$setElementOrder/field`: merge the list that it names and put it in that order."""
    order = patch.pop(directive)
    if not directive.startswith(ORDER) or directive.count("/") != 1 or not isinstance(order, list):
        raise bad_request("invalid patch format of setElementOrder list")
    key = directive.removeprefix(ORDER)
    current, change = out.get(key), patch.get(key)
    if (current is not None and not isinstance(current, list)) or (key in patch and not isinstance(change, list)):
        if key in patch and change is None:
            return
        raise bad_request("invalid patch format of setElementOrder list")
    if current is None and change is None:
        return
    sub, strategy, merge_key = _look_up(type, key)
    if change:
        _check_order(change, order, merge_key)
    if change is None:
        merged = list(current or [])
    elif current is None:
        merged = [_plain_value(item) for item in change if not (isinstance(item, dict) and PATCH in item)]
    elif strategy == "merge":
        merged = _merge_list(current, change, sub.item or ANY, merge_key, False)
    else:
        merged = change
    patch.pop(key, None)
    out[key] = _ordered(merged, order, current or [], merge_key)


def _check_order(change: list[Value], order: list[Value], merge_key: str) -> None:
    """Items that a patch changes must stand in the wanted order as well."""
    if not order:
        return
    kept = [item for item in change if not (isinstance(item, dict) and item.get(PATCH) == "delete")]
    at = 0
    for wanted in order:
        if at < len(kept) and _identity(kept[at], merge_key) == _identity(wanted, merge_key):
            at += 1
    if at < len(kept):
        raise _refuse(
            f"The order in patch list:\n{plain(change)}\n doesn't match $setElementOrder list:\n{plain(order)}\n"
        )


def _identity(item: Value, merge_key: str) -> Value:
    if merge_key and isinstance(item, dict):
        return _key(item, merge_key)
    if isinstance(item, (dict, list)):
        raise bad_request("invalid patch format of setElementOrder list")
    return item


def _ordered(merged: list[Value], order: list[Value], server: list[Value], merge_key: str) -> list[Value]:
    """Items named in `order` come in its order, the others in the server's; new ones stand before what follows."""

    def places(items: list[Value]) -> dict[Any, int]:
        found: dict[Any, int] = {}
        for i, item in enumerate(items):
            found.setdefault(_identity(item, merge_key), i)
        return found

    wanted, known = places(order), places(server)
    named = sorted(
        (item for item in merged if _identity(item, merge_key) in wanted),
        key=lambda item: wanted[_identity(item, merge_key)],
    )
    others = [item for item in merged if _identity(item, merge_key) not in wanted]
    others.sort(key=lambda item: known.get(_identity(item, merge_key), len(known)))
    out: list[Value] = []
    i = 0
    for item in named:
        place = known.get(_identity(item, merge_key))
        while i < len(others) and place is not None:
            other = known.get(_identity(others[i], merge_key))
            if other is None or other >= place:
                break
            out.append(others[i])
            i += 1
        out.append(item)
    return out + others[i:]


# --- the form of the result ---------------------------------------------------------------------------------------


def check_form(value: Value, type: Type, sound: Value = None) -> None:
    """Whether a value can become the type, as upstream's converter from maps to structs sees it. Raises ValueError.

    `sound` is one that can: what the value has from it isn't looked at again."""
    try:
        _check_form(value, type, sound, in_order=False)
    except ValueError:  # of several faults the one is told that comes first in the type
        _check_form(value, type, sound, in_order=True)
        raise


def _check_form(value: Value, type: Type, sound: Value = None, *, in_order: bool) -> None:
    """`in_order`: fields in the order of their type, which has many more of them than a value."""
    if value is None or value is sound:
        return
    match type.form:
        case "struct":
            if not isinstance(value, dict):
                raise ValueError(f"cannot restore struct from: {reflect_kind(value)}")
            fields, same = type.fields, sound if isinstance(sound, dict) else {}
            for name in fields if in_order else value:
                if name in value and name in fields:
                    _check_form(value[name], fields[name].type, same.get(name), in_order=in_order)
        case "map":
            if not isinstance(value, dict):
                raise ValueError(f"cannot restore map from {reflect_kind(value)}")
            for key in value:
                _check_form(value[key], type.item or ANY, in_order=in_order)
        case "list":
            if not isinstance(value, list):
                raise ValueError(f"cannot restore slice from {reflect_kind(value)}")
            for item in value:
                _check_form(item, type.item or ANY, in_order=in_order)
        case "bytes":
            _check_bytes(value)
        case "string" | "bool" | "int32" | "int64" | "float":
            _check_scalar(value, type)


def _check_bytes(value: Value) -> None:
    if isinstance(value, list):
        for item in value:
            if item is not None:
                _check_byte(item)
        return
    if not isinstance(value, str):
        raise ValueError(f"cannot restore slice from {reflect_kind(value)}")
    try:
        binascii.a2b_base64(value.encode(), strict_mode=True)
    except (ValueError, binascii.Error):
        raise ValueError("error decoding base64 data") from None


def _check_byte(value: Value) -> None:
    """A list of numbers is bytes as well; of a number the lowest eight bits count."""
    have = kind(value)
    if have == "float64":
        raise ValueError(f"cannot convert {have} to uint8")
    if have != "int64":
        raise ValueError("unrecognized type: uint8")


def _check_scalar(value: Value, type: Type) -> None:
    """Go holds numbers for convertible to numbers, and whole ones to texts; what isn't convertible has no known type."""
    have, form = kind(value), "float64" if type.form == "float" else type.form
    if form == "float64":
        fits = have in ("float64", "int64")
    elif form in ("int32", "int64"):
        fits = have == "int64" or (have == "float64" and value == int(value))
    else:
        fits = have == form
    if fits:
        return
    numbers = have in ("int64", "float64") and form in ("int32", "int64", "float64")
    if numbers or (have == "int64" and form == "string"):
        named = f"{type.package}.{type.name}" if type.name else form
        raise ValueError(f"cannot convert {have} to {named}")
    raise ValueError(f"unrecognized type: {form}")
