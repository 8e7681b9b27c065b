"""A structural schema as types of CEL (for the compiler), and values as CEL wants them (for the evaluation).

Objects become messages, so that the compiler knows their fields; names that are no identifiers are escaped
(`__dash__` and the like). Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/
custom-resource-definitions/#validation-rules
"""

from __future__ import annotations

import base64
import re
from typing import Any

from heeler.kinds.cel.values import Timestamp, parse_duration, parse_time
from heeler.objects.value import Object, Value

_PACKAGE = "heeler.schema"
#: In a schema: what its message is called, behind the package, where faults show it.
MESSAGE = "x-message"
_RESERVED = frozenset(
    "true false null in as break const continue else for function if import let loop package namespace return var void "
    "while".split()
)
#: FieldDescriptorProto's types.
_SCALARS = {"string": 9, "integer": 3, "number": 1, "boolean": 8, "bytes": 12}
_MESSAGE, _OPTIONAL, _REPEATED = 11, 1, 3
_VALUE, _LIST, _STRUCT = ".google.protobuf.Value", ".google.protobuf.ListValue", ".google.protobuf.Struct"
_TIMES = {"date": "Timestamp", "date-time": "Timestamp", "datetime": "Timestamp", "duration": "Duration"}


def escaped(name: str) -> str | None:
    """A field's name in expressions, or None if it cannot be named there."""
    if re.fullmatch(r"[a-zA-Z_./-][a-zA-Z0-9_./-]*", name) is None:
        return None
    if name in _RESERVED:
        return f"__{name}__"
    for text, word in (("__", "underscores"), (".", "dot"), ("-", "dash"), ("/", "slash")):
        name = name.replace(text, f"__{word}__")
    return name


def fields(schema: Object, *, root: bool = False) -> dict[str, Object]:
    """What an expression sees of an object: its own fields, and what every object has."""
    out: dict[str, Object] = dict(schema.get("properties") or {})
    if root or schema.get("x-kubernetes-embedded-resource"):
        text = {"type": "string"}
        meta = {"type": "object", "properties": {"name": text, "generateName": text}}
        out.update({"apiVersion": text, "kind": text, "metadata": meta})
    return out


