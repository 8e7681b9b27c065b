"""What is checked of ConfigMap and Secret. https://kubernetes.io/docs/concepts/configuration/"""

from __future__ import annotations

import base64
from collections.abc import Iterator

from heeler.kinds.meta.objectmeta import each
from heeler.objects import names
from heeler.objects.faults import Fault, forbidden, invalid, required, too_long
from heeler.objects.go_json import syntax_error
from heeler.objects.value import Object

LIMIT_BYTES = 1024 * 1024
FIXED = "field is immutable when `immutable` is set"
REDACTED = "<secret contents redacted>"
SERVICE_ACCOUNT = "kubernetes.io/service-account.name"


def _decoded_size(text: str | None) -> int:
    return len(text) * 3 // 4 - text.count("=", -2) if text else 0


def config_map(obj: Object) -> Iterator[Fault]:
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    total = 0
    for key, text in sorted(data.items()):
        yield from each(f"data[{key}]", key, names.config_key(key))
        if key in binary:
            yield invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
        total += len(text.encode())
    for key, text in sorted(binary.items()):
        yield from each(f"binaryData[{key}]", key, names.config_key(key))
        total += _decoded_size(text)
    if total > LIMIT_BYTES:
        yield too_long("[]", LIMIT_BYTES)


def config_map_update(new: Object, old: Object) -> Iterator[Fault]:
    yield from _fixed(new, old, ("data", "binaryData"))
    yield from config_map(new)


def _fixed(new: Object, old: Object, keys: tuple[str, ...]) -> Iterator[Fault]:
    if not old.get("immutable"):
        return
    if not new.get("immutable"):
        yield forbidden("immutable", FIXED)
    for key in keys:
        if (new.get(key) or None) != (old.get(key) or None):
            yield forbidden(key, FIXED)


def secret(obj: Object) -> Iterator[Fault]:
    data = obj.get("data") or {}
    total = 0
    for key, text in sorted(data.items()):
        yield from each(f"data[{key}]", key, names.config_key(key))
        total += _decoded_size(text)
    if total > LIMIT_BYTES:
        yield too_long("data", LIMIT_BYTES)
    yield from _by_type(obj, data)


def _by_type(obj: Object, data: Object) -> Iterator[Fault]:
    kind = obj.get("type", "")
    if kind == "kubernetes.io/service-account-token":
        if not (obj["metadata"].get("annotations") or {}).get(SERVICE_ACCOUNT):
            yield required(f"metadata.annotations[{SERVICE_ACCOUNT}]")
    elif kind in ("kubernetes.io/dockercfg", "kubernetes.io/dockerconfigjson"):
        key = ".dockercfg" if kind.endswith("cfg") else ".dockerconfigjson"
        if key not in data:
            yield required(f"data[{key}]")
        else:
            yield from _json_map(data[key], f"data[{key}]")
    elif kind == "kubernetes.io/basic-auth":
        if "username" not in data and "password" not in data:
            yield required("data[username]")
            yield required("data[password]")
    elif kind == "kubernetes.io/ssh-auth":
        if not data.get("ssh-privatekey"):
            yield required("data[ssh-privatekey]")
    elif kind == "kubernetes.io/tls":
        for key in ("tls.crt", "tls.key"):
            if key not in data:
                yield required(f"data[{key}]")


#: What a JSON text is by its first byte.
_JSON_KINDS = {b"{": "object", b"[": "array", b'"': "string", b"t": "bool", b"f": "bool", b"n": "null"}


def _json_map(encoded: str | None, path: str) -> Iterator[Fault]:
    """The value is a JSON object."""
    raw = base64.b64decode(encoded or "")
    if wrong := syntax_error(raw):
        yield invalid(path, REDACTED, wrong)
        return
    kind = _JSON_KINDS.get(raw.lstrip()[:1], "number")
    if kind not in ("object", "null"):
        yield invalid(path, REDACTED, f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}")


def secret_update(new: Object, old: Object) -> Iterator[Fault]:
    if new.get("type") != old.get("type"):
        yield invalid("type", new.get("type", ""), "field is immutable")
    yield from _fixed(new, old, ("data",))
    yield from secret(new)
