"""Choices of kube-scheduler 1.37.2 in drawn clusters: ours are among the best that we would have made."""

import gzip
import json

import pytest

from tests.conftest import ROOT
from tests.unit.scheduler.beside import differences

RECORDED = ROOT / "tests" / "reference" / "beside" / "scheduling.jsonl.gz"
ROUNDS = [json.loads(line) for line in gzip.decompress(RECORDED.read_bytes()).splitlines()]


@pytest.mark.parametrize("number", range(len(ROUNDS)))
def test_we_would_have_decided_as_kube_scheduler_did(number):
    assert differences(ROUNDS[number]) == []


def test_there_is_some_of_everything():
    steps = [step for one in ROUNDS for step in one["steps"]]
    assert sum("node" in step for step in steps) > 300
    assert sum("message" in step for step in steps) > 200
    assert sum("preempting" in step.get("message", "") for step in steps) > 10
    assert sum("required features" in step.get("message", "") for step in steps) > 3
