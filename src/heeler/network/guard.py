"""NetworkPolicies applied to a node: watches policies, namespaces and, once there is a policy, pods.

A pod that starts is held until the rules know its address (`admit`). What is not known yet is closed, not open.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from heeler.base.clock import Clock
from heeler.base.processes import ProgramError
from heeler.base.together import together
from heeler.client.client import Client
from heeler.network import policies
from heeler.network.follow import Mirror
from heeler.network.policies import Pod
from heeler.network.table import Table
from heeler.objects.value import GroupVersionResource, Object, labels_of, uid_of

log = logging.getLogger(__name__)

POLICIES = GroupVersionResource("networking.k8s.io", "v1", "networkpolicies")
PODS = GroupVersionResource("", "v1", "pods")
TABLE = "heeler_policy"
#: Seconds: changes within this time go together; an untouched table is checked this often; until a new try.
GATHER, CHECK, RETRY = 0.02, 30.0, 1.0


def slim(pod: Object) -> Object:
    """Of a pod only what policies ask for."""
    spec, status, meta = pod.get("spec") or {}, pod.get("status") or {}, pod.get("metadata") or {}

    def ports(containers: Sequence[Object] | None) -> list[Object]:
        return [{k: c[k] for k in ("ports", "restartPolicy") if k in c} for c in containers or () if c.get("ports")]

    return {
        "metadata": {k: meta[k] for k in ("name", "namespace", "uid", "labels", "resourceVersion") if k in meta},
        "spec": {
            **{k: spec[k] for k in ("nodeName", "hostNetwork") if k in spec},
            "containers": ports(spec.get("containers")),
            "initContainers": ports(spec.get("initContainers")),
        },
        "status": {k: status[k] for k in ("podIP", "podIPs", "phase") if k in status},
    }


class Guard:
    """`run` until cancelled. `applied` is set once the rules are in step for the first time."""

    def __init__(self, client: Client, clock: Clock, netns: Path, node: str, namespaces: Mirror, dns: str) -> None:
        self._clock, self._node, self._dns = clock, node, dns
        self._table = Table(TABLE, netns)
        self._dirty, self._wanted = asyncio.Event(), asyncio.Event()
        self._named, self._known, self._listed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.applied = asyncio.Event()
        self._namespaces = namespaces
        namespaces.listen(self._namespace_changed)
        self._policies = Mirror(client, POLICIES, clock, self._changed, synced=self._synced)
        self._pods = Mirror(client, PODS, clock, self._pod_changed, synced=self._listed.set, keep=slim)
        #: Pods of this node that started, by uid, until the API tells their address as well.
        self._started: dict[str, Pod] = {}
        self._turn = 0
        self._done = asyncio.Condition()
        self._applied_turn = 0

    def namespaces_known(self) -> None:
        self._named.set()

    def _synced(self) -> None:
        self._known.set()
        self._changed(None, None)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if self._policies.items:
            self._wanted.set()
        self._touch()

    def _namespace_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is None or labels_of(old) != labels_of(new):
            self._touch()

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        before, now = (policies.pod_of(obj) if obj is not None else None for obj in (old, new))
        if new is None and old is not None:
            self._started.pop(str(uid_of(old)), None)
        elif now is not None:
            self._started.pop(now.uid, None)
        if before != now:
            self._touch()

    def _touch(self) -> None:
        self._turn += 1
        self._dirty.set()

    async def admit(self, pod: Object, ips: Sequence[str]) -> None:
        """Wait until the rules know a pod of this node that has got its address, before anything in it runs."""
        await self._known.wait()
        if not self._policies.items:
            return
        ip = next((found for found in ips if ":" not in found), "")
        found = policies.pod_of({**pod, "status": {"podIP": ip}})
        if found is None:
            return
        found = replace(found, node=self._node)
        if self._started.get(found.uid) != found and found not in self._pods_now():
            self._started[found.uid] = found
            self._touch()
        turn = self._turn
        async with self._done:
            await self._done.wait_for(lambda: self._applied_turn >= turn)

    def forget(self, uid: str) -> None:
        """A pod of this node is gone."""
        if self._started.pop(uid, None) is not None:
            self._touch()

    def _pods_now(self) -> list[Pod]:
        found = {p.uid: p for p in map(policies.pod_of, self._pods.items.values()) if p is not None}
        return list({**self._started, **found}.values())

    async def run(self) -> None:
        """Mirror and apply until cancelled."""
        await together(self._policies.run(), self._mirror_pods(), self._apply())

    async def _mirror_pods(self) -> None:
        await self._wanted.wait()  # without a policy nobody needs to know all pods
        await self._pods.run()

    async def _apply(self) -> None:
        # Until all is known nothing is changed: rules of an earlier run go on working.
        await self._known.wait()
        await self._named.wait()
        while True:
            if self._wanted.is_set():
                await self._listed.wait()
            turn = self._turn
            self._dirty.clear()
            try:
                await self._step()
            except ProgramError as error:
                log.warning("network policies not applied: %s", error)
                await self._clock.sleep(RETRY)
                continue
            self.applied.set()
            async with self._done:
                self._applied_turn = turn
                self._done.notify_all()
            await self._rest()

    async def _rest(self) -> None:
        """Until something changed, or the table is not there any more."""
        while True:
            try:
                await asyncio.wait_for(self._dirty.wait(), CHECK)
            except TimeoutError:
                if await self._table.is_there("ingress"):
                    continue
                self._table.forget()
                return
            await self._clock.sleep(GATHER)
            return

    async def _step(self) -> None:
        found = list(self._policies.items.values())
        spaces = {name: labels_of(obj) for (_, name), obj in self._namespaces.items.items()}
        pods = self._pods_now() if found else []
        await self._table.apply(policies.ruleset(found, pods, spaces, self._node, self._dns))
