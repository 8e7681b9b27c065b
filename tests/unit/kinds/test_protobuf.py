"""Kubernetes' protobuf: every kind comes back from it as it was, and broken bytes are refused in the words of Go's code."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heeler.kinds.kind import Kind
from heeler.kinds.protobuf import envelope
from heeler.kinds.protobuf.facts import EXTENSIONS, META, Field, fields_of, message_of
from heeler.kinds.protobuf.primitives import LENGTH, ProtobufError, block, tag
from heeler.kinds.protobuf.read import read
from heeler.kinds.protobuf.write import write
from heeler.kinds.registry import built_in
from heeler.objects.decode import collapse
from heeler.objects.schema import Type
from heeler.objects.value import Object
from tests.unit.kinds.any_object import drawn_object

POD = "k8s.io.api.core.v1.Pod"
KINDS = [
    pytest.param(kind, version, id=f"{kind.api_version(version)} {kind.kind}")
    for kind in built_in()
    for version in kind.versions
    if kind.group != "metrics.k8s.io"  # another project's
]
#: Where an empty list or map isn't the same as none, which protobuf can't tell.
EMPTY_OR_NONE = ({}, [], None)


def typed(kind: Kind, version: str, value: Any) -> Object:
    """What a server holds of a value."""
    obj, unknown = kind.decode(value, version, strict=True)
    assert not unknown
    collapse(obj, kind.type(version))
    return {**obj, "kind": kind.kind, "apiVersion": kind.api_version(version)}


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return all(same(a.get(name), b.get(name)) for name in a.keys() | b.keys())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b) or (a in EMPTY_OR_NONE and b in EMPTY_OR_NONE)


@pytest.mark.parametrize(("kind", "version"), KINDS)
@settings(max_examples=8)
@given(seed=st.integers(0, 2**32))
def test_every_kind_comes_back_as_it_was(kind: Kind, version: str, seed: int) -> None:
    before = typed(kind, version, drawn_object(kind.type(version), kind.kind, kind.api_version(version), seed))
    document = envelope.whole(before)
    assert document is not None
    api_version, name, content = envelope.open_document(document)
    assert (api_version, name) == (before["apiVersion"], before["kind"])
    after = typed(kind, version, envelope.read_object(api_version, name, content))
    assert same(before, after)
    assert envelope.whole(after) == document


@pytest.mark.parametrize(("kind", "version"), KINDS)
def test_every_list_has_a_message_too(kind: Kind, version: str) -> None:
    if "list" in kind.verbs:
        assert message_of(kind.group, version, kind.list_kind)


def _reached(type_: Type, message: str, found: dict[str, tuple[Type, str]]) -> dict[str, tuple[Type, str]]:
    """The types that a type's fields reach, with their messages, by the messages' names."""
    if message in found:
        return found
    found[message] = type_, message
    for name, fact in _json_fields(message).items():
        inner = type_.fields[name].type if name in type_.fields else None
        while inner is not None and inner.form in ("list", "map"):
            inner = inner.item
        if inner is not None and inner.form == "struct":
            _reached(inner, fact.type, found)
    return found


def _json_fields(message: str) -> dict[str, Field]:
    out: dict[str, Field] = {}
    for field in fields_of(message):
        out |= {field.name: field} if field.name else _json_fields(field.type)
    return out


@pytest.mark.parametrize(("kind", "version"), KINDS)
def test_json_and_protobuf_agree_on_what_a_zero_means(kind: Kind, version: str) -> None:
    """An optional text or number of which "" or 0 counts as given is a pointer in Go: protobuf has it only if it's there."""
    message = message_of(kind.group, version, kind.kind)
    assert message is not None
    wrong = []
    for type_, name in _reached(kind.type(version), message, {}).values():
        for key, fact in _json_fields(name).items():
            field = type_.fields.get(key)
            scalar = field is not None and field.type.form in ("string", "int32", "int64", "bool", "float")
            if field is not None and scalar and not field.always and field.pointer == fact.always:
                wrong.append(f"{name}.{key}")
    assert not wrong


