"""One probe or lifecycle hook carried out: by HTTP, TCP, gRPC or a command, from inside the node's network.

Answers carry upstream's words, since they show in Events.
Source: https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import tempfile
from dataclasses import dataclass
from typing import Any

import httptools

from heeler.base.dialing import dial_error
from heeler.base.netns import NetNamespace
from heeler.kubelet.runtime.cri import Runtime, RuntimeFault
from heeler.network.relay import Relay
from heeler.objects.value import Object

MAX_BODY = 10 * 1024
USER_AGENT = "kube-probe/1.37"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`text` says what went wrong (or what the command printed)."""

    ok: bool
    text: str = ""


def port_number(container: Object, port: object) -> int:
    """A probe's port: a number, or the name of one of the container's. Raises ValueError."""
    if isinstance(port, int) or str(port).isdigit():
        return int(str(port))
    for declared in container.get("ports") or []:
        if declared.get("name") == port:
            return int(declared["containerPort"])
    raise ValueError(f"couldn't find port: {port!r} in container {container.get('name')}")


def code_name(name: str) -> str:
    """gRPC's code as Go writes it: NOT_FOUND -> NotFound."""
    return "".join(part.title() for part in name.split("_"))


async def check(
    action: Object,
    container: Object,
    container_id: str,
    pod_ip: str,
    timeout: float,
    netns: NetNamespace,
    runtime: Runtime,
) -> Outcome:
    """Carry out a probe's action once; never raises for what the container does."""
    try:
        if "exec" in action:
            return await _command(list(action["exec"].get("command") or []), container_id, timeout, runtime)
        if "httpGet" in action:
            return await http(action["httpGet"], container, pod_ip, timeout, netns)
        if "tcpSocket" in action:
            target = action["tcpSocket"]
            port = port_number(container, target.get("port"))
            return await _tcp(str(target.get("host") or pod_ip), port, timeout, netns)
        if "grpc" in action:
            return await grpc_health(action["grpc"], pod_ip, timeout, netns)
    except ValueError as error:
        return Outcome(False, str(error))
    return Outcome(False, f"missing probe handler: {', '.join(action)}")


async def _command(command: list[str], container_id: str, timeout: float, runtime: Runtime) -> Outcome:
    seconds = max(1, int(timeout))
    try:
        code, out, err = await runtime.exec_sync(container_id, command, seconds)
    except RuntimeFault as fault:
        if fault.code == "DEADLINE_EXCEEDED":
            return Outcome(False, f'command timed out: "{" ".join(command)}" timed out after {seconds}s')
        return Outcome(False, f"rpc error: code = {code_name(fault.code)} desc = {fault.message}")
    text = (out + err)[:MAX_BODY].decode(errors="replace")
    return Outcome(code == 0, text if code == 0 else text or f"command failed with exit code {code}")


async def _tcp(host: str, port: int, timeout: float, netns: NetNamespace) -> Outcome:
    try:
        made = await asyncio.wait_for(netns.connect(host, port), timeout)
    except (TimeoutError, OSError) as error:
        return Outcome(False, dial_error(host, port, error))
    made.close()
    return Outcome(True)


class _Answer:
    """Collects an HTTP answer."""

    def __init__(self) -> None:
        self.status, self.body, self.done = 0, b"", False

    def on_body(self, data: bytes) -> None:
        self.body = (self.body + data)[:MAX_BODY]

    def on_message_complete(self) -> None:
        self.done = True


async def http(get: Object, container: Object, pod_ip: str, timeout: float, netns: NetNamespace) -> Outcome:
    """A GET; 200 to 399 is good (redirects are not followed). Raises ValueError for a port that isn't there."""
    host, port = str(get.get("host") or pod_ip), port_number(container, get.get("port"))
    scheme = str(get.get("scheme") or "HTTP").lower()
    path = str(get.get("path") or "/")
    path = path if path.startswith("/") else f"/{path}"
    shown = f"[{host}]" if ":" in host else host
    url = f"{scheme}://{shown}:{port}{path}"
    try:
        answer = await asyncio.wait_for(_get(get, host, port, scheme == "https", path, netns), timeout)
    except TimeoutError:
        return Outcome(
            False, f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
        )
    except ssl.SSLError as error:
        return Outcome(False, f'Get "{url}": {error.reason or error}')
    except EOFError:
        return Outcome(False, f'Get "{url}": EOF')
    except httptools.HttpParserError:
        return Outcome(False, f'Get "{url}": net/http: HTTP/1.x transport connection broken: malformed HTTP response')
    except OSError as error:
        return Outcome(False, f'Get "{url}": {dial_error(host, port, error)}')
    if 200 <= answer.status < 400:
        return Outcome(True, answer.body.decode(errors="replace"))
    return Outcome(False, f"HTTP probe failed with statuscode: {answer.status}")


