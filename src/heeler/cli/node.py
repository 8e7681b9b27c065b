"""`heeler node`: a node's agent alone, and the hidden command that removes a local cluster's nodes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from heeler.cli.flags import fail, set_up_logging, verbosity
from heeler.local import processes
from heeler.local.layout import Layout, LocalError

if TYPE_CHECKING:
    from heeler.kubelet.image_gc import Policy
    from heeler.kubelet.pressure import Settings


@click.command(epilog="Example: sudo heeler node --kubeconfig node.kubeconfig --hostname-override worker-1")
@click.option(
    "--kubeconfig", type=click.Path(path_type=Path), default=None, help="Access of this node (user system:node:NAME)."
)
@click.option(
    "--network-kubeconfig",
    type=click.Path(path_type=Path),
    default=None,
    help="Access of the network part (role system:heeler-network) [--kubeconfig].",
)
@click.option("--cluster-dns", multiple=True, help="A resolver for pods [the node answers itself].")
@click.option("--cluster-domain", default="cluster.local", show_default=True, help="The domain of Services.")
@click.option("--hostname-override", "--name", "name", default="", help="The node's name [this machine's].")
@click.option(
    "--cluster-name", default="heeler", show_default=True, help="Names this machine's namespaces and cgroups."
)
@click.option(
    "--root-dir",
    type=click.Path(path_type=Path),
    default=Path("/var/lib/heeler-node"),
    show_default=True,
    help="Images, volumes and logs.",
)
@click.option("--pod-cidr", default="", help="Addresses of this node's pods [a part of --cluster-cidr].")
@click.option("--cluster-cidr", default="10.244.0.0/16", show_default=True, help="Addresses of all pods.")
@click.option("--service-cluster-ip-range", default="10.96.0.0/16", show_default=True, help="Addresses of Services.")
@click.option("--uplink/--no-uplink", default=True, show_default=True, help="Whether pods may reach the world outside.")
@click.option(
    "--tls-cert-file", type=click.Path(path_type=Path), default=None, help="Serving certificate of the kubelet API."
)
@click.option("--tls-private-key-file", type=click.Path(path_type=Path), default=None, help="Its key.")
@click.option(
    "--client-ca-file",
    type=click.Path(path_type=Path),
    default=None,
    help="Authority of the API server's client certificate.",
)
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Port of the kubelet API [a free one].")
@click.option("--node-labels", default="", help="Comma-separated key=value labels.")
@click.option("--max-pods", default=110, show_default=True, type=click.IntRange(1, 1000))
@click.option(
    "--registries", type=click.Path(path_type=Path), default=None, help="JSON file of registries (docs/nodes.md)."
)
@click.option("--container-log-max-size", default="10Mi", show_default=True, help="Before a log is put aside.")
@click.option("--container-log-max-files", default=5, show_default=True, type=click.IntRange(2, 100))
@click.option("--allowed-unsafe-sysctls", default="", help="Comma-separated, e.g. kernel.msg*,net.core.somaxconn.")
@click.option("--eviction-hard", default=None, help="Comma-separated signal<amount [a kubelet's defaults].")
@click.option("--eviction-soft", default="", help="The same, after a time.")
@click.option("--eviction-soft-grace-period", default="", help="Comma-separated signal=time, e.g. 1m30s.")
@click.option("--eviction-max-pod-grace-period", default=0, show_default=True, help="Seconds, at a soft threshold.")
@click.option("--eviction-pressure-transition-period", default="5m", show_default=True, help="Before a condition ends.")
@click.option("--eviction-minimum-reclaim", default="", help="Comma-separated signal=amount.")
@click.option("--image-gc-high-threshold", default=85, show_default=True, type=click.IntRange(0, 100))
@click.option("--image-gc-low-threshold", default=80, show_default=True, type=click.IntRange(0, 100))
@click.option("--minimum-image-ttl-duration", default="2m", show_default=True, help="Younger images stay.")
@click.option("--cluster-dir", type=click.Path(path_type=Path), default=None, hidden=True)
@verbosity
@click.argument("component", default="", required=False)
def node(cluster_dir: Path | None, component: str, verbose: int, **flags: Any) -> None:
    """Run a node's agent in the foreground. Needs root, containerd, runc, the CNI plugins and nftables."""
    from heeler.base.processes import ProgramError
    from heeler.client.kubeconfig import KubeconfigError

    set_up_logging(max(verbose, 1) if cluster_dir else verbose)
    try:
        if os.geteuid() != 0:
            raise LocalError("a node's agent must run as root: use sudo")
        if cluster_dir is not None:
            _of_local_cluster(Layout(cluster_dir), flags["name"], component)
        else:
            _alone(flags)
    except (LocalError, ProgramError, KubeconfigError, OSError, ValueError) as error:
        processes.say_failed(str(error))
        fail(str(error))
    except Exception as error:
        processes.say_failed(f"{type(error).__name__}: {error}")
        raise


