"""What a schema in a CustomResourceDefinition must be: supported, structural, with good defaults and good rules.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
#specifying-a-structural-schema
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Literal

from heeler.kinds.custom.cel_rules import definition_faults
from heeler.kinds.custom.patterns import problem
from heeler.kinds.custom.structural import prune
from heeler.kinds.custom.validation import validate
from heeler.objects.faults import Fault, forbidden, invalid, not_supported, required
from heeler.objects.value import Object

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
#: Keys that hold schemas: one, a list of them, a map of them.
_ONE, _MANY, _NAMED = ("not",), ("allOf", "oneOf", "anyOf"), ("properties", "definitions")

_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]

#: Faults after which a schema is no longer judged as a structural one.
_UNREADABLE = (
    *(f"Forbidden: {key} is not supported" for key in ("id", "additionalItems", "patternProperties", "definitions")),
    *(f"Forbidden: {key} is not supported" for key in ("dependencies", "$ref")),
    "Forbidden: items must be a schema object and not an array",
    "Invalid value: false: must be true or undefined",
)

Level = Literal["root", "item", "field"]


def schema_rules(schema: Object, path: str, status: bool) -> Iterator[Fault]:
    """All that is wrong with the root schema. `status`: the status subresource is on."""
    found = list(_root(schema, path, status))
    found += _supported(schema, path, inside_meta=False, root=True)
    yield from found
    # A schema that cannot be read as a structural one is not judged as one.
    if not any(fault.message in _UNREADABLE for fault in found):
        yield from sorted(_structural(schema, path), key=lambda fault: (fault.field, fault.message))
        if not found:
            yield from definition_faults(schema, path)
            yield from _defaults(schema, path)


def _root(schema: Object, path: str, status: bool) -> Iterator[Fault]:
    if status:
        allowed = (
            "Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength "
            "Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example "
            "XPreserveUnknownFields XValidations"
        )
        refused = ("allOf", "anyOf", "oneOf", "not", "enum", "additionalProperties", "patternProperties", "default")
        if any(schema.get(key) is not None for key in refused):
            words = "fields are allowed at the root of the schema if the status subresource is enabled"
            yield forbidden(path, f"only [{allowed}] {words}")
    if schema.get("nullable"):
        yield forbidden(f"{path}.nullable", "nullable cannot be true at the root")
    form = schema.get("type")
    if form and form != "object":
        yield invalid(f"{path}.type", form, "must be object at the root")


def _children(schema: Object, path: str) -> Iterator[tuple[Object, str]]:
    """The schemas right inside of a schema, in upstream's order."""
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        yield more, f"{path}.additionalProperties"
    for name, part in sorted((schema.get("properties") or {}).items()):
        yield part, f"{path}.properties[{name}]"
    for key in _ONE:
        if schema.get(key) is not None:
            yield schema[key], f"{path}.{key}"
    for key in _MANY:
        for at, part in enumerate(schema.get(key) or ()):
            yield part, f"{path}.{key}[{at}]"
    for name, part in sorted((schema.get("definitions") or {}).items()):
        yield part, f"{path}.definitions[{name}]"
    items = schema.get("items")
    if isinstance(items, dict):
        yield items, f"{path}.items"


