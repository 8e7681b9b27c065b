"""A kubelet's HTTPS API: logs, exec, attach, port-forward, health, a small summary of statistics.

Only the API server's client certificate is let in (mutual TLS); /healthz likewise. It listens on the host's loopback.
The API server hands an upgraded connection on as it is, so the stream protocols are spoken here.
Source: the paths that kube-apiserver calls (k8s.io/kubernetes' registry/core/pod/rest).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from heeler.base import pki
from heeler.base.clock import parse_rfc3339
from heeler.base.dialing import dial_error
from heeler.base.files import remove_tree
from heeler.base.netns import NetNamespace
from heeler.kubelet import forward, logs, remote
from heeler.kubelet.options import NodeOptions
from heeler.kubelet.pods import config
from heeler.kubelet.pods.views import ContainerView, container_of
from heeler.kubelet.pods.worker import PodWorker
from heeler.kubelet.runtime.containerd import RuntimePaths
from heeler.kubelet.runtime.cri import RuntimeFault
from heeler.kubelet.runtime.tasks import Tasks
from heeler.kubelet.sessions import Session, WebSocketSession, handshake
from heeler.kubelet.spdy import TUNNEL, SpdyConnection, SpdySession, Tunnel
from heeler.kubelet.summary import Statistics
from heeler.objects.value import Object, name_of
from heeler.wire.http import server as http
from heeler.wire.http.messages import Request, Response, Stream, Upgrade
from heeler.wire.streams import channels
from heeler.wire.streams.pipe import TCP_TUNNEL, pipe

if TYPE_CHECKING:
    from heeler.kubelet.pods.manager import Agent


SPDY_HEADERS = (("upgrade", "SPDY/3.1"), ("connection", "Upgrade"))
#: A connection that becomes one into the node's network, and the seconds that it may take.
TUNNEL_SECONDS = 10.0
#: Seconds that a client may take to open its streams.
STREAM_SECONDS = 30.0


class Refused(Exception):
    """An answer in plain text, as a kubelet gives it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def _text(code: int, message: str) -> Response:
    return Response(code, [("content-type", "text/plain; charset=utf-8")], message.encode())


