"""A request for a group that another server serves, handed on to it as whoever asked.

What the request needed here (who asks, may they) is settled before. Source:
https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/#kubernetes-apiserver-proxies-the-request
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

import orjson

from heeler.apiserver.aggregation.services import Remote
from heeler.apiserver.aggregation.transport import Misconfigured, said_of
from heeler.apiserver.call import Call, Raw
from heeler.apiserver.extensions.forwarding import handed_back, passed_on
from heeler.apiserver.extensions.reach import Unreachable
from heeler.apiserver.request_info import RequestInfo
from heeler.apiserver.user import User
from heeler.objects.status import timeout, too_large
from heeler.wire.http.client import Answer
from heeler.wire.http.failures import failure
from heeler.wire.http.messages import Response
from heeler.wire.http.server import MAX_BODY_BYTES

if TYPE_CHECKING:
    from heeler.apiserver.aggregation.aggregator import Aggregator

#: Seconds until an answer must have begun (kube-apiserver's --request-timeout); watches and upgrades may take longer.
SECONDS = 60.0
_REDIRECTED = "the backend attempted to redirect this request, which is not permitted"
_TEXT = [("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff")]


def _text(status: int, words: str) -> Raw:
    return Raw(Response(status, list(_TEXT), f"{words}\n".encode()))


async def forward(call: Call, info: RequestInfo, user: User, remote: Remote, aggregator: Aggregator) -> Raw:
    """The other server's answer; 503 where it isn't there. Raises 413, 504."""
    if call.oversized:
        raise too_large(f"Request entity too large: limit is {MAX_BODY_BYTES}")
    if not remote.available:
        return _text(503, "service unavailable")
    url = aggregator.base(remote) + _target(call)
    headers = [*passed_on(call.headers), *said_of(user)]
    if call.peer.address:
        headers.append(("X-Forwarded-For", call.peer.address.rpartition(":")[0]))
    long = info.verb == "watch" or "upgrade" in call.headers
    try:
        client = aggregator.transport.client(remote)
        async with asyncio.timeout(None if long else SECONDS) as limit:
            body = call.body if call.object is None else orjson.dumps(call.object)
            answer = await client.request(call.method, url, headers=headers, body=body)
    except Misconfigured as error:
        return _text(500, str(error))
    except Unreachable:
        return _text(503, "service unavailable")
    except TimeoutError as error:
        if limit.expired():
            raise timeout("Timeout: request did not complete within the allotted timeout") from None
        return _text(503, f"error trying to reach service: {failure(url, error)}")
    except OSError as error:
        return _text(503, f"error trying to reach service: {failure(url, error)}")
    if await _is_redirect(answer):
        return Raw(Response(502, [], _REDIRECTED.encode()))
    return Raw(await handed_back(answer, call.method))


def _target(call: Call) -> str:
    """Path and query: the path as it was understood here, so that the other side understands it in the same way."""
    query = urlsplit(call.target).query or urlencode(call.query, doseq=True)
    path = quote(call.path, safe="/!$&'()*+,;=:@~")
    return f"{path}?{query}" if query else path


async def _is_redirect(answer: Answer) -> bool:
    """Nobody is led to somewhere else by what another server says; the connection is cut."""
    if not (300 <= answer.status <= 399 and answer.headers.get("location")):
        return False
    await answer.close()
    return True
