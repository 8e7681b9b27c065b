"""What is asked of a pod's node: logs, exec, attach, port-forward. Checked here, then handed to the node's agent.

Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#get-read-log-of-the-specified-pod
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heeler.apiserver.authorize.further import authorize
from heeler.apiserver.call import Call, Raw
from heeler.apiserver.options import boolean, integer
from heeler.apiserver.subresources.body import connected, query_of
from heeler.base.clock import parse_rfc3339
from heeler.kinds.bodies import POD_ATTACH_OPTIONS, POD_EXEC_OPTIONS, POD_PORT_FORWARD_OPTIONS
from heeler.objects import faults
from heeler.objects.status import StatusError, bad_request, internal_error, invalid, not_found, unavailable
from heeler.objects.value import Object
from heeler.wire.http.messages import Request, Response
from heeler.wire.http.query import encode_query

if TYPE_CHECKING:
    from heeler.apiserver.request import Context


async def _pod(context: Context) -> Object:
    found = await context.server.lookup_fresh("", "pods", context.info.namespace, context.info.name)
    if found is None:
        raise not_found("pods", "", context.info.name)
    return found


def _containers(pod: Object) -> list[str]:
    spec = pod["spec"]
    parts = ("initContainers", "containers", "ephemeralContainers")
    return [c["name"] for part in parts for c in spec.get(part) or ()]


def _container(pod: Object, given: str) -> str:
    """The container that is meant. Raises 400."""
    name, names = pod["metadata"]["name"], _containers(pod)
    if given:
        if given not in names:
            raise bad_request(f"container {given} is not valid for pod {name}")
        return given
    default = (pod["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container", "")
    if default in [c["name"] for c in pod["spec"].get("containers") or ()]:
        return str(default)
    if len(names) == 1:
        return names[0]
    spec = pod["spec"]
    parts = (("initContainers", True), ("containers", True))
    shown = [c["name"] for part, _ in parts for c in spec.get(part) or ()]
    raise bad_request(f"a container name must be specified for pod {name}, choose one of: [{' '.join(shown)}]")


async def log(call: Call, context: Context) -> Raw:
    """A container's log."""
    options = _log_options(call, context.info.name)
    pod = await _pod(context)
    container = _container(pod, call.param("container"))
    node = await _node(context, pod)
    if node is None:
        return Raw(Response(204, []))
    namespace, name = context.info.namespace, context.info.name
    path = f"/containerLogs/{namespace}/{name}/{container}"
    answer = await _forward(context, node, path, options, Request("GET", "", ""))
    found = answer.response
    if isinstance(found, Response) and found.status >= 400:
        raise await _refused(found, name)
    return answer


#: Of a node's refusal, what is passed on.
MAX_REFUSAL = 50_000


async def _refused(response: Response, name: str) -> StatusError:
    """What the node's agent says, as the API says it."""
    text = bytearray()
    if isinstance(response.body, bytes):
        text += response.body
    else:
        async for part in response.body:
            text += part
            if len(text) > MAX_REFUSAL:
                break
    said = text[:MAX_REFUSAL].decode("utf-8", "replace").rstrip("\n")
    match response.status:
        case 400:
            return bad_request(said)
        case 404:
            details: Object = {
                "name": name,
                "kind": "pods",
                "causes": [{"reason": "UnexpectedServerResponse", "message": said}],
            }
            return StatusError(404, "NotFound", "the server could not find the requested resource", details)
        case 500:
            return internal_error(said)
        case code:
            return StatusError(code, "", f"the server responded with the status code {code}: {said}")


