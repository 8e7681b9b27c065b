"""Bring a local cluster to what its specification says: files, control plane, nodes, kubeconfig. Every step may be repeated."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from heeler import __version__
from heeler.base.clock import Clock
from heeler.base.files import write_atomic
from heeler.client import kubeconfig
from heeler.client.https import HttpsClient
from heeler.local import certificates, migrate, prerequisites, processes
from heeler.local.layout import Layout, LocalError, Owner, Spec, free_port, port_is_free, ports_of_others, real_names
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object

NODES = GroupVersionResource("", "v1", "nodes")
PODS = GroupVersionResource("", "v1", "pods")
CONTROL_PLANE, SUPERVISOR = "control-plane", "supervisor"
#: A file in `run/`: the cluster was stopped on purpose, nobody should start it again by himself.
STOPPED = "stopped"
#: Seconds for all nodes to be Ready.
NODES_SECONDS = 60.0

#: Ports that are tried when others take the chosen ones away.
PORT_TRIES = 8

#: Told each stage that is done: its name, its seconds, a remark.
Report = Callable[[str, float, str], None]


def node_component(node: str) -> str:
    return f"node-{node}"


@dataclass(slots=True)
class Up:
    """One call of `heeler up`."""

    layout: Layout
    spec: Spec
    who: Owner
    clock: Clock
    report: Report
    #: Where the access is merged into; None: it is there already.
    kubeconfig: Path | None
    sudo: tuple[str, ...] = ()
    #: The port was chosen in this call: another may be.
    port_is_new: bool = False

    async def run(self, *, wait: bool) -> Spec:
        """Do what is missing, in order. Raises LocalError."""
        started = self.clock.monotonic()
        if migrate.needed(self.spec):
            await self._migrate()
        self._stage("files", self._files)
        await self._control_plane()
        await self._nodes()
        await self._supervisor()
        if self.kubeconfig is not None:
            self._stage("kubeconfig", partial(self._kubeconfig, self.kubeconfig))
        if wait and (self.spec.nodes or self.spec.simulated_nodes):
            await self._timed("nodes ready", self._ready())
        self.layout.hand_over(self.who)
        self.report("up", self.clock.monotonic() - started, "")
        return self.spec

    async def _migrate(self) -> None:
        """The folder is an older version's. Containers run on meanwhile."""
        began = self.clock.monotonic()
        for component in [*running_nodes(self.layout), CONTROL_PLANE]:
            await processes.stop(
                self.layout,
                component,
                self.clock,
                sudo=self.sudo,
                number=signal.SIGTERM if component in (CONTROL_PLANE, SUPERVISOR) else processes.HAND_OVER,
            )
        self.spec, copy = migrate.migrate(self.layout, self.spec)
        self.report("brought forward", self.clock.monotonic() - began, f"as it was before: {copy}")

    def _stage(self, name: str, work: Callable[[], str]) -> None:
        began = self.clock.monotonic()
        remark = work()
        self.report(name, self.clock.monotonic() - began, remark)

    async def _timed(self, name: str, work: Any) -> None:
        began = self.clock.monotonic()
        remark = await work
        self.report(name, self.clock.monotonic() - began, remark or "")

    def _files(self) -> str:
        if self.spec.nodes:
            self.sudo = prerequisites.check_node_possible()
        try:
            if self.kubeconfig is not None:
                kubeconfig.read(self.kubeconfig)  # before anything is started: is it one at all?
        except kubeconfig.KubeconfigError as error:
            raise LocalError(str(error)) from error
        if self.spec.port and not self.layout.spec_file.exists():
            self._check_port()  # before anything of a new cluster is made
        self.layout.prepare(self.who)
        (self.layout.run / STOPPED).unlink(missing_ok=True)
        self.layout.save(self.spec)  # first of all: it says that the folder is a cluster's
        if not self.spec.port:
            self.port_is_new = True
            self.spec = _with_port(self.spec, free_port(ports_of_others(self.layout)))
        certificates.prepare(self.layout, self.spec, real_names(self.spec), self.clock)
        self.layout.save(self.spec)
        registries = orjson.dumps(self.spec.registries, option=orjson.OPT_INDENT_2)
        if not self.layout.registries.exists() or self.layout.registries.read_bytes() != registries:
            write_atomic(self.layout.registries, registries)
        self.layout.hand_over(self.who)
        return str(self.layout.root)

    async def _control_plane(self) -> None:
        pid = processes.running_pid(self.layout, CONTROL_PLANE)
        if pid is not None and self._is_old(CONTROL_PLANE):
            await processes.stop(self.layout, CONTROL_PLANE, self.clock)
            pid = None
        if pid is not None and await self._answers():
            self.report("control plane", 0.0, f"runs already on https://127.0.0.1:{self.spec.port}")
            return
        if pid is not None:
            await processes.stop(self.layout, CONTROL_PLANE, self.clock)
        began = self.clock.monotonic()
        arguments = ["control-plane", "--data-dir", str(self.layout.root), CONTROL_PLANE]
        taken, tries = ports_of_others(self.layout), 0
        while True:
            try:
                self._check_port()
                await asyncio.to_thread(processes.spawn, self.layout, CONTROL_PLANE, arguments, self.who)
                break
            except LocalError:
                if not self.port_is_new or port_is_free(self.spec.port) or tries >= PORT_TRIES:
                    raise
                tries += 1
                taken.add(self.spec.port)  # somebody took it since it was chosen: nobody knows ours yet
                self.spec = _with_port(self.spec, free_port(taken))
                self.layout.save(self.spec)
                self.layout.hand_over(self.who)
        self.report("control plane", self.clock.monotonic() - began, f"https://127.0.0.1:{self.spec.port}")

    def _is_old(self, component: str) -> bool:
        """Does it run, with the code of another version of Heeler?"""
        if processes.running_pid(self.layout, component) is None:
            return False
        said = processes.noted_version(self.layout, component)
        return said is not None and said != __version__

    def _check_port(self) -> None:
        if not port_is_free(self.spec.port):
            raise LocalError(
                f"port {self.spec.port} is in use by another program: stop it (ss -ltnp shows it), "
                "or choose another with --port"
            )

    async def _answers(self) -> bool:
        client = HttpsClient(certificates.admin_access(self.layout, self.spec))
        try:
            async with asyncio.timeout(3):
                status, _ = await client.request("GET", "/readyz")
        except (OSError, TimeoutError):
            return False
        finally:
            await client.close()
        return status == 200

    async def _nodes(self) -> None:
        wanted = real_names(self.spec)
        for node in known_nodes(self.layout):
            if node not in wanted:
                await self._take_away(node)
        for node in wanted:
            if self._is_old(node_component(node)):
                await processes.stop(
                    self.layout, node_component(node), self.clock, sudo=self.sudo, number=processes.HAND_OVER
                )
        missing = [n for n in wanted if processes.running_pid(self.layout, node_component(n)) is None]
        if not missing:
            if wanted:
                self.report("nodes", 0.0, "run already")
            return
        began = self.clock.monotonic()
        await asyncio.gather(*(asyncio.to_thread(self._start_node, node) for node in missing))
        self.report("nodes", self.clock.monotonic() - began, ", ".join(missing))

    def _start_node(self, node: str) -> None:
        component = node_component(node)
        arguments = ["node", "--cluster-dir", str(self.layout.root), "--name", node, component]
        processes.spawn(
            self.layout, component, arguments, self.who, as_root=True, prefix=self.sudo, needs=CONTROL_PLANE
        )

    async def _supervisor(self) -> None:
        """What starts again the others when they end: root's, if that includes agents."""
        fit = {os.geteuid(), 0, None} if self.spec.nodes else {self.who.uid, None}
        pid = processes.running_pid(self.layout, SUPERVISOR)
        if pid is not None and (self._is_old(SUPERVISOR) or processes.user_of(pid) not in fit):
            await processes.stop(self.layout, SUPERVISOR, self.clock, sudo=self.sudo)
            pid = None
        if pid is None:
            again = processes.command("revive", "--cluster-dir", str(self.layout.root))
            words = ["-S", "-E", str(Path(__file__).with_name("watcher.py")), str(self.layout.root), __version__]
            program = [sys.executable, *words, *again, SUPERVISOR]
            root = bool(self.spec.nodes) and os.geteuid() == 0
            await asyncio.to_thread(
                processes.spawn, self.layout, SUPERVISOR, [], self.who, as_root=root, program=program
            )

    async def _take_away(self, node: str) -> None:
        """A node that is taken away takes its pods along: nothing else would tell of their end for a while.

        Its data stay. If its agent had ended before, what the agent left running goes here."""
        ran = await processes.stop(self.layout, node_component(node), self.clock, sudo=self.sudo)
        client = HttpsClient(certificates.admin_access(self.layout, self.spec))
        try:
            with contextlib.suppress(StatusError, OSError):
                await client.delete(NODES, node)  # 404: that was done already
                if not ran and os.geteuid() == 0:
                    from heeler.kubelet.teardown import remove_node
                    from heeler.local.node import options

                    await remove_node(options(self.layout, self.spec, node), self.clock, data=False)
                for pod in (await client.list(PODS, field_selector=f"spec.nodeName={node}")).items:
                    await client.delete(PODS, pod["metadata"]["name"], pod["metadata"]["namespace"], grace_seconds=0)
        finally:
            await client.close()

    def _kubeconfig(self, file: Path) -> str:
        added = kubeconfig.entry(self.spec.context, certificates.admin_access(self.layout, self.spec))
        try:
            kubeconfig.merge_into(file, self.spec.context, added)
        except kubeconfig.KubeconfigError as error:
            raise LocalError(str(error)) from error
        except OSError as error:
            raise LocalError(
                f"cannot write the kubeconfig {file}: {error.strerror}: choose another with --kubeconfig"
            ) from error
        if self.who.is_other:
            for path in (file, file.parent):
                if path.stat().st_uid == 0 and path.is_relative_to(self.who.home):
                    os.chown(path, self.who.uid, self.who.gid)
        return f'context "{self.spec.context}" in {file}'

    async def _ready(self) -> str:
        count = self.spec.nodes + self.spec.simulated_nodes
        client = HttpsClient(certificates.admin_access(self.layout, self.spec))
        end = self.clock.monotonic() + NODES_SECONDS
        try:
            while True:
                items = (await client.list(NODES)).items
                ready = sum(map(is_ready, items))
                if ready >= count:
                    return f"{ready}"
                if self.clock.monotonic() > end:
                    raise LocalError(
                        f"only {ready} of {count} nodes are ready after {NODES_SECONDS:.0f} s: see heeler logs"
                    )
                await self.clock.sleep(0.05)
        finally:
            await client.close()


