"""A request handed on to another server, and its answer handed back: streamed both when it is long and when it upgrades."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from heeler.wire.http.client import Answer
from heeler.wire.http.messages import Response, Upgrade
from heeler.wire.streams.pipe import join

#: Headers of one connection only, and what is for this server alone: nobody else sees whose request it is by them.
_HOP = (
    "authorization connection content-length expect host keep-alive proxy-authenticate proxy-authorization te trailer "
    "transfer-encoding x-remote-user x-remote-group x-remote-uid"
).split()
_OURS = ("impersonate-", "x-remote-extra-")
#: Answers without a body.
_EMPTY = (204, 304)


def passed_on(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """The headers of a request that the other side gets."""
    kept = [(k, v) for k, v in headers.items() if k not in _HOP and not k.startswith(_OURS)]
    return [*kept, ("connection", "Upgrade")] if "upgrade" in headers else kept


async def _done() -> None:
    return None


async def handed_back(
    answer: Answer,
    method: str,
    *,
    header: Callable[[str, str], str] = lambda name, value: value,
    done: Callable[[], Awaitable[None]] = _done,
) -> Response | Upgrade:
    """The other side's answer as ours. `header` may change a header's value, `done` is called when the body has ended."""
    headers = [(k, header(k, v)) for k, v in answer.headers.items() if k not in _HOP]
    if answer.status == 101:
        return Upgrade([*headers, ("connection", "Upgrade")], functools.partial(join, answer.stream()))
    if answer.status in _EMPTY or method == "HEAD":
        await answer.read()
        await done()
        return Response(answer.status, headers)
    return Response(answer.status, headers, _body(answer, done))


async def _body(answer: Answer, done: Callable[[], Awaitable[None]]) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.chunks():
            yield chunk
    finally:
        await answer.close()
        await done()
