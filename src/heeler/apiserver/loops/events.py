"""Events go an hour after they were last written (kube-apiserver's --event-ttl; there a lease in etcd does it).

The store tells no times: a revision that wasn't there at the last round counts as written then; what stood there at the
server's start tells its time itself.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from heeler.base.clock import parse_rfc3339
from heeler.objects.value import Object, Revision, meta
from heeler.store.store import KeyNotFound, RevisionMismatch, StoreError

if TYPE_CHECKING:
    from heeler.apiserver.server import ApiServer

log = logging.getLogger(__name__)

#: Seconds between rounds.
INTERVAL_SECONDS = 60.0
#: Deletions at the same time.
AT_ONCE = 64


def last_written(event: Object) -> float | None:
    """The latest time that an event tells, in seconds since the epoch; None if it tells none that can be read."""
    told = [event.get("lastTimestamp"), event.get("eventTime"), meta(event).get("creationTimestamp")]
    told.append((event.get("series") or {}).get("lastObservedTime"))
    out = []
    for text in told:
        try:
            out.append(parse_rfc3339(text or ""))
        except ValueError:
            continue
    return max(out, default=None)


async def expire_for_ever(server: ApiServer, ttl: float, interval: float = INTERVAL_SECONDS) -> None:
    """Run until cancelled. `ttl` in seconds; 0 or less keeps events for ever."""
    if ttl <= 0:
        return
    cache = server.cache_of("", "events")
    known: dict[str, tuple[Revision, float]] = {}
    first = True
    while True:
        now, seen = server.clock.time(), known
        known = {}
        for key, item in cache.items.items():
            before = seen.get(key)
            if before is not None and before[0] == item.revision:
                known[key] = before
            else:
                known[key] = item.revision, (last_written(item.object()) if first else None) or now
        first = False
        old = [(key, revision) for key, (revision, at) in known.items() if now - at >= ttl]
        for start in range(0, len(old), AT_ONCE):
            await asyncio.gather(*(_remove(server, *one) for one in old[start : start + AT_ONCE]))
        await server.clock.sleep(interval)


async def _remove(server: ApiServer, key: str, revision: Revision) -> None:
    try:
        await server.store.delete(key, revision)
    except (KeyNotFound, RevisionMismatch):
        return  # it is gone, or was written just now
    except StoreError as error:
        log.warning("an old event was not removed, tried again later: %s", error)
