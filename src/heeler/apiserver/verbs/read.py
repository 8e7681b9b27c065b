"""Get, list and watch: read from the cache, or from the store's past.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/ (resource versions, chunks, watches).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import orjson

from heeler.apiserver.body import Unparsable, parse_json
from heeler.apiserver.cache import Event, Item, ResourceCache, Watcher, key_of
from heeler.apiserver.call import Call, Many, One, Watching
from heeler.apiserver.options import (
    ListOptions,
    list_options,
    parse_revision,
    revision_fault,
    unparsable_revision,
)
from heeler.objects import selectors
from heeler.objects.status import StatusError, bad_request, expired, not_found
from heeler.objects.value import Object, Revision
from heeler.store.store import Compacted, FutureRevision

if TYPE_CHECKING:
    from heeler.apiserver.request import Context
    from heeler.kinds.kind import Kind

#: Seconds that a watch lasts when the client doesn't say: between these two (upstream: 1800 to 3600).
WATCH_SECONDS = (1800, 3600)
#: Seconds to wait for a revision that isn't there yet.
FUTURE_SECONDS = 3.0
#: Seconds between two bookmarks of a quiet watch.
BOOKMARK_SECONDS = 60.0

Matches = Callable[[Item], bool]


async def get(call: Call, context: Context) -> One:
    server, kind, info = context.server, context.kind, context.info
    text = call.param("resourceVersion")
    if text and text != "0":
        try:
            await _wait_for(context, parse_revision(text))
        except ValueError as error:
            raise unparsable_revision(text, error) from None
    else:
        await server.freshen()
    item = server.cache.of(kind).items.get(key_of(kind, info.namespace, info.name))
    if item is None:
        raise not_found(kind.plural, kind.group, info.name)
    await server.conversions.ready_to_read(item, context.api_version)
    return One(kind, context.api_version, item)


async def list_(call: Call, context: Context) -> Many:
    page = await _page(call, context)
    await context.server.conversions.ready_to_list(page.items, context.api_version)
    return page


async def _page(call: Call, context: Context) -> Many:
    options = list_options(call, watch=False)
    kind, server = context.kind, context.server
    cache = server.cache.of(kind)
    matches = selection(options, context)
    prefix = scope(context)
    if options.continue_token:
        at, after = _decode_token(options, prefix)
        return await _page_of_the_past(context, prefix, at, after, matches, options.limit)
    try:
        wanted = parse_revision(options.revision) if options.revision else 0
    except ValueError as error:
        raise bad_request(f"invalid resource version: {revision_fault(options.revision, error)}") from None
    if wanted and (options.match == "Exact" or (options.limit > 0 and not options.match)):
        return await _page_of_the_past(context, prefix, Revision(wanted), "", matches, options.limit)
    if wanted:
        await _wait_for(context, wanted)
    elif options.revision != "0":
        await server.freshen()
    at = server.cache.revision
    items = await matching(list(cache.range(prefix)), context, matches)
    limit = 0 if options.revision == "0" else max(0, options.limit)
    return _cut(context, items, at, limit, prefix, exact=matches is None)


async def matching(items: list[Item], context: Context, matches: Matches | None) -> list[Item]:
    """Those items that match, in the version that was asked for."""
    if matches is not None:
        await context.server.conversions.ready_to_list(items, context.api_version)
        items = [item for item in items if matches(item)]
    return items


def scope(context: Context) -> str:
    """The prefix of the keys that a request on a collection is about."""
    prefix = context.server.cache.of(context.kind).prefix
    if context.kind.namespaced and context.info.namespace:
        prefix += context.info.namespace + "/"
    return prefix


def selection(options: ListOptions, context: Context) -> Matches | None:
    """What an item must be like; None for no condition. Raises 400 for selectors that can't be."""
    kind = context.kind
    labels = _parsed(selectors.parse_labels, options.label_selector)
    fields = _parsed(selectors.parse_fields, options.field_selector)
    for term in fields.terms if fields else ():
        if term.field not in kind.selectable:
            raise bad_request(kind.unsupported_label(term.field))
    if context.info.name and not context.info.by_field:  # an old path that watches one object
        fields = selectors.parse_fields(f"metadata.name={context.info.name}")
    use_labels = labels if labels and not labels.everything else None
    use_fields = fields if fields and not fields.everything else None
    if use_labels is None and use_fields is None:
        return None
    getters = kind.selectable
    names = tuple(t.field for t in use_fields.terms) if use_fields else ()
    by_name = all(n in ("metadata.name", "metadata.namespace") for n in names)

    def matches(item: Item) -> bool:
        if use_fields is not None and by_name:
            values = {"metadata.name": item.name, "metadata.namespace": item.namespace}
            if not use_fields.matches(values):
                return False
        if use_labels is None and by_name:
            return True
        obj = item.in_version(kind.storage_api_version)
        if use_fields is not None and not by_name and not use_fields.matches({n: getters[n](obj) for n in names}):
            return False
        return use_labels is None or use_labels.matches(obj["metadata"].get("labels"))

    return matches


