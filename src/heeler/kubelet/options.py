"""What a node must be told, and every name that follows from it.

All names carry the cluster's and the node's name, so that several clusters live side by side on one machine and a
teardown finds what a killed one left behind. A cluster's name holds no dot, so "heeler.CLUSTER.NODE" is unambiguous.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from heeler.kubelet import pressure
from heeler.kubelet.image_gc import Policy

#: The Kubernetes version that the node reports.
KUBERNETES_VERSION = "v1.37.2"

PAUSE_IMAGE = "heeler.local/pause:1"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """One node of one cluster. Folders are made when the node starts."""

    cluster: str
    node: str
    #: Kept over restarts: images, pods' volumes, logs.
    data_dir: Path
    #: Sockets and running state, gone with a reboot; by default /run/heeler/CLUSTER/NODE.
    state_dir: Path | None = None
    #: Counts the nodes of this machine from 0: gives the default addresses.
    index: int = 0
    pod_cidr: str = ""
    cluster_cidr: str = "10.244.0.0/16"
    service_cidr: str = "10.96.0.0/12"
    fabric_cidr: str = ""
    node_ports: tuple[int, int] = (30000, 32767)
    #: Whether packets may leave the machine (masqueraded); nothing comes in either way.
    uplink: bool = True
    #: Where the API server listens on the host, e.g. ("127.0.0.1", 6443): pods reach it by the service "kubernetes".
    api_server: tuple[str, int] | None = None
    #: Resolvers of the cluster; without any the node answers itself, at the tenth address of the services' range.
    cluster_dns: tuple[str, ...] = ()
    builtin_dns: bool = True
    cluster_domain: str = "cluster.local"
    max_pods: int = 110
    labels: Mapping[str, str] = field(default_factory=dict)
    #: Where the kubelet's API listens on the host; port 0 takes any free one.
    kubelet_address: str = "127.0.0.1"
    kubelet_port: int = 0
    #: PEM files for the kubelet's API. Without them it isn't served: logs and exec are then not to be had.
    serving_cert: Path | None = None
    serving_key: Path | None = None
    client_ca: Path | None = None
    #: The common name of the only client certificate that may call the kubelet's API ("" for any that the CA signed).
    api_client_name: str = "kube-apiserver-kubelet-client"
    #: Pods run on when the agent ends in an orderly way.
    keep_pods: bool = False
    version: str = KUBERNETES_VERSION
    #: A containerd binary; by default the one in PATH.
    containerd: str = ""
    #: A folder of image archives that every node is to have: what is missing is loaded when the node starts.
    archives: Path | None = None
    #: Bytes of a container's log before it is put aside, and how many files of it there are in all.
    log_size: int = 10 << 20
    log_files: int = 5
    #: Kernel settings beyond the harmless ones that pods may have; "net.core.*" stands for all below it.
    unsafe_sysctls: tuple[str, ...] = ()
    #: A JSON file of registries' settings (see `heeler.kubelet.registries`); it may change while the node runs.
    registries: Path | None = None
    #: When the node is short of something, and when images are removed.
    eviction: pressure.Settings = field(
        default_factory=lambda: pressure.Settings(pressure.thresholds(pressure.DEFAULT_HARD))
    )
    image_gc: Policy = field(default_factory=Policy)
    #: Publish NodePort services and annotated ones on the host's 127.0.0.1; a cluster's first node (index 0) does it.
    publish: bool = True
    #: The folder of the file in which `heeler expose` remembers ports.
    exposed: Path | None = None
    #: Where Ingresses listen on the host's 127.0.0.1 if the ports are free: HTTP, HTTPS.
    ingress_ports: tuple[int, int] = (80, 443)

    @property
    def state(self) -> Path:
        return self.state_dir or Path("/run/heeler") / self.cluster / self.node

    @property
    def fabric_netns(self) -> str:
        return f"heeler.{self.cluster}"

    @property
    def node_netns(self) -> str:
        return f"heeler.{self.cluster}.{self.node}"

    @property
    def cgroup(self) -> str:
        """The absolute cgroup that holds all of the node's pods."""
        return f"/heeler.{self.cluster}/{self.node}"

    @property
    def fabric(self) -> ipaddress.IPv4Network:
        """The nodes' own network: a /24 in 100.64.0.0/10 that follows from the cluster's name."""
        if self.fabric_cidr:
            return ipaddress.IPv4Network(self.fabric_cidr)
        number = int(_digest(self.cluster), 16) % (1 << 14)
        return ipaddress.IPv4Network((int(ipaddress.IPv4Address("100.64.0.0")) + (number << 8), 24))

    @property
    def gateway(self) -> str:
        """The bridge's address in the fabric."""
        return str(self.fabric[1])

    @property
    def node_ip(self) -> str:
        return str(self.fabric[10 + self.index])

    @property
    def pods(self) -> ipaddress.IPv4Network:
        """This node's share of the pods' addresses."""
        if self.pod_cidr:
            return ipaddress.IPv4Network(self.pod_cidr)
        whole = ipaddress.IPv4Network(self.cluster_cidr)
        prefix = max(24, whole.prefixlen)
        return ipaddress.IPv4Network((int(whole.network_address) + (self.index << (32 - prefix)), prefix))

    @property
    def dns_address(self) -> str:
        """Where the node answers DNS questions; "" where it doesn't."""
        network = ipaddress.IPv4Network(self.service_cidr)
        return str(network[10]) if self.builtin_dns and not self.cluster_dns and network.num_addresses > 10 else ""

    @property
    def resolvers(self) -> tuple[str, ...]:
        """What pods get for the cluster's resolvers."""
        return self.cluster_dns or ((self.dns_address,) if self.dns_address else ())

    @property
    def node_link(self) -> str:
        """The node's veth end in the fabric (at most 15 letters)."""
        return f"n{_digest(f'{self.cluster}/{self.node}')}"

    @property
    def uplink_host(self) -> str:
        """The fabric's veth end in the host's namespace."""
        return f"hl{_digest(self.cluster)}"

    @property
    def host_table(self) -> str:
        """The nft table in the host's namespace that masquerades the uplink."""
        return f"heeler_{_digest(self.cluster)}"

    @property
    def containerd_socket(self) -> Path:
        return self.state / "containerd.sock"

    @property
    def pods_dir(self) -> Path:
        return self.data_dir / "pods"

    @property
    def memory_dir(self) -> Path:
        """Where a tmpfs holds volumes that must not reach a disk."""
        return self.state / "volumes"

    @property
    def local_path_dir(self) -> Path:
        """Where volumes of the local provisioner are, each in a folder of its name."""
        return self.data_dir / "volumes"

    @property
    def logs_dir(self) -> Path:
        return self.data_dir / "logs" / "pods"
