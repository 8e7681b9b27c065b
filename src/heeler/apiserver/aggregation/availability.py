"""Is another API server there? What its Service and endpoints say, then what it says itself.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/setup-extension-api-server/ ; reasons and messages are those
of kube-apiserver.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from heeler.apiserver.aggregation.services import Remote
from heeler.apiserver.aggregation.transport import Misconfigured, Transport, said_of
from heeler.apiserver.user import MASTERS, User
from heeler.objects.faults import quote
from heeler.objects.value import Object
from heeler.wire.http.failures import failure

if TYPE_CHECKING:
    from heeler.wire.http.client import Answer

#: Times that discovery is asked at once: one good answer is enough.
ATTEMPTS = 5
#: Seconds for an answer.
PATIENCE = 5.0
#: Bytes of a body that are read so that the connection can be used again.
MAX_BODY = 4 << 20
AGGREGATOR = User("system:kube-aggregator", "", (MASTERS,))


class Finding(NamedTuple):
    """A condition's status, reason and message."""

    status: str
    reason: str
    message: str


PASSED = Finding("True", "Passed", "all checks passed")


def of_service(remote: Remote, service: Object | None, slices: list[Object]) -> Finding | None:
    """What speaks against it before anybody is asked; None if nothing does. Pure."""
    shown = f"service/{remote.service} in {quote(remote.namespace)}"
    if service is None:
        return Finding("False", "ServiceNotFound", f"{shown} is not present")
    if service["spec"].get("type", "ClusterIP") != "ClusterIP":
        return None
    port = next((p for p in service["spec"].get("ports") or () if p.get("port") == remote.port), None)
    if port is None:
        return Finding("False", "ServicePortError", f"{shown} is not listening on port {remote.port}")
    if not slices:
        return Finding("False", "EndpointsNotFound", f"cannot find endpointslices for {shown}")
    name = port.get("name") or ""
    if not any(_serves(one, name) for one in slices):
        why = f"endpointslices for {shown} have no addresses with port name {quote(name)}"
        return Finding("False", "MissingEndpoints", why)
    return None


def _serves(slice: Object, port: str) -> bool:
    ready = any((e.get("conditions") or {}).get("ready") is not False for e in slice.get("endpoints") or ())
    return ready and any((p.get("name") or "") == port and p.get("port") for p in slice.get("ports") or ())


async def of_discovery(remote: Remote, url: str, transport: Transport) -> Finding:
    """What its discovery document's address answers."""
    attempts = [asyncio.ensure_future(_ask(remote, url, transport)) for _ in range(ATTEMPTS)]
    problem = ""
    try:
        for one in asyncio.as_completed(attempts):
            problem = await one
            if not problem:
                return PASSED
    finally:
        for attempt in attempts:
            attempt.cancel()
        await asyncio.gather(*attempts, return_exceptions=True)
    return Finding("False", "FailedDiscoveryCheck", problem)


async def _ask(remote: Remote, url: str, transport: Transport) -> str:
    """What is wrong with one answer, "" for a good one."""
    missing = f"failing or missing response from {url}: "
    try:
        client = transport.client(remote)
        async with asyncio.timeout(PATIENCE):
            answer = await client.request("GET", url, headers=said_of(AGGREGATOR))
            await _swallow(answer)
    except Misconfigured as error:
        return str(error)
    except TimeoutError:
        return f'{missing}Get "{url}": context deadline exceeded'
    except OSError as error:
        return f'{missing}Get "{url}": {failure(url, error)}'
    if not 200 <= answer.status < 300:
        return f"{missing}bad status from {url}: {answer.status}"
    return ""


async def _swallow(answer: Answer) -> None:
    size = 0
    try:
        async for chunk in answer.chunks():
            size += len(chunk)
            if size > MAX_BODY:
                return
    finally:
        await answer.close()
