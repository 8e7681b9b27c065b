"""What came of a request, for its record: the answer's status and object, and the end of answers that go on for long."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, TypeVar

import orjson

from heeler.apiserver.audit.record import Record
from heeler.apiserver.call import Call, Many, One, Plain, Raw, Result, Watching
from heeler.apiserver.encode import document
from heeler.apiserver.negotiate import Format
from heeler.objects.status import StatusError, unavailable
from heeler.store.store import StoreUnavailable
from heeler.wire.http.messages import Response, Stream, Upgrade

if TYPE_CHECKING:
    from heeler.apiserver.server import ApiServer

T = TypeVar("T")


def failed(record: Record, error: Exception) -> None:
    """The request was refused, or something broke."""
    if isinstance(error, StoreUnavailable):
        error = unavailable(str(error))
    if isinstance(error, StatusError):
        record.answered(error.code, error.status())
        record.complete()
    else:
        record.answered(500, None)
        record.complete("Panic")


def done(record: Record, result: Result, call: Call, format: Format, server: ApiServer) -> Result:
    """The same result; one that goes on for long writes down its end."""
    if isinstance(result, Watching):
        record.answered(200, None)
        record.begun()
        return Watching(result.kind, result.api_version, _until_the_end(result.events, record))
    if isinstance(result, Raw):
        return _raw(record, result)
    record.answered(*_answer(record, result, call, format, server))
    record.complete()
    return result


def _answer(
    record: Record, result: One | Many | Plain, call: Call, format: Format, server: ApiServer
) -> tuple[int, dict[str, object] | None]:
    if record.wants_response:
        status, body = document(result, call, format, server)
        return status, orjson.loads(body) if isinstance(body, bytes) else body
    if isinstance(result, Plain):
        return result.status, result.object
    return result.status if isinstance(result, One) else 200, None


def _raw(record: Record, result: Raw) -> Raw:
    found = result.response
    if isinstance(found, Response) and isinstance(found.body, bytes):
        record.answered(found.status, None)
        record.complete()
        return result
    record.answered(found.status if isinstance(found, Response) else 101, None)
    record.begun()
    if isinstance(found, Upgrade):
        run = found.run

        async def recorded(stream: Stream) -> None:
            try:
                await run(stream)
            finally:
                record.complete()

        return Raw(Upgrade(found.headers, recorded))
    assert not isinstance(found.body, bytes)
    return Raw(Response(found.status, found.headers, _until_the_end(found.body, record)))


async def _until_the_end(items: AsyncIterator[T], record: Record) -> AsyncIterator[T]:
    try:
        async for item in items:
            yield item
    finally:
        try:
            await items.aclose()  # type: ignore[attr-defined]
        finally:
            record.complete()
