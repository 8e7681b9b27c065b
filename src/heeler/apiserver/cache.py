"""What the API server knows of its store: every object as bytes, in order, with the events of the recent past.

The cache may lag behind the store (several servers may share one); only the store decides. Bytes are stored with `kind`,
`apiVersion` and `metadata` first, so that a served object is the stored bytes with the revision spliced in at a known
offset. Objects are parsed when somebody needs them, and the parsed form is kept only as long as a watcher's event lives.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import orjson

from heeler.apiserver.encode_protobuf import Encoded
from heeler.objects.value import Object, Revision
from heeler.store.store import Change, Compacted, Entry

if TYPE_CHECKING:
    from heeler.kinds.kind import Kind

#: Events kept for each resource, for watches that begin in the past.
KEPT_EVENTS = 4_096
#: …and at most so many bytes of them: a watch that comes from further back lists anew.
KEPT_BYTES = 32 * 1024 * 1024
#: Events that may wait for one watcher; beyond that its watch ends (it lists again).
MAX_WAITING = 16_384

ROOT = "/registry/"


def prefix_of(kind: Kind) -> str:
    """Where a kind's objects are stored (events of both groups in the same place)."""
    return f"{ROOT}{kind.storage_group or 'core'}/{kind.plural}/"


def key_of(kind: Kind, namespace: str, name: str) -> str:
    return f"{prefix_of(kind)}{namespace}/{name}" if kind.namespaced else f"{prefix_of(kind)}{name}"


@lru_cache(maxsize=4096)
def head_of(kind: str, api_version: str) -> bytes:
    """The first bytes of a stored and of a served object."""
    return b'{"kind":"%b","apiVersion":"%b","metadata":{' % (kind.encode(), api_version.encode())


def encode(obj: Object) -> bytes:
    """The bytes to store: kind, apiVersion and metadata come first, the revision stays out.

    They are kept, so they are copied: what orjson gives stands in a buffer of 4 KiB and more, however short it is.
    """
    metadata = {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}
    ordered = {"kind": obj["kind"], "apiVersion": obj["apiVersion"], "metadata": metadata}
    for name, value in obj.items():
        if name not in ordered:
            ordered[name] = value
    return memoryview(orjson.dumps(ordered)).tobytes()


class NotConverted(RuntimeError):
    """A defect: a version that only a webhook makes was used before it was asked for (`extensions/conversion.py`)."""


