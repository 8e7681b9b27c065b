"""A cluster whose scheduler is set up: two profiles, by an object, by YAML or by a file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import heeler
from heeler.scheduler.configuration.fields import ConfigurationError
from heeler.scheduler.configuration.given import checked, text_of
from heeler.testing.cluster import FreshCluster

PROFILES: dict[str, Any] = {"profiles": [{"schedulerName": "default-scheduler"}, {"schedulerName": "mine"}]}
YAML = """
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- schedulerName: mine
"""
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p"},
    "spec": {"schedulerName": "mine", "containers": [{"name": "c", "image": "i"}]},
}


@pytest.mark.parametrize("given", [PROFILES, YAML])
def test_a_fresh_clusters_scheduler_is_set_up(given: Any) -> None:
    with FreshCluster(scheduler_config=given) as cluster:
        cluster.create(POD)
        assert cluster.wait("pod/p")["spec"]["nodeName"] == "simulated-0"
        [event] = [one for one in cluster.list("events.events.k8s.io") if one["reason"] == "Scheduled"]
        assert event["reportingController"] == "mine"


def test_a_file_is_read_at_the_start_and_what_is_wrong_told(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.yaml"
    file.write_text(YAML)
    assert [one["schedulerName"] for one in checked(text_of(file)).configuration["profiles"]] == ["mine"]

    async def start(given: Any) -> None:
        async with heeler.Cluster(simulated_nodes=0, scheduler_config=given):
            pass

    asyncio.run(start(file))
    with pytest.raises(ConfigurationError, match="parallelism: Invalid value: 0"):
        asyncio.run(start({"parallelism": 0}))
    with pytest.raises(ConfigurationError, match="Object 'Kind' is missing"):
        asyncio.run(start("profiles: []"))


def test_without_one_upstreams_defaults_hold_and_an_empty_file_is_none() -> None:
    assert [one["schedulerName"] for one in checked(None).configuration["profiles"]] == ["default-scheduler"]
    with pytest.raises(ConfigurationError):
        checked("")
