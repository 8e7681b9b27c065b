"""Allocations of kube-scheduler 1.37.2 in drawn clusters: ours are the same."""

import gzip
import json

import pytest

from tests.conftest import ROOT
from tests.unit.scheduler.beside_devices import differences

RECORDED = ROOT / "tests" / "reference" / "beside" / "scheduling-devices.jsonl.gz"
ROUNDS = [json.loads(line) for line in gzip.decompress(RECORDED.read_bytes()).splitlines()]


@pytest.mark.parametrize("number", range(len(ROUNDS)))
def test_we_would_have_allocated_as_kube_scheduler_did(number):
    assert differences(ROUNDS[number]) == []


def test_there_is_some_of_everything():
    steps = [step for one in ROUNDS for step in one["steps"]]
    assert sum("node" in step for step in steps) > 80
    assert sum("cannot allocate all claims" in step.get("message", "") for step in steps) > 80
    assert sum("filter plugin" in step.get("message", "") for step in steps) > 3