class Item:
    """One stored version of one object."""

    __slots__ = ("_kind", "_object", "_served", "encoded", "key", "revision", "value")

    def __init__(self, kind: Kind, key: str, value: bytes, revision: Revision, obj: Object | None = None) -> None:
        self._kind = kind
        self.key = key
        self.value = value
        self.revision = revision
        self._object = obj
        self._served: dict[str, bytes] | None = None
        #: what `Encoded` keeps of it.
        self.encoded: dict[str, bytes] | None = None

    @property
    def kind(self) -> Kind:
        return self._kind

    @property
    def namespace(self) -> str:
        return self.key.rsplit("/", 2)[1] if self._kind.namespaced else ""

    @property
    def name(self) -> str:
        return self.key.rsplit("/", 1)[1]

    def object(self) -> Object:
        """The parsed object in its storage version with its resourceVersion. Shared: never change it."""
        if self._object is None:
            self._object = self.fresh()
        return self._object

    @property
    def parsed(self) -> bool:
        """Is the parsed form at hand?"""
        return self._object is not None

    def share(self, obj: Object) -> None:
        """Keep the parsed form that somebody has already, with its resourceVersion; nobody changes it any more."""
        if self._object is None:
            self._object = obj

    def forget(self) -> None:
        """Let go of the parsed form."""
        self._object = None

    def change_kind(self, kind: Kind) -> None:
        """The kind's definition has changed: nothing that was made by the old one is served any more."""
        self._kind = kind
        self._served = self._object = None

    def raw(self) -> Object:
        """A parsed copy that is the caller's own, in the version in which it was written."""
        obj: Object = orjson.loads(self.value)
        obj["metadata"]["resourceVersion"] = str(self.revision)
        return obj

    def fresh(self) -> Object:
        """A parsed copy that is the caller's own."""
        return self._in(self._kind.storage_api_version)

    def in_version(self, api_version: str) -> Object:
        """The parsed object as one of a served apiVersion. Shared: never change it."""
        if api_version == self._kind.storage_api_version:
            return self.object()
        return self._in(api_version)

    def _in(self, api_version: str) -> Object:
        if not self._waits_for(api_version):
            return self._kind.of_store(self.raw(), api_version)
        if not self._served or api_version not in self._served:
            raise NotConverted(f"{self.key} was not converted to {api_version} before it was used")
        obj: Object = orjson.loads(self._served[api_version])
        return obj

    @property
    def written_version(self) -> str:
        """The apiVersion in which it is stored."""
        return self.value.split(b'"apiVersion":"', 1)[1].split(b'"', 1)[0].decode()

    def _waits_for(self, api_version: str) -> bool:
        """Only a webhook can make that version of it."""
        return self._kind.webhook is not None and not self.value.startswith(head_of(self._kind.kind, api_version))

    def has(self, api_version: str) -> bool:
        """Can it be had in that version without asking a webhook?"""
        if self._object is not None and api_version == self._kind.storage_api_version:
            return True
        return not self._waits_for(api_version) or api_version in (self._served or ())

    def hold(self, obj: Object) -> None:
        """Keep what a webhook made of it."""
        if self._served is None:
            self._served = {}
        self._served[obj["apiVersion"]] = orjson.dumps(obj, option=orjson.OPT_SORT_KEYS)

    def transient(self, api_version: str) -> Object:
        """The same for who needs it once: it isn't kept. Never change it."""
        storage = self._kind.storage_api_version
        obj = self._object if self._object is not None else self.fresh()
        return obj if api_version == storage else self._kind.convert(obj, storage, api_version)

    def served(self, api_version: str) -> bytes:
        """The object's JSON in a served apiVersion."""
        if api_version == self._kind.storage_api_version and not self._kind.custom:
            head = head_of(self._kind.kind, api_version)
            rest = self.value[len(head) :]
            comma = b"" if rest.startswith(b"}") else b","  # a bookmark has nothing else
            return b'%b"resourceVersion":"%d"%b%b' % (head, self.revision, comma, rest)
        if self._served is None:
            self._served = {}
        if api_version not in self._served:
            # upstream keeps custom objects as maps: their keys are sorted
            option = orjson.OPT_SORT_KEYS if self._kind.custom else 0
            self._served[api_version] = memoryview(orjson.dumps(self.in_version(api_version), option=option)).tobytes()
        return self._served[api_version]

    def listed(self, api_version: str) -> bytes:
        """The same as an item of a list, where built-in kinds leave out kind and apiVersion."""
        if self._kind.custom:
            return self.served(api_version)
        if api_version == self._kind.storage_api_version:
            rest = self.value[len(head_of(self._kind.kind, api_version)) :]
            return b'{"metadata":{"resourceVersion":"%d",%b' % (self.revision, rest)
        obj = self.in_version(api_version)
        return orjson.dumps({k: v for k, v in obj.items() if k not in ("kind", "apiVersion")})


class Event:
    """One change of one object; what is made of it for watchers is made once and shared."""

    __slots__ = ("forms", "item", "previous", "revision", "type")

    def __init__(
        self,
        type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"],
        item: Item,
        previous: Item | None,
        revision: Revision,
    ) -> None:
        self.type = type
        self.item = item
        self.previous = previous
        self.revision = revision
        #: its bytes for watches: lines by apiVersion, other forms by names of theirs.
        self.forms: dict[str, bytes] = {}

    def line(self, api_version: str) -> bytes:
        """The event as one line of a watch in JSON."""
        found = self.forms.get(api_version)
        if found is None:
            found = b'{"type":"%b","object":%b}\n' % (self.type.encode(), self.item.served(api_version))
            self.forms[api_version] = found
        return found


