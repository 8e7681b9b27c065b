"""Does an object fit its structural schema? Faults in upstream's words, in the order of the schema's fields.

CEL rules (x-kubernetes-validations) are `cel_rules.py`'s. Source: https://kubernetes.io/docs/tasks/extend-kubernetes/
custom-resources/custom-resource-definitions/#validation ; recorded answers; JSON Schema's validation vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from heeler.kinds.custom.formats import is_known, matches
from heeler.kinds.custom.patterns import matcher
from heeler.kinds.custom.structural import EMBEDDED, INT_OR_STRING
from heeler.objects import faults, go_text
from heeler.objects.faults import Fault
from heeler.objects.value import Object

_GO = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}


class _Unrelated:
    """Stands for what a value was before where nothing was, or nobody can tell what."""


UNRELATED = _Unrelated()


def _same(value: Any, old: Any) -> bool:
    """The same value, of the same types in all its parts (1 is neither true nor 1.0)."""
    return bool(value == old) and faults.mark([value]) == faults.mark([old])


def validate(value: Any, schema: Object, path: str = "", old: Any = UNRELATED) -> Iterator[Fault]:
    """All faults of `value` below `path` ("" for the object itself).

    `old`: the value before a change. Parts that are the same as they were are not held against the writer, whatever the
    schema has become since.
    """
    if path and not isinstance(old, _Unrelated) and _same(value, old):
        return
    value = go_text.decoded(value)
    if value is None:
        if not schema.get("nullable") and schema.get("type"):
            yield _wrong_type(path, value, schema["type"])
        return
    if schema.get(INT_OR_STRING):
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            yield _wrong_type(path, value, "integer,string")
            return
    elif not _fits(value, schema.get("type", "")):
        yield _unfit(path, value, schema)
        if isinstance(value, float) and schema["type"] == "integer":
            yield _no_integer(path, schema.get("format", ""))
        yield from _enum(value, schema, path)
        return
    yield from _combined(value, schema, path)
    if isinstance(value, list):
        yield from _list(value, schema, path, old)
    elif isinstance(value, str):
        yield from _text(value, schema, path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _number(value, schema, path)
    yield from _enum(value, schema, path)
    if isinstance(value, dict):
        yield from _object(value, schema, path, old)


def _enum(value: Any, schema: Object, path: str) -> Iterator[Fault]:
    allowed = schema.get("enum")
    if allowed is not None and value not in allowed:
        shown = tuple(a if isinstance(a, str) else faults.shown(a) for a in allowed)
        yield faults.not_supported(path, value, shown)


def _fits(value: Any, wanted: str) -> bool:
    match wanted:
        case "":
            return True
        case "integer":
            return (isinstance(value, int) and not isinstance(value, bool)) or (
                isinstance(value, float) and value.is_integer() and abs(value) < 1 << 63
            )
        case "number":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case _:
            return _GO.get(type(value)) == wanted


def _wrong_type(path: str, value: Any, wanted: str) -> Fault:
    shown = _GO.get(type(value), "null")
    if path == "":
        path, where = "<nil>", ""
        return Fault(
            "FieldValueTypeInvalid",
            f'Invalid value: "{shown}": {where} in body must be of type {wanted}: "{shown}"',
            path,
        )
    return faults.type_invalid(path, shown, f'{path} in body must be of type {wanted}: "{shown}"')


def _unfit(path: str, value: Any, schema: Object) -> Fault:
    """A value of another type. Where a format tells more than the type, the words are about the format."""
    wanted, form = schema["type"], schema.get("format", "")
    if form and is_known(form) and not isinstance(value, (str, list)) and path:
        shown = "" if isinstance(value, (bool, dict)) else go_text.kind(value)
        return faults.type_invalid(path, shown, f'{path} in body must be of type {form}: "{shown}"')
    return _wrong_type(path, value, wanted)


def _no_integer(path: str, form: str) -> Fault:
    what = f"with format {form}" if form in ("int32", "int64") else "(default format)"
    text = f"Checked value must be of type integer {what} in {path}"
    return Fault("FieldValueInvalid", f'Invalid value: "": {text}', "<nil>")


def _combined(value: Any, schema: Object, path: str) -> Iterator[Fault]:
    """The combinations of schemas."""
    where = f'"{path}"'
    if "allOf" in schema:
        failed = [list(validate(value, s, path)) for s in schema["allOf"]]
        for found in failed:
            yield from found
        if any(failed):
            none = ". None validated" if all(failed) else ""
            yield faults.invalid("<nil>", "", f"{where} must validate all the schemas (allOf){none}")
    if schema.get("anyOf") and all(any(validate(value, s, path)) for s in schema["anyOf"]):
        yield faults.invalid("<nil>", "", f"{where} must validate at least one schema (anyOf)")
        yield from validate(value, schema["anyOf"][0], path)
    if schema.get("oneOf"):
        valid = [s for s in schema["oneOf"] if not any(validate(value, s, path))]
        if len(valid) != 1:
            how = "Found none valid" if not valid else f"Found {len(valid)} valid alternatives"
            yield faults.invalid("<nil>", "", f"{where} must validate one and only one schema (oneOf). {how}")
            if not valid:
                yield from validate(value, schema["oneOf"][0], path)
    if schema.get("not") and not any(validate(value, schema["not"], path)):
        yield faults.invalid("<nil>", "", f"{where} must not validate the schema (not)")


def _object(value: Object, schema: Object, path: str, old: Any) -> Iterator[Fault]:
    count = len(value)
    if "maxProperties" in schema and count > schema["maxProperties"]:
        yield Fault(
            "FieldValueTooMany",
            f"Too many: {count}: must have at most {schema['maxProperties']} items",
            path or "<nil>",
        )
    if "minProperties" in schema and count < schema["minProperties"]:
        yield faults.invalid(path, count, f"{path} in body should have at least {schema['minProperties']} properties")
    if schema.get(EMBEDDED):
        for key in ("apiVersion", "kind"):
            if not value.get(key):
                yield faults.required(_join(path, key))
    properties: Object = schema.get("properties") or {}
    extra = schema.get("additionalProperties")
    before = old if isinstance(old, dict) else {}
    for key in sorted(value):
        known = properties.get(key)
        if known is None and isinstance(extra, dict):
            known = extra
        if known is not None:
            yield from validate(value[key], known, _join(path, key), before.get(key, UNRELATED))
    for key in schema.get("required") or ():
        if key not in value:
            yield faults.required(_join(path, key))


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _list(value: list[Any], schema: Object, path: str, old: Any) -> Iterator[Fault]:
    count = len(value)
    if "maxItems" in schema and count > schema["maxItems"]:
        yield faults.too_many(path, count, schema["maxItems"])
    if "minItems" in schema and count < schema["minItems"]:
        yield faults.invalid(path, count, f"{path} in body should have at least {schema['minItems']} items")
    items = schema.get("items")
    if isinstance(items, dict):
        for index, item in enumerate(value):
            yield from validate(item, items, f"{path}[{index}]", former_item(item, old, schema))


def former_item(item: Any, old: Any, schema: Object) -> Any:
    """The item of a list that is a map that stood there before with the same keys, UNRELATED if none did."""
    keys = schema.get("x-kubernetes-list-map-keys") or []
    if schema.get("x-kubernetes-list-type") != "map" or not isinstance(old, list) or not isinstance(item, dict):
        return UNRELATED
    mark = [item.get(key) for key in keys]
    return next((o for o in old if isinstance(o, dict) and [o.get(key) for key in keys] == mark), UNRELATED)


def list_faults(value: Any, schema: Object, path: str = "") -> Iterator[Fault]:
    """Items that come twice in sets and in lists that are maps; checked after everything else."""
    if isinstance(value, dict):
        properties: Object = schema.get("properties") or {}
        extra = schema.get("additionalProperties")
        for key in sorted(value):
            known = properties.get(key) or (extra if isinstance(extra, dict) else None)
            if known is not None:
                yield from list_faults(value[key], known, _join(path, key))
    elif isinstance(value, list):
        yield from _twins(value, schema, path)
        items = schema.get("items")
        if isinstance(items, dict):
            for index, item in enumerate(value):
                yield from list_faults(item, items, f"{path}[{index}]")


def _twins(value: list[Any], schema: Object, path: str) -> Iterator[Fault]:
    kind = schema.get("x-kubernetes-list-type")
    seen: set[object] = set()
    for index, item in enumerate(value):
        if kind == "set":
            mark = item
        elif kind == "map" and isinstance(item, dict):
            mark = {k: item[k] for k in schema.get("x-kubernetes-list-map-keys") or () if k in item}
        else:
            return
        if faults.mark(mark) in seen:
            yield faults.duplicate(f"{path}[{index}]", mark)
        else:
            seen.add(faults.mark(mark))


def _text(value: str, schema: Object, path: str) -> Iterator[Fault]:
    if "maxLength" in schema and len(value) > schema["maxLength"]:
        yield faults.too_long(path, schema["maxLength"])
    if "minLength" in schema and len(value) < schema["minLength"]:
        yield faults.invalid(path, value, f"{path} in body should be at least {schema['minLength']} chars long")
    pattern = schema.get("pattern")
    if pattern and not matcher(pattern)(value):
        yield faults.invalid(path, value, f"{path} in body should match '{pattern}'")
    form = schema.get("format", "")
    if form and not matches(form, value):
        yield faults.type_invalid(path, value, f"{path} in body must be of type {form}: {faults.quote(value)}")


def _number(value: int | float, schema: Object, path: str) -> Iterator[Fault]:
    bits = {"int32": 31, "int64": 63}.get(schema.get("format", ""))
    if bits is not None and not -(1 << bits) <= value < (1 << bits):
        yield _no_integer(path, schema["format"])
        return
    # Whole numbers are compared with whole limits: what follows the point is cut off.
    whole = isinstance(value, int)
    factor, most, least = (
        int(limit) if whole and limit is not None else limit
        for limit in (schema.get("multipleOf"), schema.get("maximum"), schema.get("minimum"))
    )
    if factor is not None:
        yield from _multiple(value, factor, path)
    if most is not None:
        open_end = bool(schema.get("exclusiveMaximum"))
        if value > most or (open_end and value == most):
            how = "less than" if open_end else "less than or equal to"
            yield faults.invalid(path, value, f"{path} in body should be {how} {_plain(most)}")
    if least is not None:
        open_end = bool(schema.get("exclusiveMinimum"))
        if value < least or (open_end and value == least):
            how = "greater than" if open_end else "greater than or equal to"
            yield faults.invalid(path, value, f"{path} in body should be {how} {_plain(least)}")


def _multiple(value: int | float, factor: int | float, path: str) -> Iterator[Fault]:
    if factor <= 0:
        words = f"factor MultipleOf declared for {path} must be positive: {_plain(factor)}"
        yield faults.invalid(path, factor, words)
    elif abs(value / factor - round(value / factor)) > 1e-9:
        yield faults.invalid(path, value, f"{path} in body should be a multiple of {_plain(factor)}")


def _plain(number: int | float) -> str:
    return str(int(number)) if float(number).is_integer() else repr(number)
