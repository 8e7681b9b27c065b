"""`make up`: a cluster, the guestbook in it, and where to look.

python scripts/example.py [--name NAME]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from heeler.client import kubeconfig
from heeler.client.https import HttpsClient
from heeler.local import certificates
from heeler.local.layout import LocalError, layout_of, owner
from heeler.local.prerequisites import called, check_node_possible
from heeler.objects import yaml_text
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "guestbook"
HEELER = [sys.executable, "-m", "heeler.cli.main"]
DEPLOYMENTS = GroupVersionResource("apps", "v1", "deployments")
#: kind -> its collection
COLLECTIONS = {
    "Service": GroupVersionResource("", "v1", "services"),
    "ConfigMap": GroupVersionResource("", "v1", "configmaps"),
    "Secret": GroupVersionResource("", "v1", "secrets"),
    "Deployment": DEPLOYMENTS,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="heeler")
    parser.add_argument("--no-uplink", action="store_true")
    arguments = parser.parse_args()
    real = True
    try:
        check_node_possible()
    except LocalError as error:
        real = False
        words = str(error).replace(_call(), "sudo make up")
        print(f"No real node: {words}\nGoing on with simulated nodes.\n")
    flags = ["--nodes", "1"] if real else ["--nodes", "0", "--simulated-nodes", "3"]
    if arguments.no_uplink:
        flags.append("--no-uplink")
    _run("up", "--name", arguments.name, *flags)
    if real:
        _run("image", "build", str(EXAMPLE / "image"), "--load", "--name", arguments.name)
    address = asyncio.run(_deploy(arguments.name, real))
    layout = layout_of(arguments.name, None, owner(os.environ), os.environ)
    spec = layout.load()
    assert spec is not None
    print()
    if real:
        print(f"The guestbook: {address}")
    else:
        print("The guestbook is deployed; simulated nodes run no containers, so there is no page to see.")
    file = Path(spec.kubeconfig)
    default = kubeconfig.default_path(os.environ)
    kubectl = "kubectl" if file == default.absolute() else f"kubectl --kubeconfig {file}"
    print("Try:")
    second = "logs -f deployment/web" if real else "describe deployment web"
    for words in ("get pods -o wide", second, "scale deployment/web --replicas=5"):
        print(f"  {kubectl} --context {spec.context} {words}")
    return 0


def _call() -> str:
    """How a message says to call this program as root; here it was make that called it."""
    return f"sudo {' '.join(called())}"


def _run(*words: str) -> None:
    done = subprocess.run([*HEELER, *words], check=False)
    if done.returncode:
        sys.exit(done.returncode)


async def _deploy(name: str, real: bool) -> str:
    """Apply the example and wait for it: the page's address."""
    layout = layout_of(name, None, owner(os.environ), os.environ)
    spec = layout.load()
    assert spec is not None
    client = HttpsClient(certificates.admin_access(layout, spec), user_agent="heeler-example")
    started = time.monotonic()
    try:
        for text in (EXAMPLE / "guestbook.yaml").read_text().split("\n---\n"):
            obj: Object = yaml_text.load(text)[0]
            await client.patch(
                COLLECTIONS[obj["kind"]],
                obj["metadata"]["name"],
                obj,
                "default",
                type="application/apply-patch+yaml",
                field_manager="heeler-example",
                force=True,
            )
        await _available(client)
    except (StatusError, OSError) as error:
        sys.exit(f"the example could not be deployed: {error}")
    finally:
        await client.close()
    address = "http://127.0.0.1:30080/"
    if real:
        address = await asyncio.to_thread(_published, spec.machine_name, address)
        await asyncio.to_thread(_answers, address)
    print(f"  {'guestbook':<22}{time.monotonic() - started:6.2f} s  3 replicas available")
    return address


async def _available(client: HttpsClient) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = [await client.get(DEPLOYMENTS, n, "default") for n in ("web", "backend")]
        if all((d.get("status") or {}).get("availableReplicas", 0) >= d["spec"]["replicas"] for d in found):
            return
        await asyncio.sleep(0.05)
    sys.exit("the example's pods did not become ready in 60 s: kubectl describe pods")


def _published(machine_name: str, default: str) -> str:
    """Where the node has published the page (another port if 30080 was taken)."""
    import json

    for file in Path("/run/heeler").glob(f"{machine_name}/*/published.json"):
        for entry in json.loads(file.read_text()):
            if entry.get("service") == "guestbook" and entry.get("address"):
                return f"http://{entry['address']}/"
    return default


def _answers(address: str) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"the page {address} does not answer")


if __name__ == "__main__":
    sys.exit(main())