def test_a_document_is_byte_for_byte_what_go_writes() -> None:
    """The bytes are those of k8s.io/apimachinery's serializer (`tests/peers/test_protobuf.py` compares all kinds)."""
    found = envelope.whole(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "a", "labels": {"b": "2", "a": "1"}},
            "data": {"k": "AP8="},
        }
    )
    labels = b"Z\x06\x0a\x01a\x12\x011Z\x06\x0a\x01b\x12\x012"
    metadata = b"\x0a\x01a\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x38\x00\x42\x00" + labels
    message = b"\x0a" + bytes([len(metadata)]) + metadata + b"\x12\x07\x0a\x01k\x12\x02\x00\xff\x1a\x00"
    meta = b"\x0a\x0c\x0a\x02v1\x12\x06Secret"
    assert found == b"k8s\0" + meta + b"\x12" + bytes([len(message)]) + message + b"\x1a\x00\x22\x00"


def test_items_of_lists_say_not_what_they_are() -> None:
    pod = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}}
    item = envelope.listed(write(POD, pod))
    found = envelope.list_document("v1", "PodList", {"resourceVersion": "7", "remainingItemCount": 2}, [item, item])
    assert (
        envelope.whole(
            {
                "kind": "PodList",
                "apiVersion": "v1",
                "metadata": {"resourceVersion": "7", "remainingItemCount": 2},
                "items": [pod, pod],
            }
        )
        == found
    )
    assert envelope.unlisted(item) == write(POD, pod)
    long = envelope.listed(write(POD, {"metadata": {"name": "a" * 70_000}}))
    assert read(POD, envelope.unlisted(long))["metadata"]["name"] == "a" * 70_000


def test_lists_of_metadata_had_their_fields_the_other_way_round() -> None:
    item = envelope.listed(write(f"{META}.v1.PartialObjectMetadata", {"metadata": {"name": "a"}}))
    for version in ("v1", "v1beta1"):
        found = envelope.metadata_list_document(version, {"resourceVersion": "7"}, [item])
        api_version, kind, content = envelope.open_document(found)
        value = envelope.read_object(api_version, kind, content)
        assert value == {"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "a"}}]}


def test_a_frame_holds_a_document_and_its_length() -> None:
    status = envelope.whole({"kind": "Status", "apiVersion": "v1", "code": 410})
    assert status is not None
    found = envelope.frame("ERROR", status)
    assert int.from_bytes(found[:4], "big") == len(found) - 4
    assert found[4:11] == b"\x0a\x05ERROR"
    assert found.endswith(status)
    for name in ("a", "a" * 150, "a" * 20_000, "a" * 3_000_000):
        pod = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name}}
        document = envelope.whole(pod)
        assert document is not None
        item = envelope.listed(write(POD, pod))
        assert envelope.item_frame("ADDED", "v1", "Pod", item) == envelope.frame("ADDED", document)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-11-26T01:02:03Z", b"\x08\x8b\x8a\x9e\xd8\x06\x10\x00"),
        ("1970-01-01T00:00:00Z", b"\x08\x00\x10\x00"),
        ("1969-12-31T23:59:59Z", b"\x08" + b"\xff" * 9 + b"\x01\x10\x00"),
        ("0000-02-29T00:00:00Z", None),
        ("9999-12-31T23:59:59Z", None),
    ],
)
def test_times_are_seconds_since_1970(text: str, written: bytes | None) -> None:
    field = write(f"{META}.v1.ObjectMeta", {"deletionTimestamp": text}).split(b"\x42\x00", 1)[1]
    assert written is None or field == b"\x4a" + bytes([len(written)]) + written
    assert read(f"{META}.v1.ObjectMeta", field) == {"deletionTimestamp": text}


def test_the_first_moment_of_the_first_year_is_none() -> None:
    assert write(f"{META}.v1.ObjectMeta", {"creationTimestamp": "0001-01-01T00:00:00Z"}) == write(
        f"{META}.v1.ObjectMeta", {}
    )


def test_micro_times_keep_their_micros() -> None:
    lease = "k8s.io.api.coordination.v1.LeaseSpec"
    for micros in range(0, 1_000_000, 4093):
        spec = {"renewTime": f"2026-11-26T01:02:03.{micros:06d}Z"}
        assert read(lease, write(lease, spec)) == spec


