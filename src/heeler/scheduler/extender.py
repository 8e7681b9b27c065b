"""Extenders: programs over HTTP that have a say in decisions: which nodes, how good, whose place, and the binding itself.

Paths and fields as upstream's: https://github.com/kubernetes/kube-scheduler/blob/master/extender/v1/types.go
"""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from heeler.base.files import memory_file
from heeler.objects.faults import quote
from heeler.objects.schema import Type
from heeler.objects.value import Object, name_of
from heeler.scheduler import extender_answers as answers
from heeler.scheduler.configuration.fields import ConfigurationError, seconds
from heeler.scheduler.pod import PodInfo
from heeler.scheduler.preemption import Candidate, importance
from heeler.wire.http.client import HttpClient

log = logging.getLogger(__name__)

#: An extender's ratings go to this; ours to 100.
MAX_PRIORITY = 10
#: Bytes of an answer.
MAX_ANSWER = 16 << 20


class ExtenderError(Exception):
    """An extender that isn't ignorable could not be asked, or answered with an error."""


class Filtered(NamedTuple):
    """The nodes that an extender leaves, and why it refuses others (`final`: also if other pods left)."""

    nodes: list[str]
    failed: dict[str, str]
    final: dict[str, str]


class Extender:
    """One extender, as the configuration describes it. Raises ConfigurationError for TLS files that can't be read."""

    def __init__(self, given: Object) -> None:
        self._prefix = given.get("urlPrefix", "").rstrip("/")
        self._filter, self._prioritize = given.get("filterVerb") or "", given.get("prioritizeVerb") or ""
        self._preempt, self._bind = given.get("preemptVerb") or "", given.get("bindVerb") or ""
        self.weight = int(given.get("weight") or 0)
        self.ignorable = bool(given.get("ignorable"))
        self._names_only = bool(given.get("nodeCacheCapable"))
        self._managed = [one.get("name", "") for one in given.get("managedResources") or ()]
        self._seconds = seconds(given.get("httpTimeout", "5s"))
        tls = _tls(given.get("tlsConfig") or {}) if _is_secure(given, self._prefix) else None
        self._http = HttpClient(tls, server_name=(given.get("tlsConfig") or {}).get("serverName"))

    def __repr__(self) -> str:
        return f"<Extender {self._prefix}>"

    @property
    def filters(self) -> bool:
        return bool(self._filter)

    @property
    def rates(self) -> bool:
        return bool(self._prioritize)

    @property
    def preempts(self) -> bool:
        return bool(self._preempt)

    @property
    def binds(self) -> bool:
        return bool(self._bind)

    def is_interested(self, pod: PodInfo) -> bool:
        """Does the pod ask for a resource that the extender manages? Without such it wants to be asked always."""
        if not self._managed:
            return True
        spec = pod.pod["spec"]
        for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
            given = container.get("resources") or {}
            if any(name in (given.get(kind) or {}) for kind in ("requests", "limits") for name in self._managed):
                return True
        return False

    async def filter(self, pod: PodInfo, nodes: Mapping[str, Object]) -> Filtered:
        """Raises ExtenderError."""
        answer = await self._ask(self._filter, self._about(pod, nodes), answers.filtered())
        if answer.get("Error"):
            raise ExtenderError(answer["Error"])
        names = answer.get("NodeNames") if self._names_only else None
        if names is None:
            found = (answer.get("Nodes") or {}).get("items") or ()
            names = [name_of(node) for node in found]
        for name in names:
            if name not in nodes:
                text = f"claims a filtered node {quote(name)} which is not found in the input node list"
                raise ExtenderError(f"extender {quote(self._prefix)} {text}")
        return Filtered(names, answer.get("FailedNodes") or {}, answer.get("FailedAndUnresolvableNodes") or {})

    async def rate(self, pod: PodInfo, nodes: Mapping[str, Object]) -> dict[str, int]:
        """Ratings on the scale of plugins, with the extender's weight. Raises ExtenderError."""
        answer = await self._ask(self._prioritize, self._about(pod, nodes), answers.rated())
        scale = 100 // MAX_PRIORITY * self.weight
        out = dict.fromkeys(nodes, 0)
        for one in answer:
            host = one.get("Host", "")
            if host in out:
                out[host] = _int64(out[host] + one.get("Score", 0) * scale)
        return out

    async def preempt(
        self, pod: PodInfo, candidates: Sequence[Candidate], pods_on: Callable[[str], Iterable[PodInfo] | None]
    ) -> list[Candidate]:
        """The candidates that are left, with the victims that it names. Raises ExtenderError.

        `pods_on` gives the pods of a node, None for one that isn't there."""
        body: Object = {"Pod": pod.pod}
        if self._names_only:
            body["NodeNameToMetaVictims"] = {
                one.node: {"Pods": [{"UID": v.uid} for v in one.victims], "NumPDBViolations": one.violations}
                for one in candidates
            }
        else:
            body["NodeNameToVictims"] = {
                one.node: {"Pods": [v.pod for v in one.victims], "NumPDBViolations": one.violations}
                for one in candidates
            }
        answer = await self._ask(self._preempt, body, answers.preempted())
        order = {one.node: at for at, one in enumerate(candidates)}
        out = []
        for name, told in (answer.get("NodeNameToMetaVictims") or {}).items():
            placed = pods_on(name)
            if placed is None:
                raise ExtenderError(f"nodeinfo not found for node name {quote(name)}")
            there = {info.uid: info for info in placed}
            victims = []
            for uid in dict.fromkeys(one.get("UID", "") for one in told.get("Pods") or ()):
                if uid not in there:
                    text = f"claims to preempt pod (UID: &{{{uid}}}) on node: {name}, but the pod is not found on that node"
                    raise ExtenderError(f"extender: {self._prefix} {text}")
                victims.append(there[uid])
            if victims:
                out.append(Candidate(name, sorted(victims, key=importance), told.get("NumPDBViolations", 0)))
            elif self.ignorable:
                log.warning("%r names no victims on node %s", self, name)
            else:
                raise ExtenderError(f"expected at least one victim pod on node {quote(name)}")
        return sorted(out, key=lambda one: order.get(one.node, len(order)))

    async def bind(self, pod: PodInfo, node: str) -> None:
        """Raises ExtenderError."""
        body = {"PodName": pod.name, "PodNamespace": pod.namespace, "PodUID": pod.uid, "Node": node}
        answer = await self._ask(self._bind, body, answers.bound())
        if answer.get("Error"):
            raise ExtenderError(answer["Error"])

    def _about(self, pod: PodInfo, nodes: Mapping[str, Object]) -> Object:
        if self._names_only:
            return {"Pod": pod.pod, "Nodes": None, "NodeNames": list(nodes)}
        items = [{"kind": "Node", "apiVersion": "v1", **node} for node in nodes.values()]
        return {"Pod": pod.pod, "Nodes": {"metadata": {}, "items": items}, "NodeNames": None}

    async def _ask(self, verb: str, body: Object, type: Type) -> Any:
        """The answer, which is of the type. Every way in which it isn't is an ExtenderError."""
        url = f"{self._prefix}/{verb}"
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._http.request(
                    "POST", url, headers={"Content-Type": "application/json"}, body=orjson.dumps(body)
                )
                whole = await answer.read(MAX_ANSWER)
        except (OSError, TimeoutError, ValueError) as error:  # the last: the URL is none
            raise ExtenderError(f'Post "{url}": {error or "context deadline exceeded"}') from error
        if answer.status != 200:
            raise ExtenderError(f"failed {verb} with extender at URL {url}, code {answer.status}")
        try:
            return answers.read(whole, type)
        except ValueError as error:
            raise ExtenderError(str(error)) from error

    async def close(self) -> None:
        await self._http.close()


def _int64(number: int) -> int:
    """As Go's numbers go round."""
    return (number + 2**63) % 2**64 - 2**63


def _is_secure(given: Object, prefix: str) -> bool:
    return bool(given.get("enableHTTPS")) or prefix.startswith("https:")


def _tls(given: Object) -> ssl.SSLContext:
    try:
        authority = base64.b64decode(given["caData"]).decode() if given.get("caData") else None
        context = ssl.create_default_context(cafile=given.get("caFile") or None, cadata=authority)
        if given.get("insecure"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        certificate, key = _given(given, "cert"), _given(given, "key")
        if certificate:
            # the ssl module reads certificates from files only
            with memory_file("extender", certificate + b"\n" + key) as path:
                context.load_cert_chain(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"an extender's tlsConfig: {error}") from error
    return context


def _given(tls: Object, what: str) -> bytes:
    """A certificate or a key, by its data or else from its file."""
    data, path = tls.get(f"{what}Data"), tls.get(f"{what}File")
    if data:
        return base64.b64decode(data, validate=True)
    return Path(path).read_bytes() if path else b""
