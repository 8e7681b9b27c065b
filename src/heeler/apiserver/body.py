"""The body of a request as an object of the kind that the path names: media types, strictness, upstream's words.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/ (field validation) and recorded answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson

from heeler.apiserver.call import Call
from heeler.apiserver.negotiate import JSON, PROTOBUF, YAML
from heeler.objects import faults, yaml_text
from heeler.objects.decode import DecodeError, duplicate_keys, may_repeat_keys
from heeler.objects.go_json import syntax_error
from heeler.objects.status import StatusError, bad_request, invalid, too_large, unsupported_media_type
from heeler.objects.value import Object
from heeler.wire.http.server import MAX_BODY_BYTES

if TYPE_CHECKING:
    from heeler.kinds.kind import Kind
    from heeler.kinds.registry import Kinds

ACCEPTED = f"{JSON}, {YAML}, {PROTOBUF}"
_SCHEME = '"pkg/runtime/scheme.go:111"'
_GO_STRUCT = (
    (
        'struct { APIVersion string \\"json:\\\\\\"apiVersion,omitempty\\\\\\"\\"; '
        'Kind string \\"json:\\\\\\"kind,omitempty\\\\\\"\\" }'
    )
    .replace('\\"', '"')
    .replace("\\\\", "\\")
)
#: Unknown and repeated fields that are told of at most (upstream's limit).
MAX_STRICT = 100


class Unparsable(Exception):
    """The bytes aren't what their media type says; the message is the parser's."""


class Unreadable(Unparsable):
    """It is known what the bytes say they are (`what`: `Pod in version "v1"`), but not that."""

    def __init__(self, what: str, text: str) -> None:
        super().__init__(text)
        self.what = what

    def refusal(self, kind: Kind) -> StatusError:
        return bad_request(f"{self.what} cannot be handled as a {kind.kind}: {self}")


def media_type(call: Call) -> str:
    """JSON, YAML or protobuf. Raises 413, 415."""
    if call.oversized:
        raise too_large(f"Request entity too large: limit is {MAX_BODY_BYTES}")
    header = call.headers.get("content-type", "")
    media = header.split(";", 1)[0].strip().lower()
    if not media or media == JSON:
        return JSON
    if media in (YAML, "text/yaml", "application/x-yaml") and media == YAML:
        return YAML
    if media == PROTOBUF:
        return PROTOBUF
    raise unsupported_media_type(
        f"the body of the request was in an unknown format - accepted media types include: {ACCEPTED}"
    )


def parse_json(raw: bytes) -> Any:
    """The value. Raises Unparsable with Go's message."""
    try:
        value = orjson.loads(raw)
        return _merged(raw) if may_repeat_keys(raw, value) else value
    except orjson.JSONDecodeError as error:
        text = syntax_error(raw)
        if text:
            raise Unparsable(text) from error
        try:  # what Go takes and orjson doesn't: text that isn't UTF-8
            return orjson.loads(raw.decode("utf-8", "replace"))
        except orjson.JSONDecodeError as again:
            raise Unparsable("exceeded max depth") from again


def parse(call: Call, api_version: str = "", kind: str = "") -> tuple[Any, list[str]]:
    """The body's value in JSON's terms, and the keys that a YAML document repeats. Raises Unparsable, 413, 415.

    `api_version` and `kind`: what protobuf is that doesn't say what it is.
    """
    media = media_type(call)
    if media == PROTOBUF:
        return _parse_protobuf(call.body, api_version, kind), []
    if media == YAML:
        try:
            return yaml_text.load(call.body)
        except yaml_text.YamlError as error:
            raise Unparsable(str(error)) from error
    try:
        return parse_json(call.body), []
    except Unparsable as error:
        raise Unparsable(f"couldn't get version/kind; json parse error: {error}") from error


def _parse_protobuf(raw: bytes, api_version: str, kind: str) -> Any:
    from heeler.kinds.protobuf import envelope
    from heeler.kinds.protobuf.primitives import ProtobufError

    try:
        given_version, given_kind, content = envelope.open_document(raw)
    except ProtobufError as error:
        raise Unparsable(str(error)) from error
    api_version, kind = given_version or api_version, given_kind or kind
    try:
        found = envelope.read_object(api_version, kind, content)
    except ProtobufError as error:
        raise Unreadable(f'{kind} in version "{api_version.rpartition("/")[2]}"', str(error)) from error
    return {**(found or {}), "apiVersion": api_version, "kind": kind}


def _merged(raw: bytes) -> Any:
    """A document with keys that come twice, as Go reads it: objects are merged, of anything else the last one counts."""

    def pairs(items: list[tuple[str, Any]]) -> Object:
        out: Object = {}
        for key, value in items:
            before = out.get(key)
            out[key] = {**before, **value} if isinstance(before, dict) and isinstance(value, dict) else value
        return out

    return json.loads(raw, object_pairs_hook=pairs)