def test_what_is_zero_and_held_by_value_is_left_out_of_json() -> None:
    """Go sends it always; whether JSON shows it is the type's business, not the sender's."""
    port = write("k8s.io.api.core.v1.ServicePort", {"port": 80, "targetPort": 0})
    assert b"\x22\x06\x08\x00\x10\x00\x1a\x00" in port
    assert read("k8s.io.api.core.v1.ServicePort", port) == {"port": 80}
    assert read("k8s.io.api.core.v1.ServicePort", port + b"\x18\x00") == {}


def test_fields_that_come_again_are_merged() -> None:
    first = write(POD, {"metadata": {"name": "a", "labels": {"x": "1"}}, "spec": {"nodeName": "n"}})
    second = b"\x0a\x0a\x5a\x06\x0a\x01y\x12\x012\x0a\x00"
    found = read(POD, first + second)
    assert found == {"metadata": {"labels": {"x": "1", "y": "2"}}, "spec": {"nodeName": "n"}}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"\x0a", "unexpected EOF"),
        (b"\x0a\x05a", "unexpected EOF"),
        (b"\x0a" + b"\xff" * 9 + b"\x01", "proto: negative length found during unmarshaling"),
        (b"\x0a" + b"\xff" * 11, "proto: integer overflow"),
        (b"\x08\x01", "proto: wrong wireType = 0 for field ObjectMeta"),
        (b"\x0a\x02\x08\x01", "proto: wrong wireType = 0 for field Name"),
        (b"\x0a\x04\x4a\x02\x0a\x00", "proto: wrong wireType = 2 for field Seconds"),
        (b"\x0c", "proto: Pod: wiretype end group for non-group"),
        (b"\x02\x00", "proto: Pod: illegal tag 0 (wire type 2)"),
        (b"\x7f", "proto: illegal wireType 7"),
        (b"\x7b" * 1000, "exceeded max depth"),
        (b"\x7b\x7a\xff\xff\x03", "unexpected EOF"),
        (b"\x7d\x00", "unexpected EOF"),
    ],
)
def test_broken_messages_are_refused(raw: bytes, words: str) -> None:
    with pytest.raises(ProtobufError) as refused:
        read(POD, raw)
    assert str(refused.value) == words


def test_groups_are_skipped() -> None:
    assert read(POD, b"\x7b\x08\x01\x7b\x7c\x12\x01a\x7c\x12\x00\x0a\x03\x0a\x01a") == {"metadata": {"name": "a"}}


def test_messages_in_messages_have_an_end() -> None:
    schema, value = f"{EXTENSIONS}.JSONSchemaProps", b""
    number = next(field.number for field in fields_of(schema) if field.name == "not")
    for _ in range(300):
        value = block(tag(number, LENGTH), value)
    with pytest.raises(ProtobufError, match="exceeded max depth"):
        read(schema, value)


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    for message in (POD, "k8s.io.api.core.v1.Service", "k8s.io.api.coordination.v1.Lease"):
        try:
            read(message, raw)
        except ProtobufError:
            pass


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.data())
def test_a_changed_byte_is_read_or_refused(seed: int, data: st.DataObject) -> None:
    kind = built_in().by_kind("apps", "v1", "Deployment")
    assert kind is not None
    raw = bytearray(
        write("k8s.io.api.apps.v1.Deployment", drawn_object(kind.type("v1"), "Deployment", "apps/v1", seed))
    )
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        read("k8s.io.api.apps.v1.Deployment", bytes(raw))
    except ProtobufError:
        pass


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "empty data"),
        (b"k8s\0", "empty body"),
        (b"{}", "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"),
        (b"k8s\0\x0a\x02\x08\x01", "proto: wrong wireType = 0 for field APIVersion"),
    ],
)
def test_broken_documents_are_refused(raw: bytes, words: str) -> None:
    with pytest.raises(ProtobufError) as refused:
        envelope.open_document(raw)
    assert str(refused.value) == words