def _parsed(parse: Callable[[str], object], text: str):  # type: ignore[no-untyped-def]
    if not text:
        return None
    try:
        return parse(text)
    except ValueError as error:
        raise bad_request(str(error)) from None


async def _wait_for(context: Context, revision: int) -> None:
    """Until the cache has this revision. Raises 504 when it doesn't come."""
    cache = context.server.cache
    if cache.revision >= revision:
        return
    await context.server.freshen()
    if cache.revision >= revision:
        return
    if revision - cache.revision < 1000:  # one that may come
        try:
            async with asyncio.timeout(FUTURE_SECONDS):
                await cache.wait(revision)
            return
        except TimeoutError:
            pass
    raise too_large_revision(revision, cache.revision)


def too_large_revision(wanted: int, current: int) -> StatusError:
    details = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    text = f"Timeout: Too large resource version: {wanted}, current: {current}"
    return StatusError(504, "Timeout", text, details, (("retry-after", "1"),))


async def _page_of_the_past(
    context: Context, prefix: str, at: Revision, after: str, matches: Matches | None, limit: int
) -> Many:
    """Items as they were at a revision, read from the store."""
    server = context.server
    if at > server.cache.revision:
        await server.freshen()
    try:
        page = await server.store.list(prefix, revision=at, after=after, limit=max(0, limit) if matches is None else 0)
    except Compacted:
        if after:
            raise _expired_token(context, prefix, after) from None
        raise expired("The provided resource version is too old.") from None
    except FutureRevision as error:
        raise too_large_revision(at, error.current) from None
    items = [Item(context.kind, e.key, e.value, e.revision) for e in page.entries]
    if matches is not None:
        found = await matching(items, context, matches)
        return _cut(context, found, at, max(0, limit), prefix, exact=False)
    out = Many(context.kind, context.api_version, items, at)
    if page.remaining:
        out.continue_token = _encode_token(at, items[-1].key, prefix)
        out.remaining = page.remaining
    return out


def _expired_token(context: Context, prefix: str, after: str) -> StatusError:
    token = _encode_token(Revision(-1), after, prefix)
    error = expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
        "modified, or deleted between the time the first chunk was returned and now may show up in the list."
    )
    error.metadata = {"continue": token}
    return error


def _cut(context: Context, items: list[Item], at: int, limit: int, prefix: str, *, exact: bool) -> Many:
    """The first page of what was selected; the rest is counted only when nothing was selected by."""
    out = Many(context.kind, context.api_version, items, at)
    if limit and len(items) > limit:
        out.items = items[:limit]
        out.continue_token = _encode_token(Revision(at), out.items[-1].key, prefix)
        out.remaining = len(items) - limit if exact else None
    return out


