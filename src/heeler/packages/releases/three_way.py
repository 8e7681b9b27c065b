"""Patches made on this side (`--server-side=false`): what the manifest changed since the last one, against what is there now.

What is new or different in the manifest is set, what it no longer has is removed, what others added stays. With a type the
patch is a strategic one (lists by their merge keys), without one a merge patch. Pure. Source:
https://kubernetes.io/docs/tasks/manage-kubernetes-objects/declarative-config/#merge-patch-calculation
"""

from __future__ import annotations

from typing import Any

from heeler.objects.schema import Type
from heeler.objects.strategic import ORDER, PATCH
from heeler.objects.value import Object


def patch(original: Object, modified: Object, current: Object, type: Type | None) -> Object:
    """The patch that brings `current` to what `modified` says; `original` is the manifest of the time before."""
    out: Object = {}
    for key, wanted in modified.items():
        field = type.fields.get(key) if type is not None and type.form == "struct" else None
        inner = field.type if field is not None else _item(type)
        was, now = original.get(key), current.get(key)
        if wanted is None:
            continue
        if key not in current or now is None:
            out[key] = wanted
        elif isinstance(wanted, dict) and isinstance(now, dict):
            found = patch(was if isinstance(was, dict) else {}, wanted, now, inner)
            if found:
                out[key] = found
        elif isinstance(wanted, list) and isinstance(now, list):
            before = was if isinstance(was, list) else []
            merged = field is not None and "merge" in (field.patch_strategy or "")
            if merged and field is not None and field.merge_key:
                out |= _list(key, before, wanted, now, _item(inner), field.merge_key)
            elif wanted != now and not (
                merged and all(item in now for item in wanted) and not _gone(before, wanted, now)
            ):
                out[key] = wanted
        elif wanted != now:
            out[key] = wanted
    for key in original:
        if key not in modified and current.get(key) is not None:
            out[key] = None
    return out


def _list(
    key: str, original: list[Any], modified: list[Any], current: list[Any], item: Type | None, merge_key: str
) -> Object:
    """A list's part of a patch: items by their merge key, those that the manifest no longer has deleted."""
    was, now = _by_key(original, merge_key), _by_key(current, merge_key)
    wanted = _by_key(modified, merge_key)
    if len(wanted) != len(modified):
        return {} if modified == current else {key: modified}
    changes: list[Any] = []
    for name, one in wanted.items():
        there = now.get(name)
        if there is None:
            changes.append(one)
            continue
        found = patch(was.get(name) or {}, one, there, item)
        if found:
            changes.append({**found, merge_key: name})
    changes += [{PATCH: "delete", merge_key: name} for name in was if name not in wanted and name in now]
    if not changes:
        return {}
    order = [{merge_key: name} for name in wanted]
    return {f"{ORDER}{key}": order, key: changes}


def _gone(original: list[Any], modified: list[Any], current: list[Any]) -> bool:
    return any(item in current and item not in modified for item in original)


def _by_key(items: list[Any], merge_key: str) -> dict[Any, Object]:
    return {item[merge_key]: item for item in items if isinstance(item, dict) and merge_key in item}


def _item(type: Type | None) -> Type | None:
    """The type of a list's or map's items."""
    return type.item if type is not None and type.form in ("list", "map") else None
