"""What a real node needs of the machine, and what to do where it is missing."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass

from heeler.local.layout import LocalError

#: program -> the Debian package that has it.
PROGRAMS = {
    "containerd": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "conntrack": "conntrack",
}
CNI_FOLDERS = ("/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni")
PACKAGE_OF_CNI = "containernetworking-plugins"
_SYSTEM_PATH = ":".join(("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"))
HINT = "or run without containers: heeler up --nodes 0 --simulated-nodes 3 (with the other flags that you gave)"


@dataclass(frozen=True, slots=True)
class Missing:
    """What is not there: programs, and the packages that have them."""

    programs: tuple[str, ...]
    packages: tuple[str, ...]


def missing() -> Missing:
    """Looks for binaries, not packages: any containerd will do."""
    path = os.environ.get("PATH", "") + ":" + _SYSTEM_PATH
    programs = [p for p in PROGRAMS if shutil.which(p, path=path) is None]
    packages = [PROGRAMS[p] for p in programs]
    if not any(os.path.exists(os.path.join(folder, "ptp")) for folder in CNI_FOLDERS):
        programs.append("CNI plugins")
        packages.append(PACKAGE_OF_CNI)
    return Missing(tuple(programs), tuple(packages))


def check_node_possible() -> tuple[str, ...]:
    """How to become root for a node's agent: () if we are, else the words to put before. Raises LocalError."""
    if platform.system() != "Linux":
        raise LocalError(f"real nodes need Linux, and this is {platform.system()}: {HINT.removeprefix('or ')}")
    if platform.machine() not in ("x86_64", "aarch64"):
        raise LocalError(
            f"real nodes need amd64 or arm64, and this is {platform.machine()}: {HINT.removeprefix('or ')}"
        )
    found = missing()
    if found.programs:
        install = f"sudo apt-get install --no-remove {' '.join(found.packages)}"
        raise LocalError(f"a real node needs {', '.join(found.programs)}, which is not here:\n  {install}\n{HINT}")
    if os.geteuid() == 0:
        return ()
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ("sudo", "-n")
    raise LocalError(f"a real node's agent must run as root: call `sudo {' '.join(called())}`,\n{HINT}")


def called() -> list[str]:
    """The command as it was given, to be said again with sudo before it."""
    import sys

    return [os.path.abspath(sys.argv[0]) if sys.argv[0].endswith("heeler") else "heeler", *sys.argv[1:]]
