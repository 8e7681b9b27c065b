"""A real node of a local cluster: the options of its agent, its process, and its removal. All of it runs as root."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

from heeler.base.clock import SystemClock
from heeler.base.random import SystemRandom
from heeler.kubelet import pressure
from heeler.kubelet.image_gc import Policy
from heeler.kubelet.options import NodeOptions
from heeler.local import processes
from heeler.local.certificates import AGENT_CLIENT, INGRESS, NETWORK
from heeler.local.layout import Layout, LocalError, Spec, real_names

if TYPE_CHECKING:
    from heeler.kubelet.agent import Node


#: A laptop's disk is mostly full, and what fills it is not the cluster's: shares of it, as a server's nodes go by, would
#: keep every pod away. Images stay for the same reason.
LOCAL_HARD = (
    "memory.available<100Mi,nodefs.available<1Gi,nodefs.inodesFree<10k,imagefs.available<1Gi,imagefs.inodesFree<10k"
)


def options(layout: Layout, spec: Spec, node: str) -> NodeOptions:
    """What the agent of `node` is told."""
    pki = layout.pki
    return NodeOptions(
        cluster=spec.machine_name,
        node=node,
        data_dir=layout.node_data(node),
        index=real_names(spec).index(node) if node in real_names(spec) else 0,
        cluster_cidr=spec.pod_cidr,
        service_cidr=spec.service_cidr,
        uplink=spec.uplink,
        api_server=("127.0.0.1", spec.port),
        serving_cert=pki / f"node-{node}.crt",
        serving_key=pki / f"node-{node}.key",
        client_ca=pki / "ca.crt",
        api_client_name=AGENT_CLIENT,
        archives=layout.images,
        registries=layout.registries,
        eviction=pressure.Settings(pressure.thresholds(LOCAL_HARD)),
        image_gc=Policy(high=101),
        exposed=layout.root,
        ingress_ports=(spec.ingress_http_port, spec.ingress_https_port),
    )


async def serve(layout: Layout, spec: Spec, node: str, component: str) -> None:
    """Be the node until told to stop. Raises ProgramError, OSError, LocalError."""
    from heeler.client.https import HttpsClient
    from heeler.client.kubeconfig import access, read
    from heeler.kubelet.agent import Node
    from heeler.local.upkeep import keep

    if os.geteuid() != 0:
        raise LocalError("a node's agent must run as root")
    os.umask(0o022)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    client = HttpsClient.from_kubeconfig(layout.pki / f"node-{node}.kubeconfig", user_agent="kubelet/v1.37.2")
    network = HttpsClient.from_kubeconfig(layout.pki / f"{NETWORK}.kubeconfig", user_agent="heeler-network")
    ingress = HttpsClient.from_kubeconfig(layout.pki / f"{INGRESS}.kubeconfig", user_agent="heeler-ingress")
    work = Node(options(layout, spec, node), client, SystemClock(), SystemRandom(), network, ingress)

    def hand_over() -> None:
        work.keep_pods = True
        stop.set()

    loop.add_signal_handler(processes.HAND_OVER, hand_over)
    running = asyncio.ensure_future(work.run())
    stopping = asyncio.ensure_future(stop.wait())
    ready = asyncio.ensure_future(_say_ready(work, node))
    pairs = (
        (client, layout.pki / f"node-{node}.kubeconfig"),
        (network, layout.pki / f"{NETWORK}.kubeconfig"),
        (ingress, layout.pki / f"{INGRESS}.kubeconfig"),
    )
    stamps = {path: path.stat().st_mtime for _, path in pairs}

    def renew() -> None:
        """The control plane makes new certificates in time: take them up."""
        for one, path in pairs:
            if path.stat().st_mtime != stamps[path]:
                one.renew(access(read(path), path, ""))
                stamps[path] = path.stat().st_mtime
        if work.certificate is not None:
            work.certificate.look()

    logs = [layout.log(component), work.paths.root / "containerd.log"]
    upkeep = asyncio.ensure_future(keep(logs, renew, SystemClock()))
    try:
        await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (ready, upkeep, stopping, running):
            task.cancel()
        await asyncio.gather(ready, upkeep, stopping, return_exceptions=True)
        try:
            await running
        except asyncio.CancelledError:
            pass
        finally:
            await client.close()
            await network.close()
            await ingress.close()


async def _say_ready(work: Node, node: str) -> None:
    """Once the node is registered, whoever started us need not wait any longer."""
    await work.ready.wait()
    processes.say_ready(node)


async def remove_nodes(layout: Layout, spec: Spec) -> None:
    """Leave nothing of the cluster's nodes on this machine. Raises ProgramError, OSError."""
    from heeler.kubelet.teardown import remove_cluster

    clock = SystemClock()
    names = dict.fromkeys(real_names(spec))
    folder = layout.root / "nodes"
    if folder.exists():
        names |= dict.fromkeys(sorted(p.name for p in folder.iterdir()))
    nodes = [options(layout, spec, name) for name in names]
    await remove_cluster(options(layout, spec, next(iter(names), "none")), clock, nodes)
    if folder.exists():
        folder.rmdir()