def _of_local_cluster(layout: Layout, name: str, component: str) -> None:
    from heeler.local.node import serve

    spec = layout.load()
    if spec is None:
        raise LocalError(f"no cluster in {layout.root}")
    processes.note_pid(layout, component)
    asyncio.run(serve(layout, spec, name, component))


def _alone(flags: dict[str, Any]) -> None:
    import platform

    from heeler.base.clock import SystemClock
    from heeler.base.random import SystemRandom
    from heeler.client.https import HttpsClient
    from heeler.kubelet.agent import run_node
    from heeler.kubelet.options import NodeOptions

    if flags["kubeconfig"] is None:
        raise LocalError("--kubeconfig is missing: the access of user system:node:NAME")
    name = flags["name"] or platform.node().lower()
    labels = dict(part.partition("=")[::2] for part in flags["node_labels"].split(",") if part)
    eviction, images = _resources(flags)
    options = NodeOptions(
        eviction=eviction,
        image_gc=images,
        registries=flags["registries"],
        log_size=_bytes(flags["container_log_max_size"]),
        log_files=flags["container_log_max_files"],
        unsafe_sysctls=tuple(part.strip() for part in flags["allowed_unsafe_sysctls"].split(",") if part.strip()),
        cluster=flags["cluster_name"],
        node=name,
        data_dir=flags["root_dir"],
        pod_cidr=flags["pod_cidr"],
        cluster_cidr=flags["cluster_cidr"],
        service_cidr=flags["service_cluster_ip_range"],
        cluster_dns=tuple(part for text in flags["cluster_dns"] for part in text.split(",") if part),
        cluster_domain=flags["cluster_domain"],
        uplink=flags["uplink"],
        max_pods=flags["max_pods"],
        labels=labels,
        kubelet_port=flags["port"],
        serving_cert=flags["tls_cert_file"],
        serving_key=flags["tls_private_key_file"],
        client_ca=flags["client_ca_file"],
        api_server=_on_this_host(flags["kubeconfig"]),
    )

    async def run() -> None:
        import contextlib
        import signal

        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        client = HttpsClient.from_kubeconfig(flags["kubeconfig"], user_agent="kubelet/v1.37.2")
        network = None
        if flags["network_kubeconfig"] is not None:
            network = HttpsClient.from_kubeconfig(flags["network_kubeconfig"], user_agent="heeler-network")
        running = asyncio.ensure_future(run_node(options, client, SystemClock(), SystemRandom(), network))
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    asyncio.run(run())


def _bytes(text: str) -> int:
    from heeler.objects.quantities import parse

    return parse(text).ceil


def _resources(flags: dict[str, Any]) -> tuple[Settings, Policy]:
    """What is done when the node runs short. Raises ValueError."""
    from heeler.kubelet import image_gc, pressure

    reclaims = flags["eviction_minimum_reclaim"]
    hard = pressure.DEFAULT_HARD if flags["eviction_hard"] is None else flags["eviction_hard"]
    soft, graces = flags["eviction_soft"], flags["eviction_soft_grace_period"]
    if soft and not graces:
        raise ValueError("--eviction-soft needs --eviction-soft-grace-period")
    high, low = flags["image_gc_high_threshold"], flags["image_gc_low_threshold"]
    if low >= high:
        raise ValueError(f"--image-gc-low-threshold {low} must be lower than --image-gc-high-threshold {high}")
    eviction = pressure.Settings(
        pressure.thresholds(hard, "", reclaims),
        pressure.thresholds(soft, graces, reclaims),
        float(flags["eviction_max_pod_grace_period"]),
        pressure.seconds(flags["eviction_pressure_transition_period"]),
    )
    return eviction, image_gc.Policy(high, low, pressure.seconds(flags["minimum_image_ttl_duration"]))


def _on_this_host(kubeconfig: Path) -> tuple[str, int] | None:
    """The API server's address where it listens on the loopback only: pods get there by way of the agent."""
    from urllib.parse import urlsplit

    from heeler.client.kubeconfig import access, read

    url = urlsplit(access(read(kubeconfig), kubeconfig, "").server)
    if url.hostname not in ("127.0.0.1", "localhost"):
        return None
    return "127.0.0.1", url.port or 443


@click.command(hidden=True)
@click.option("--cluster-dir", type=click.Path(path_type=Path), required=True)
def node_remove(cluster_dir: Path) -> None:
    """Remove what a cluster's nodes left on this machine (called by `heeler delete` as root)."""
    from heeler.base.processes import ProgramError
    from heeler.local.node import remove_nodes

    layout = Layout(cluster_dir)
    try:
        spec = layout.load()
        if spec is None:
            raise LocalError(f"no cluster in {cluster_dir}")
        asyncio.run(remove_nodes(layout, spec))
    except (LocalError, ProgramError, OSError) as error:
        fail(str(error))