class Watcher:
    """One watch's queue."""

    def __init__(self, accept: Callable[[str], bool] | None) -> None:
        self.accept = accept
        self.queue: deque[Event] = deque()
        self.overflown = False
        self._waiter: asyncio.Future[None] | None = None

    def put(self, event: Event) -> None:
        if len(self.queue) >= MAX_WAITING:
            self.overflown = True
        else:
            self.queue.append(event)
        self.wake()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        self._waiter = None

    async def wait(self) -> None:
        """Until an event is there (or somebody wakes us)."""
        if not self.queue and not self.overflown:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter


def _size(event: Event) -> int:
    """Bytes that an event holds: the object, and what it was before."""
    return len(event.item.value) + (len(event.previous.value) if event.previous is not None else 0)


class ResourceCache:
    """The objects of one kind."""

    def __init__(self, kind: Kind, revision: Revision, encoded: Encoded) -> None:
        self.kind = kind
        self._encoded = encoded
        self.prefix = prefix_of(kind)
        self.items: dict[str, Item] = {}
        self.keys: list[str] = []
        self.events: deque[Event] = deque()
        self._kept_bytes = 0
        #: watches may begin at this revision or later.
        self.oldest = revision
        #: of the last change of this kind.
        self.changed = Revision(0)
        self.watchers: dict[Watcher, None] = {}
        self._spent: list[Item] = []

    def load(self, entries: Sequence[Entry]) -> None:
        """The state to begin with, in the order of the keys."""
        self.items = {e.key: Item(self.kind, e.key, e.value, e.revision) for e in entries}
        self.keys = list(self.items)

    def apply(self, change: Change) -> None:
        """Take in one committed change and tell the watchers."""
        before = self.items.get(change.key)
        if before is not None:
            self._encoded.drop(before)
        elif change.previous is not None:  # the past, played again at start
            before = Item(self.kind, change.key, change.previous, change.revision)
        item = Item(self.kind, change.key, change.value, change.revision)
        if change.type == "delete":
            if self.items.pop(change.key, None) is not None:
                self.keys.pop(bisect_left(self.keys, change.key))
            event = Event("DELETED", item, before, change.revision)
        else:
            if change.key not in self.items:
                insort(self.keys, change.key)
            self.items[change.key] = item
            event = Event("ADDED" if change.type == "create" else "MODIFIED", item, before, change.revision)
        self.changed = change.revision
        self._keep(event)
        for watcher in self.watchers:
            if watcher.accept is None or watcher.accept(change.key):
                watcher.put(event)

    def replay(self, change: Change) -> None:
        """Remember an event of the past that the loaded state holds already."""
        item = Item(self.kind, change.key, change.value, change.revision)
        before = None
        if change.previous is not None:
            before = Item(self.kind, change.key, change.previous, change.revision)
        types: dict[str, Literal["ADDED", "MODIFIED", "DELETED"]]
        types = {"create": "ADDED", "update": "MODIFIED", "delete": "DELETED"}
        self.changed = change.revision
        self._keep(Event(types[change.type], item, before, change.revision))

    def _keep(self, event: Event) -> None:
        self.events.append(event)
        self._kept_bytes += _size(event)
        while len(self.events) > KEPT_EVENTS or (self._kept_bytes > KEPT_BYTES and len(self.events) > 1):
            gone = self.events.popleft()
            self._kept_bytes -= _size(gone)
            self.oldest = gone.revision
        # parsed forms live until the next change but a few: watchers of one event share one parse
        self._spent.append(event.item)
        if len(self._spent) > 64:
            for item in self._spent[:32]:
                item.forget()
            del self._spent[:32]

    def forget(self, revision: Revision) -> None:
        """The store was compacted up to `revision`."""
        while self.events and self.events[0].revision <= revision:
            self._kept_bytes -= _size(self.events.popleft())
        self.oldest = max(self.oldest, revision)

    def since(self, revision: Revision) -> list[Event]:
        """Events after a revision. Raises Compacted."""
        if revision < self.oldest:
            raise Compacted(self.oldest)
        if revision >= self.changed:
            return []
        return [e for e in self.events if e.revision > revision]

    def range(self, prefix: str, after: str = "") -> Iterator[Item]:
        """Items whose key starts with `prefix` and comes after `after`, in order."""
        start = bisect_left(self.keys, prefix)
        if after:
            start = max(start, bisect_right(self.keys, after))
        if prefix == self.prefix and start == 0:
            for key in self.keys:
                yield self.items[key]
            return
        for index in range(start, len(self.keys)):
            key = self.keys[index]
            if not key.startswith(prefix):
                return
            yield self.items[key]


