"""metrics.k8s.io: `kubectl top` and autoscaling. Figures are asked of the nodes' agents when somebody asks for them.

What a metrics-server is elsewhere is part of the API server here: agents are reached on the way that logs take. A node
that doesn't answer has no figures, and so its pods have none. Simulated nodes have nobody to ask: see `workloads.usage`.
Source: https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import orjson

from heeler.apiserver.call import Call, Plain
from heeler.apiserver.options import list_options
from heeler.base.clock import parse_rfc3339
from heeler.kinds.metrics.kinds import GROUP, kinds
from heeler.objects import selectors
from heeler.objects.status import bad_request, not_found
from heeler.objects.value import Object, labels_of, name_of, namespace_of, uid_of
from heeler.wire.http.messages import Request, Response
from heeler.workloads import usage
from heeler.workloads.usage import Usage

if TYPE_CHECKING:
    from heeler.apiserver.request import Context
    from heeler.apiserver.server import ApiServer

log = logging.getLogger(__name__)

#: Seconds: how long a node may take, and how long what it said is good for.
PATIENCE, FRESH = 5.0, 1.0
#: Bytes of a node's answer; nodes asked at the same time.
MAX_ANSWER, MAX_ASKED = 8 << 20, 32

_READER: Object = {
    "kind": "ClusterRole",
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "metadata": {
        "name": "system:aggregated-metrics-reader",
        "labels": {f"rbac.authorization.k8s.io/aggregate-to-{role}": "true" for role in ("admin", "edit", "view")},
    },
    "rules": [{"apiGroups": [GROUP], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]}],
}


async def serve(server: ApiServer) -> None:
    """Add the kinds, and who may read them."""
    from heeler.apiserver.bootstrap.bootstrap import ensure

    for kind in kinds():
        server.kinds.add(kind)
    server.served_changed()
    server.figures = Figures(server)
    await ensure(server, _READER)


class Figures:
    """What the nodes say, kept for a moment: several questions at once ask a node once."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._known: dict[str, tuple[float, asyncio.Task[Object | None]]] = {}
        self._asking = asyncio.Semaphore(MAX_ASKED)

    async def of(self, nodes: Iterable[Object]) -> dict[str, Object]:
        """Summaries by node, of those that answer."""
        names, tasks = [], []
        for node in nodes:
            names.append(name_of(node))
            tasks.append(self._task(node))
        found = await asyncio.gather(*(asyncio.shield(task) for task in tasks))
        return {name: summary for name, summary in zip(names, found) if summary is not None}

    def _task(self, node: Object) -> asyncio.Task[Object | None]:
        name, now = name_of(node), self._server.clock.monotonic()
        known = self._known.get(name)
        if known is not None and now - known[0] <= FRESH:
            return known[1]
        self._known = {k: v for k, v in self._known.items() if now - v[0] <= FRESH}
        task = asyncio.ensure_future(self._ask(node))
        self._known[name] = (now, task)
        return task

    async def _ask(self, node: Object) -> Object | None:
        connections = self._server.nodes
        if connections is None:
            return None
        path = "/stats/summary?only_cpu_and_memory=true"
        try:
            async with self._asking, asyncio.timeout(PATIENCE):
                answer: Any = await connections.forward(node, path, Request("GET", path, ""))
                return await _summary(answer)
        except (OSError, TimeoutError, ValueError, KeyError) as error:
            log.info("node %s gives no figures: %s", name_of(node), error)
            return None


async def _summary(answer: Any) -> Object:
    """The object in an agent's answer. Raises ValueError."""
    if not isinstance(answer, Response) or answer.status != 200:
        raise ValueError(f"status {getattr(answer, 'status', '?')}")
    if isinstance(answer.body, bytes):
        body = answer.body
    else:
        parts = bytearray()
        async for part in answer.body:
            parts += part
            if len(parts) > MAX_ANSWER:
                raise ValueError("the answer is too long")
        body = bytes(parts)
    found: Object = orjson.loads(body)
    return found


def is_simulated(node: Object) -> bool:
    info = (node.get("status") or {}).get("nodeInfo") or {}
    return str(info.get("containerRuntimeVersion", "")).startswith("simulated://")


