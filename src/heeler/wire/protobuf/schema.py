"""Message classes and gRPC callables out of committed descriptor sets, without generated code.

`descriptors/*.binpb` are made by `scripts/import_wire.py`. grpc and protobuf are imported at the first use only: they
cost some 30 MiB, and most of Heeler never needs them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

#: A received message may be this large (a list of images or containers).
MAX_MESSAGE = 64 << 20


class Schema:
    """The messages and services of one descriptor set: "cri", "containerd" or "etcd"."""

    def __init__(self, name: str) -> None:
        from google.protobuf import descriptor_pb2, descriptor_pool

        data = resources.files("heeler.wire.protobuf").joinpath(f"descriptors/{name}.binpb").read_bytes()
        self._pool = descriptor_pool.DescriptorPool()
        for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
            self._pool.AddSerializedFile(file.SerializeToString())
        self._classes: dict[str, Any] = {}

    def message(self, full_name: str) -> Any:
        """The class of a message, e.g. "runtime.v1.PodSandboxConfig". Raises KeyError for an unknown one."""
        found = self._classes.get(full_name)
        if found is None:
            from google.protobuf import message_factory

            found = message_factory.GetMessageClass(self._pool.FindMessageTypeByName(full_name))
            self._classes[full_name] = found
        return found

    def service(self, channel: Any, full_name: str, metadata: tuple[tuple[str, str], ...] = ()) -> Service:
        """A service's methods on a `grpc.aio` channel; `metadata` goes with each call."""
        return Service(self, channel, self._pool.FindServiceByName(full_name), metadata)


class Service:
    """`await service.call("Method", field=value, …)` for one answer, `service.stream(...)` for many."""

    def __init__(self, schema: Schema, channel: Any, descriptor: Any, metadata: tuple[tuple[str, str], ...]) -> None:
        self._schema, self._channel, self._descriptor, self._metadata = schema, channel, descriptor, metadata
        self._callables: dict[str, tuple[Any, Any]] = {}

    def _callable(self, method: str) -> tuple[Any, Any]:
        found = self._callables.get(method)
        if found is not None:
            return found
        facts = self._descriptor.methods_by_name[method]
        asked = self._schema.message(facts.input_type.full_name)
        answered = self._schema.message(facts.output_type.full_name)
        asks = "stream" if facts.client_streaming else "unary"
        answers = "stream" if facts.server_streaming else "unary"
        made = getattr(self._channel, f"{asks}_{answers}")(
            f"/{self._descriptor.full_name}/{method}",
            request_serializer=asked.SerializeToString,
            response_deserializer=answered.FromString,
        )
        self._callables[method] = (made, asked)
        return made, asked

    def request(self, method: str, fields: Mapping[str, Any]) -> Any:
        """A method's request message of plain values (see `build`)."""
        return build(self._callable(method)[1], fields)

    async def call(self, method: str, request: Any = None, *, timeout: float | None = None, **fields: Any) -> Any:
        """One request, one answer. `fields` (plain values, nested dicts and lists) make the request where none is
        given. Raises grpc.aio.AioRpcError."""
        made, asked = self._callable(method)
        if request is None:
            request = build(asked, fields)
        return await made(request, timeout=timeout, metadata=self._metadata or None)

    def stream(self, method: str, request: Any = None, *, timeout: float | None = None, **fields: Any) -> Any:
        """A grpc.aio call object: iterate over it, `cancel()` it. For a streaming request give an async iterator."""
        made, asked = self._callable(method)
        if request is None:
            request = build(asked, fields)
        return made(request, timeout=timeout, metadata=self._metadata or None)


def build(message: Any, fields: Mapping[str, Any]) -> Any:
    """A message of plain values: nested mappings and lists, enums by name or number, whole numbers also as text, bytes
    as they are. Raises ValueError for an unknown field or enum value, TypeError for a value of the wrong type."""
    made = message()
    _fill(made, fields)
    return made


def _fill(made: Any, fields: Mapping[str, Any]) -> None:
    known = made.DESCRIPTOR.fields_by_name
    for name, value in fields.items():
        field = known.get(name)
        if field is None:
            raise ValueError(f"{made.DESCRIPTOR.full_name} has no field {name!r}")
        inner = field.message_type
        if inner is not None and inner.GetOptions().map_entry:
            target = getattr(made, name)
            for key, item in value.items():
                if inner.fields_by_name["value"].message_type is not None:
                    _fill(target[key], item)
                else:
                    target[key] = item
        elif _repeated(field):
            if inner is None:
                getattr(made, name).extend(_scalar(field, item) for item in value)
            else:
                for item in value:
                    _fill(getattr(made, name).add(), item)
        elif inner is None:
            setattr(made, name, _scalar(field, value))
        elif isinstance(value, Mapping):
            getattr(made, name).SetInParent()
            _fill(getattr(made, name), value)
        else:
            getattr(made, name).CopyFrom(value)


def _repeated(field: Any) -> bool:
    # The property is new; the label, which it replaces, warns where the property exists.
    found = getattr(field, "is_repeated", None)
    return bool(found) if found is not None else field.label == field.LABEL_REPEATED


def _scalar(field: Any, value: Any) -> Any:
    if field.enum_type is not None and isinstance(value, str):
        found = field.enum_type.values_by_name.get(value)
        if found is None:
            raise ValueError(f"{field.enum_type.full_name} has no value {value!r}")
        return found.number
    if isinstance(value, str) and field.cpp_type in (1, 2, 3, 4):
        return int(value)
    return value


def plain(message: Any) -> dict[str, Any]:
    """A message as plain values: proto names, enums by name, 64 bit numbers as text (as proto JSON has them)."""
    from google.protobuf import json_format

    out: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return out


@lru_cache(maxsize=8)
def schema(name: str) -> Schema:
    """The descriptor set of this name, read once."""
    return Schema(name)


def unix_channel(path: str) -> Any:
    """A `grpc.aio` channel to a UNIX socket."""
    import grpc.aio

    return grpc.aio.insecure_channel(f"unix://{path}", options=[("grpc.max_receive_message_length", MAX_MESSAGE)])
