"""The keys and certificates of a local cluster: made once, renewed when they near their end.

Each component has an identity of its own and no more rights than it needs. Source:
https://kubernetes.io/docs/setup/best-practices/certificates/
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

from heeler.base import pki
from heeler.base.clock import Clock
from heeler.base.files import write_atomic
from heeler.client.kubeconfig import Access, entry
from heeler.local.layout import Layout, Spec
from heeler.objects import yaml_text

#: Certificates are made anew when they end within so many seconds.
RENEW_SECONDS = 30 * 86400
AGENT_CLIENT = "kube-apiserver-kubelet-client"
#: As whom the API server hands requests on to other API servers; its authority is one of its own, since whoever it signs for
#: may speak for anybody.
FRONT_PROXY = "front-proxy-client"
#: The identity of the nodes' network part, and the file of its access.
NETWORK_USER, NETWORK = "system:heeler-network", "network"
#: Likewise of the Ingress gateway.
INGRESS_USER, INGRESS = "system:heeler-ingress", "ingress"


def prepare(layout: Layout, spec: Spec, nodes: list[str], clock: Clock) -> None:
    """Make what is missing or old."""
    folder, now = layout.pki, clock.time()
    authority = _authority(folder, "ca", "heeler-ca", now)
    address = str(ipaddress.ip_network(spec.service_cidr)[1])
    names = [
        "localhost",
        "127.0.0.1",
        "::1",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        address,
    ]
    if _due(folder / "apiserver.crt", now):
        pair = pki.issue(authority, "kube-apiserver", now, server_names=names)
        pair.save(folder / "apiserver.crt", folder / "apiserver.key")
    _client(folder, authority, "apiserver-kubelet-client", AGENT_CLIENT, (), now)
    _client(
        folder, _authority(folder, "front-proxy-ca", "heeler-front-proxy-ca", now), FRONT_PROXY, FRONT_PROXY, (), now
    )
    _client(folder, authority, "admin", "heeler-admin", ("system:masters",), now)
    if nodes:
        for name, user in ((NETWORK, NETWORK_USER), (INGRESS, INGRESS_USER)):
            _client(folder, authority, name, user, (), now)
            write_kubeconfig(folder / f"{name}.kubeconfig", spec, folder, name)
    for node in nodes:
        file = folder / f"node-{node}.crt"
        if _due(file, now):
            pair = pki.issue(
                authority,
                f"system:node:{node}",
                now,
                organizations=("system:nodes",),
                server_names=[node, "localhost", "127.0.0.1"],
                client=True,
            )
            pair.save(file, folder / f"node-{node}.key")
        write_kubeconfig(folder / f"node-{node}.kubeconfig", spec, folder, f"node-{node}")
    if not (folder / "sa.key").exists():
        write_atomic(folder / "sa.key", pki.new_rsa_key(), 0o600)
    write_kubeconfig(layout.admin_kubeconfig, spec, folder, "admin")


def admin_access(layout: Layout, spec: Spec) -> Access:
    return access_as(layout.pki, spec, "admin")


def access_as(folder: Path, spec: Spec, name: str) -> Access:
    """How the identity `name` reaches the cluster."""
    return Access(
        server=f"https://127.0.0.1:{spec.port}",
        authority=(folder / "ca.crt").read_bytes(),
        certificate=(folder / f"{name}.crt").read_bytes(),
        key=(folder / f"{name}.key").read_bytes(),
    )


def write_kubeconfig(path: Path, spec: Spec, folder: Path, name: str) -> None:
    text = yaml_text.dump(entry(spec.context, access_as(folder, spec, name))).encode()
    try:
        if path.read_bytes() == text:
            return
    except FileNotFoundError:
        pass
    write_atomic(path, text, 0o600)


def _authority(folder: Path, file: str, name: str, now: float) -> pki.KeyPair:
    certificate, key = folder / f"{file}.crt", folder / f"{file}.key"
    if not certificate.exists() or not key.exists():
        pki.new_authority(name, now).save(certificate, key)
    return pki.KeyPair.load(certificate, key)


def _client(folder: Path, authority: pki.KeyPair, file: str, name: str, groups: tuple[str, ...], now: float) -> None:
    if _due(folder / f"{file}.crt", now):
        pair = pki.issue(authority, name, now, organizations=groups, client=True)
        pair.save(folder / f"{file}.crt", folder / f"{file}.key")


def _due(certificate: Path, now: float) -> bool:
    """Missing, broken, or near its end."""
    try:
        return pki.expires_at(certificate.read_bytes()) - now < RENEW_SECONDS
    except (OSError, ValueError):
        return True
