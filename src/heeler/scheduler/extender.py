"""Extenders: programs over HTTP that have a say in decisions: which nodes, how good, whose place, and the binding itself.

Paths and fields as upstream's: https://github.com/kubernetes/kube-scheduler/blob/master/extender/v1/types.go
"""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from heeler.base.files import memory_file
from heeler.objects.value import Object
from heeler.scheduler.configuration.fields import ConfigurationError, seconds
from heeler.scheduler.pod import PodInfo
from heeler.scheduler.preemption import Candidate
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
        self._managed = [one["name"] for one in given.get("managedResources") or ()]
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
        answer = await self._ask(self._filter, self._about(pod, nodes))
        if answer.get("Error"):
            raise ExtenderError(str(answer["Error"]))
        names = answer.get("NodeNames")
        if names is None:
            found = (answer.get("Nodes") or {}).get("items") or ()
            names = [node["metadata"]["name"] for node in found]
        left = [name for name in names if name in nodes]
        return Filtered(left, answer.get("FailedNodes") or {}, answer.get("FailedAndUnresolvableNodes") or {})

    async def rate(self, pod: PodInfo, nodes: Mapping[str, Object]) -> dict[str, int]:
        """Ratings on the scale of plugins, with the extender's weight. Raises ExtenderError."""
        answer = await self._ask(self._prioritize, self._about(pod, nodes))
        scale = 100 // MAX_PRIORITY * self.weight
        return {one["Host"]: int(one["Score"]) * scale for one in answer if one.get("Host") in nodes}

    async def preempt(
        self, pod: PodInfo, candidates: Sequence[Candidate], nodes: Mapping[str, Object]
    ) -> list[Candidate]:
        """The candidates that are left, with those of their victims that are. Raises ExtenderError."""
        by_name = {one.node: one for one in candidates}
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
        answer = await self._ask(self._preempt, body)
        out = []
        for name, victims in (answer.get("NodeNameToMetaVictims") or {}).items():
            known = by_name.get(name)
            if known is None:
                raise ExtenderError(
                    f"extender {self._prefix} claims to preempt on node {name} that it wasn't asked about"
                )
            wanted = [one.get("UID") for one in victims.get("Pods") or ()]
            kept = [victim for victim in known.victims if victim.uid in wanted]
            out.append(Candidate(name, kept, int(victims.get("NumPDBViolations") or 0)))
        return sorted(out, key=lambda one: list(by_name).index(one.node))

    async def bind(self, pod: PodInfo, node: str) -> None:
        """Raises ExtenderError."""
        body = {"PodName": pod.name, "PodNamespace": pod.namespace, "PodUID": pod.uid, "Node": node}
        answer = await self._ask(self._bind, body)
        if answer.get("Error"):
            raise ExtenderError(str(answer["Error"]))

    def _about(self, pod: PodInfo, nodes: Mapping[str, Object]) -> Object:
        if self._names_only:
            return {"Pod": pod.pod, "Nodes": None, "NodeNames": list(nodes)}
        items = [{"kind": "Node", "apiVersion": "v1", **node} for node in nodes.values()]
        return {"Pod": pod.pod, "Nodes": {"metadata": {}, "items": items}, "NodeNames": None}

    async def _ask(self, verb: str, body: Object) -> Any:
        url = f"{self._prefix}/{verb}"
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._http.request(
                    "POST", url, headers={"Content-Type": "application/json"}, body=orjson.dumps(body)
                )
                whole = await answer.read()
        except (OSError, TimeoutError) as error:
            raise ExtenderError(f'Post "{url}": {error or "context deadline exceeded"}') from error
        if answer.status != 200:
            raise ExtenderError(f"failed {verb} with extender at URL {url}, code {answer.status}")
        if len(whole) > MAX_ANSWER:
            raise ExtenderError(f"the answer of {url} is larger than {MAX_ANSWER >> 20} MiB")
        try:
            return orjson.loads(whole)
        except orjson.JSONDecodeError as error:
            raise ExtenderError(f"the answer of {url} is no JSON: {error}") from error

    async def close(self) -> None:
        await self._http.close()


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
