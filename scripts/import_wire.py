"""Make the serialized descriptor sets in `src/heeler/wire/protobuf/descriptors/` out of tables of message facts.

    python scripts/import_wire.py DIR      # DIR holds cri.json and etcd.json

A table names each message with its fields (number, name, type, "oneof NAME" where it is in one), each enum with its
values, each service with its methods. containerd's services, of which few methods are needed, stand below.
Run at development time only; the results are committed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from google.protobuf import any_pb2, empty_pb2, timestamp_pb2
from google.protobuf import descriptor_pb2 as dp

FieldProto = dp.FieldDescriptorProto
Table = dict[str, Any]

SCALARS = {
    "string": FieldProto.TYPE_STRING,
    "bool": FieldProto.TYPE_BOOL,
    "int32": FieldProto.TYPE_INT32,
    "int64": FieldProto.TYPE_INT64,
    "uint32": FieldProto.TYPE_UINT32,
    "uint64": FieldProto.TYPE_UINT64,
    "bytes": FieldProto.TYPE_BYTES,
    "double": FieldProto.TYPE_DOUBLE,
}

TASKS = "containerd.services.tasks.v1"
VERSION = "containerd.services.version.v1"
EVENTS = "containerd.services.events.v1"
#: https://github.com/containerd/containerd/tree/main/api/services (tasks, version, events): what exec and PLEG need.
CONTAINERD: Table = {
    "messages": {
        f"{TASKS}.ExecProcessRequest": [
            [1, "container_id", "string"],
            [2, "stdin", "string"],
            [3, "stdout", "string"],
            [4, "stderr", "string"],
            [5, "terminal", "bool"],
            [6, "spec", "google.protobuf.Any"],
            [7, "exec_id", "string"],
        ],
        f"{TASKS}.StartRequest": [[1, "container_id", "string"], [2, "exec_id", "string"]],
        f"{TASKS}.StartResponse": [[1, "pid", "uint32"]],
        f"{TASKS}.WaitRequest": [[1, "container_id", "string"], [2, "exec_id", "string"]],
        f"{TASKS}.WaitResponse": [[1, "exit_status", "uint32"], [2, "exited_at", "google.protobuf.Timestamp"]],
        f"{TASKS}.CloseIORequest": [[1, "container_id", "string"], [2, "exec_id", "string"], [3, "stdin", "bool"]],
        f"{TASKS}.DeleteProcessRequest": [[1, "container_id", "string"], [2, "exec_id", "string"]],
        f"{TASKS}.DeleteResponse": [
            [1, "id", "string"],
            [2, "pid", "uint32"],
            [3, "exit_status", "uint32"],
            [4, "exited_at", "google.protobuf.Timestamp"],
        ],
        f"{TASKS}.ResizePtyRequest": [
            [1, "container_id", "string"],
            [2, "exec_id", "string"],
            [3, "width", "uint32"],
            [4, "height", "uint32"],
        ],
        f"{TASKS}.KillRequest": [
            [1, "container_id", "string"],
            [2, "exec_id", "string"],
            [3, "signal", "uint32"],
            [4, "all", "bool"],
        ],
        f"{VERSION}.VersionResponse": [[1, "version", "string"], [2, "revision", "string"]],
        f"{EVENTS}.SubscribeRequest": [[1, "filters", "repeated string"]],
        f"{EVENTS}.Envelope": [
            [1, "timestamp", "google.protobuf.Timestamp"],
            [2, "namespace", "string"],
            [3, "topic", "string"],
            [4, "event", "google.protobuf.Any"],
        ],
        # The payloads of /tasks/exit and /tasks/oom.
        "containerd.events.TaskExit": [
            [1, "container_id", "string"],
            [2, "id", "string"],
            [3, "pid", "uint32"],
            [4, "exit_status", "uint32"],
            [5, "exited_at", "google.protobuf.Timestamp"],
        ],
        "containerd.events.TaskOOM": [[1, "container_id", "string"]],
    },
    "enums": {},
    "services": {
        f"{TASKS}.Tasks": {
            "Exec": [f"{TASKS}.ExecProcessRequest", "google.protobuf.Empty"],
            "Start": [f"{TASKS}.StartRequest", f"{TASKS}.StartResponse"],
            "Wait": [f"{TASKS}.WaitRequest", f"{TASKS}.WaitResponse"],
            "CloseIO": [f"{TASKS}.CloseIORequest", "google.protobuf.Empty"],
            "DeleteProcess": [f"{TASKS}.DeleteProcessRequest", f"{TASKS}.DeleteResponse"],
            "ResizePty": [f"{TASKS}.ResizePtyRequest", "google.protobuf.Empty"],
            "Kill": [f"{TASKS}.KillRequest", "google.protobuf.Empty"],
        },
        f"{VERSION}.Version": {"Version": ["google.protobuf.Empty", f"{VERSION}.VersionResponse"]},
        f"{EVENTS}.Events": {"Subscribe": [f"{EVENTS}.SubscribeRequest", f"stream {EVENTS}.Envelope"]},
    },
}

WELL_KNOWN = (any_pb2, empty_pb2, timestamp_pb2)


def package_of(full: str, known: tuple[str, ...]) -> str:
    """The longest of the `known` packages that `full` stands in."""
    return max((p for p in known if full.startswith(p + ".")), key=len)


def uses(table: Table, package: str, packages: tuple[str, ...]) -> list[str]:
    """The other packages whose types this package's fields and methods name."""
    names: list[str] = []
    for full, fields in table["messages"].items():
        if package_of(full, packages) == package:
            names += [part.strip() for field in fields for part in bare(field[2])]
    for full, methods in table["services"].items():
        if package_of(full, packages) == package:
            names += [kind.removeprefix("stream ") for pair in methods.values() for kind in pair]
    found = {package_of(n, packages) for n in names if n not in SCALARS and not n.startswith("google.")}
    return sorted(found - {package})


