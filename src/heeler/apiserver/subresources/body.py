"""Admission of what is sent and not stored: a Binding, an Eviction, a review, the options of a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heeler.apiserver.admission.chain import Write, admit, check
from heeler.apiserver.call import Call
from heeler.apiserver.options import WriteOptions
from heeler.base.clock import rfc3339
from heeler.kinds import bodies
from heeler.kinds.kind import Kind
from heeler.objects import apply
from heeler.objects.status import bad_request
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.request import Context

_STREAMS = ("stdin", "stdout", "stderr", "tty")
#: Ports of one port-forward that are told to admission.
MAX_PORTS = 1_000


async def sent(call: Call, context: Context, obj: Object, kind: Kind, options: WriteOptions) -> Object:
    """What a subresource was sent: put into its namespace, with who made it, and as admission lets it go on.

    Raises StatusError."""
    managed = apply.track_update(
        None,
        obj,
        kind.type(kind.versions[0]),
        manager=options.manager,
        api_version=kind.storage_api_version,
        now=rfc3339(context.server.clock.time()),
        subresource=context.subresource,
    )
    metadata = {**(obj.get("metadata") or {}), "namespace": context.info.namespace}
    if managed:
        metadata["managedFields"] = managed
    return await admitted(call, context, {**obj, "metadata": metadata}, kind, dry_run=options.dry_run)


async def admitted(call: Call, context: Context, obj: Object, kind: Kind, *, dry_run: bool) -> Object:
    """The object as admission lets it go on. Raises StatusError."""
    write = Write("CREATE", context.kind, context, obj, None, dry_run, call, body=kind)
    write.new = await admit(write)
    await check(write)
    return write.new


async def connected(call: Call, context: Context, kind: Kind) -> Object:
    """The options of a connection, as admission lets them go on. Raises StatusError."""
    options: Object = {"kind": kind.kind, "apiVersion": kind.storage_api_version, **_of_query(call, context, kind)}
    write = Write("CONNECT", context.kind, context, options, None, False, call, body=kind)
    write.new = await admit(write)
    await check(write)
    return write.new


def _of_query(call: Call, context: Context, kind: Kind) -> Object:
    if kind in (bodies.POD_EXEC_OPTIONS, bodies.POD_ATTACH_OPTIONS):
        out: Object = {name: True for name in _STREAMS if _given(call, name)}
        if container := call.param("container"):
            out["container"] = container
        if kind is bodies.POD_EXEC_OPTIONS:
            out["command"] = list(call.query.get("command") or ()) or None
        return out
    if kind is bodies.POD_PORT_FORWARD_OPTIONS:
        ports = call.query.get("ports") or ()
        if len(ports) > MAX_PORTS:
            raise bad_request(f"more than {MAX_PORTS} ports")
        return {"ports": [int(port) for port in ports if port.isascii() and port.isdigit()]} if ports else {}
    path = "/".join(("", *context.info.rest)) if context.info.rest else ""
    path += "/" if call.path.endswith("/") and not path.endswith("/") else ""
    return {"path": path} if path else {}


def _given(call: Call, name: str) -> bool:
    """A parameter without a value is a yes, too."""
    values = call.query.get(name)
    return values is not None and values[0].lower() not in ("0", "false")


def query_of(options: Object) -> dict[str, list[str]]:
    """The query of a connection with these options, as it is sent on."""
    out = {name: ["true"] for name in _STREAMS if options.get(name)}
    if options.get("container"):
        out["container"] = [str(options["container"])]
    if options.get("command"):
        out["command"] = [str(word) for word in options["command"]]
    return out
