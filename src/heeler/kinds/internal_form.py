"""Values as messages show them that come from a Go server's internal types: Go's names, every field, null for unset.

Most "Invalid value" texts show a number or a text; where a whole struct is shown, its JSON is that of the server's
internal type, which has no JSON names. Also the line difference of two such values, as some messages carry it.
"""

from __future__ import annotations

import difflib
import re
from typing import Any

import orjson

from heeler.kinds.types import type_named
from heeler.objects.decode import zero
from heeler.objects.schema import Field, Type
from heeler.objects.value import Object, Value

#: Words that Go writes in capitals at the start of a name.
_ACRONYMS = (
    *(
        "api",
        "ip",
        "uid",
        "dns",
        "http",
        "https",
        "tcp",
        "tls",
        "url",
        "cidr",
        "os",
        "csi",
        "nfs",
        "iscsi",
        "rbd",
        "fc",
    ),
    *("grpc", "qos", "ttl", "fs", "pd", "gce", "aws", "wwids", "se", "tty", "id", "pvc", "cpu", "gmsa", "udp"),
)
_NAMES = {
    "cephfs": "CephFS",
    "storageos": "StorageOS",
    "ips": "IPs",
    "wwids": "WWIDs",
    "iqn": "IQN",
    "targetWWNs": "TargetWWNs",
    "serviceAccount": "DeprecatedServiceAccount",
    "seLinuxOptions": "SELinuxOptions",
    "seLinuxChangePolicy": "SELinuxChangePolicy",
    "seLinuxMount": "SELinuxMount",
    "initContainers": "InitContainers",
    "stdin": "Stdin",
    "ipFamilies": "IPFamilies",
    "opaque": "Opaque",
    "cel": "CEL",
    "osImage": "OSImage",
    "apiGroups": "APIGroups",
    "apiVersions": "APIVersions",
    "caBundle": "CABundle",
    "mutatingAdmissionPolicy": "MutatingAdmissionPolicy",
    "openAPIV3Schema": "OpenAPIV3Schema",
    "jsonPath": "JSONPath",
}


def go_name(name: str) -> str:
    """The Go name of a JSON field: `dnsPolicy` is `DNSPolicy`."""
    if name in _NAMES:
        return _NAMES[name]
    found = re.match(r"[a-z]+", name)
    head = found.group() if found else ""
    if head in _ACRONYMS:
        return head.upper() + name[len(head) :]
    return name[:1].upper() + name[1:]


def internal(value: Value, type: Type) -> Any:
    """The value with Go's names and all fields of its structs. Types of the meta group keep their JSON form."""
    if type.form == "struct":
        if not isinstance(value, dict):
            return None
        if type.name in _META:
            return external(value, type)
        return _struct(value, type)
    if type.form == "list" and type.item is not None:
        return [internal(item, type.item) for item in value] if value is not None else None
    if type.form == "map" and type.item is not None:
        return {key: internal(value[key], type.item) for key in sorted(value)} if value is not None else None
    return value


def external(value: Value, type: Type) -> Any:
    """The value in its JSON form, with fields in the struct's order and maps sorted by key, as Go writes it."""
    if type.name == "ManagedFieldsEntry" and isinstance(value, dict):
        return {name: _sorted(value[name]) for name in type.fields if value.get(name) is not None}
    if type.form == "struct" and isinstance(value, dict):
        shown = {name: (value.get(name), f) for name, f in type.fields.items()}
        return {
            name: external(one, f.type) if one is not None else _absent(f)
            for name, (one, f) in shown.items()
            if one is not None or f.always
        }
    if type.form == "list" and type.item is not None and value is not None:
        return [external(item, type.item) for item in value]
    if type.form == "map" and type.item is not None and value is not None:
        return {key: external(value[key], type.item) for key in sorted(value)}
    return value


def _absent(field: Field) -> Any:
    """What is written for a field that isn't given, but is never left out."""
    if field.pointer or field.type.form in ("list", "map", "any", "time", "microtime", "bytes"):
        return None
    return external({}, field.type) if field.type.form == "struct" else zero(field.type)


def _sorted(value: Value) -> Any:
    return {key: _sorted(value[key]) for key in sorted(value)} if isinstance(value, dict) else value


def selector(value: Object | None) -> Any:
    """A LabelSelector as messages show it."""
    return external(value, type_named("io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"))


def mapped(value: dict[str, Any] | None) -> Any:
    """A map as messages show it: sorted, null for none (an empty one is shown as it is)."""
    return {key: value[key] for key in sorted(value)} if value is not None else None


_META = ("LabelSelector", "ObjectMeta", "Condition", "LabelSelectorRequirement", "GroupResource", "OwnerReference")


def _struct(value: Object, type: Type) -> Object:
    out: Object = {}
    is_object = "metadata" in type.fields
    for name, field in type.fields.items():
        if name in ("apiVersion", "kind") and is_object:
            continue
        if name == "metadata":
            out.update(external(value.get("metadata") or {}, field.type))
            continue
        out[go_name(name)] = _field(value.get(name), field)
    return out


def _field(value: Value, field: Field) -> Any:
    if value is not None:
        return internal(value, field.type)
    if field.pointer or field.type.form in ("list", "map", "any", "time", "microtime", "bytes"):
        return None
    if field.type.form == "struct":
        return _struct({}, field.type)
    return zero(field.type)


def difference(old: Any, new: Any) -> str:
    """The lines that differ between two values, in unified form with three lines around, as messages carry it."""
    before = orjson_lines(old)
    after = orjson_lines(new)
    lines = list(difflib.unified_diff(before, after, lineterm="", n=3))[2:]
    return "\n".join(lines) + "\n" if lines else ""


def orjson_lines(value: Any) -> list[str]:
    """JSON, one space of indentation a level."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return [re.sub(r"^ +", lambda m: " " * (len(m.group()) // 2), line) for line in text.split("\n")]