def _encode_token(revision: Revision, key: str, prefix: str) -> str:
    start = key.removeprefix(prefix) + "\0"
    raw = orjson.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": start})
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode_token(options: ListOptions, prefix: str) -> tuple[Revision, str]:
    """The revision and the last key of the page before. Raises 400."""

    def refuse(why: str) -> StatusError:
        return bad_request(f"invalid continue token: continue key is not valid: {why}")

    text = options.continue_token
    for position, char in enumerate(text):
        if not (char.isascii() and (char.isalnum() or char in "-_")):
            raise refuse(f"illegal base64 data at input byte {position}")
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise refuse(f"illegal base64 data at input byte {len(text)}") from None
    try:
        token = parse_json(raw)
    except Unparsable as error:
        raise refuse(str(error)) from None
    if not isinstance(token, dict) or token.get("v") != "meta.k8s.io/v1":
        version = token.get("v", "") if isinstance(token, dict) else ""
        raise refuse(f"server does not recognize this encoded version {version}")
    revision, start = token.get("rv"), token.get("start")
    if not isinstance(revision, int) or revision == 0:
        raise refuse("incorrect encoded start resourceVersion (version meta.k8s.io/v1)")
    if not isinstance(start, str) or not start:
        raise refuse("encoded start key empty (version meta.k8s.io/v1)")
    if ".." in start.split("/"):
        raise refuse(start)
    if options.revision and options.revision != "0":
        raise bad_request("specifying resource version is not allowed when using continue")
    return Revision(revision), prefix + start.removesuffix("\0")


async def watch(call: Call, context: Context) -> Watching:
    options = list_options(call, watch=True)
    server, kind = context.server, context.kind
    cache = server.cache.of(kind)
    matches = selection(options, context)
    if context.info.name and not context.info.by_field and not context.info.watch_path:
        await get(Call("GET", call.path), context)  # watching one object by its path: it must be there
    try:
        revision = parse_revision(options.revision) if options.revision else 0
    except ValueError as error:
        raise unparsable_revision(options.revision, error) from None
    if revision and options.initial_events is None and revision < cache.oldest:
        return Watching(kind, context.api_version, _gone(revision, cache))
    if revision > server.cache.revision:
        await server.freshen()
    if options.initial_events or not options.revision:
        await server.freshen()
    if options.initial_events and revision:
        await _wait_for(context, revision)
    low, high = WATCH_SECONDS
    seconds = options.timeout if options.timeout else low + server.random.below(high - low)
    stream = _Stream(context, cache, matches, scope(context), options, revision, max(0, seconds))
    return Watching(kind, context.api_version, stream.events())


async def _gone(revision: int, cache: ResourceCache) -> AsyncIterator[Event]:
    """A watch that begins too early ends with one error event."""
    raise expired(f"too old resource version: {revision} ({cache.oldest})")
    yield  # this makes it a generator


