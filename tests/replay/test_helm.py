"""Recorded answers of helm 4.3.1 (charts, values, templates, releases), replayed here: no area falls below its ratchet.

`helm_ratchet.json` holds how many cases of each area pass; raise a number when its area gets better. To see what differs:

    python tests/reference/helm_replay.py --python heeler.cli.helm:run -v CASES
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.reference import helm_replay

CASES = ROOT / "tests" / "reference" / "helm"
RATCHET: dict[str, int] = json.loads(Path(__file__).with_name("helm_ratchet.json").read_text())


def cases(area: str) -> list[dict[str, object]]:
    text = gzip.decompress((CASES / f"{area}.jsonl.gz").read_bytes()).decode()
    return [json.loads(line) for line in text.split("\n") if line.strip()]


@pytest.mark.parametrize("area", sorted(RATCHET))
def test_area_does_not_fall_below_its_ratchet(area: str) -> None:
    run = helm_replay.python_runner("heeler.cli.helm:run")
    failing = []
    found = cases(area)
    for case in found:
        results = helm_replay.run_case(case, run)
        if False in helm_replay.compare(case, results).values():
            failing.append(helm_replay.differences(case, results))
    passed = len(found) - len(failing)
    assert passed >= RATCHET[area], (
        f"{area}: {passed} of {len(found)} pass, the ratchet stands at {RATCHET[area]}\n" + "\n".join(failing)
    )


def test_every_recorded_area_has_a_ratchet() -> None:
    assert sorted(RATCHET) == sorted(file.name.removesuffix(".jsonl.gz") for file in CASES.glob("*.jsonl.gz"))