def is_ready(node: Object) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _with_port(spec: Spec, port: int) -> Spec:
    from dataclasses import replace

    return replace(spec, port=port)


def running_nodes(layout: Layout) -> list[str]:
    """The components that are nodes and run, sorted."""
    return [n for n in map(node_component, known_nodes(layout)) if processes.running_pid(layout, n) is not None]


def known_nodes(layout: Layout) -> list[str]:
    """The names of the real nodes that there are or were, sorted."""
    components = {name for name in processes.components(layout) if name.startswith("node-")}
    names: set[str] = set()
    with contextlib.suppress(OSError):
        components |= {path.stem for path in layout.run.glob("node-*.pid")}
        names |= {path.name for path in (layout.root / "nodes").glob("*")}
    return sorted(names | {component.removeprefix("node-") for component in components})


async def down(layout: Layout, clock: Clock, report: Report, sudo: tuple[str, ...]) -> bool:
    """Stop all, nodes first (their pods end in an orderly way); False if nothing ran."""
    stopped = False
    with contextlib.suppress(OSError):
        write_atomic(layout.run / STOPPED, b"", 0o644)
    await processes.stop(layout, SUPERVISOR, clock, sudo=sudo)
    nodes = running_nodes(layout)
    if nodes:
        began = clock.monotonic()
        await asyncio.gather(*(processes.stop(layout, n, clock, sudo=sudo) for n in nodes))
        report("nodes stopped", clock.monotonic() - began, "")
        stopped = True
    began = clock.monotonic()
    if await processes.stop(layout, CONTROL_PLANE, clock):
        report("control plane stopped", clock.monotonic() - began, "")
        stopped = True
    return stopped