def _supported(schema: Object, path: str, *, inside_meta: bool, root: bool = False) -> Iterator[Fault]:
    """Keys of OpenAPI that Kubernetes leaves out, and its own extensions, for a schema and all inside of it."""
    yield from _left_out(schema, path)
    if inside_meta and schema.get("x-kubernetes-embedded-resource"):
        yield forbidden(f"{path}.x-kubernetes-embedded-resource", "must not be used inside of resource meta")
    if schema.get("uniqueItems"):
        words = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield forbidden(f"{path}.uniqueItems", words)
    more = schema.get("additionalProperties")
    if more is not None and schema.get("properties"):
        yield forbidden(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive")
    is_object = root or bool(schema.get("x-kubernetes-embedded-resource"))
    for part, where in _children(schema, path):
        meta = inside_meta or (is_object and where == f"{path}.properties[metadata]")
        yield from _supported(part, where, inside_meta=meta)
    if schema.get("x-kubernetes-preserve-unknown-fields") is False:
        yield invalid(f"{path}.x-kubernetes-preserve-unknown-fields", False, "must be true or undefined")
    yield from _map_type(schema, path)
    yield from _list_type(schema, path)
    yield from _validations(schema, path)


def _left_out(schema: Object, path: str) -> Iterator[Fault]:
    for key, there in (
        ("id", bool(schema.get("id"))),
        ("additionalItems", schema.get("additionalItems") is not None),
        ("patternProperties", bool(schema.get("patternProperties"))),
        ("definitions", bool(schema.get("definitions"))),
        ("dependencies", bool(schema.get("dependencies"))),
        ("$ref", schema.get("$ref") is not None),
    ):
        if there:
            yield forbidden(f"{path}.{key}", f"{key} is not supported")
    form = schema.get("type")
    if form == "null":
        yield forbidden(f"{path}.type", "type cannot be set to null, use nullable as an alternative")
    elif form and form not in _TYPES:
        yield not_supported(f"{path}.type", form, _TYPES)
    if isinstance(schema.get("items"), list):
        yield forbidden(f"{path}.items", "items must be a schema object and not an array")
    pattern = schema.get("pattern")
    if pattern and (words := problem(pattern)):
        yield invalid(f"{path}.pattern", pattern, f"must be a valid regular expression, but isn't: {words}")


def _needs_type(schema: Object, path: str, wanted: str, why: str) -> Iterator[Fault]:
    form = schema.get("type")
    if form != wanted:
        words = f"must be {wanted} if {why} is specified"
        yield invalid(f"{path}.type", form, words) if form else required(f"{path}.type", words)


def _map_type(schema: Object, path: str) -> Iterator[Fault]:
    form = schema.get("x-kubernetes-map-type")
    if form is None:
        return
    yield from _needs_type(schema, path, "object", "x-kubernetes-map-type")
    if form not in ("atomic", "granular"):
        yield not_supported(f"{path}.x-kubernetes-map-type", form, ("atomic", "granular"))


def _list_type(schema: Object, path: str) -> Iterator[Fault]:
    form, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys") or []
    where = f"{path}.x-kubernetes-list-type"
    if form == "set" and isinstance(schema.get("items"), dict):
        yield from _set_items(schema["items"], f"{path}.items")
    if form is not None and schema.get("type") != "array":
        yield from _needs_type(schema, path, "array", "x-kubernetes-list-type")
    elif form is not None and form not in ("atomic", "set", "map"):
        yield not_supported(where, form, ("atomic", "map", "set"))
    elif keys and form != "map":
        words = "must be map if x-kubernetes-list-map-keys is non-empty"
        yield required(where, words) if form is None else invalid(where, form, words)
    elif keys:
        yield from _map_items(schema.get("items"), keys, path)
    elif form == "map":
        words = "must not be empty if x-kubernetes-list-type is map"
        yield required(f"{path}.x-kubernetes-list-map-keys", words)


def _map_items(items: Any, keys: list[str], path: str) -> Iterator[Fault]:
    if not isinstance(items, dict):
        yield required(f"{path}.items", "must have a schema if x-kubernetes-list-type is map")
        return
    if items.get("type") != "object":
        words = "must be object if parent array's x-kubernetes-list-type is map"
        yield invalid(f"{path}.items.type", items.get("type", ""), words)
    if items.get("nullable"):
        yield forbidden(f"{path}.items.nullable", "cannot be nullable when x-kubernetes-list-type is map")
    known, needed = items.get("properties") or {}, items.get("required") or ()
    where = f"{path}.x-kubernetes-list-map-keys"
    for key in keys:
        part = known.get(key)
        inside = f"{path}.items.properties[{key}]"
        if part is None:
            yield invalid(where, keys, "entries must all be names of item properties")
            continue
        if part.get("type") in ("object", "array"):
            words = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            yield invalid(f"{inside}.type", part["type"], words)
        about = "this property is in x-kubernetes-list-map-keys, so it"
        if part.get("default") is None and key not in needed:
            yield required(f"{inside}.default", f"{about} must have a default or be a required property")
        if part.get("default") is not None and part.get("nullable"):
            yield forbidden(f"{inside}.nullable", f"{about} cannot be nullable")
    for at, key in enumerate(keys):
        if key in keys[:at]:
            yield invalid(where, keys, "must not contain duplicate entries")


def _set_items(items: Object, path: str) -> Iterator[Fault]:
    where = "as item of a list with x-kubernetes-list-type=set"
    if items.get("nullable"):
        yield forbidden(f"{path}.nullable", "cannot be nullable when x-kubernetes-list-type is set")
    given = items.get("x-kubernetes-list-type")
    if items.get("type") == "array" and given not in (None, "atomic"):
        yield invalid(f"{path}.x-kubernetes-list-type", given, f"must be atomic {where}")
    if items.get("type") == "object" and items.get("x-kubernetes-map-type") != "atomic":
        yield invalid(f"{path}.x-kubernetes-map-type", None, f"must be atomic {where}")


def _validations(schema: Object, path: str) -> Iterator[Fault]:
    """The words around rules in CEL."""
    for at, rule in enumerate(schema.get("x-kubernetes-validations") or ()):
        where = f"{path}.x-kubernetes-validations[{at}]"
        text, message = rule.get("rule", "").strip(), rule.get("message", "")
        if not text:
            yield required(f"{where}.rule", "rule is not specified")
        elif message and not message.strip():
            yield invalid(f"{where}.message", message, "must be non-empty if specified")
        elif _broken(message.strip()):
            yield invalid(f"{where}.message", message, "must not contain line breaks")
        elif "\n" in text and not message.strip():
            yield required(f"{where}.message", "message must be specified if rule contains line breaks")
        expression = rule.get("messageExpression", "")
        if expression and not expression.strip():
            yield required(f"{where}.messageExpression", "messageExpression must be non-empty if specified")
        reason = rule.get("reason")
        if reason is not None and reason not in _REASONS:
            yield not_supported(f"{where}.reason", reason, _REASONS)
        field = rule.get("fieldPath", "")
        if field and not field.strip():
            yield invalid(f"{where}.fieldPath", field, "must be non-empty if specified")
        elif _broken(field):
            yield invalid(f"{where}.fieldPath", field, "must not contain line breaks")
        if field and find(schema, field) is None:
            yield invalid(f"{where}.fieldPath", field, "must be a valid path")


def _broken(text: str) -> bool:
    """Has it more than one line?"""
    return "\n" in text or "\r" in text


def find(schema: Object, path: str) -> Object | None:
    """The schema that a simple path (`.spec.color`, `['a key']`) leads to, or None."""
    here: Any = schema
    for step in _steps(path):
        if step is None or not isinstance(here, dict):
            return None
        known, more = here.get("properties") or {}, here.get("additionalProperties")
        here = known.get(step) if step in known else more if isinstance(more, dict) else None
    return here if isinstance(here, dict) and path else None


def _steps(path: str) -> Iterator[str | None]:
    """The names of a simple path; None for what is none."""
    rest = path
    while rest:
        if rest.startswith("['"):
            end = rest.find("']")
            yield rest[2:end] if end > 0 else None
            rest = rest[end + 2 :] if end > 0 else ""
        elif rest.startswith("."):
            end = min((at for at in (rest.find(".", 1), rest.find("[", 1)) if at > 0), default=len(rest))
            yield rest[1:end] or None
            rest = rest[end:]
        else:
            yield None
            return


def _structural(schema: Object, path: str, level: Level = "root") -> Iterator[Fault]:
    """Every value's type is told, outside of allOf, anyOf, oneOf and not; those only judge what the rest describes."""
    form = schema.get("type")
    if form == "array" and not schema.get("items"):
        yield required(f"{path}.items", "must be specified")
    if isinstance(schema.get("items"), dict):
        yield from _structural(schema["items"], f"{path}.items", "item")
    for name, part in (schema.get("properties") or {}).items():
        yield from _structural(part, f"{path}.properties[{name}]", "field")
    more = schema.get("additionalProperties")
    if more is not None and level == "root":
        yield forbidden(f"{path}.additionalProperties", "must not be used at the root")
    if isinstance(more, dict):
        yield from _structural(more, f"{path}.additionalProperties", "field")
    yield from _extensions(schema, path, level)
    # Only what judges the whole object must describe its fields first.
    yield from _nested_all(schema, schema if level == "root" else None, path, _is_int_or_string(schema))
    if level == "root" or schema.get("x-kubernetes-embedded-resource"):
        yield from _own_fields(schema.get("properties") or {}, path)


def _is_int_or_string(schema: Object) -> bool:
    return bool(schema.get("x-kubernetes-int-or-string"))


def _extensions(schema: Object, path: str, level: Level) -> Iterator[Fault]:
    form = schema.get("type")
    either, preserve = _is_int_or_string(schema), bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    is_object = bool(schema.get("x-kubernetes-embedded-resource"))
    if either and preserve:
        words = "must be false if x-kubernetes-int-or-string is true"
        yield invalid(f"{path}.x-kubernetes-preserve-unknown-fields", True, words)
    if either and is_object:
        words = "must be false if x-kubernetes-int-or-string is true"
        yield invalid(f"{path}.x-kubernetes-embedded-resource", True, words)
    if is_object and form != "object":
        words = "must be object if x-kubernetes-embedded-resource is true"
        yield invalid(f"{path}.type", form, words) if form else required(f"{path}.type", words)
    elif not form and not either and not preserve:
        where = {"root": "at the root", "item": "for specified array items", "field": "for specified object fields"}
        yield required(f"{path}.type", f"must not be empty {where[level]}")
    if is_object and not preserve and not schema.get("properties"):
        words = (
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        )
        yield required(f"{path}.properties", words)


def _own_fields(known: Object, path: str) -> Iterator[Fault]:
    """An object's kind, apiVersion and metadata are what they are in every object."""
    for key in ("kind", "apiVersion"):
        if key in known and known[key].get("type") != "string":
            yield invalid(f"{path}.properties[{key}].type", known[key].get("type", ""), "must be string")
    meta = known.get("metadata")
    if meta is None:
        return
    where = f"{path}.properties[metadata]"
    if meta.get("type") != "object":
        yield invalid(f"{where}.type", meta.get("type", ""), "must be object")
    rest = {key: part for key, part in meta.items() if key not in ("type", "description", "properties")}
    if rest or any(key not in ("name", "generateName") for key in meta.get("properties") or ()):
        words = "must not specify anything other than name and generateName, but metadata is implicitly specified"
        yield forbidden(where, words)


def _nested_all(judging: Object, whole: Object | None, path: str, either: bool) -> Iterator[Fault]:
    """What allOf, anyOf, oneOf and not of a schema say. `whole`: what must describe the fields that they name."""
    for key in _MANY:
        rows = judging.get(key) or []
        if either and key == "anyOf" and rows == _INT_OR_STRING:
            continue
        for at, part in enumerate(rows):
            if either and key == "allOf" and at == 0 and part.get("anyOf") == _INT_OR_STRING:
                continue
            yield from _nested(part, whole, f"{path}.{key}[{at}]", path, either)
    if judging.get("not") is not None:
        yield from _nested(judging["not"], whole, f"{path}.not", path, either)


#: key -> what it must be inside of allOf and the like.
_NOT_NESTED = {
    "type": "empty",
    "title": "empty",
    "description": "empty",
    "default": "undefined",
    "additionalProperties": "undefined",
    "nullable": "false",
    "x-kubernetes-preserve-unknown-fields": "false",
    "x-kubernetes-embedded-resource": "false",
    "x-kubernetes-int-or-string": "false",
    "x-kubernetes-list-map-keys": "empty",
    "x-kubernetes-list-type": "undefined",
    "x-kubernetes-map-type": "undefined",
}


def _nested(part: Object, whole: Object | None, path: str, outer: str, either: bool) -> Iterator[Fault]:
    """A judging schema; `outer` is the path of `whole`, the place that it judges."""
    for key, what in _NOT_NESTED.items():
        if part.get(key) not in (None, "", False, []) or (key == "default" and part.get(key) is not None):
            yield forbidden(f"{path}.{key}", f"must be {what} to be structural")
    known = part.get("properties") or {}
    if "metadata" in known:
        yield forbidden(f"{path}.properties[metadata]", "must not be specified in a nested context")
    described = (whole or {}).get("properties") or {}
    for name, inner in known.items():
        yield from _inner(
            inner, whole, described.get(name), f"{path}.properties[{name}]", f"{outer}.properties[{name}]"
        )
    if isinstance(part.get("items"), dict):
        yield from _inner(part["items"], whole, (whole or {}).get("items"), f"{path}.items", f"{outer}.items")
    yield from _nested_all_in(part, whole, path, outer, either)


def _inner(inner: Object, whole: Object | None, place: Object | None, path: str, outer: str) -> Iterator[Fault]:
    if whole is not None and place is None:
        yield required(outer, f"because it is defined in {path}")
        whole = None
    yield from _nested(inner, whole and place, path, outer, False)


def _nested_all_in(part: Object, whole: Object | None, path: str, outer: str, either: bool) -> Iterator[Fault]:
    for key in _MANY:
        for at, inner in enumerate(part.get(key) or ()):
            yield from _nested(inner, whole, f"{path}.{key}[{at}]", outer, either)
    if part.get("not") is not None:
        yield from _nested(part["not"], whole, f"{path}.not", outer, either)


def _defaults(schema: Object, path: str) -> Iterator[Fault]:
    default = schema.get("default")
    if default is not None:
        pruned = deepcopy(default)
        if prune(pruned, schema, root=False):
            yield invalid(f"{path}.default", default, "must not have unknown fields")
        else:
            for fault in validate(default, schema):
                below = "" if fault.field in ("", "<nil>") else f".{fault.field}"
                yield Fault(fault.reason, fault.message, f"{path}.default{below}")
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        yield from _defaults(more, f"{path}.additionalProperties")
    for name, part in sorted((schema.get("properties") or {}).items()):
        yield from _defaults(part, f"{path}.properties[{name}]")
    if isinstance(schema.get("items"), dict):
        yield from _defaults(schema["items"], f"{path}.items")
