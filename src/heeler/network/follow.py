"""A collection kept in step with the API server: listed, then watched; listed again when the watch lost its place."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable

from heeler.base.clock import Clock
from heeler.client.client import Client
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object, meta, name_of, namespace_of

log = logging.getLogger(__name__)

#: Seconds between attempts when the server refuses or can't be reached: doubles from the first to the last.
FIRST_WAIT, LAST_WAIT = 0.1, 5.0

Key = tuple[str, str]


class Mirror:
    """`items` by (namespace, name). `changed` is called after each change with (old or None, new or None)."""

    def __init__(
        self,
        client: Client,
        resource: GroupVersionResource,
        clock: Clock,
        changed: Callable[[Object | None, Object | None], None],
        *,
        field_selector: str = "",
        label_selector: str = "",
        synced: Callable[[], None] | None = None,
        keep: Callable[[Object], Object] | None = None,
    ) -> None:
        """`keep` gives what is kept of an object (with its name, namespace, uid and resourceVersion)."""
        self._keep = keep or (lambda obj: obj)
        self._client, self._resource, self._clock = client, resource, clock
        self._fields, self._labels, self._synced = field_selector, label_selector, synced
        self._handlers = [changed]
        self.items: dict[Key, Object] = {}

    def listen(self, changed: Callable[[Object | None, Object | None], None]) -> None:
        """Call `changed` as well."""
        self._handlers.append(changed)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        for handler in self._handlers:
            handler(old, new)

    async def run(self) -> None:
        """Until cancelled."""
        wait = FIRST_WAIT
        version = ""
        while True:
            try:
                if not version:
                    version = await self._list()
                    wait = FIRST_WAIT
                version = await self._watch(version)
                continue
            except StatusError as error:
                log.log(
                    logging.WARNING if error.code == 403 else logging.INFO, "%s: %s", self._resource.resource, error
                )
                version = ""
            except OSError as error:
                # What is known stays; the watch goes on where it was.
                log.info("%s: %s", self._resource.resource, error)
            except ValueError as error:
                # An answer that can't be read: what came before it may be missing as well.
                log.warning("%s: %s", self._resource.resource, error)
                version = ""
            await self._clock.sleep(wait)
            wait = min(LAST_WAIT, wait * 2)

    async def _list(self) -> str:
        listing = await self._client.list(self._resource, field_selector=self._fields, label_selector=self._labels)
        fresh = {(namespace_of(o), name_of(o)): self._keep(o) for o in listing.items}
        for key in [k for k in self.items if k not in fresh]:
            self._changed(self.items.pop(key), None)
        for key, found in fresh.items():
            self._put(key, found)
        if self._synced is not None:
            self._synced()
        return listing.resource_version

    def _put(self, key: Key, found: Object) -> None:
        old = self.items.get(key)
        if old is not None and meta(old).get("uid") != meta(found).get("uid"):
            self._changed(old, None)
            old = None
        if old is None or meta(old).get("resourceVersion") != meta(found).get("resourceVersion"):
            self.items[key] = found
            self._changed(old, found)

    async def _watch(self, version: str) -> str:
        events = self._client.watch(
            self._resource, resource_version=version, field_selector=self._fields, label_selector=self._labels
        )
        try:
            async for event in events:
                version = str(meta(event.object).get("resourceVersion") or version)
                key = (namespace_of(event.object), name_of(event.object))
                if event.type == "DELETED":
                    old = self.items.pop(key, None)
                    if old is not None:
                        self._changed(old, None)
                elif event.type in ("ADDED", "MODIFIED"):
                    self._put(key, self._keep(event.object))
        finally:
            with contextlib.suppress(Exception):
                await events.aclose()  # type: ignore[attr-defined]
        return version
