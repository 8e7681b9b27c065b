"""A store in an etcd cluster (3.4 or newer), over gRPC. Several API servers may share it.

Each write is one transaction: compare the key's revision, then put or delete. Source:
https://etcd.io/docs/v3.5/learning/api/
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from heeler.objects.value import Revision
from heeler.store.store import (
    Change,
    Compacted,
    Entry,
    FutureRevision,
    KeyExists,
    KeyNotFound,
    Page,
    RevisionMismatch,
    StoreUnavailable,
)

#: Seconds for one call.
CALL_SECONDS = 10.0
#: Bytes of an answer: a list of everything at the start.
MAX_MESSAGE = 1 << 30
#: Keys read at once when a whole range is listed.
CHUNK = 5_000


class EtcdStore:
    """See `Store`. `servers` are addresses as etcdctl takes them (http://127.0.0.1:2379).

    TLS needs `authority` (and `certificate` with `key` for client authentication), all PEM bytes.
    """

    problem = ""

    def __init__(
        self,
        servers: tuple[str, ...],
        *,
        authority: bytes | None = None,
        certificate: bytes | None = None,
        key: bytes | None = None,
    ) -> None:
        self._servers = servers
        self._credentials = (authority, certificate, key)
        self._made: tuple[Any, Any, Any] | None = None
        self._revision = Revision(0)
        self._streams: dict[asyncio.Queue[Any], None] = {}
        #: told of revisions up to which a watch has seen everything.
        self.progress: Callable[[Revision], None] | None = None

    def _services(self) -> tuple[Any, Any]:
        """KV and Watch, connected at the first use."""
        if self._made is None:
            from heeler.wire.protobuf.schema import schema

            channel = self._channel()
            found = schema("etcd")
            kv, watch = found.service(channel, "etcdserverpb.KV"), found.service(channel, "etcdserverpb.Watch")
            self._made = (channel, kv, watch)
        return self._made[1], self._made[2]

    def _channel(self) -> Any:
        import grpc
        import grpc.aio

        secure = any(s.startswith("https://") for s in self._servers)
        hosts = [s.removeprefix("https://").removeprefix("http://").rstrip("/") for s in self._servers]
        target = hosts[0] if len(hosts) == 1 else "ipv4:" + ",".join(hosts)
        options: Any = [("grpc.max_receive_message_length", MAX_MESSAGE), ("grpc.max_send_message_length", MAX_MESSAGE)]
        options.append(("grpc.lb_policy_name", "round_robin"))
        if not secure:
            return grpc.aio.insecure_channel(target, options=options)
        authority, certificate, key = self._credentials
        credentials = grpc.ssl_channel_credentials(authority, key, certificate)
        return grpc.aio.secure_channel(target, credentials, options=options)

    async def _call(self, method: str, **fields: Any) -> Any:
        import grpc

        kv, _ = self._services()
        try:
            answer = await kv.call(method, timeout=CALL_SECONDS, **fields)
        except grpc.aio.AioRpcError as error:
            raise self._refused(error) from error
        self._saw(answer.header.revision)
        return answer

    def _refused(self, error: Any) -> Exception:
        text = error.details() or str(error.code())
        if "required revision has been compacted" in text:
            return Compacted(Revision(0))
        if "required revision is a future revision" in text:
            return FutureRevision(self._revision)
        return StoreUnavailable(f"etcd ({', '.join(self._servers)}) does not answer: {text}")

    def _saw(self, revision: int) -> None:
        if revision > self._revision:
            self._revision = Revision(revision)

    @property
    def revision(self) -> Revision:
        return self._revision

    async def current_revision(self) -> Revision:
        answer = await self._call("Range", key=b"\0", limit=1, keys_only=True)
        return Revision(answer.header.revision)

    async def get(self, key: str) -> Entry | None:
        answer = await self._call("Range", key=key.encode())
        return _entry(answer.kvs[0]) if answer.kvs else None

    async def list(self, prefix: str, *, revision: Revision | None = None, after: str = "", limit: int = 0) -> Page:
        end = _end(prefix)
        start = after.encode() + b"\0" if after else prefix.encode()
        entries: list[Entry] = []
        at = revision or 0
        while True:
            want = min(limit - len(entries), CHUNK) if limit else CHUNK
            answer = await self._call("Range", key=start, range_end=end, limit=want, revision=at)
            at = at or answer.header.revision
            entries += [_entry(kv) for kv in answer.kvs]
            if not answer.more or (limit and len(entries) >= limit):
                return Page(entries, Revision(at), int(answer.count) - len(answer.kvs))
            start = answer.kvs[-1].key + b"\0"

    async def create(self, key: str, value: bytes) -> Revision:
        raw = key.encode()
        answer = await self._transaction(raw, 0, {"request_put": {"key": raw, "value": value}})
        if not answer.succeeded:
            raise KeyExists(key)
        return Revision(answer.header.revision)

    async def update(self, key: str, value: bytes, expected: Revision) -> Revision:
        raw = key.encode()
        answer = await self._transaction(raw, expected, {"request_put": {"key": raw, "value": value}})
        return self._settled(key, answer)

    async def delete(self, key: str, expected: Revision) -> Revision:
        raw = key.encode()
        answer = await self._transaction(raw, expected, {"request_delete_range": {"key": raw}})
        return self._settled(key, answer)

    async def _transaction(self, key: bytes, expected: int, operation: dict[str, Any]) -> Any:
        """Do it if the key was last written at `expected` (0: isn't there); else read what is there."""
        compare = {"key": key, "target": "MOD", "result": "EQUAL", "mod_revision": expected}
        return await self._call(
            "Txn", compare=[compare], success=[operation], failure=[{"request_range": {"key": key}}]
        )

    def _settled(self, key: str, answer: Any) -> Revision:
        if answer.succeeded:
            return Revision(answer.header.revision)
        kvs = answer.responses[0].response_range.kvs
        if not kvs:
            raise KeyNotFound(key)
        raise RevisionMismatch(_entry(kvs[0]))

    async def watch(self, prefix: str, after: Revision) -> AsyncIterator[Change]:
        """One gRPC stream; it is opened again where it broke."""
        import grpc

        position = after
        while True:
            try:
                async for change in self._watch_once(prefix, position):
                    position = change.revision
                    yield change
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.5)  # the cluster elects a leader, or is away

    async def _watch_once(self, prefix: str, after: Revision) -> AsyncIterator[Change]:
        _, service = self._services()
        requests: asyncio.Queue[Any] = asyncio.Queue()
        create = {"key": prefix.encode(), "range_end": _end(prefix), "start_revision": after + 1, "prev_kv": True}
        requests.put_nowait(service.request("Watch", {"create_request": {**create, "progress_notify": True}}))

        async def sent() -> AsyncIterator[Any]:
            while True:
                yield await requests.get()

        stream = service.stream("Watch", sent())
        self._streams[requests] = None
        try:
            async for answer in stream:
                if answer.canceled:
                    if answer.compact_revision:
                        raise Compacted(Revision(answer.compact_revision))
                    raise StoreUnavailable(f"etcd ended a watch: {answer.cancel_reason}")
                self._saw(answer.header.revision)
                for event in answer.events:
                    yield _change(event)
                if self.progress is not None and not answer.created:
                    self.progress(Revision(answer.header.revision))
        finally:
            self._streams.pop(requests, None)
            with contextlib.suppress(Exception):
                stream.cancel()

    def ask_progress(self) -> None:
        """Have etcd say how far the watches are, even if nothing happens."""
        _, service = self._services()
        for requests in self._streams:
            requests.put_nowait(service.request("Watch", {"progress_request": {}}))

    async def compact(self, revision: Revision) -> None:
        with contextlib.suppress(Compacted):  # another server was faster
            await self._call("Compact", revision=revision)

    async def close(self) -> None:
        if self._made is not None:
            await self._made[0].close()
            self._made = None


def _end(prefix: str) -> bytes:
    """The end of the range of keys that start with `prefix`."""
    raw = bytearray(prefix.encode())
    while raw and raw[-1] == 0xFF:
        raw.pop()
    if not raw:
        return b"\0"
    raw[-1] += 1
    return bytes(raw)


def _entry(kv: Any) -> Entry:
    return Entry(kv.key.decode(), kv.value, Revision(kv.mod_revision))


def _change(event: Any) -> Change:
    key, revision = event.kv.key.decode(), Revision(event.kv.mod_revision)
    previous = event.prev_kv.value if event.HasField("prev_kv") else None
    if event.type == 1:
        return Change("delete", key, previous or b"", revision, previous)
    kind: Any = "create" if event.kv.create_revision == event.kv.mod_revision else "update"
    return Change(kind, key, event.kv.value, revision, previous)