class KubeletApi:
    """Answers the requests of one node's API server."""

    def __init__(self, options: NodeOptions, agent: Agent, tasks: Tasks) -> None:
        self._options, self._agent, self._tasks = options, agent, tasks
        self._context = agent.context
        self._statistics = Statistics(agent)

    async def handle(self, request: Request) -> Response | Upgrade:
        wanted = self._options.api_client_name
        if wanted and request.peer.common_name != wanted:
            return _text(403, "Forbidden")
        parts = [part for part in request.path.split("/") if part]
        try:
            return await self._route(request, parts)
        except Refused as refusal:
            return _text(refusal.code, str(refusal))
        except RuntimeFault as fault:
            return _text(500, fault.message)

    async def _route(self, request: Request, parts: list[str]) -> Response | Upgrade:
        match parts:
            case ["healthz" | "livez" | "readyz", *_] if request.method == "GET":
                return _text(200, "ok")
            case ["stats", "summary"] if request.method == "GET":
                return await self._summary(request)
            case ["metrics", "resource"] if request.method == "GET":
                return _metrics(await self._statistics.resource_text())
            case ["metrics", "cadvisor"] if request.method == "GET":
                return _metrics(await self._statistics.cadvisor_text())
            case ["containerLogs", namespace, pod, container] if request.method == "GET":
                return await self._logs(request, self._pod(namespace, pod), container)
            case ["exec", namespace, pod, container] | ["exec", namespace, pod, _, container]:
                return self._exec(request, self._pod(namespace, pod), container)
            case ["attach", namespace, pod, container] | ["attach", namespace, pod, _, container]:
                return self._attach(request, self._pod(namespace, pod), container)
            case ["portForward", namespace, pod] | ["portForward", namespace, pod, _]:
                return self._forward(request, self._pod(namespace, pod))
            case ["tunnel", host, port] if request.headers.get("upgrade") == TCP_TUNNEL:
                return await self._tunnel(host, port)
        return _text(404, "404 page not found")

    def _pod(self, namespace: str, name: str) -> PodWorker:
        worker = self._agent.pod(namespace, name)
        if worker is None:
            raise Refused(404, f'pod "{name}" not found in namespace "{namespace}"')
        return worker

    @staticmethod
    def _container(worker: PodWorker, name: str) -> Object:
        found = container_of(worker.pod, name)
        if found is None:
            raise Refused(400, f"container {name} is not valid for pod {name_of(worker.pod)}")
        return found

    # Logs

    async def _logs(self, request: Request, worker: PodWorker, name: str) -> Response:
        self._container(worker, name)
        options = _log_options(request, self._context.clock.time())
        previous = request.param("previous") in ("true", "1")
        latest = worker.view.latest(name)
        shown: ContainerView | None = latest
        if previous:
            # A crashed container that waits for its next start is the previous one already.
            waits = latest is not None and latest.state == "exited" and name in worker.memory.waiting
            shown = latest if waits else worker.view.previous(name)
            if shown is None:
                text = f'previous terminated container "{name}" in pod "{name_of(worker.pod)}" not found'
                raise Refused(400, text)
        if shown is None:
            waiting = worker.memory.waiting.get(name)
            reason = waiting.reason if waiting is not None else "ContainerCreating"
            if reason in ("ErrImagePull", "ImagePullBackOff"):
                reason = "trying and failing to pull image"
            raise Refused(400, f'container "{name}" in pod "{name_of(worker.pod)}" is waiting to start: {reason}')
        folder = config.pod_log_dir(self._options.logs_dir, worker.pod) / name
        path, found = folder / f"{shown.attempt}.log", shown.id

        def running() -> bool:
            return any(c.id == found and c.state == "running" for c in worker.view.containers) and not worker.gone

        body: AsyncIterator[bytes] = logs.read(path, options, running, self._context.clock)
        return Response(200, [("content-type", "text/plain")], body)

    # Streams

    def _running(self, worker: PodWorker, name: str) -> ContainerView:
        self._container(worker, name)
        latest = worker.view.latest(name)
        if latest is None or latest.state != "running":
            raise Refused(404, f'container not found ("{name}")')
        return latest

    def _upgrade(
        self, request: Request, wanted: tuple[str, ...], serve: Callable[[Session], Awaitable[None]]
    ) -> Upgrade:
        """Speak the client's protocol: WebSocket, or SPDY with the `wanted` streams. Raises Refused for another."""
        if _wants_spdy(request):
            return self._spdy(request, wanted, serve)
        agreed = handshake(request.headers, channels.PROTOCOLS)
        if agreed is None:
            offered = request.headers.get("upgrade", "") or "none"
            raise Refused(
                400, f"unable to upgrade: only websocket with {' or '.join(channels.PROTOCOLS)}, not {offered}"
            )
        headers, protocol = agreed

        async def run(stream: Stream) -> None:
            session = WebSocketSession(stream, protocol)

            reading = asyncio.ensure_future(session.run())
            try:
                await serve(session)
            finally:
                reading.cancel()
                await stream.close()

        return Upgrade(headers, run)

    def _spdy(self, request: Request, wanted: tuple[str, ...], serve: Callable[[Session], Awaitable[None]]) -> Upgrade:
        offered = [p.strip() for p in request.headers.get("x-stream-protocol-version", "").split(",")]
        if channels.V4 not in offered:
            raise Refused(403, f"unable to upgrade: unknown stream protocols {', '.join(offered)}")

        async def run(stream: Stream) -> None:
            connection = SpdyConnection(stream)
            reading = asyncio.ensure_future(connection.run())
            try:
                session = SpdySession(connection, wanted)
                if await asyncio.wait_for(session.wait(), STREAM_SECONDS):
                    await serve(session)
            except TimeoutError:
                pass
            finally:
                await connection.close()
                reading.cancel()

        return Upgrade([*SPDY_HEADERS, ("x-stream-protocol-version", channels.V4)], run)

    def _exec(self, request: Request, worker: PodWorker, name: str) -> Upgrade:
        latest = self._running(worker, name)
        command = request.query.get("command", [])
        if not command:
            raise Refused(400, "you must specify at least 1 command for the container")
        stdin, tty = _flag(request, "input", "stdin"), _flag(request, "tty")
        random = self._context.random

        async def serve(session: Session) -> None:
            await remote.execute(self._tasks, latest.id, command, stdin=stdin, tty=tty, session=session, random=random)

        return self._upgrade(request, _streams(request, stdin, tty), serve)

    def _attach(self, request: Request, worker: PodWorker, name: str) -> Upgrade:
        latest, spec = self._running(worker, name), self._container(worker, name)
        stdin = _flag(request, "input", "stdin") and bool(spec.get("stdin"))
        context = self._context

        async def serve(session: Session) -> None:
            await remote.attach(
                context.runtime,
                latest.id,
                stdin=stdin,
                tty=bool(spec.get("tty")),
                session=session,
                netns=context.netns,
            )

        return self._upgrade(request, _streams(request, stdin, bool(spec.get("tty"))), serve)

    def _forward(self, request: Request, worker: PodWorker) -> Upgrade:
        sandbox = worker.view.sandbox
        if sandbox is None or not sandbox.ready:
            raise Refused(400, f"pod {name_of(worker.pod)} is not running")

        async def connect(port: int) -> socket.socket:
            inside = await self._namespace(worker, sandbox.id)
            try:
                return await forward.dial(inside, sandbox.id, port)
            finally:
                inside.close()

        agreed = handshake(request.headers, (TUNNEL,))
        if agreed is not None:
            return Upgrade(agreed[0], lambda stream: forward.serve(SpdyConnection(Tunnel(stream)), sandbox.id, connect))
        if _wants_spdy(request):
            headers = [*SPDY_HEADERS, ("x-stream-protocol-version", "portforward.k8s.io")]
            return Upgrade(headers, lambda stream: forward.serve(SpdyConnection(stream), sandbox.id, connect))
        raise Refused(400, f"unable to upgrade: only SPDY/3.1, or {TUNNEL} over websocket")

    async def _tunnel(self, host: str, port: str) -> Upgrade:
        """A TCP connection out of the node's network: how the API server reaches webhooks and proxied Services."""
        try:
            address, number = str(ipaddress.ip_address(host)), int(port)
        except ValueError:
            raise Refused(400, f"{host}:{port} is no address and port") from None
        try:
            async with asyncio.timeout(TUNNEL_SECONDS):
                made = await self._context.netns.connect(address, number)
        except OSError as error:
            raise Refused(502, dial_error(address, number, error)) from None

        async def run(stream: Stream) -> None:
            await pipe(made, stream)

        return Upgrade([("upgrade", TCP_TUNNEL), ("connection", "Upgrade")], run)

    async def _namespace(self, worker: PodWorker, sandbox: str) -> NetNamespace:
        """A pod's network namespace."""
        if (worker.pod.get("spec") or {}).get("hostNetwork"):
            return NetNamespace(self._context.netns.path)
        answer = await self._context.runtime.sandbox_status(sandbox, verbose=True)
        spec = orjson.loads(answer.info.get("info", "{}")).get("runtimeSpec") or {}
        for namespace in (spec.get("linux") or {}).get("namespaces") or []:
            if namespace.get("type") == "network" and namespace.get("path"):
                return NetNamespace(Path(namespace["path"]))
        raise OSError(f"the runtime doesn't say where the network namespace of sandbox {sandbox} is")

    # Statistics

    async def _summary(self, request: Request) -> Response:
        brief = request.param("only_cpu_and_memory") in ("true", "1")
        body = orjson.dumps(await self._statistics.summary(brief))
        return Response(200, [("content-type", "application/json")], body)


