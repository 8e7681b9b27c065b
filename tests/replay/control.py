"""Recorded behaviour of kube-controller-manager and kube-scheduler 1.37.2, replayed on a control plane of three processes.

    python -m tests.replay.control [--area AREA] [--id ID] [--sample N] [-v] [FILE ...]

starts `heeler apiserver`, `heeler controller-manager` and `heeler scheduler` with the flags of the recorded ones, replays
the cases (all of `tests/reference/control` without FILEs; every Nth of each area with --sample) and prints for each area in
how many the state was equal, and in how many the events were. Exit code 1: an area is below what is asked of it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from heeler.base.clock import SystemClock
from heeler.base.pki import new_authority
from heeler.client.kubeconfig import Access, entry
from tests.conftest import HEELER, ROOT, ApiServerProcess, write_users
from tests.peers.differential import PEERS, upstream

OURS, UPSTREAM = "heeler", "upstream"
#: What upstream's programs need to be told to run as ours do.
ALONE = ("--secure-port=0",)
CASES = ROOT / "tests" / "reference" / "control"
#: Percent of an area's cases that must be equal.
STATE, EVENTS = 95.0, 85.0
QPS = ("--kube-api-qps=500", "--kube-api-burst=1000")
MANAGER = (
    "--leader-elect=false",
    "--controllers=*,token-cleaner-controller",
    "--node-monitor-grace-period=20s",
    "--node-monitor-period=1s",
    "--pvclaimbinder-sync-period=3s",
    "--horizontal-pod-autoscaler-sync-period=3s",
    *QPS,
)
SCHEDULER = ("--leader-elect=false", *QPS)


class Rate(NamedTuple):
    """Of an area: how many cases, in how many the state was equal; how many tell of events, in how many these were."""

    cases: int = 0
    state: int = 0
    telling: int = 0
    events: int = 0

    @property
    def percent(self) -> tuple[float, float]:
        return 100.0 * self.state / self.cases, 100.0 * self.events / self.telling if self.telling else 100.0


def cases(files: Sequence[Path], *, area: str = "", only: str = "", sample: int = 1) -> list[dict[str, Any]]:
    """Recorded cases. `sample`: every so-manieth of each area, always the same."""
    found: list[dict[str, Any]] = []
    for file in files:
        packed = file.read_bytes()
        text = gzip.decompress(packed) if file.suffix == ".gz" else packed
        rows = [json.loads(line) for line in text.splitlines()]
        rows = [row for row in rows if row["area"].startswith(area) and only in ("", row["id"])]
        found += sorted(rows, key=lambda row: str(row["id"]))[::sample]
    return found


@contextmanager
def control_plane(folder: Path, *, apiserver: str = OURS, components: str = OURS) -> Iterator[str]:
    """API server (in memory), controllers and scheduler, each a process; the server's address. UPSTREAM: kube-apiserver with
    etcd, kube-controller-manager and kube-scheduler, which `make peers` builds."""
    certificate, key = folder / "ca.crt", folder / "ca.key"
    new_authority("recorded", now=SystemClock().time()).save(certificate, key)
    with _api_server(folder, apiserver, "--client-ca-file", str(certificate)) as (url, signing_key):
        access = folder / "kubeconfig"
        access.write_text(json.dumps(entry("it", Access(url, token="admin-token", insecure=True))))
        keys = (
            f"--root-ca-file={certificate}",
            f"--cluster-signing-cert-file={certificate}",
            f"--cluster-signing-key-file={key}",
            f"--service-account-private-key-file={signing_key}",
        )
        parts = []
        try:
            for name, flags in (("controller-manager", (*MANAGER, *keys)), ("scheduler", SCHEDULER)):
                words = [*HEELER, name] if components == OURS else [str(PEERS / f"kube-{name}"), *ALONE]
                with (folder / f"{name}.log").open("wb") as log:
                    words += [f"--kubeconfig={access}", *flags]
                    parts.append(subprocess.Popen(words, stdout=log, stderr=log))
            time.sleep(1.0)
            if any(part.poll() is not None for part in parts):
                raise RuntimeError("\n".join(log.read_text() for log in folder.glob("*.log")))
            yield url
        finally:
            for part in parts:
                part.terminate()
            for part in parts:
                part.wait(20)


@contextmanager
def _api_server(folder: Path, whose: str, *flags: str) -> Iterator[tuple[str, Path]]:
    """(address, the key that signs tokens)"""
    if whose == UPSTREAM:
        with upstream(folder / "upstream", write_users(folder), *flags) as url:
            yield url, folder / "upstream" / "sa.key"
        return
    server = ApiServerProcess(folder, "--authorization-mode", "RBAC", *flags)
    server.in_memory = True
    server.start()
    try:
        yield server.url, folder / "pki" / "sa.key"
    finally:
        server.stop()


def replay(
    url: str,
    rows: Sequence[dict[str, Any]],
    folder: Path,
    *,
    jobs: int,
    more: Sequence[str] = (),
    again: bool = False,
) -> dict[str, Rate]:
    """Replay cases; the rate of each area. `again`: those that fail once more, by themselves, since they wait for the
    clock of a machine that others use too."""
    failing = _failing(url, rows, folder, jobs, more)
    if again and failing:
        failing = _failing(url, [row for row in rows if row["id"] in failing], folder, max(1, jobs // 4), more)
    rates: dict[str, Rate] = {}
    for row in rows:
        known, found = rates.get(row["area"], Rate()), failing.get(row["id"]) or {}
        state, tells = not found.get("state"), any("events" in step for step in row["steps"])
        events = tells and not found.get("events")
        rates[row["area"]] = Rate(known.cases + 1, known.state + state, known.telling + tells, known.events + events)
    return rates


def _failing(url: str, rows: Sequence[dict[str, Any]], folder: Path, jobs: int, more: Sequence[str]) -> dict[str, Any]:
    """What differs, by case."""
    file, out = folder / "cases.jsonl", folder / "failing.json"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = [sys.executable, str(ROOT / "tests/reference/replay_control.py"), "--server", url, "--insecure"]
    words += ["--token-admin", "admin-token", "--jobs", str(jobs), "--json", str(out), *more, str(file)]
    subprocess.run(words, check=False, timeout=3600)
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def below(rates: dict[str, Rate], state: float = STATE, events: float = EVENTS) -> list[str]:
    """The areas that have not what is asked of them, as sentences."""
    out = []
    for area, rate in sorted(rates.items()):
        found = rate.percent
        if found[0] < state or found[1] < events:
            out.append(f"{area}: state {found[0]:.1f} %, events {found[1]:.1f} % of {rate.cases}")
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--area", default="", help="only areas that start so")
    parser.add_argument("--id", default="", help="only this case")
    parser.add_argument("--sample", type=int, default=1, metavar="N", help="every Nth case of each area")
    parser.add_argument("--jobs", type=int, default=16)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where logs and differences are kept")
    for what in ("apiserver", "components"):
        parser.add_argument(f"--{what}", choices=(OURS, UPSTREAM), default=OURS, help="whose (default: heeler's)")
    parser.add_argument("-v", "--verbose", action="store_true", help="the first differences of each failing case")
    arguments = parser.parse_args()
    files = arguments.files or sorted(CASES.glob("*.jsonl.gz"))
    rows = cases(files, area=arguments.area, only=arguments.id, sample=arguments.sample)
    if not rows:
        parser.error("no such case")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        with control_plane(folder, apiserver=arguments.apiserver, components=arguments.components) as url:
            rates = replay(url, rows, folder, jobs=arguments.jobs, more=["-v"] if arguments.verbose else [])
    missed = below(rates)
    for line in missed:
        print("below the aim:", line)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