def _log_options(call: Call, name: str) -> dict[str, str]:
    """The options that the node gets. Raises 400, 422."""
    out: dict[str, str] = {}
    tail, limit, since = integer(call, "tailLines"), integer(call, "limitBytes"), integer(call, "sinceSeconds")
    found = []
    if tail is not None and tail < 0:
        found.append(faults.invalid("tailLines", tail, "must be greater than or equal to 0"))
    if limit is not None and limit < 1:
        found.append(faults.invalid("limitBytes", limit, "must be greater than 0"))
    since_time = call.param("sinceTime")
    if since is not None and since_time:
        found.append(faults.forbidden("[]", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    elif since is not None and since < 1:
        found.append(faults.invalid("sinceSeconds", since, "must be greater than 0"))
    if call.param("stream") not in ("", "All"):
        found.append(faults.forbidden("stream", "may not be specified"))
    if found:
        raise invalid("PodLogOptions", "", name, found)
    if since_time:
        try:
            parse_rfc3339(since_time)
        except ValueError:
            raise bad_request(
                f'parsing time {faults.quote(since_time)} as "2006-01-02T15:04:05Z07:00": cannot parse'
            ) from None
    for key in ("follow", "previous", "timestamps"):
        if boolean(call, key):
            out[key] = "true"
    for key, value in (("tailLines", tail), ("limitBytes", limit), ("sinceSeconds", since)):
        if value is not None:
            out[key] = str(value)
    if since_time:
        out["sinceTime"] = since_time
    return out


async def _may_create(context: Context) -> None:
    """A stream into a pod is no reading, though a WebSocket begins with GET. Raises 403."""
    if context.info.verb != "create":
        await authorize(context, "create")


async def exec_(call: Call, context: Context) -> Raw:
    """A command in a container."""
    await _may_create(context)
    call.query = query_of(await connected(call, context, POD_EXEC_OPTIONS))
    pod = await _pod(context)
    node = await _bound_node(context, pod)
    if not call.query.get("command"):
        raise bad_request("you must specify at least 1 command for the container")
    container = _container(pod, call.param("container"))
    return await _stream(call, context, node, "exec", container, pod)


async def attach(call: Call, context: Context) -> Raw:
    """A container's own streams."""
    await _may_create(context)
    call.query = query_of(await connected(call, context, POD_ATTACH_OPTIONS))
    pod = await _pod(context)
    node = await _bound_node(context, pod)
    container = _container(pod, call.param("container"))
    return await _stream(call, context, node, "attach", container, pod)


async def port_forward(call: Call, context: Context) -> Raw:
    """A pod's ports."""
    await _may_create(context)
    await connected(call, context, POD_PORT_FORWARD_OPTIONS)
    pod = await _pod(context)
    node = await _bound_node(context, pod)
    return await _stream(call, context, node, "portForward", "", pod)


async def _bound_node(context: Context, pod: Object) -> Object:
    node = await _node(context, pod)
    if node is None:
        raise bad_request(f"pod {pod['metadata']['name']} does not have a host assigned")
    return node


async def _node(context: Context, pod: Object) -> Object | None:
    name = pod["spec"].get("nodeName", "")
    if not name:
        return None
    found = await context.server.lookup_fresh("", "nodes", "", name)
    if found is None:
        raise not_found("nodes", "", name)
    return found


async def _stream(call: Call, context: Context, node: Object, what: str, container: str, pod: Object) -> Raw:
    if what != "portForward" and not any(boolean(call, p) for p in ("stdin", "stdout", "stderr")):
        raise bad_request("you must specify at least one of stdin, stdout, stderr")
    path = f"/{what}/{context.info.namespace}/{context.info.name}" + (f"/{container}" if container else "")
    request = Request(call.method, call.target, call.path, call.query, call.headers, call.body)
    options = [(k, v) for k, vs in call.query.items() if k != "container" for v in vs]
    return await _forward(context, node, path, options, request)


async def _forward(
    context: Context, node: Object, path: str, options: dict[str, str] | list[tuple[str, str]], request: Request
) -> Raw:
    """Send the request on to the node's agent; the agent's answer is the answer."""
    if context.server.nodes is None:
        raise unavailable("this API server has no client certificate for nodes (--kubelet-client-certificate)")
    pairs = list(options.items()) if isinstance(options, dict) else options
    query = "&".join(encode_query({k: v}) for k, v in pairs)
    target = f"{path}?{query}" if query else path
    forwarded = Request(request.method, target, path, {}, request.headers, request.body)
    try:
        found = await context.server.nodes.forward(node, target, forwarded)
    except OSError as error:
        raise StatusError(500, "", str(error)) from error
    return Raw(found)  # type: ignore[arg-type]
