"""`make bench`: Heeler's figures, printed with the machine's size and the aim of each; never asserted.

    python bench/run.py [--only NAME] [--json]

The API load comes from bench/apibench, a compiled client (Go), so that the client isn't what is measured. Beside a figure
stands what a peer does where it was measured on a like machine (kube-apiserver 1.37.2 with etcd 3.7.3).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from api import api
from common import HEELER, KUBECTL, NAME, ROOT, Figures, cluster, home, run
from nodes import fifty_pods, idle_node, images


def start(figures: Figures) -> None:
    """From the command to the first answered request, and to a Running pod."""
    for _ in range(2):  # the first one warms the disk's cache
        with home() as environment:
            began = time.perf_counter()
            run([*HEELER, "up", "--name", NAME, "--simulated-nodes", "1", "--no-wait"], environment)
            run([KUBECTL, "get", "--raw", "/api/v1/namespaces/default"], environment)
            answered = time.perf_counter() - began
            pod = '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}}'
            while subprocess.run(
                [KUBECTL, "create", "-f", "-"], input=pod, text=True, env=environment, capture_output=True, check=False
            ).returncode:
                time.sleep(0.01)  # until the service account is there
            run([KUBECTL, "wait", "pod/p", "--for=jsonpath={.status.phase}=Running", "--timeout=20s"], environment)
            running = time.perf_counter() - began
            run([*HEELER, "delete", "--name", NAME], environment)
    figures.add(
        "up --simulated-nodes 1 to the first answered request", answered, "s", "<= 1.0", "3.7 s (API server and etcd)"
    )
    figures.add("up --simulated-nodes 1 to a Running pod", running, "s", "<= 1.5")


def idle(figures: Figures) -> None:
    """Memory and processor time of a control plane that has nothing to do."""
    with cluster("--nodes", "0") as environment:
        status = json.loads(run([*HEELER, "status", "--name", NAME, "-o", "json"], environment))
        component = status["clusters"][0]["components"][0]
        stat = Path(f"/proc/{component['pid']}/stat")

        def ticks() -> int:
            fields = stat.read_text().rsplit(")", 1)[1].split()
            return int(fields[11]) + int(fields[12])

        time.sleep(5)
        before, began = ticks(), time.perf_counter()
        time.sleep(20)
        share = (ticks() - before) / os.sysconf("SC_CLK_TCK") / (time.perf_counter() - began)
        status = json.loads(run([*HEELER, "status", "--name", NAME, "-o", "json"], environment))
        memory = status["clusters"][0]["components"][0]["memoryBytes"]
    figures.add("idle control plane, memory", memory / 2**20, "MiB", "<= 100", "309 MiB (API server and etcd)")
    figures.add("idle control plane, share of a core", 100 * share, "%", "<= 1")


def workloads(figures: Figures) -> None:
    """Deployments of many pods on simulated nodes, API server, controllers, scheduler and nodes in one process."""
    # kwok 0.8 with upstream's components at QPS 5,000 was measured with the 1,000 only
    for pods, nodes, aim, peer in ((1_000, 50, "<= 8", "29 s"), (10_000, 500, "<= 120", "")):
        with cluster("--nodes", "0", "--simulated-nodes", str(nodes)) as environment:
            began = time.perf_counter()
            run([KUBECTL, "create", "deployment", "many", "--image=i", f"--replicas={pods}"], environment)
            ready = f"--for=jsonpath={{.status.readyReplicas}}={pods}"
            run([KUBECTL, "wait", "deployment/many", ready, "--timeout=600s"], environment)
            seconds = time.perf_counter() - began
            figures.add(f"{pods:,} pods on {nodes} simulated nodes, all Ready", seconds, "s", aim, peer)
            if pods == 1_000:
                began = time.perf_counter()
                run([KUBECTL, "set", "image", "deployment/many", "*=j"], environment)
                run([KUBECTL, "rollout", "status", "deployment/many", "--timeout=600s"], environment)
                figures.add("  a rolling update of them", time.perf_counter() - began, "s", "<= 15")


def container(figures: Figures) -> None:
    """A real container from create to Running, image present."""
    if os.geteuid() != 0:
        print("  (container: needs root)")
        return
    with cluster("--nodes", "1", "--no-uplink") as environment:
        run(
            [*HEELER, "image", "build", str(ROOT / "examples/guestbook/image"), "--load", "--name", NAME],
            environment,
        )
        times = []
        for number in range(5):
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": f"p{number}"},
                "spec": {
                    "terminationGracePeriodSeconds": 0,
                    "containers": [{"name": "c", "image": "guestbook:1", "command": ["sleep", "1000"]}],
                },
            }
            began = time.perf_counter()
            subprocess.run(
                [KUBECTL, "create", "-f", "-"],
                input=json.dumps(pod),
                text=True,
                env=environment,
                capture_output=True,
                check=True,
            )
            run(
                [KUBECTL, "wait", f"pod/p{number}", "--for=jsonpath={.status.phase}=Running", "--timeout=20s"],
                environment,
            )
            times.append(time.perf_counter() - began)
        figures.add("a real container from create to Running (median of 5)", sorted(times)[2], "s", "<= 0.8")


def network(figures: Figures) -> None:
    """What `bench/network.py` measures."""
    sys.path.insert(0, str(ROOT / "src"))
    sys.path.insert(0, str(ROOT))
    from bench.network import network as measure

    measure(figures, HEELER, KUBECTL, run, home)


def fixture(figures: Figures) -> None:
    """What `bench/fixture.py` measures."""
    sys.path.insert(0, str(ROOT))
    from bench.fixture import fixture as measure

    measure(figures)


def helm(figures: Figures) -> None:
    """What `bench/helm.py` measures."""
    sys.path.insert(0, str(ROOT / "src"))
    sys.path.insert(0, str(ROOT))
    from bench.helm import helm as measure

    measure(figures)


def scheduling(figures: Figures) -> None:
    """What `bench/scheduling.py` measures."""
    sys.path.insert(0, str(ROOT))
    from bench.scheduling import scheduling as measure

    measure(figures)


def simulation(figures: Figures) -> None:
    """What `bench/simulation.py` measures."""
    sys.path.insert(0, str(ROOT))
    from bench.simulation import simulation as measure

    measure(figures)


PARTS: tuple[Callable[[Figures], None], ...] = (
    *(start, idle, api, workloads, container, network),
    *(idle_node, images, fifty_pods, fixture, helm, scheduling, simulation),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=[p.__name__ for p in PARTS])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT / "src"), os.environ.get("PYTHONPATH", ""))))
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # whoever runs Heeler has its bytecode: each first start writes it
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    print(f"{os.cpu_count()} cores, {memory:.0f} GiB, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    figures = Figures()
    for part in PARTS:
        if arguments.only in (None, part.__name__):
            part(figures)
    if arguments.json:
        print(json.dumps(figures.rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
