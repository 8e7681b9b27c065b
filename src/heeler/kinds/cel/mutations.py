"""Expressions of MutatingAdmissionPolicies: `Object{spec: Object.spec{…}}` and `[JSONPatch{op: …, path: …}]`.

The types of such objects are named after fields and may have any fields. The compiler wants to know them beforehand, so the
text is parsed once without types, and each type is declared with the fields that the text gives it. Dots in their names
stand for packages to the compiler: it is shown underscores instead, at the same places.
Source: https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from heeler.kinds.cel.checked import Struct, walk
from heeler.kinds.cel.checked import Type as CheckedType
from heeler.kinds.cel.expressions import CompileError, Environment, Expression
from heeler.kinds.cel.values import EvaluationError, Message, plain
from heeler.objects.fieldsets import path_text
from heeler.objects.schema import ANY, Type
from heeler.objects.value import Object, Value

OBJECT, PATCH = "Object", "JSONPatch"
#: What a mutation's expression must return, by its patchType, as the compiler names types.
RETURNS = {"ApplyConfiguration": OBJECT, "JSONPatch": f"list({PATCH})"}
_PATCH_FIELDS = {"op": 9, "path": 9, "from": 9}  # FieldDescriptorProto.TYPE_STRING
_MESSAGE, _OPTIONAL = 11, 1
#: Texts, which stay as they are, and names of types.
_TOKEN = re.compile(
    r"""(?P<text>[rR]?(?:'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|//[^\n]*)"""
    r"|\bObject(?:\.\w+)+(?=\s*\{)",
    re.DOTALL,
)


def compile_mutation(text: str, variables: Mapping[str, Any], pool: Any, parser: Environment) -> Expression:
    """A mutation's expression, where `variables` have the types in `pool`. `parser`: an environment to read it with.

    Raises CompileError.
    """
    shown = _TOKEN.sub(lambda found: found[0] if found["text"] else found[0].replace(".", "_"), text)
    named = [node for node in walk(parser.compile(text, check=False).tree.root) if isinstance(node, Struct)]
    fields: dict[str, dict[str, None]] = {OBJECT: {}, PATCH: {}}
    for node in named:
        if node.message == OBJECT or node.message.startswith(f"{OBJECT}."):
            known = fields.setdefault(node.message.replace(".", "_"), {})
            known |= dict.fromkeys(str(entry.key) for entry in node.entries)
    _declare(pool, fields)
    try:
        found = Environment(variables, pool, patches=True).compile(shown)
    except CompileError as error:
        raise CompileError(_as_written(str(error), text, shown)) from None
    made = (node for node in walk(found.tree.root) if isinstance(node, Struct))
    for node, original in zip(made, named, strict=True):
        node.message = original.message
        found.tree.names.pop(node.id, None)
    root = found.tree.root
    if isinstance(root, Struct) and root.message:
        found.tree.types[root.id] = CheckedType("message", root.message)
    return found


def _declare(pool: Any, fields: Mapping[str, Mapping[str, None]]) -> None:
    from google.protobuf import descriptor_pb2

    file = descriptor_pb2.FileDescriptorProto(
        name="mutation.proto", syntax="proto2", dependency=["google/protobuf/struct.proto"]
    )
    for name, names in fields.items():
        message = file.message_type.add(name=name)
        message.options.deprecated_legacy_json_field_conflicts = True
        for number, field in enumerate(names if name != PATCH else (*_PATCH_FIELDS, "value"), 1):
            kind = _PATCH_FIELDS.get(field, _MESSAGE) if name == PATCH else _MESSAGE
            row = message.field.add(name=field, number=number, json_name=f"f{number}", label=_OPTIONAL, type=kind)
            if kind == _MESSAGE:
                row.type_name = ".google.protobuf.Value"
    pool.AddSerializedFile(file.SerializeToString())


def _as_written(words: str, text: str, shown: str) -> str:
    for line, original in zip(shown.splitlines(), text.splitlines(), strict=True):
        words = words.replace(f" | {line}\n", f" | {original}\n")
    names = {found[0].replace(".", "_"): found[0] for found in _TOKEN.finditer(text) if not found["text"]}
    return re.sub("|".join(rf"(?<=')\b{name}\b(?=')" for name in names) or "$^", lambda m: names[m[0]], words)


# What an expression gave.


def configuration(found: Any) -> Object:
    """The apply configuration that an expression gave. Raises EvaluationError."""
    if not isinstance(found, Message) or found.name != OBJECT:
        raise EvaluationError("unsupported return type from ApplyConfiguration expression")
    _check_names(found, OBJECT)
    return dict(plain(found))


def _check_names(value: Any, path: str) -> None:
    """Types must be named after the fields that they stand in. Raises EvaluationError."""
    if isinstance(value, Message):
        if value.name != path:
            words = f'unexpected type name "{value.name}", expected "{path}", which matches field name path from root '
            raise EvaluationError(f"type mismatch: {words}Object type")
        for name, field in value.fields.items():
            _check_names(field, f"{path}.{name}")
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            _check_names(item, path)


def operations(found: Any) -> list[Object]:
    """The JSON patch that an expression gave. Raises EvaluationError."""
    if not isinstance(found, list):
        raise EvaluationError("type mismatch: JSONPatchType.expression should evaluate to array")
    return [_operation(item) for item in found]


def _operation(item: Any) -> Object:
    if not isinstance(item, Message) or item.name != PATCH:
        raise EvaluationError("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch")
    out: Object = {key: item.fields.get(key, "") for key in ("op", "path")}
    if item.fields.get("from"):
        out["from"] = item.fields["from"]
    if "value" in item.fields:
        value = item.fields["value"]
        if isinstance(value, Message):
            _check_names(value, value.name)
        try:
            out["value"] = plain(value)
        except EvaluationError as error:
            words = "JSONPath valueExpression evaluated to a type that could not marshal to JSON"
            raise EvaluationError(f"{words}: {error}") from None
    return out


def nulls(value: Value, type: Type, path: tuple[str, ...] = ()) -> Iterator[str]:
    """What is wrong with nulls in an apply configuration, which stand for nothing there."""
    if isinstance(value, dict) and type.form in ("struct", "map"):
        for name, item in value.items():
            field = type.fields.get(name)
            inner = field.type if field else type.item or ANY
            yield from nulls(item, inner, (*path, f"f:{name}"))
    elif isinstance(value, list) and type.form == "list":
        for at, item in enumerate(value):
            yield from nulls(item, type.item or ANY, (*path, f"i:{at}"))
    elif value is None and type.form in _NULLS:
        yield f"{path_text(path)}: {_NULLS[type.form]}"


_NUMERIC = "expected numeric (int or float), got structpb.NullValue"
_NULLS = {
    **dict.fromkeys(("int32", "int64", "float"), _NUMERIC),
    "string": "expected string, got &value.valueUnstructured{Value:0}",
    "bool": "expected boolean, got &value.valueUnstructured{Value:0}",
    **dict.fromkeys(("struct", "map"), "expected map, got &{NULL_VALUE}"),
    "list": "expected list, got &{NULL_VALUE}",
}


def atomics(value: Value, type: Type, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Paths of what an apply configuration would replace as a whole, which it may not."""
    if isinstance(value, dict) and type.form in ("struct", "map"):
        if type.atomic:
            yield path_text(path)
        for name, item in value.items():
            field = type.fields.get(name)
            if field is not None:
                yield from atomics(item, field.type, (*path, f"f:{name}"))
    elif isinstance(value, list) and type.form == "list":
        if type.list_type == "atomic":
            yield path_text(path)
        for at, item in enumerate(value):
            yield from atomics(item, type.item or ANY, (*path, f"i:{at}"))
