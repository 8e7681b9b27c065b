"""The pods' network inside a node, as a CNI configuration: each pod has a point-to-point link and a route to it.

Every packet of a pod is routed (nothing is bridged), so services and policies see all of them. Addresses come from
the node's own range by host-local. Source: https://www.cni.dev/plugins/current/main/ptp/
"""

from __future__ import annotations

import json
from pathlib import Path

from heeler.base.files import private_folder, write_atomic

#: Where distributions put the CNI plugins.
PLUGIN_FOLDERS = ("/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni")
NEEDED = ("ptp", "host-local", "loopback")


def find_plugins() -> Path | None:
    """The folder that holds the plugins needed."""
    for folder in map(Path, PLUGIN_FOLDERS):
        if all((folder / name).exists() for name in NEEDED):
            return folder
    return None


def configuration(pod_cidr: str, addresses_dir: Path, mtu: int, bandwidth: bool) -> str:
    """The network's conflist. Version 0.4.0 is read by every containerd from 1.6 on."""
    ptp = {
        "type": "ptp",
        "ipMasq": False,
        "mtu": mtu,
        "ipam": {
            "type": "host-local",
            "dataDir": str(addresses_dir),
            "ranges": [[{"subnet": pod_cidr}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    plugins: list[object] = [ptp]
    if bandwidth:
        plugins.append({"type": "bandwidth", "capabilities": {"bandwidth": True}})
    return json.dumps({"cniVersion": "0.4.0", "name": "heeler", "plugins": plugins}, indent=1)


def write(folder: Path, pod_cidr: str, addresses_dir: Path, mtu: int, plugins: Path) -> None:
    """Write the configuration into containerd's CNI folder."""
    private_folder(folder, 0o755)
    private_folder(addresses_dir, 0o755)
    text = configuration(pod_cidr, addresses_dir, mtu, (plugins / "bandwidth").exists())
    write_atomic(folder / "10-heeler.conflist", text.encode(), 0o644)
