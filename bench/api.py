"""`make bench`, the API server alone: start, memory, and load by 16 clients on durable storage.

All of validation, defaulting and admission is in place. The aims are those of a machine with two cores that has other work;
the peer is kube-apiserver 1.37.2 with etcd 3.7.3 on such a machine.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from common import HEELER, ROOT, Figures, run

TOKEN = "admin-token"
#: apibench's mode -> (what it measures, aim, the peer's figure), all per second
LOAD = {
    "create": ("creates of pods, 16 clients", ">= 1280", "640"),
    "get": ("gets of pods, 16 clients", ">= 2925", "1950"),
    "update": ("merge patches, 16 clients", ">= 1080", "270"),
    "list": ("lists of 10,000 pods, 16 clients", ">= 14.8", "3.7"),
    "watch": ("watch events delivered to 50 watchers", ">= 40500", "27000"),
}
#: How much of each: numbers of pods (0: apibench's own), modes whose figures count, modes that only prepare.
ROUNDS = ((8000, "create,get,update", ""), (2000, "create,list", "create"), (0, "watch", ""))
IDLE_WATCHERS = 1000


def api(figures: Figures) -> None:
    """Start, memory and load of an API server."""
    binary = _apibench()
    with api_server(figures) as (url, pid):
        if binary is None:
            print("  (api: no Go here to build bench/apibench with)")
        else:
            _load(figures, binary, url)
            _protobuf(figures, binary, url)
            _one_list(figures, binary, url)
            figures.add("API server after this, memory", _memory(pid), "MiB", "", "about 800 MiB (API server and etcd)")
    with api_server(None) as (url, pid):
        _watchers(figures, url, pid)


def _load(figures: Figures, binary: str, url: str) -> None:
    for count, modes, unmeasured in ROUNDS:
        flags = ["-server", url, "-modes", modes, *(["-n", str(count)] if count else [])]
        for line in run([binary, *flags], dict(os.environ)).splitlines():
            found = json.loads(line)
            if found["mode"] not in unmeasured.split(","):
                name, aim, peer = LOAD[found["mode"]]
                figures.add(name, found["per_second"], "/s", aim, peer)


def _protobuf(figures: Figures, binary: str, url: str) -> None:
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


def _one_list(figures: Figures, binary: str, url: str) -> None:
    """How long one list takes a client that is alone, and a person with curl, who gets it in lines."""
    found = json.loads(run([binary, "-server", url, "-modes", "list1", "-seconds", "3"], dict(os.environ)))
    figures.add("one list of 10,000 pods", found["p50_ms"], "ms", "<= 107", "430 ms")
    times = []
    for _ in range(3):
        began = time.perf_counter()
        _curl(f"{url}/api/v1/namespaces/apibench/pods")
        times.append(time.perf_counter() - began)
    figures.add("the same by curl, in lines", 1000 * min(times), "ms")


def _watchers(figures: Figures, url: str, pid: int) -> None:
    """What so many watchers that hear nothing cost in memory."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    address = urlsplit(url)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = f"GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
    before = _memory(pid)
    watchers = []
    for _ in range(IDLE_WATCHERS):
        made = context.wrap_socket(socket.create_connection((address.hostname or "", address.port or 0)))
        made.sendall(request)
        watchers.append(made)
    for made in watchers:
        assert made.recv(12) == b"HTTP/1.1 200"
    time.sleep(1)
    figures.add(f"{IDLE_WATCHERS:,} idle watchers, memory besides", _memory(pid) - before, "MiB", "<= 60")
    for made in watchers:
        made.close()


@contextmanager
def api_server(figures: Figures | None) -> Iterator[tuple[str, int]]:
    """`(address, pid)` of a running server; `figures` are told how long it took to start and what it takes idle."""
    with tempfile.TemporaryDirectory(prefix="heeler-bench-") as folder:
        users = Path(folder) / "users.csv"
        users.write_text(f'{TOKEN},admin,u-admin,"system:masters"\n')
        words = [*HEELER, "apiserver", "--data-dir", f"{folder}/data", "--cert-dir", f"{folder}/pki"]
        words += ["--token-auth-file", str(users), "--secure-port", "0"]
        if figures is not None:
            figures.add("API server, start to the first answer", _start_again(words), "s", "<= 0.7", "3.7 s")
        with _running(words, Path(folder) / "log") as (url, process):
            if figures is not None:
                time.sleep(3)
                idle = _memory(process.pid)
                figures.add("API server idle, memory", idle, "MiB", "<= 65", "309 MiB (API server and etcd)")
            for path, name in (("namespaces", "apibench"), ("namespaces/apibench/serviceaccounts", "default")):
                _curl(f"{url}/api/v1/{path}", json.dumps({"metadata": {"name": name}}))
            yield url, process.pid


def _start_again(words: list[str]) -> float:
    """Seconds to the first answer, the best of three: the first start makes keys and warms the disk's cache."""
    times = []
    for number in range(3):
        log = Path(words[words.index("--cert-dir") + 1]).parent / f"log-{number}"
        began = time.perf_counter()
        with _running(words, log) as (url, _):
            _curl(f"{url}/api/v1/namespaces/default")
            times.append(time.perf_counter() - began)
    return min(times)


@contextmanager
def _running(words: list[str], log: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with log.open("w") as out:
        process = subprocess.Popen(words, stdout=out, stderr=subprocess.STDOUT)
    try:
        while "serving on" not in log.read_text():
            if process.poll() is not None:
                raise SystemExit(f"the API server ended: {log.read_text()[-2000:]}")
            time.sleep(0.01)
        yield log.read_text().split("serving on ", 1)[1].split()[0], process
    finally:
        process.terminate()
        process.wait()


def _curl(url: str, body: str = "") -> None:
    words = ["curl", "-sk", "-o", "/dev/null", "-H", f"Authorization: Bearer {TOKEN}"]
    words += ["-H", "Content-Type: application/json", "-d", body] if body else []
    subprocess.run([*words, url], check=True)


def _memory(pid: int) -> float:
    """MiB that the process has in memory."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def _apibench() -> str | None:
    """The client that makes the load, built if it is not or its source has changed."""
    target, source = ROOT / "build" / "apibench", ROOT / "bench" / "apibench"
    go = shutil.which("go")
    if go is None:
        return str(target) if target.exists() else None
    target.parent.mkdir(exist_ok=True)
    subprocess.run([go, "build", "-o", str(target), "."], cwd=source, check=True)
    return str(target)
