"""See to what a real node needs of this machine: say what is missing, ask, and install it from Debian's packages.

    python scripts/prerequisites.py [--optional] [--yes]

With --optional nothing missing is an error (tests that need it are skipped). Never removes a package; looks for programs,
so any containerd from 1.6 on serves, a Docker's too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from heeler.local.prerequisites import Missing, missing


def main() -> int:
    optional, yes = "--optional" in sys.argv, "--yes" in sys.argv or os.environ.get("CI") == "true"
    if sys.platform != "linux":
        print("Real nodes need Linux; simulated nodes work here.")
        return 0
    found = missing()
    if optional and shutil.which("dig") is None:  # asks the cluster's DNS in tests
        found = Missing((*found.programs, "dig"), (*found.packages, "bind9-dnsutils"))
    if not found.programs:
        return 0
    print(f"A real node, or a test of it, needs {', '.join(found.programs)}, which this machine lacks.")
    apt = shutil.which("apt-get")
    root = os.geteuid() == 0
    if apt is None or not (root or shutil.which("sudo")):
        print(f"Install: {' '.join(found.packages)}. Until then: heeler up --nodes 0 --simulated-nodes 3")
        return 0
    words = [
        *([] if root else ["sudo"]),
        "apt-get",
        "install",
        "--yes",
        "--no-install-recommends",
        "--no-remove",
        *found.packages,
    ]
    print("  " + " ".join(words))
    if not yes and not _agreed():
        print("Not installed.")
        return 0
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([*words[: words.index("apt-get") + 1], "update", "--quiet", "--quiet"], check=False, env=environment)
    done = subprocess.run([*words, "--quiet", "--quiet"], check=False, env=environment, stdout=subprocess.DEVNULL)
    if done.returncode and not optional:
        print("The packages could not be installed; simulated nodes work without them.")
    return 0


def _agreed() -> bool:
    if not sys.stdin.isatty():
        print("(no terminal to ask at: installing)")
        return True
    return input("Install now? [Y/n] ").strip().lower() in ("", "y", "yes")


if __name__ == "__main__":
    sys.exit(main())
