"""A local, current copy of a collection: list, then watch for ever, and tell handlers what changed.

The copy lags behind the server. So that a controller sees its own writes, it gives the answers of its writes to
`assume`: they stand in the copy until the watch has come that far. Objects are the server's; nobody changes them.
https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator

from heeler.base.clock import Clock
from heeler.base.tasks import Tasks
from heeler.client.client import Client, WatchEvent
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object

log = logging.getLogger(__name__)

#: Called with (old, new): (None, new) added, (old, None) deleted. Must not wait.
Handler = Callable[[Object | None, Object | None], None]
#: The values under which an object is found.
Index = Callable[[Object], Iterable[str]]

PAGE = 500
FIRST_RETRY_SECONDS = 0.1
MAX_RETRY_SECONDS = 30.0


def key_of(obj: Object) -> str:
    """`namespace/name`, or `name` of a cluster-wide object."""
    meta = obj["metadata"]
    namespace = meta.get("namespace")
    return f"{namespace}/{meta['name']}" if namespace else str(meta["name"])


def split_key(key: str) -> tuple[str, str]:
    """(namespace, name); the namespace of a cluster-wide object is ""."""
    namespace, _, name = key.rpartition("/")
    return namespace, name


def revision_of(obj: Object) -> int:
    """The object's resourceVersion as a number (they grow by one counter)."""
    try:
        return int(obj["metadata"].get("resourceVersion") or 0)
    except ValueError:
        return 0


def _uid(obj: Object) -> str:
    return str(obj["metadata"].get("uid", ""))


def _trimmed(obj: Object) -> Object:
    """Without who wrote which field: half of an object, and nobody here asks. A PUT without it leaves it as it is."""
    metadata = obj["metadata"]
    if "managedFields" not in metadata:
        return obj
    return {**obj, "metadata": {name: value for name, value in metadata.items() if name != "managedFields"}}