def read_object(call: Call, kind: Kind, version: str, kinds: Kinds, validation: str) -> Object:
    """The object in a create's or update's body, decoded into its type; what is unknown becomes warnings or a 400."""
    if call.object is not None:
        obj = kind.decode(call.object, version)[0]
        obj.setdefault("kind", kind.kind)
        obj.setdefault("apiVersion", kind.api_version(version))
        return _told(obj, call, kind, version)
    try:
        value, duplicates = parse(call, kind.api_version(version), kind.kind)
    except Unreadable as error:
        raise error.refusal(kind) from None
    except Unparsable as error:
        raise _unrecognized(call.body, kind, str(error)) from None
    if kind.custom:
        _tell_of_unknown_version(value, kind, version, call, validation)
    check_kind(value, kind, version, kinds, call.body)
    if kind.custom and call.body.startswith(b"k8s\0"):
        raise bad_request(
            f'{kind.kind} in version "{version}" cannot be handled as a {kind.kind}: object *unstructured.Unstructured does '
            "not implement the protobuf marshalling interface and cannot be encoded to a protobuf message"
        )
    return _told(strictly(value, kind, version, call, validation, duplicates), call, kind, version)


def _told(obj: Object, call: Call, kind: Kind, version: str) -> Object:
    """The same object; the audit log knows of it."""
    if call.record is not None:
        call.record.request(obj, kind, version)
    return obj


def _tell_of_unknown_version(value: Any, kind: Kind, version: str, call: Call, validation: str) -> None:
    """A custom object of another version has no schema, so all its fields are unknown. Raises 400 if that is refused."""
    given = value.get("apiVersion") if isinstance(value, dict) else None
    if not isinstance(given, str) or given in ("", kind.api_version(version)) or validation == "Ignore":
        return
    found = [f'unknown field "{key}"' for key in sorted(value) if key not in ("apiVersion", "kind", "metadata")]
    found = found[:MAX_STRICT]
    if found and validation == "Strict":
        where = f'{kind.kind} in version "{version}" cannot be handled as a {kind.kind}: '
        raise bad_request(f"{where}strict decoding error: {', '.join(found)}")
    for text in found:
        call.warn(text)


def read_body(call: Call, kind: Kind, kinds: Kinds, validation: str, also: tuple[str, ...] = ()) -> Object:
    """The same for a kind that only a subresource takes; an empty body is an empty object.

    `also`: further apiVersions in which it is taken."""
    version = kind.versions[0]
    value = call.object
    duplicates: list[str] = []
    if value is None:
        try:
            value, duplicates = parse(call, kind.api_version(version), kind.kind) if call.body else ({}, [])
        except Unreadable as error:
            raise error.refusal(kind) from None
        except Unparsable as error:
            raise bad_request(str(error)) from None
        if isinstance(value, dict) and value.get("apiVersion") in also:
            value = {**value, "apiVersion": kind.api_version(version)}
        check_kind(value, kind, version, kinds, call.body)
    return _told(strictly(value, kind, version, call, validation, duplicates), call, kind, version)


def strictly(
    value: Any,
    kind: Kind,
    version: str,
    call: Call,
    validation: str,
    yaml_duplicates: Sequence[str] = (),
    duplicates: Sequence[str] = (),
) -> Object:
    """Decode into the kind's type; unknown and repeated fields are refused, warned of or ignored.

    `duplicates`: a line for each key that came twice in what the value was made of."""
    where = f'{kind.kind} in version "{version}" cannot be handled as a {kind.kind}: '
    strict = validation != "Ignore"
    obj: Object
    try:
        obj, unknown = kind.decode(value, version, strict=strict)
    except DecodeError as error:
        raise bad_request(f"{where}{error}") from None
    obj["kind"] = kind.kind
    obj["apiVersion"] = kind.api_version(version)
    if strict:
        found = list(duplicates)
        if yaml_duplicates and validation == "Strict":
            found.append("yaml: unmarshal errors:\n  " + "\n  ".join(yaml_duplicates))
        elif yaml_duplicates:
            found += yaml_duplicates
        elif call.body and call.object is None and not call.body.startswith(b"k8s\0"):
            if may_repeat_keys(call.body, value):
                found += duplicate_keys(call.body)
        found = (found + unknown)[:MAX_STRICT]
        if found and validation == "Strict":
            raise bad_request(f"{where}strict decoding error: {', '.join(found)}")
        for text in found:
            call.warn(text)
    return obj