def _used(stats: Object) -> Usage | None:
    """CPU and memory out of a summary's node or container; None where a figure is missing."""
    cpu, memory = stats.get("cpu") or {}, stats.get("memory") or {}
    if "usageNanoCores" not in cpu or "workingSetBytes" not in memory:
        return None
    window = float(stats.get("heeler.dev/window", 10.0))
    return Usage(int(cpu["usageNanoCores"]), int(memory["workingSetBytes"]), parse_rfc3339(cpu["time"]), window)


async def _nodes(server: ApiServer, wanted: list[Object]) -> list[Object]:
    now = server.clock.time()
    figures = _figures(server)
    told = await figures.of(n for n in wanted if not is_simulated(n))
    out = []
    for node in wanted:
        used: Usage | None
        if is_simulated(node):
            on_it = [p for p in server.objects("", "pods") if (p["spec"].get("nodeName") or "") == name_of(node)]
            used = usage.total((u for pod in on_it for u in usage.simulated(pod, now).values()), now)
        else:
            used = _used((told.get(name_of(node)) or {}).get("node") or {})
        if used is not None:
            out.append(usage.node_metrics(node, used, now))
    return out


async def _pods(server: ApiServer, wanted: list[Object]) -> list[Object]:
    now = server.clock.time()
    hosts = {
        name: server.lookup("", "nodes", "", name) for name in {p["spec"].get("nodeName"): None for p in wanted} if name
    }
    real = [node for node in hosts.values() if node is not None and not is_simulated(node)]
    told: dict[str, dict[str, Usage]] = {}
    for summary in (await _figures(server).of(real)).values():
        for pod in summary.get("pods") or ():
            found = ((c["name"], _used(c)) for c in pod.get("containers") or ())
            told[pod["podRef"]["uid"]] = {name: used for name, used in found if used is not None}
    out = []
    for pod in wanted:
        node = hosts.get(pod["spec"].get("nodeName") or "")
        if node is None:
            continue
        uses = usage.simulated(pod, now) if is_simulated(node) else told.get(str(uid_of(pod)), {})
        made = usage.pod_metrics(pod, uses, now)
        if made is not None:
            out.append(made)
    return out


def _figures(server: ApiServer) -> Figures:
    assert isinstance(server.figures, Figures)
    return server.figures


def _chosen(call: Call, objects: Iterable[Object]) -> list[Object]:
    """Those that the selectors mean. Raises 400."""
    options = list_options(call, watch=False)
    try:
        labels = selectors.parse_labels(options.label_selector)
        fields = selectors.parse_fields(options.field_selector)
    except ValueError as error:
        raise bad_request(str(error)) from None
    for term in fields.terms:
        if term.field not in ("metadata.name", "metadata.namespace"):
            raise bad_request(f"field label not supported: {term.field}")

    def wanted(obj: Object) -> bool:
        names = {"metadata.name": name_of(obj), "metadata.namespace": namespace_of(obj)}
        return labels.matches(labels_of(obj)) and fields.matches(names)

    return [obj for obj in objects if wanted(obj)]


def _list(context: Context, items: list[Object]) -> Plain:
    # Items of a typed list don't repeat what the list says.
    bare = [{k: v for k, v in item.items() if k not in ("kind", "apiVersion")} for item in items]
    body: Object = {"kind": context.kind.list_kind, "apiVersion": context.api_version, "metadata": {}, "items": bare}
    return Plain(body, rows_of=context.kind)


async def list_nodes(call: Call, context: Context) -> Plain:
    server = context.server
    return _list(context, await _nodes(server, _chosen(call, server.objects("", "nodes"))))


async def list_pods(call: Call, context: Context) -> Plain:
    server = context.server
    return _list(context, await _pods(server, _chosen(call, server.objects("", "pods", context.info.namespace))))


async def get_node(call: Call, context: Context) -> Plain:
    node = context.server.lookup("", "nodes", "", context.info.name)
    if node is None:
        raise not_found("nodes", "", context.info.name)
    found = await _nodes(context.server, [node])
    if not found:
        raise not_found("nodemetrics", GROUP, context.info.name)
    return Plain(found[0], rows_of=context.kind)


async def get_pod(call: Call, context: Context) -> Plain:
    namespace, name = context.info.namespace, context.info.name
    pod = context.server.lookup("", "pods", namespace, name)
    if pod is None:
        raise not_found("pods", "", f"{namespace}/{name}")
    found = await _pods(context.server, [pod])
    if not found:
        raise not_found("podmetrics", GROUP, f"{namespace}/{name}")
    return Plain(found[0], rows_of=context.kind)