class Cache:
    """All kinds' caches, fed by the store's commits in their order."""

    def __init__(self) -> None:
        self._by_prefix: dict[str, ResourceCache] = {}
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self.revision = Revision(0)
        self.encoded = Encoded(self._is_current)

    def _is_current(self, item: Item) -> bool:
        cache = self._by_prefix.get(prefix_of(item.kind))
        return cache is not None and cache.items.get(item.key) is item

    def of(self, kind: Kind) -> ResourceCache:
        return self._by_prefix[prefix_of(kind)]

    def of_prefix(self, prefix: str) -> ResourceCache:
        return self._by_prefix[prefix]

    def parsed(self, kind: Kind, key: str, revision: Revision) -> Item | None:
        """The item of a built-in kind at that very revision, if somebody in this process has had it parsed."""
        cache = None if kind.custom else self._by_prefix.get(prefix_of(kind))
        item = None if cache is None else cache.items.get(key)
        return item if item is not None and item.revision == revision and item.parsed else None

    def share(self, written: Item) -> None:
        """What was written just now is parsed: the cache's own item of it need not be."""
        cache = self._by_prefix.get(prefix_of(written.kind))
        item = None if cache is None else cache.items.get(written.key)
        if item is not None and item.revision == written.revision:
            item.share(written.object())

    def add(self, kind: Kind) -> ResourceCache:
        """Begin to keep a kind (its objects come through `load`)."""
        cache = ResourceCache(kind, self.revision, self.encoded)
        self._by_prefix[cache.prefix] = cache
        return cache

    def remove(self, kind: Kind) -> None:
        cache = self._by_prefix.pop(prefix_of(kind), None)
        for item in cache.items.values() if cache else ():
            self.encoded.drop(item)
        for watcher in cache.watchers if cache else ():
            watcher.overflown = True
            watcher.wake()

    def __contains__(self, kind: Kind) -> bool:
        return prefix_of(kind) in self._by_prefix

    def __iter__(self) -> Iterator[ResourceCache]:
        return iter(list(self._by_prefix.values()))

    def apply(self, changes: Sequence[Change]) -> None:
        """Take in a committed batch."""
        for change in changes:
            cache = self._cache_of(change.key)
            if cache is not None:
                cache.apply(change)
        self.revision = changes[-1].revision
        if self._waiting:
            self._wake()

    def replay(self, changes: Sequence[Change]) -> None:
        """Remember changes that the loaded state holds already."""
        for change in changes:
            cache = self._cache_of(change.key)
            if cache is not None:
                cache.replay(change)

    def advance(self, revision: Revision) -> None:
        """Everything up to `revision` has been taken in, though nothing of it was ours."""
        if revision > self.revision:
            self.revision = revision
            self._wake()

    def _wake(self) -> None:
        ready = [f for r, f in self._waiting if r <= self.revision]
        self._waiting = [(r, f) for r, f in self._waiting if r > self.revision]
        for future in ready:
            if not future.done():
                future.set_result(None)

    def _cache_of(self, key: str) -> ResourceCache | None:
        if not key.startswith(ROOT):
            return None
        end = key.find("/", key.find("/", len(ROOT)) + 1)
        return self._by_prefix.get(key[: end + 1])

    async def wait(self, revision: int) -> None:
        """Until the cache is at `revision` or later."""
        if self.revision >= revision:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((revision, future))
        await future
