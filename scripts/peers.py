#!/usr/bin/env python3
"""Build upstream's own programs into build/peers/, to run beside Heeler and to compare with (needs Go; slow when cold).

    peers.py [NAME ...]        kube-apiserver kube-controller-manager kube-scheduler etcd helm; all without a name

Sources come through Go's module proxy, in the versions below. A cold build of kube-apiserver takes a quarter of an hour on
two cores, each further program minutes; Go's build cache and build/peers/ keep what was made.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "peers"
KUBERNETES, ETCD, HELM = "v1.37.2", "v3.7.3", "v4.3.1"
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "helm")


def go(folder: Path, *words: str) -> str:
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"}
    done = subprocess.run(["go", *words], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def kubernetes(folder: Path) -> None:
    """A module that requires Kubernetes, with each of its staging modules at the version of the same release."""
    (folder / "go.mod").write_text("module heeler/peers\n")
    found = json.loads(go(folder, "mod", "download", "-json", f"k8s.io/kubernetes@{KUBERNETES}"))
    described = json.loads(go(folder, "mod", "edit", "-json", found["GoMod"]))
    staging = "v0" + KUBERNETES.removeprefix("v1")
    lines = [f"module heeler/peers\n\ngo {described['Go']}\n\nrequire k8s.io/kubernetes {KUBERNETES}\n"]
    lines += [
        f"replace {need['Path']} => {need['Path']} {staging}\n"
        for need in described["Require"]
        if need["Version"] == "v0.0.0"
    ]
    (folder / "go.mod").write_text("\n".join(lines))


def build(name: str) -> Path:
    target = OUT / name
    version = {"etcd": ETCD, "helm": HELM}.get(name, KUBERNETES)
    mark = OUT / f".{name}.{version}"
    if target.exists() and mark.exists():
        return target
    folder = OUT / "src" / (name if name in ("etcd", "helm") else "kubernetes")
    folder.mkdir(parents=True, exist_ok=True)
    print(f"building {name} {version}", flush=True)
    flags: tuple[str, ...] = ()
    if name == "etcd":
        package = "go.etcd.io/etcd/server/v3"
        (folder / "go.mod").write_text(f"module heeler/peers\n\ngo 1.26.0\n\nrequire {package} {version}\n")
    elif name == "helm":
        (folder / "go.mod").write_text(f"module heeler/peers\n\ngo 1.26.0\n\nrequire helm.sh/helm/v4 {version}\n")
        package = "helm.sh/helm/v4/cmd/helm"
        flags = (f"-X helm.sh/helm/v4/internal/version.version={version}",)
    else:
        kubernetes(folder)
        package = f"k8s.io/kubernetes/cmd/{name}"
        flags = (f"-X k8s.io/component-base/version.gitVersion={version}",)
    go(folder, "build", "-trimpath", "-ldflags", " ".join(("-s", "-w", *flags)), "-o", str(target), package)
    mark.touch()
    return target


def main() -> int:
    names = sys.argv[1:] or PROGRAMS
    if shutil.which("go") is None:
        print(
            "Go is missing, which builds upstream's programs: https://go.dev/doc/install (1.26 or newer)",
            file=sys.stderr,
        )
        return 2
    for name in names:
        if name not in PROGRAMS:
            print(f"unknown program {name}; known: {', '.join(PROGRAMS)}", file=sys.stderr)
            return 2
        print(build(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