def bare(kind: str) -> list[str]:
    if kind.startswith("map<"):
        return kind[4:-1].split(",")
    return [kind.removeprefix("repeated ")]


class Builder:
    """One package as one file descriptor."""

    def __init__(self, table: Table, package: str, packages: tuple[str, ...]) -> None:
        self.table, self.package, self.packages = table, package, packages
        self.file = dp.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
        self.messages: dict[str, dp.DescriptorProto] = {}

    def mine(self, group: str) -> list[str]:
        names = [n for n in self.table[group] if package_of(n, self.packages) == self.package]
        return sorted(names, key=lambda n: (n.count("."), n))

    def build(self) -> dp.FileDescriptorProto:
        for package in uses(self.table, self.package, self.packages):
            self.file.dependency.append(f"{package}.proto")
        self.file.dependency.extend(m.DESCRIPTOR.name for m in WELL_KNOWN)
        for full in self.mine("messages"):
            self.messages[full] = self.place(full, "message_type", "nested_type")
        for full in self.mine("enums"):
            enum = self.place(full, "enum_type", "enum_type")
            for name, number in sorted(self.table["enums"][full].items(), key=lambda pair: pair[1]):
                enum.value.add(name=name, number=number)
        for full, message in self.messages.items():
            self.fill(full, message)
        for full in self.mine("services"):
            self.service(full)
        return self.file

    def place(self, full: str, top: str, nested: str) -> Any:
        outer, _, name = full.rpartition(".")
        holder = getattr(self.file, top) if outer == self.package else getattr(self.messages[outer], nested)
        return holder.add(name=name)

    def fill(self, full: str, message: dp.DescriptorProto) -> None:
        oneofs: dict[str, int] = {}
        for number, name, kind, *more in self.table["messages"][full]:
            field = message.field.add(name=name, number=number, label=FieldProto.LABEL_OPTIONAL)
            if kind.startswith("map<"):
                entry = self.entry(message, name, *bare(kind))
                field.label, field.type = FieldProto.LABEL_REPEATED, FieldProto.TYPE_MESSAGE
                field.type_name = f".{full}.{entry}"
                continue
            if kind.startswith("repeated "):
                field.label = FieldProto.LABEL_REPEATED
            for oneof in (m.removeprefix("oneof ") for m in more):
                if oneof not in oneofs:
                    oneofs[oneof] = len(oneofs)
                    message.oneof_decl.add(name=oneof)
                field.oneof_index = oneofs[oneof]
            self.typed(field, bare(kind)[0])

    def entry(self, message: dp.DescriptorProto, name: str, key: str, value: str) -> str:
        title = "".join(part.capitalize() for part in name.split("_")) + "Entry"
        nested = message.nested_type.add(name=title)
        nested.options.map_entry = True
        for number, (part, kind) in enumerate((("key", key), ("value", value)), 1):
            self.typed(nested.field.add(name=part, number=number, label=FieldProto.LABEL_OPTIONAL), kind.strip())
        return title

    def typed(self, field: dp.FieldDescriptorProto, kind: str) -> None:
        if kind in SCALARS:
            field.type = SCALARS[kind]
            return
        field.type = FieldProto.TYPE_ENUM if kind in self.table["enums"] else FieldProto.TYPE_MESSAGE
        field.type_name = "." + kind

    def service(self, full: str) -> None:
        service = self.file.service.add(name=full.rpartition(".")[2])
        for name, (asked, answered) in self.table["services"][full].items():
            service.method.add(
                name=name,
                input_type="." + asked.removeprefix("stream "),
                output_type="." + answered.removeprefix("stream "),
                client_streaming=asked.startswith("stream "),
                server_streaming=answered.startswith("stream "),
            )


def descriptor_set(table: Table, packages: tuple[str, ...]) -> bytes:
    """All packages in an order in which each comes after what it uses."""
    out = dp.FileDescriptorSet()
    for module in WELL_KNOWN:
        module.DESCRIPTOR.CopyToProto(out.file.add())
    done: list[str] = []
    while len(done) < len(packages):
        ready = [p for p in packages if p not in done and set(uses(table, p, packages)) <= set(done)]
        for package in ready:
            out.file.append(Builder(table, package, packages).build())
            done.append(package)
    return out.SerializeToString(deterministic=True)


def main(facts: Path) -> None:
    target = Path(__file__).parent.parent / "src/heeler/wire/protobuf/descriptors"
    cri = json.loads((facts / "cri.json").read_text())
    etcd = json.loads((facts / "etcd.json").read_text())
    containerd = (TASKS, VERSION, EVENTS, "containerd.events")
    (target / "cri.binpb").write_bytes(descriptor_set(cri, ("runtime.v1",)))
    (target / "etcd.binpb").write_bytes(descriptor_set(etcd, ("authpb", "etcdserverpb", "mvccpb")))
    (target / "containerd.binpb").write_bytes(descriptor_set(CONTAINERD, containerd))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