class Types:
    """The messages of one schema. `of` gives a node's type; then `pool` knows all that were asked for."""

    def __init__(self, *, plain: bool = False, package: str = _PACKAGE) -> None:
        """`plain`: names of fields are taken as they are, reserved words too (`request.namespace`)."""
        from google.protobuf import descriptor_pb2

        self._plain = plain

        needs = [f"google/protobuf/{name}.proto" for name in ("struct", "timestamp", "duration")]
        # proto2: the third version refuses names that are alike but for underscores (`a_b` and `aB`).
        self._file = descriptor_pb2.FileDescriptorProto(
            name="schema.proto", package=package, syntax="proto2", dependency=needs
        )

    def pool(self) -> Any:
        from heeler.kinds.cel.library import new_pool

        pool = new_pool()
        pool.AddSerializedFile(self._file.SerializeToString())
        return pool

    def of(self, schema: Object, *, root: bool = False) -> Any:
        """The `cel.Type` of values of the schema."""
        from heeler.kinds.cel.runtime import runtime

        cel = runtime()

        kinds, form = cel.Type, _form(schema)
        if form == "array":
            return kinds.List(self.of(schema.get("items") or {}))
        if form == "map":
            more = schema.get("additionalProperties")
            return kinds.Map(kinds.STRING, self.of(more) if isinstance(more, dict) else kinds.DYN)
        if form == "object":
            return kinds(f"{self._file.package}.{self._message(schema, root)}")
        names = {"string": kinds.STRING, "integer": kinds.INT, "number": kinds.DOUBLE, "boolean": kinds.BOOL}
        names |= {"bytes": kinds.BYTES, "Timestamp": kinds.TIMESTAMP, "Duration": kinds.DURATION}
        return names.get(form, kinds.DYN)

    def _message(self, schema: Object, root: bool) -> str:
        name = schema.get(MESSAGE) or f"T{len(self._file.message_type)}"
        message = self._file.message_type.add(name=name)
        # fields may differ in nothing but how words are joined (jwksUri, jwks_uri): nobody writes these messages as JSON
        message.options.deprecated_legacy_json_field_conflicts = True
        known = {self._name(key): part for key, part in fields(schema, root=root).items()}
        known.pop(None, None)
        taken = dict.fromkeys(known)
        for number, (key, part) in enumerate(known.items(), 1):
            if key is not None:
                self._field(message, key, number, part, taken)
        return name

    def _name(self, key: str) -> str | None:
        if self._plain:
            return key if re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", key) else None
        return escaped(key)

    def _field(self, message: Any, name: str, number: int, schema: Object, taken: dict[str | None, None]) -> None:
        field = message.field.add(name=name, number=number, json_name=f"f{number}", label=_OPTIONAL)
        form, entry_name = _form(schema), _entry_name(name)
        if form == "array":
            field.label = _REPEATED
            self._typed(field, schema.get("items") or {})
        elif form == "map" and entry_name not in taken:
            more = schema.get("additionalProperties")
            taken[entry_name] = None
            entry = message.nested_type.add(name=entry_name)
            entry.options.map_entry = True
            entry.field.add(name="key", number=1, type=_SCALARS["string"], label=_OPTIONAL)
            value = entry.field.add(name="value", number=2, label=_OPTIONAL)
            self._typed(value, more if isinstance(more, dict) else {})
            field.label, field.type = _REPEATED, _MESSAGE
            field.type_name = f".{self._file.package}.{message.name}.{entry_name}"
        else:
            self._typed(field, schema)

    def _typed(self, field: Any, schema: Object) -> None:
        """One value's type; lists and maps inside of lists and maps hold anything."""
        form = _form(schema)
        if form in _SCALARS:
            field.type = _SCALARS[form]
            return
        field.type = _MESSAGE
        if form == "object":
            field.type_name = f".{self._file.package}.{self._message(schema, False)}"
        elif form in ("Timestamp", "Duration"):
            field.type_name = f".google.protobuf.{form}"
        else:
            field.type_name = {"array": _LIST, "map": _STRUCT}.get(form, _VALUE)


def _entry_name(field: str) -> str:
    """The name that protocol buffers want for a map field's entry."""
    return "".join(part[:1].upper() + part[1:] for part in field.split("_")) + "Entry"


def _form(schema: Object) -> str:
    """ "array", "map", "object", a scalar's name, "bytes", "Timestamp", "Duration" or "any"."""
    form = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        return "any"
    if form == "object":
        more = schema.get("additionalProperties")
        return "map" if more and not schema.get("properties") else "object"
    if form == "string":
        named = schema.get("format", "")
        return "bytes" if named == "byte" else _TIMES.get(named, "string")
    return form if form in ("array", "integer", "number", "boolean") else "any"


def value_of(value: Value, schema: Object, *, root: bool = False) -> Any:
    """A value as an expression sees it. Raises ValueError for a text that has not the format that the schema asks."""
    form = _form(schema)
    if value is None:
        return None
    if form == "array" and isinstance(value, list):
        items = schema.get("items") or {}
        return [value_of(item, items) for item in value]
    if form == "map" and isinstance(value, dict):
        more = schema.get("additionalProperties")
        part = more if isinstance(more, dict) else {}
        return {key: value_of(item, part) for key, item in value.items()}
    if form == "object" and isinstance(value, dict):
        known = fields(schema, root=root)
        return {
            name: value_of(value[key], part)
            for key, part in known.items()
            if key in value and (name := escaped(key)) is not None
        }
    if form == "number" and isinstance(value, int):
        return float(value)
    if form == "bytes" and isinstance(value, str):
        return base64.b64decode(value)
    if form == "Timestamp" and isinstance(value, str):
        return _moment(value)
    if form == "Duration" and isinstance(value, str):
        return parse_duration(value)
    return value


def _moment(text: str) -> Timestamp:
    """A time or a date, in any of the forms that the formats take."""
    text = text.upper().replace(" ", "T")
    text = text if "T" in text else f"{text}T00:00:00"
    return parse_time(text if re.search(r"(Z|[+-]\d\d:?\d\d)\Z", text) else f"{text}Z")
