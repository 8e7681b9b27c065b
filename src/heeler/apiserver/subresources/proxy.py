"""pods/proxy, services/proxy, nodes/proxy: an HTTP request handed on to something in the cluster.

`/api/v1/namespaces/NS/services/[https:]NAME[:PORT]/proxy/PATH`. Links in HTML aren't rewritten; redirects are. Source:
https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/#manually-constructing-apiserver-proxy-urls
"""

from __future__ import annotations

import functools
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from heeler.apiserver.call import Call, Raw
from heeler.apiserver.extensions.forwarding import handed_back, passed_on
from heeler.apiserver.extensions.reach import Target, Unreachable, allowed
from heeler.apiserver.subresources.body import connected
from heeler.base.dialing import dial_error
from heeler.kinds.bodies import NODE_PROXY_OPTIONS, POD_PROXY_OPTIONS, SERVICE_PROXY_OPTIONS
from heeler.objects.status import StatusError, bad_request, not_found, unavailable
from heeler.objects.value import Object
from heeler.wire.http.client import HttpClient
from heeler.wire.http.messages import Request, Response

if TYPE_CHECKING:
    from heeler.apiserver.request import Context

_HTTP = ("http", "")


async def pod(call: Call, context: Context) -> Raw:
    """To a port of a pod: the given one, else its first."""
    await connected(call, context, POD_PROXY_OPTIONS)
    scheme, name, port = split(context.info.name)
    found = await context.server.lookup_fresh("", "pods", context.info.namespace, name)
    if found is None:
        raise not_found("pods", "", name)
    address = (found.get("status") or {}).get("podIP")
    if not address or not allowed(str(address)):
        raise bad_request("address not allowed")
    number = int(port) if port.isascii() and port.isdigit() else _named_port(found, port)
    if not 0 < number < 65536:
        raise bad_request(f"invalid port: {port}")
    target = Target(str(address), number, found["spec"].get("nodeName") or "")
    return await _forward(call, context, scheme, lambda: context.server.reach.connect(target), f"{address}:{number}")


async def service(call: Call, context: Context) -> Raw:
    """To a ready endpoint of a Service."""
    await connected(call, context, SERVICE_PROXY_OPTIONS)
    scheme, name, port = split(context.info.name)
    namespace = context.info.namespace
    found = await context.server.lookup_fresh("", "services", namespace, name)
    if found is None:
        raise unavailable(f'no endpoints available for service "{name}"')
    ports = found["spec"].get("ports") or []
    chosen = ports[0] if not port and len(ports) == 1 else next((p for p in ports if port in _names(p)), None)
    if chosen is None:
        raise unavailable(f'no service port "{port}" found for service "{name}"')
    number = int(chosen["port"])
    return await _forward(
        call, context, scheme, lambda: context.server.reach.service(namespace, name, number), f"{name}:{number}"
    )


async def node(call: Call, context: Context) -> Raw:
    """To a node's agent."""
    await connected(call, context, NODE_PROXY_OPTIONS)
    _, name, _ = split(context.info.name)
    found = await context.server.lookup_fresh("", "nodes", "", name)
    if found is None:
        raise not_found("nodes", "", name)
    if context.server.nodes is None:
        raise unavailable("this API server has no client certificate for nodes (--kubelet-client-certificate)")
    request = Request(call.method, call.target, call.path, {}, call.headers, call.body)
    try:
        answer = await context.server.nodes.forward(found, _rest(call, context), request)
    except OSError as error:
        raise unavailable(f"error trying to reach service: {error}") from error
    return Raw(answer)  # type: ignore[arg-type]


def split(name: str) -> tuple[str, str, str]:
    """(scheme, name, port) of "https:web:443", "web:http" or "web". Raises 400."""
    parts = name.split(":")
    if len(parts) == 1:
        return "http", parts[0], ""
    if len(parts) == 2:
        return ("http", *parts) if parts[0] not in ("http", "https") else (parts[0], parts[1], "")  # type: ignore[return-value]
    if len(parts) == 3 and parts[0] in (*_HTTP, "https"):
        return parts[0] or "http", parts[1], parts[2]
    raise bad_request(f'invalid service request "{name}"')


def _names(port: Object) -> tuple[str, ...]:
    return (str(port.get("name") or ""), str(port["port"]))


def _named_port(pod: Object, name: str) -> int:
    """A container port by its name; without a name the first one, else 80."""
    ports = [p for c in pod["spec"].get("containers") or () for p in c.get("ports") or ()]
    if not name:
        return int(ports[0]["containerPort"]) if ports else 80
    for port in ports:
        if port.get("name") == name:
            return int(port["containerPort"])
    raise bad_request(f'pod "{pod["metadata"]["name"]}" has no port "{name}"')


def _rest(call: Call, context: Context) -> str:
    """What is asked of the other side: the path after `proxy`, and the query as it came."""
    path = "/" + "/".join(quote(part, safe="!$&'()*+,;=:@~") for part in context.info.rest)
    if call.path.endswith("/") and not path.endswith("/"):
        path += "/"
    query = urlsplit(call.target).query
    return f"{path}?{query}" if query else path


async def _forward(
    call: Call, context: Context, scheme: str, dial: Callable[[], Awaitable[socket.socket]], shown: str
) -> Raw:
    if not context.info.rest and not call.path.endswith("/"):
        target = f"{call.path}/" + (f"?{query}" if (query := urlsplit(call.target).query) else "")
        return Raw(Response(301, [("Location", target)]))

    async def dialled(_host: str, _port: int) -> socket.socket:
        return await dial()

    client = HttpClient(_any_certificate() if scheme == "https" else None, dial=dialled)
    kept = [*passed_on(call.headers), ("X-Forwarded-Uri", call.path)]
    try:
        answer = await client.request(
            call.method, f"{scheme}://{shown}{_rest(call, context)}", headers=kept, body=call.body
        )
    except Unreachable as error:
        raise unavailable(str(error)) from None
    except (OSError, TimeoutError) as error:
        host, _, port = shown.rpartition(":")
        why = dial_error(host, int(port), error) if error.errno or isinstance(error, TimeoutError) else str(error)
        raise StatusError(503, "ServiceUnavailable", f"error trying to reach service: {why}", {}) from error
    moved = functools.partial(_moved, call, context)
    return Raw(await handed_back(answer, call.method, header=moved, done=client.close))


def _moved(call: Call, context: Context, name: str, value: str) -> str:
    """A redirect within the other side goes through the proxy too."""
    if name != "location" or not value.startswith("/"):
        return value
    before = call.path.partition("/proxy")[0]
    return f"{before}/proxy{value}"


def _any_certificate() -> ssl.SSLContext:
    """Pods have certificates of their own making; upstream's proxy doesn't look at them either."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
