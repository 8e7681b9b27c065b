"""Notes which tokens of service accounts in Secrets are used: the day of the last use is a label of the Secret.

A ConfigMap says since when that is noted, so that a cleaner knows which tokens nobody has used for long. One that the
cleaner marked as invalid is good for nothing any more; that somebody tried it is noted, too.
https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#legacy-serviceaccount-token-cleaner
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from heeler.apiserver.cache import Item, encode, key_of
from heeler.apiserver.verbs.fields import ignored_fields
from heeler.base.clock import rfc3339
from heeler.objects import apply
from heeler.objects.value import Object, labels_of, name_of, namespace_of
from heeler.store.store import KeyNotFound, RevisionMismatch, StoreError
from heeler.workloads.account_tokens import LAST_USED, TRACKED_SINCE, TRACKING

if TYPE_CHECKING:
    from heeler.apiserver.server import ApiServer

log = logging.getLogger(__name__)

MANAGER = "kube-apiserver"
#: Secrets whose use waits to be noted; of more none is.
MAX_WAITING = 1000


def today(now: float) -> str:
    """The day of a moment (seconds since the epoch) in UTC, as the labels have it."""
    return rfc3339(now)[:10]


def tracking(now: float) -> Object:
    """The ConfigMap that says since when uses are noted."""
    metadata = {"name": TRACKING, "namespace": "kube-system"}
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": {TRACKED_SINCE: today(now)}}


class LegacyTokens:
    """`used` may be called at every request; `run` writes."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._waiting: asyncio.Queue[str] = asyncio.Queue(MAX_WAITING)
        self._queued: dict[str, None] = {}

    def used(self, secret: Object) -> None:
        """Somebody came with the token of a Secret."""
        cache = self._server.cache_of("", "secrets")
        key = key_of(cache.kind, namespace_of(secret), name_of(secret))
        if labels_of(secret).get(LAST_USED) == today(self._server.clock.time()):
            return
        if key not in self._queued and not self._waiting.full():
            self._queued[key] = None
            self._waiting.put_nowait(key)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            key = await self._waiting.get()
            self._queued.pop(key, None)
            item = self._server.cache_of("", "secrets").items.get(key)
            try:
                if item is not None:
                    await self._note(item)
            except (RevisionMismatch, KeyNotFound):
                continue  # the next use notes it
            except StoreError as error:
                log.warning("the use of the token in %s was not noted: %s", key, error)

    async def _note(self, item: Item) -> None:
        live, kind, now = item.object(), item.kind, self._server.clock.time()
        day = today(now)
        if labels_of(live).get(LAST_USED) == day:
            return
        new: Object = {**live, "metadata": {**live["metadata"], "labels": {**labels_of(live), LAST_USED: day}}}
        new["metadata"]["managedFields"] = apply.track_update(
            live,
            new,
            kind.type(kind.storage_version),
            manager=MANAGER,
            api_version=kind.storage_api_version,
            now=rfc3339(now),
            ignored=ignored_fields(kind, ""),
        )
        await self._server.store.update(item.key, encode(new), item.revision)
