"""Recorded stories of controllers, changed at random, told to upstream's control plane and to Heeler's: what differs is a
fault of Heeler's, or to be explained.

    python -m tests.peers.control_differential --seed 7 --cases 100 [--area deployment] [--record FILE] [--jobs 16]
    python -m tests.replay.control -v FILE                          (recorded ones again, on Heeler alone)

A number, a policy or an option of a recorded case's objects gets another value, or one that was left out gets one. Upstream
(kube-apiserver, etcd, kube-controller-manager, kube-scheduler, built by `scripts/peers.py`) tells each story twice; those
that come out differently are dropped: they hang on a race. Prints what differs on Heeler, and exits with 1 then. A story
whose end is not reached in time may differ by how long a replay waits: look at it before believing it.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import json
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.conftest import ROOT
from tests.replay.control import CASES, UPSTREAM, cases, control_plane
from tests.replay.control import replay as replayed

sys.path.insert(0, str(ROOT / "tests" / "reference"))  # these two are programs that stand alone
import replay_control as stories

import replay as requests

Case = dict[str, Any]
Recorded = dict[str, tuple[list[dict[str, Any]], str | None]]

SHARES = (0, 1, 2, "25%", "34%", "50%", "100%")
#: Fields and the values that they may get.
VALUES: dict[str, tuple[Any, ...]] = {
    "replicas": (0, 1, 2, 3, 4, 5),
    "minReadySeconds": (0, 1, 2),
    "partition": (0, 1, 2, 3),
    "parallelism": (0, 1, 2, 3, 4),
    "completions": (1, 2, 3, 4),
    "backoffLimit": (0, 1, 2, 3),
    "backoffLimitPerIndex": (0, 1, 2),
    "maxFailedIndexes": (0, 1, 2),
    "progressDeadlineSeconds": (2, 3, 5, 600),
    "revisionHistoryLimit": (0, 1, 2),
    "ttlSecondsAfterFinished": (0, 1, 2, 4),
    "activeDeadlineSeconds": (1, 2, 3, 5),
    "minAvailable": SHARES,
    "maxUnavailable": SHARES,
    "maxSurge": SHARES,
    "minReplicas": (1, 2, 3),
    "maxReplicas": (3, 4, 5, 10),
    "successfulJobsHistoryLimit": (0, 1, 2),
    "failedJobsHistoryLimit": (0, 1, 2),
    "startingDeadlineSeconds": (1, 10, 100),
    "podManagementPolicy": ("OrderedReady", "Parallel"),
    "completionMode": ("Indexed", "NonIndexed"),
    "concurrencyPolicy": ("Allow", "Forbid", "Replace"),
    "podReplacementPolicy": ("Failed", "TerminatingOrFailed"),
    "persistentVolumeReclaimPolicy": ("Retain", "Delete", "Recycle"),
    "publishNotReadyAddresses": (True, False),
    "suspend": (True, False),
    "paused": (True, False),
    "restartPolicy": ("Never", "OnFailure"),
    "whenDeleted": ("Retain", "Delete"),
    "whenScaled": ("Retain", "Delete"),
    "unhealthyPodEvictionPolicy": ("IfHealthyBudget", "AlwaysAllow"),
    "blockOwnerDeletion": (True, False),
    "volumeBindingMode": ("Immediate", "WaitForFirstConsumer"),
    "accessModes": (["ReadWriteOnce"], ["ReadOnlyMany"], ["ReadWriteMany"], ["ReadWriteOnce", "ReadOnlyMany"]),
}
STRATEGIES = ("RollingUpdate", "OnDelete", "Recreate")
#: Fields of a spec that a case mostly leaves out, by kind.
OPTIONAL = {
    "Deployment": ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds", "paused", "replicas"),
    "ReplicaSet": ("minReadySeconds", "replicas"),
    "StatefulSet": ("minReadySeconds", "podManagementPolicy", "replicas"),
    "DaemonSet": ("minReadySeconds",),
    "Job": (
        "parallelism",
        "completions",
        "backoffLimit",
        "activeDeadlineSeconds",
        "ttlSecondsAfterFinished",
        "suspend",
    ),
    "Service": ("publishNotReadyAddresses",),
}
#: Seconds that a changed story waits for an end that it may never have, and for which it must be at rest.
LIMIT_SECONDS, QUIET_SECONDS = 12, 2.0
#: The same of a replay, where the end that the recorded story waits for was not reached.
UNMET_QUIET_SECONDS = 5


class Spot(NamedTuple):
    """A field that may get one of these values."""

    holder: dict[str, Any]
    field: str
    values: Sequence[Any]


def fields_of(value: Any) -> Iterator[Spot]:
    """The fields of a request's body that can be changed."""
    if isinstance(value, list):
        for one in value:
            yield from fields_of(one)
    if not isinstance(value, dict):
        return
    for key, one in value.items():
        if key in VALUES and (not isinstance(one, (dict, list)) or key == "accessModes"):
            yield Spot(value, key, VALUES[key])
        elif key == "type" and one in STRATEGIES:
            yield Spot(value, key, STRATEGIES)
        yield from fields_of(one)


