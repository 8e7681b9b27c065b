"""`make bench`: Heeler's figures, printed with the machine's size and the aim of each; never asserted.

    python bench/run.py [--only NAME] [--json]

The API load comes from bench/apibench, a compiled client (Go), so that the client isn't what is measured. Beside a figure
stands what a peer does where it was measured on a like machine (kube-apiserver 1.37.2 with etcd 3.7.3).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

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


def api(figures: Figures) -> None:
    """Load of 16 clients on durable storage, with validation, defaulting and admission."""
    binary = _apibench()
    if binary is None:
        print("  (api: no Go here to build bench/apibench with)")
        return
    with api_server() as url:
        for count, modes in ((8000, "create,get,update"), (2000, "create,list"), (0, "watch")):
            flags = ["-server", url, "-modes", modes, *(["-n", str(count)] if count else [])]
            for line in run([binary, *flags], dict(os.environ)).splitlines():
                found = json.loads(line)
                aims = {
                    "create": (">= 1200", "640"),
                    "get": ("", "1950"),
                    "update": ("", "270"),
                    "list": ("", "3.7"),
                    "watch": ("", "27000"),
                }
                aim, peer = aims[found["mode"]]
                if found["mode"] == "create" and count != 8000:
                    continue
                name = {
                    "watch": "watch events delivered to 50 watchers",
                    "list": "lists of 10,000 pods, 16 clients",
                    "update": "merge patches, 16 clients",
                }
                figures.add(
                    name.get(found["mode"], f"{found['mode']}s of pods, 16 clients"),
                    found["per_second"],
                    "/s",
                    aim,
                    peer,
                )
        protobuf(figures, binary, url)
        began = time.perf_counter()
        run(
            [
                KUBECTL,
                "--server",
                url,
                "--insecure-skip-tls-verify",
                "--token",
                "admin-token",
                "get",
                "--raw",
                "/api/v1/namespaces/apibench/pods",
            ],
            {**os.environ, "KUBECONFIG": "/dev/null"},
        )
        figures.add(
            "one list of 10,000 pods (with kubectl's start)",
            1000 * (time.perf_counter() - began),
            "ms",
            "<= 150",
            "430 ms",
        )
        times = []
        for _ in range(3):
            began = time.perf_counter()
            subprocess.run(
                [
                    "curl",
                    "-sk",
                    "-o",
                    "/dev/null",
                    "-H",
                    "Authorization: Bearer admin-token",
                    f"{url}/api/v1/namespaces/apibench/pods",
                ],
                check=True,
            )
            times.append(time.perf_counter() - began)
        figures.add("one list of 10,000 pods (curl)", 1000 * min(times), "ms", "<= 150", "430 ms")


def protobuf(figures: Figures, binary: str, url: str) -> None:
    """Lists and watches in protobuf beside the same in JSON, in turns; the first list fills what is kept."""
    names = {
        "list": "lists of 10,000 pods, 16 clients",
        "stream": "watches that begin with 10,000 pods, 16 clients",
        "watch": "watch events delivered to 50 watchers",
    }
    base = [binary, "-server", url, "-modes"]
    run([*base, "list1", "-seconds", "0.1", "-protobuf"], dict(os.environ))
    for mode, name in names.items():
        rates: dict[str, float] = {}
        for turn in range(3):
            for form, flags in (("JSON", []), ("protobuf", ["-protobuf"])):
                # watchers are first told of what is there: nothing, in a namespace of their own
                place = ["-ns", f"{mode}-{form}-{turn}".lower()] if mode == "watch" else []
                found = json.loads(run([*base, mode, *flags, *place], dict(os.environ)))
                rates[form] = max(rates.get(form, 0), found["per_second"])
        figures.add(f"{name}, protobuf", rates["protobuf"], "/s")
        figures.add("  against JSON", rates["protobuf"] / rates["JSON"], "times", ">= 1.3")


@contextmanager
def api_server() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="heeler-bench-") as folder:
        users = Path(folder) / "users.csv"
        users.write_text('admin-token,admin,u-admin,"system:masters"\n')
        words = [
            *HEELER,
            "apiserver",
            "--data-dir",
            f"{folder}/data",
            "--cert-dir",
            f"{folder}/pki",
            "--token-auth-file",
            str(users),
            "--secure-port",
            "0",
        ]
        log = Path(folder) / "log"
        process = subprocess.Popen(words, stdout=log.open("w"), stderr=subprocess.STDOUT)
        try:
            while "serving on" not in log.read_text():
                time.sleep(0.02)
            url = log.read_text().split("serving on ", 1)[1].split()[0]
            for path, body in (("namespaces", "apibench"), ("namespaces/apibench/serviceaccounts", "default")):
                data = json.dumps({"metadata": {"name": body}})
                subprocess.run(
                    [
                        "curl",
                        "-sk",
                        "-o",
                        "/dev/null",
                        "-H",
                        "Authorization: Bearer admin-token",
                        "-H",
                        "Content-Type: application/json",
                        "-d",
                        data,
                        f"{url}/api/v1/{path}",
                    ],
                    check=True,
                )
            yield url
        finally:
            process.terminate()
            process.wait()


def _apibench() -> str | None:
    go = shutil.which("go")
    target = ROOT / "build" / "apibench"
    if target.exists():
        return str(target)
    if go is None:
        return None
    target.parent.mkdir(exist_ok=True)
    subprocess.run([go, "build", "-o", str(target), "."], cwd=ROOT / "bench" / "apibench", check=True)
    return str(target)


def thousand_pods(figures: Figures) -> None:
    """1,000 pods by one Deployment on 50 simulated nodes, all Ready."""
    with cluster("--nodes", "0", "--simulated-nodes", "50") as environment:
        began = time.perf_counter()
        run([KUBECTL, "create", "deployment", "many", "--image=i", "--replicas=1000"], environment)
        run(
            [KUBECTL, "wait", "deployment/many", "--for=jsonpath={.status.readyReplicas}=1000", "--timeout=120s"],
            environment,
        )
        figures.add("1,000 pods on 50 simulated nodes, all Ready", time.perf_counter() - began, "s", "<= 15")


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


PARTS: tuple[Callable[[Figures], None], ...] = (
    *(start, idle, api, thousand_pods, container, network),
    *(idle_node, images, fifty_pods, fixture),
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
