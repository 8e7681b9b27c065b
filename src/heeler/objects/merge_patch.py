"""JSON Merge Patch (RFC 7396). Objects that the patch walked through come out with sorted keys, as upstream's do."""

from __future__ import annotations

import orjson

from heeler.objects.json_patch import BROKEN, mismatch
from heeler.objects.status import bad_request
from heeler.objects.value import Object, Value


def decode(body: bytes) -> Object:
    """The patch (also a strategic one) of a request's body. Raises StatusError 400 for what is not an object."""
    try:
        found = orjson.loads(body)
    except ValueError:
        raise bad_request(BROKEN) from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise bad_request(f"error decoding patch: {mismatch(found, 'map[string]interface {}')}")
    return found


def apply(doc: Object, patch: Object) -> Object:
    """The patched document; neither argument is changed."""
    out = dict(doc)
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = apply(out[key], value)
        else:
            out[key] = _without_nulls(value)
    return {key: out[key] for key in sorted(out)}


def _without_nulls(value: Value) -> Value:
    """A new value: its objects lose keys that are null."""
    if isinstance(value, dict):
        return {key: _without_nulls(value[key]) for key in sorted(value) if value[key] is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