class _Stream:
    """One watch under way."""

    def __init__(
        self,
        context: Context,
        cache: ResourceCache,
        matches: Matches | None,
        prefix: str,
        options: ListOptions,
        revision: int,
        seconds: int,
    ) -> None:
        self._context = context
        self._cache = cache
        self._matches = matches
        self._prefix = prefix
        self._options = options
        self._revision = revision
        self._seconds = seconds
        self._waits = context.kind.webhook is not None

    async def events(self) -> AsyncIterator[Event]:
        """What happened and happens, until the time is over. Raises 410 inside the stream when it fell behind."""
        cache, prefix = self._cache, self._prefix
        whole = prefix == cache.prefix
        watcher = Watcher(None if whole else lambda key: key.startswith(prefix))
        loop = asyncio.get_running_loop()
        end = loop.time() + self._seconds
        alarm: asyncio.TimerHandle | None = None
        cache.watchers[watcher] = None
        try:
            present, past, seen = self._begin(watcher)
            present = await matching(present, self._context, self._matches)
            await self._context.server.conversions.ready_to_list(present, self._context.api_version)
            for item in present:
                yield Event("ADDED", item, None, item.revision)
            if self._options.initial_events and self._options.bookmarks:
                yield bookmark(self._context.kind, cache, seen, initial_end=True)
            for event in past:
                shown = await self._show(event) if self._waits else self._shown(event)
                if shown is not None:
                    yield shown
            next_bookmark = loop.time() + BOOKMARK_SECONDS
            while True:
                while watcher.queue:
                    event = watcher.queue.popleft()
                    seen = event.revision
                    shown = await self._show(event) if self._waits else self._shown(event)
                    if shown is not None:
                        yield shown
                if watcher.overflown:
                    raise expired("the watch fell too far behind; list again")
                now = loop.time()
                if now >= end:
                    return
                if self._options.bookmarks and now >= next_bookmark:
                    seen = max(seen, self._context.server.cache.revision)
                    yield bookmark(self._context.kind, self._cache, seen)
                    next_bookmark = now + BOOKMARK_SECONDS
                if alarm is None or alarm.when() < now + 0.001:  # it lasts for many events
                    until = min(end, next_bookmark) if self._options.bookmarks else end
                    alarm = loop.call_at(until, watcher.wake)
                await watcher.wait()
        finally:
            if alarm is not None:
                alarm.cancel()
            cache.watchers.pop(watcher, None)

    def _begin(self, watcher: Watcher) -> tuple[list[Item], list[Event], int]:
        """The present state or what happened since the revision, not chosen from yet, and the revision that this is."""
        cache = self._cache
        server_revision = self._context.server.cache.revision
        initial = self._options.initial_events
        if self._revision == 0 or initial:
            return [] if initial is False else list(cache.range(self._prefix)), [], server_revision
        past = cache.since(Revision(self._revision))
        return [], [e for e in past if watcher.accept is None or watcher.accept(e.item.key)], server_revision

    async def _show(self, event: Event) -> Event | None:
        """The event as this watch sees it, once a webhook has made the objects of the watch's version."""
        conversions, version = self._context.server.conversions, self._context.api_version
        before = [event.previous] if event.previous is not None and self._matches is not None else []
        await conversions.ready([event.item, *before], version)
        shown = self._shown(event)
        if shown is not None and shown is not event:
            await conversions.ready([shown.item], version)
        return shown

    def _shown(self, event: Event) -> Event | None:
        """The event as this watch sees it: an object that begins to match is added, one that ceases to is deleted."""
        if event.revision <= self._revision:
            return None
        matches = self._matches
        if matches is None:
            return event
        now = event.type != "DELETED" and matches(event.item)
        before = event.previous is not None and matches(event.previous)
        if event.type == "DELETED":
            return event if before or (event.previous is None and matches(event.item)) else None
        if now and before:
            return event if event.type == "MODIFIED" else _as("MODIFIED", event)
        if now:
            return event if event.type == "ADDED" else _as("ADDED", event)
        if before:
            assert event.previous is not None
            gone = Item(self._cache.kind, event.item.key, event.previous.value, event.item.revision)
            return Event("DELETED", gone, event.previous, event.revision)
        return None


def _as(type: str, event: Event) -> Event:
    """The same object under another type."""
    return Event(type, event.item, event.previous, event.revision)  # type: ignore[arg-type]


def bookmark(kind: Kind, cache: ResourceCache, revision: int, *, initial_end: bool = False) -> Event:
    """An event that only says how far the watch has come. There are many of them: none is parsed again."""
    metadata: Object = {"annotations": {"k8s.io/initial-events-end": "true"}} if initial_end else {}
    obj = {"kind": kind.kind, "apiVersion": kind.storage_api_version, "metadata": metadata}
    value = orjson.dumps(obj)
    metadata["resourceVersion"] = str(revision)
    return Event("BOOKMARK", Item(kind, cache.prefix, value, Revision(revision), obj), None, Revision(revision))