class Informer:
    """One collection's copy. `run` keeps it; everything else reads it without waiting."""

    def __init__(
        self,
        client: Client,
        resource: GroupVersionResource,
        namespace: str | None = None,
        *,
        clock: Clock,
        label_selector: str = "",
        field_selector: str = "",
    ) -> None:
        self.resource = resource
        self._client, self._namespace, self._clock = client, namespace, clock
        self._label_selector, self._field_selector = label_selector, field_selector
        self._objects: dict[str, Object] = {}
        #: uids of objects that are known to be gone before the watch says so, by key: its older events don't bring them back.
        self._gone: dict[str, str] = {}
        self._indexes: dict[str, tuple[Index, dict[str, dict[str, Object]]]] = {}
        self._handlers: list[Handler] = []
        self._synced = asyncio.Event()
        self._revision = 0
        self._retry = FIRST_RETRY_SECONDS

    # reading

    def get(self, key: str) -> Object | None:
        return self._objects.get(key)

    def __iter__(self) -> Iterator[Object]:
        return iter(list(self._objects.values()))

    def __len__(self) -> int:
        return len(self._objects)

    def by_index(self, name: str, value: str) -> list[Object]:
        """The objects that an index has under a value, in the order in which they came."""
        return list(self._indexes[name][1].get(value, {}).values())

    def count_by_index(self, name: str, value: str) -> int:
        return len(self._indexes[name][1].get(value, ()))

    @property
    def synced(self) -> bool:
        """The first list is in."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        await self._synced.wait()

    # setting up

    def add_index(self, name: str, index: Index) -> None:
        if name in self._indexes:
            return
        found: dict[str, dict[str, Object]] = {}
        self._indexes[name] = (index, found)
        for key, obj in self._objects.items():
            for value in index(obj):
                found.setdefault(value, {})[key] = obj

    def add_handler(self, handler: Handler) -> None:
        """Also told of all that is there already."""
        self._handlers.append(handler)
        for obj in self:
            handler(None, obj)

    # the caller's own writes

    def assume(self, obj: Object) -> None:
        """Take over the answer of a create, update or patch, if the watch is not there yet."""
        revision = revision_of(obj)
        if revision <= self._revision:
            return
        key = key_of(obj)
        if self._gone.get(key) == _uid(obj):
            return
        current = self._objects.get(key)
        if current is None or revision_of(current) < revision:
            self._put(key, obj)

    def assume_deleted(self, obj: Object) -> None:
        """An object is gone at once; nothing happens if a newer one of that name is there already."""
        key = key_of(obj)
        current = self._objects.get(key)
        if current is not None and current["metadata"].get("uid") == obj["metadata"].get("uid"):
            self._drop(key, current)
            self._gone[key] = current["metadata"].get("uid", "")

    # keeping

    async def run(self) -> None:
        """List and watch until cancelled. Failures are tried again, with growing pauses."""
        listed = False
        while True:
            try:
                if not listed:
                    await self._list()
                    listed = True
                began = self._clock.monotonic()
                await self._watch()
                # A server that ends watches at once must not be asked without pause.
                short = self._clock.monotonic() - began < FIRST_RETRY_SECONDS
                await self._clock.sleep(FIRST_RETRY_SECONDS if short else 0)
            except StatusError as error:
                if error.code == 410:
                    listed = False
                    continue
                await self._pause(error)
            except OSError as error:
                await self._pause(error)

    async def _pause(self, error: Exception) -> None:
        log.warning("%s: %s; again in %.1f s", self.resource.resource, error, self._retry)
        await self._clock.sleep(self._retry)
        self._retry = min(self._retry * 2, MAX_RETRY_SECONDS)

    async def _list(self) -> None:
        found: dict[str, Object] = {}
        token = ""
        while True:
            page = await self._client.list(
                self.resource,
                self._namespace,
                label_selector=self._label_selector,
                field_selector=self._field_selector,
                # At first what the server has at hand will do. Later only the newest: another server may be behind this copy.
                resource_version="" if token or self.synced else "0",
                limit=PAGE,
                continue_token=token,
            )
            for obj in page.items:
                found[key_of(obj)] = obj
            token = page.continue_token
            if not token:
                break
        revision = int(page.resource_version or 0)
        self._revision = revision
        for key, old in list(self._objects.items()):
            if key not in found and revision_of(old) <= revision:
                self._drop(key, old)
        self._gone = {key: uid for key, uid in self._gone.items() if key in found and _uid(found[key]) == uid}
        for key, obj in found.items():
            if key in self._gone:
                continue
            current = self._objects.get(key)
            if current is None or revision_of(current) < revision_of(obj):
                self._put(key, obj)
        self._synced.set()

    async def _watch(self) -> None:
        events = self._client.watch(
            self.resource,
            self._namespace,
            resource_version=str(self._revision),
            label_selector=self._label_selector,
            field_selector=self._field_selector,
        )
        try:
            async for event in events:
                self._apply(event)
                self._retry = FIRST_RETRY_SECONDS
        finally:
            close = getattr(events, "aclose", None)
            if close is not None:
                await close()

    def _apply(self, event: WatchEvent) -> None:
        revision = revision_of(event.object)
        self._revision = max(self._revision, revision)
        if event.type == "BOOKMARK":
            return
        key = key_of(event.object)
        if key in self._gone:
            same = self._gone[key] == _uid(event.object)
            if event.type == "DELETED" or not same:
                del self._gone[key]
            if same:
                return
        current = self._objects.get(key)
        if current is not None and revision_of(current) > revision:
            return  # our own later write is known already
        if event.type == "DELETED":
            if current is not None:
                self._drop(key, current)
        else:
            self._put(key, event.object)

    def _put(self, key: str, obj: Object) -> None:
        obj, old = _trimmed(obj), self._objects.get(key)
        self._objects[key] = obj
        for index, found in self._indexes.values():
            values = list(index(obj))
            if old is not None:
                for value in index(old):
                    if value not in values:
                        self._unindex(found, value, key)
            for value in values:
                found.setdefault(value, {})[key] = obj
        for handler in self._handlers:
            handler(old, obj)

    def _drop(self, key: str, obj: Object) -> None:
        del self._objects[key]
        for index, found in self._indexes.values():
            for value in index(obj):
                self._unindex(found, value, key)
        for handler in self._handlers:
            handler(obj, None)

    @staticmethod
    def _unindex(found: dict[str, dict[str, Object]], value: str, key: str) -> None:
        keys = found.get(value)
        if keys is not None:
            keys.pop(key, None)
            if not keys:
                del found[value]


class Informers:
    """The informers of one process: one for each collection, however many ask for it."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._made: dict[tuple[GroupVersionResource, str, str], Informer] = {}
        self._tasks: Tasks | None = None
        self._running: dict[tuple[GroupVersionResource, str, str], asyncio.Task[None]] = {}

    def get(self, resource: GroupVersionResource, *, label_selector: str = "", field_selector: str = "") -> Informer:
        """Of all namespaces. It runs as soon as `start` was called."""
        name = (resource, label_selector, field_selector)
        if name not in self._made:
            informer = Informer(
                self._client,
                resource,
                clock=self._clock,
                label_selector=label_selector,
                field_selector=field_selector,
            )
            self._made[name] = informer
            if self._tasks is not None:
                self._running[name] = self._tasks.spawn(informer.run(), f"informer {resource.resource}")
        return self._made[name]

    def drop(self, informer: Informer) -> None:
        """Stop an informer whose collection isn't served any more; `get` makes a new one."""
        for name, made in list(self._made.items()):
            if made is informer:
                del self._made[name]
                task = self._running.pop(name, None)
                if task is not None:
                    task.cancel()

    def start(self, tasks: Tasks) -> None:
        self._tasks = tasks
        for name, informer in self._made.items():
            self._running[name] = tasks.spawn(informer.run(), f"informer {name[0].resource}")

    async def wait_synced(self) -> None:
        for informer in list(self._made.values()):
            await informer.wait_synced()
