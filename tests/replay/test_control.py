"""Recorded behaviour of kube-controller-manager and kube-scheduler 1.37.2: a fifth of it, replayed under a ratchet.

`control_ratchet.json` holds the percentages of state and events that each area has reached in this fixed sample; raise
them when an area gets better. All of it, and what differs: `make replay`, `python -m tests.replay.control -v`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.replay.control import CASES, Rate, cases, control_plane, replay

RATCHET = Path(__file__).with_name("control_ratchet.json")
WANTED: dict[str, list[float]] = json.loads(RATCHET.read_text())
SAMPLE = 5
JOBS = 16


@pytest.fixture(scope="module")
def rates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rate]:
    folder = tmp_path_factory.mktemp("control")
    rows = cases(sorted(CASES.glob("*.jsonl.gz")), sample=SAMPLE)
    with control_plane(folder) as url:
        return replay(url, rows, folder, jobs=JOBS, again=True)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("area", sorted(WANTED))
def test_area_does_not_fall_below_its_ratchet(area: str, rates: dict[str, Rate]) -> None:
    rate, (state, events) = rates[area], WANTED[area]
    assert rate.percent[0] >= state, f"{area}: {rate}"
    assert rate.percent[1] >= events, f"{area}: {rate}"


def test_every_recorded_area_has_a_ratchet(rates: dict[str, Rate]) -> None:
    assert sorted(rates) == sorted(WANTED)
