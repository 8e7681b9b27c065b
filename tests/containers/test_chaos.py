"""A short storm of `kill -9` on a real cluster: it converges, nothing acknowledged is lost, nothing is left behind."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.cluster import LocalCluster
from tests.conftest import containers_possible, find_kubectl
from tests.containers import chaos, machine

pytestmark = [pytest.mark.containers, pytest.mark.kubectl, pytest.mark.timeout(240)]
SECONDS, SEED = 6.0, 11


def test_a_storm_of_kills_loses_nothing_and_leaves_nothing(tmp_path: Path, archive: Path) -> None:
    program = find_kubectl()
    if program is None or containers_possible():
        pytest.skip(containers_possible() or "kubectl is not here")
    cluster = LocalCluster(tmp_path, f"storm{os.getpid() % 10_000}", program)
    with chaos.kept_up(cluster):
        cluster.heeler("image", "load", str(archive), "--name", cluster.name)
        found = asyncio.run(chaos.storm(cluster, SECONDS, SEED, clients=2))
    assert found["wrong"] == [], found
    assert sum(found["killed"].values()) >= 2 and found["writes"]["acknowledged"] > 10, found
    assert machine.traces(cluster.name, cluster.layout) == {}
