"""Descriptor sets give message classes and services."""

from __future__ import annotations

import pytest

from heeler.wire.protobuf.schema import build, plain, schema


def test_a_message_is_built_of_plain_values_and_read_back() -> None:
    config = schema("cri").message("runtime.v1.PodSandboxConfig")
    values = {
        "metadata": {"name": "web", "uid": "u1", "namespace": "default"},
        "labels": {"app": "web"},
        "linux": {"security_context": {"namespace_options": {"network": "NODE"}}},
    }
    assert plain(config.FromString(build(config, values).SerializeToString())) == values


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(Exception, match="nonsense"):
        build(schema("cri").message("runtime.v1.VersionRequest"), {"nonsense": 1})


def test_bytes_are_taken_as_they_are() -> None:
    put = schema("etcd").message("etcdserverpb.PutRequest")
    assert build(put, {"key": b"\x00k", "value": b"\xff"}).SerializeToString() == b"\x0a\x02\x00k\x12\x01\xff"


def test_a_zero_inside_a_oneof_is_sent() -> None:
    compare = schema("etcd").message("etcdserverpb.Compare")
    made = build(compare, {"key": b"k", "target": "MOD", "mod_revision": "0"})
    assert made.WhichOneof("target_union") == "mod_revision"
    assert compare.FromString(made.SerializeToString()).HasField("mod_revision")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("containerd", "containerd.services.tasks.v1.ExecProcessRequest"),
        ("containerd", "containerd.events.TaskOOM"),
        ("etcd", "mvccpb.KeyValue"),
        ("cri", "runtime.v1.ContainerEventResponse"),
    ],
)
def test_every_set_has_its_messages(name: str, message: str) -> None:
    assert schema(name).message(message).DESCRIPTOR.full_name == message