def _metrics(text: bytes) -> Response:
    return Response(200, [("content-type", "text/plain; version=0.0.4; charset=utf-8")], text)


def _wants_spdy(request: Request) -> bool:
    return request.headers.get("upgrade", "").lower() == "spdy/3.1"


def _streams(request: Request, stdin: bool, tty: bool) -> tuple[str, ...]:
    """The streams that a SPDY client opens for these flags."""
    found = ["error"]
    found += ["stdin"] if stdin else []
    found += ["stdout"] if _flag(request, "output", "stdout") else []
    found += ["stderr"] if _flag(request, "error", "stderr") and not tty else []
    return (*found, *(["resize"] if tty else []))


def _flag(request: Request, *names: str) -> bool:
    return any(request.param(name) in ("1", "true") for name in names)


def _log_options(request: Request, now: float) -> logs.LogOptions:
    def number(name: str) -> int | None:
        text = request.param(name)
        if not text:
            return None
        if not text.lstrip("-").isdigit() or int(text) < 0:
            raise Refused(400, f"invalid {name}: {text}")
        return int(text)

    since, seconds = 0.0, number("sinceSeconds")
    if seconds is not None:
        since = now - seconds
    elif request.param("sinceTime"):
        try:
            since = parse_rfc3339(request.param("sinceTime"))
        except ValueError as error:
            raise Refused(400, f"invalid sinceTime: {request.param('sinceTime')}") from error
    stream = request.param("stream")
    return logs.LogOptions(
        follow=_flag(request, "follow"),
        timestamps=_flag(request, "timestamps"),
        tail=number("tailLines"),
        limit=number("limitBytes"),
        since=since,
        streams={"Stdout": ("stdout",), "Stderr": ("stderr",)}.get(stream, ("stdout", "stderr")),
    )


class Serving:
    """The running server."""

    def __init__(self, server: http.Server, tasks: Tasks, certificate: pki.Renewing) -> None:
        self._server, self._tasks, self.certificate = server, tasks, certificate

    @property
    def port(self) -> int:
        return self._server.port

    async def close(self) -> None:
        await self._server.close()
        await self._tasks.close()


async def start(options: NodeOptions, agent: Agent, paths: RuntimePaths) -> Serving:
    """Serve a node's API on the host's loopback. Raises OSError for a bad certificate or a port in use."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    assert options.serving_cert is not None and options.serving_key is not None, "asked to serve without a certificate"
    tls.load_cert_chain(options.serving_cert, options.serving_key)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(options.client_ca)
    # What commands under way at a sudden end left behind.
    await asyncio.to_thread(remove_tree, options.state / "exec")
    tasks = Tasks(paths.socket, paths.task_state, options.state / "exec", agent.context.clock)
    api = KubeletApi(options, agent, tasks)
    server = await http.serve(api.handle, host=options.kubelet_address, port=options.kubelet_port, tls=tls)
    return Serving(server, tasks, pki.Renewing(tls, options.serving_cert, options.serving_key))
