"""Notes which tokens of service accounts in Secrets are used: the day of the last use is a label of the Secret.

A ConfigMap says since when that is noted, so that a cleaner knows which tokens nobody has used for long. One that the
cleaner marked as invalid is good for nothing any more; that somebody tried it is noted, too.
https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#legacy-serviceaccount-token-cleaner
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from heeler.apiserver.cache import Item, key_of
from heeler.apiserver.status_writer import write
from heeler.base.clock import rfc3339
from heeler.objects.value import Object, labels_of, name_of, namespace_of
from heeler.store.store import KeyNotFound, RevisionMismatch, StoreError
from heeler.workloads.account_tokens import LAST_USED, TRACKED_SINCE, TRACKING

if TYPE_CHECKING:
    from heeler.apiserver.server import ApiServer

log = logging.getLogger(__name__)

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
        self._waiting: dict[str, None] = {}
        self._there = asyncio.Event()

    def used(self, secret: Object) -> None:
        """Somebody came with the token of a Secret."""
        if labels_of(secret).get(LAST_USED) == today(self._server.clock.time()) or len(self._waiting) >= MAX_WAITING:
            return
        kind = self._server.cache_of("", "secrets").kind
        self._waiting[key_of(kind, namespace_of(secret), name_of(secret))] = None
        self._there.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            while not self._waiting:
                self._there.clear()
                await self._there.wait()
            key = next(iter(self._waiting))
            del self._waiting[key]
            item = self._server.cache_of("", "secrets").items.get(key)
            try:
                if item is not None:
                    await self._note(item)
            except (RevisionMismatch, KeyNotFound):
                continue  # the next use notes it
            except StoreError as error:
                log.warning("the use of the token in %s was not noted: %s", key, error)

    async def _note(self, item: Item) -> None:
        live, day = item.object(), today(self._server.clock.time())
        if labels_of(live).get(LAST_USED) != day:
            labels = {**labels_of(live), LAST_USED: day}
            await write(self._server, item, {**live, "metadata": {**live["metadata"], "labels": labels}})
