"""What a component serves of itself, and to whom; answers as kube-controller-manager 1.37.2 gave them."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from heeler.base.clock import SystemClock
from heeler.client.component_server import ComponentServer, Serving
from heeler.wire.http.client import HttpClient
from heeler.wire.http.messages import Peer, Request, Response

NOBODY = Peer()


class Reviewer:
    """An API server that knows one token, of who may read /metrics."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def create(self, resource: Any, obj: Any, *_: Any, **__: Any) -> Any:
        self.asked.append(resource.resource)
        if resource.resource == "tokenreviews":
            known = obj["spec"]["token"] == "good"
            user = {"user": {"username": "prometheus", "groups": ["system:monitoring"]}} if known else {}
            return {"status": {"authenticated": known, **user}}
        spec = obj["spec"]
        allowed = "system:monitoring" in spec["groups"] and spec["nonResourceAttributes"]["path"] == "/metrics"
        return {"status": {"allowed": allowed}}


def server(reviewer: Any = None) -> ComponentServer:
    pages = {"/healthz": lambda: "ok", "/metrics": lambda: "numbers"}
    return ComponentServer(reviewer or Reviewer(), pages, clock=SystemClock())


async def ask(at: ComponentServer, path: str, token: str = "", method: str = "GET", peer: Peer = NOBODY) -> Response:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    found = await at.handle(Request(method, path, path, headers=headers, peer=peer))
    assert isinstance(found, Response)
    return found


@pytest.mark.parametrize(
    ("path", "token", "method", "code", "body"),
    [
        ("/healthz", "", "GET", 200, "ok"),
        ("/healthz", "bad", "GET", 200, "ok"),
        ("/livez", "", "GET", 404, "404 page not found\n"),
        ("/healthz", "", "POST", 405, "405 method not allowed\n"),
        ("/metrics", "good", "GET", 200, "numbers"),
        ("/metrics", "bad", "GET", 401, "Unauthorized"),
        ("/metrics", "", "GET", 403, 'forbidden: User "system:anonymous" cannot get path "/metrics"'),
        ("/nope", "", "GET", 403, 'forbidden: User "system:anonymous" cannot get path "/nope"'),
        ("/nope", "good", "GET", 403, 'forbidden: User "prometheus" cannot get path "/nope"'),
    ],
)
def test_who_reads_what(path: str, token: str, method: str, code: int, body: str) -> None:
    found = asyncio.run(ask(server(), path, token, method))
    assert found.status == code
    assert isinstance(found.body, bytes)
    text = found.body.decode()
    assert (orjson.loads(text)["message"] if text.startswith("{") else text) == body


def test_a_verified_certificate_is_somebody_too() -> None:
    peer = Peer("127.0.0.1", "prometheus", ("system:monitoring",))
    assert asyncio.run(ask(server(), "/metrics", peer=peer)).status == 200


def test_answers_are_remembered_for_a_while() -> None:
    async def twice() -> list[str]:
        reviewer = Reviewer()
        at = server(reviewer)
        for _ in range(3):
            await ask(at, "/metrics", "good")
            await ask(at, "/metrics", "bad")
        return reviewer.asked

    assert asyncio.run(twice()) == ["tokenreviews", "subjectaccessreviews", "tokenreviews"]


def test_an_api_server_that_is_away_is_no_secret() -> None:
    class Away:
        async def create(self, *_: Any, **__: Any) -> Any:
            raise OSError("connection refused")

    assert asyncio.run(ask(server(Away()), "/metrics", "good")).status == 503


def test_an_api_server_that_never_answers_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heeler.client.component_server.ASK_SECONDS", 0.01)

    class Mute:
        async def create(self, *_: Any, **__: Any) -> Any:
            await asyncio.get_running_loop().create_future()

    assert asyncio.run(ask(server(Mute()), "/metrics", "good")).status == 503


def test_it_listens_with_a_certificate_of_its_own() -> None:
    async def over_tls() -> tuple[int, bytes]:
        listening = await server().start(Serving())
        import ssl

        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client = HttpClient(context)
        try:
            answer = await client.request("GET", f"https://127.0.0.1:{listening.port}/healthz")
            return answer.status, await answer.read()
        finally:
            await client.close()
            await listening.close()

    assert asyncio.run(over_tls()) == (200, b"ok")
