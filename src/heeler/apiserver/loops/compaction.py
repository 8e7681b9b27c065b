"""Forget old revisions: each round compacts to where the store was a round ago (upstream: every five minutes)."""

from __future__ import annotations

import logging

from heeler.base.clock import Clock
from heeler.store.store import Store, StoreError

log = logging.getLogger(__name__)

#: Seconds between rounds (kube-apiserver's --etcd-compaction-interval).
INTERVAL_SECONDS = 300.0


async def compact_for_ever(store: Store, clock: Clock, interval: float = INTERVAL_SECONDS) -> None:
    """Run until cancelled."""
    before = store.revision
    while True:
        await clock.sleep(interval)
        now = store.revision
        if before:
            try:
                await store.compact(before)
            except StoreError as error:
                log.warning("compaction failed, tried again later: %s", error)
        before = now