def check_kind(value: Any, kind: Kind, version: str, kinds: Kinds, raw: bytes) -> None:
    """Does the object say that it is of this kind (or say nothing)? Raises 400."""
    if not isinstance(value, dict):
        go = {list: "array", str: "string", bool: "bool"}.get(type(value), "number")
        if value is None:
            return
        text = f"couldn't get version/kind; json parse error: json: cannot unmarshal {go} into Go value of type "
        raise _unrecognized(raw, kind, text + _GO_STRUCT)
    for name, shown in (("apiVersion", ".apiVersion"), ("kind", ".kind")):
        field = value.get(name)
        if field is not None and not isinstance(field, str):
            go = {list: "array", dict: "object", bool: "bool"}.get(type(field), "number")
            text = f"couldn't get version/kind; json parse error: json: cannot unmarshal {go} "
            raise _unrecognized(raw, kind, text + f"into Go struct field {shown} of type string")
    if kind.custom and not value.get("kind") and raw:
        raise _unrecognized(raw, kind, f"Object 'Kind' is missing in '{raw.decode('utf-8', 'replace')}'")
    api_version = value.get("apiVersion") or kind.api_version(version)
    given_kind = value.get("kind") or kind.kind
    if api_version.count("/") > 1:
        raise _unrecognized(raw, kind, f"unexpected GroupVersion string: {api_version}")
    group, _, given_version = api_version.rpartition("/")
    if (group, given_version, given_kind) == (kind.group, version, kind.kind):
        return
    if kind.custom:
        raise _custom_mismatch(kind, version, value, api_version, patched=not raw)
    where = f'{given_kind} in version "{given_version}" cannot be handled as a {kind.kind}: '
    if not _known(kinds, group, given_version, given_kind):
        shown = f"{group}/{given_version}" if group else given_version
        raise bad_request(f'{where}no kind "{given_kind}" is registered for version "{shown}" in scheme {_SCHEME}')
    if (group, given_kind) == (kind.group, kind.kind):
        raise bad_request(
            f"the API version in the data ({api_version}) does not match the expected API version "
            f"({kind.api_version(version)})"
        )
    raise bad_request(
        f"{where}converting ({given_version}.{given_kind}) to ({internal_name(kind.group)}.{kind.kind}): unknown conversion"
    )


def internal_name(group: str) -> str:
    """The Go package of a group's internal types, as messages name it."""
    return group.split(".", 1)[0] or "core"


def _known(kinds: Kinds, group: str, version: str, kind: str) -> bool:
    """Is it a kind, or the list of one?"""
    return any(kinds.by_kind(group, version, name) is not None for name in (kind, kind.removesuffix("List")))


def _custom_mismatch(kind: Kind, version: str, value: Object, api_version: str, patched: bool) -> StatusError:
    """Custom objects that call themselves something else; a patch that makes them so is a fault of the object."""
    expected, given_kind = kind.api_version(version), value.get("kind") or kind.kind
    if api_version != expected and not patched:
        return bad_request(
            f"the API version in the data ({api_version}) does not match the expected API version ({expected})"
        )
    found = []
    if given_kind != kind.kind:
        found.append(faults.invalid("kind", given_kind, f"must be {kind.kind}"))
    if api_version != expected:
        found.append(faults.invalid("apiVersion", api_version, f"must be {expected}"))
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else ""
    return invalid(given_kind, api_version.rpartition("/")[0], name if isinstance(name, str) else "", found)


def _unrecognized(raw: bytes, kind: Kind, why: str) -> StatusError:
    return bad_request(f"the object provided is unrecognized (must be of type {kind.kind}): {why} ({_excerpt(raw)})")


def _excerpt(raw: bytes) -> str:
    """The first bytes of a body as upstream shows them: JSON as text, anything else in hexadecimal."""
    if not raw:
        return "<empty>"
    if re.match(rb"\s*\{", raw):
        return raw[:30].decode("utf-8", "replace") + (" ..." if len(raw) > 30 else "")
    return raw[:30].hex() + (" ..." if len(raw) > 30 else "")


def read_options(call: Call, known: frozenset[str]) -> Object:
    """The DeleteOptions in the body of a delete, merged with the query's. Raises 400."""
    if isinstance(call.object, dict):
        return call.object
    if not call.body:
        return {}
    try:
        value, _ = parse(call)
    except Unparsable as error:
        raise bad_request(str(error)) from None
    if not isinstance(value, dict):
        raise bad_request("couldn't get version/kind; json parse error: the body is no object")
    kind = value.get("kind")
    if kind not in (None, "", "DeleteOptions"):
        version = str(value.get("apiVersion") or "v1")
        raise bad_request(f'no kind "{kind}" is registered for version "{version}" in scheme {_SCHEME}')
    return {k: v for k, v in value.items() if k in known}
