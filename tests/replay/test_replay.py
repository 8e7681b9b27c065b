"""Recorded answers of kube-apiserver 1.37.2, replayed: no area may fall below its ratchet.

`beside/` holds answers that Heeler's own tests recorded (`tests/peers/differential.py --record`): recorded bodies changed
at random, and bodies that probe one rule each.

`ratchet.json` holds the percentage that each area has reached; raise it when an area gets better. One point of slack is
left where a few cases wait for the clock. To see what differs:

    python tests/reference/replay.py --server https://127.0.0.1:6443 --insecure -v CASES
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, ApiServerProcess
from tests.peers import differential

REFERENCE = ROOT / "tests" / "reference"
RATCHET = Path(__file__).with_name("ratchet.json")
#: Requests that our own tests made up; what else is kept beside them isn't sent to an API server.
BESIDE = ("changed.jsonl.gz", "probed-*.jsonl.gz")
#: Points below the ratchet that are forgiven: 1, but in areas where nothing waits for the clock.
SLACK = {"changed": 0.1, "probed": 0.0}
JOBS = 24


@pytest.fixture(scope="module")
def rates(api_server: ApiServerProcess, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Percent of the cases that pass, by area."""
    folder = tmp_path_factory.mktemp("replay")
    files, totals = [], {}
    differential.prepare(api_server.url)
    beside = [file for name in BESIDE for file in (REFERENCE / "beside").glob(name)]
    for packed in sorted([*(REFERENCE / "apiserver").glob("*.jsonl.gz"), *beside]):
        plain = folder / f"{packed.parent.name}-{packed.name.removesuffix('.gz')}"
        plain.write_bytes(gzip.decompress(packed.read_bytes()))
        files.append(str(plain))
        for line in plain.read_text().splitlines():
            area = json.loads(line)["area"]
            totals[area] = totals.get(area, 0) + 1
    out = folder / "failing.json"
    words = [sys.executable, str(REFERENCE / "replay.py"), "--server", api_server.url, "--insecure"]
    words += ["--jobs", str(JOBS), "--json", str(out), *files]
    done = subprocess.run(words, capture_output=True, text=True, timeout=240, check=False)
    assert out.exists(), done.stdout + done.stderr
    print(done.stdout)
    failing: dict[str, int] = {}
    areas = {
        json.loads(line)["id"]: json.loads(line)["area"] for f in files for line in Path(f).read_text().splitlines()
    }
    for case in json.loads(out.read_text()):
        failing[areas[case]] = failing.get(areas[case], 0) + 1
    return {area: 100.0 * (count - failing.get(area, 0)) / count for area, count in totals.items()}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("area", sorted(json.loads(RATCHET.read_text())))
def test_area_does_not_fall_below_its_ratchet(area: str, rates: dict[str, float]) -> None:
    wanted = json.loads(RATCHET.read_text())[area]
    assert rates[area] >= wanted - SLACK.get(area, 1.0), (
        f"{area}: {rates[area]:.1f} %, the ratchet stands at {wanted} %"
    )


def test_every_recorded_area_has_a_ratchet(rates: dict[str, float]) -> None:
    assert sorted(rates) == sorted(json.loads(RATCHET.read_text()))