async def _get(get: Object, host: str, port: int, tls: bool, path: str, netns: NetNamespace) -> _Answer:
    made = await netns.connect(host, port)
    context = None
    if tls:
        # A probe doesn't verify: pods have certificates of their own making (upstream does the same).
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        reader, writer = await asyncio.open_connection(sock=made, ssl=context, server_hostname="" if tls else None)
    except BaseException:
        made.close()
        raise
    try:
        writer.write(_request(get, host, port, path))
        await writer.drain()
        answer = _Answer()
        parser = httptools.HttpResponseParser(answer)
        while not answer.done:
            data = await reader.read(65536)
            if not data:
                if parser.get_status_code() and answer.status:
                    break
                raise EOFError
            parser.feed_data(data)
            answer.status = parser.get_status_code()
            if len(answer.body) >= MAX_BODY:
                break
        return answer
    finally:
        writer.close()


def _request(get: Object, host: str, port: int, path: str) -> bytes:
    headers = {str(h["name"]).lower(): (h["name"], h.get("value", "")) for h in get.get("httpHeaders") or []}
    shown = f"[{host}]" if ":" in host else host
    headers.setdefault("host", ("Host", f"{shown}:{port}"))
    headers.setdefault("user-agent", ("User-Agent", USER_AGENT))
    headers.setdefault("accept", ("Accept", "*/*"))
    lines = [f"GET {path} HTTP/1.1", *(f"{n}: {v}" for n, v in headers.values()), "Connection: close"]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


async def grpc_health(target: Object, pod_ip: str, timeout: float, netns: NetNamespace) -> Outcome:
    """Ask a grpc.health.v1 service. gRPC dials itself, so it is given a socket that leads into the namespace."""
    import grpc.aio

    port, service = int(target.get("port") or 0), str(target.get("service") or "")

    async def connect() -> socket.socket:
        return await netns.connect(pod_ip, port)

    with tempfile.TemporaryDirectory(prefix="heeler-probe-") as folder:
        path = f"{folder}/s"
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(path)
        listening.listen(4)
        listening.setblocking(False)
        relay = Relay(listening, connect)
        channel = grpc.aio.insecure_channel(f"unix:{path}", options=[("grpc.default_authority", f"{pod_ip}:{port}")])
        # HealthCheckRequest {service = 1}, HealthCheckResponse {status = 1}: few enough to be read by hand.
        call = channel.unary_unary("/grpc.health.v1.Health/Check")
        request = b"\x0a" + bytes((len(service.encode()),)) + service.encode() if service else b""
        try:
            answer = bytes(await call(request, timeout=timeout))
        except grpc.aio.AioRpcError as error:
            return Outcome(False, _grpc_words(error, f"{pod_ip}:{port}", timeout))
        finally:
            await channel.close()
            await relay.close()
    state = GRPC_STATES.get(answer[1] if answer[:1] == b"\x08" and len(answer) > 1 else 0, "UNKNOWN")
    if state == "SERVING":
        return Outcome(True, "service healthy")
    return Outcome(False, f'service unhealthy (responded with "{state}")')


GRPC_STATES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


def _grpc_words(error: Any, address: str, timeout: float) -> str:
    name, details = error.code().name, error.details() or ""
    if name == "UNIMPLEMENTED":
        return f"error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {details}"
    if name == "DEADLINE_EXCEEDED":
        return f"timeout: health rpc did not complete within {timeout:g}s"
    if name == "UNAVAILABLE":
        return f'error: timeout: failed to connect service "{address}" within {timeout:g}s: {details}'
    return f"error: health rpc probe failed: rpc error: code = {code_name(name)} desc = {details}"