def left_out(body: Any) -> Iterator[Spot]:
    """The fields that a body could have as well."""
    spec = body.get("spec") if isinstance(body, dict) else None
    if isinstance(spec, dict):
        for field in OPTIONAL.get(body.get("kind", ""), ()):
            if field not in spec:
                yield Spot(spec, field, VALUES[field])


def changed(case: Case, chance: random.Random) -> Case | None:
    """A case with one or two fields changed, and nothing that was recorded of it; None if it has no such field."""
    case = copy.deepcopy(case)
    bodies = [s["request"].get("body") for s in case["steps"] if "request" in s and not s.get("cleanup")]
    there = [spot for body in bodies for spot in fields_of(body)]
    more = [spot for body in bodies for spot in left_out(body)]
    if not there and not more:
        return None
    told = []
    for _ in range(chance.choice((1, 1, 2))):
        spot = chance.choice(there + more if not there or chance.random() < 0.5 else there)
        before = spot.holder.get(spot.field)
        after = chance.choice([value for value in spot.values if value != before])
        spot.holder[spot.field] = after
        told.append(f"{spot.field}: {before} -> {after}")
    case["title"] += f" | {'; '.join(told)}"
    for step in case["steps"]:
        if "settle" in step:
            step.pop("state", None)
            step.pop("events", None)
            ask = step["settle"]
            ask["limit"] = min(ask.get("limit", LIMIT_SECONDS), LIMIT_SECONDS)
            ask["quiet"] = max(QUIET_SECONDS, ask.get("quiet", 0))
            ask.setdefault("events", [f"/api/v1/namespaces/{case['id']}/events"])
        elif "request" in step:
            step["response"] = {}
    return case


def drawn(files: Sequence[Path], area: str, count: int, seed: int) -> list[Case]:
    """Changed cases: those of the scheduler and those that run alone are left out."""
    chance = random.Random(seed)
    pool = [c for c in cases(files, area=area) if not c.get("serial") and not c["area"].startswith("scheduler")]
    chance.shuffle(pool)
    found = [one for case in pool if (one := changed(case, chance)) is not None]
    return found[:count]


def recorded(url: str, told: Sequence[Case], jobs: int) -> Recorded:
    """What a server makes of cases."""

    def connect() -> Any:
        return requests.Client(url, {"admin": "admin-token"}, insecure=True)

    stories.sweep(connect())
    run = stories.run_all(list(told), connect, stories.Puppet(connect), jobs)
    return {case["id"]: (results, failure) for case, results, failure, _ in run}


def agreed(told: Sequence[Case], one: Recorded, two: Recorded) -> list[Case]:
    """The cases with what both recordings say of them; events only where these agree."""
    kept = []
    for case in told:
        (first, failed), (second, failed_too) = one[case["id"]], two[case["id"]]
        if failed or failed_too or not all(map(_take, case["steps"], first, second)):
            print(f"left out: {case['id']}: {case['title']} {failed or failed_too or ''}")
        else:
            kept.append(case)
    return kept


def _take(step: dict[str, Any], first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Write a step's result into it; False: it came out in two ways."""
    if "settle" in step:
        if first["state"] != second["state"]:
            return False
        step["state"] = first["state"]
        if first.get("events") == second.get("events"):
            step["events"] = first.get("events", [])
        if first.get("unmet"):
            step["settle"] |= {"until": [], "quiet": UNMET_QUIET_SECONDS}
    elif "request" in step and not step.get("cleanup"):
        if first["status"] != second["status"]:
            return False
        step["response"] = {"status": first["status"]} if step.get("setup") else first
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--area", default="", help="only areas that start so")
    parser.add_argument("--jobs", type=int, default=16)
    parser.add_argument("--record", type=Path, metavar="FILE", help="keep the changed cases with upstream's results")
    arguments = parser.parse_args()
    told = drawn(sorted(CASES.glob("*.jsonl.gz")), arguments.area, arguments.cases, arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        theirs, ours = Path(temporary, "theirs"), Path(temporary, "ours")
        theirs.mkdir()
        ours.mkdir()
        with control_plane(theirs, apiserver=UPSTREAM, components=UPSTREAM) as url:
            told = agreed(told, recorded(url, told, arguments.jobs), recorded(url, told, arguments.jobs))
        if arguments.record:
            lines = "".join(json.dumps(case, separators=(",", ":")) + "\n" for case in told)
            arguments.record.write_bytes(gzip.compress(lines.encode(), 9, mtime=0))
        with control_plane(ours) as url:
            rates = replayed(url, told, ours, jobs=arguments.jobs, more=["-v"], again=True)
    differ = sum(rate.cases - rate.state + rate.telling - rate.events for rate in rates.values())
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
