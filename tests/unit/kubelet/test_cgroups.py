"""Pods' control groups, on folders that stand for the kernel's."""

from __future__ import annotations

from pathlib import Path

from heeler.kubelet.cgroups import CONTROLLERS, Cgroups, remove_all
from tests.unit.kubelet.pods import container, pod

BASE = "/heeler.dev/n1"
WANTED = pod(container("app", resources={"limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"cpu": "250m"}}))
PATH = f"{BASE}/pods/burstable/podu1"


def test_version_1_has_a_group_with_limits_in_each_hierarchy(tmp_path: Path) -> None:
    for name in CONTROLLERS:
        (tmp_path / name).mkdir()
    for folder in ("", BASE[1:], f"{BASE[1:]}/pods", f"{BASE[1:]}/pods/burstable", PATH[1:], "heeler.dev"):
        (tmp_path / "cpuset" / folder).mkdir(parents=True, exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):
            (tmp_path / "cpuset" / folder / file).write_text("" if folder else "0-1")
    groups = Cgroups(BASE, tmp_path)
    assert groups.pod(WANTED) == PATH
    groups.make(WANTED)
    inside = tmp_path / "cpu" / PATH[1:]
    assert (inside / "cpu.shares").read_text() == "256"
    assert (inside / "cpu.cfs_quota_us").read_text() == "50000"
    assert (tmp_path / "memory" / PATH[1:] / "memory.limit_in_bytes").read_text() == str(64 << 20)
    assert (tmp_path / "cpuset" / PATH[1:] / "cpuset.cpus").read_text() == "0-1"
    assert groups.left() == [PATH]


def test_version_2_delegates_down_to_the_pod_and_limits_it(tmp_path: Path) -> None:
    steps = ["", "heeler.dev", BASE[1:], f"{BASE[1:]}/pods", f"{BASE[1:]}/pods/burstable"]
    for folder in steps:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "cgroup.controllers").write_text("cpu memory pids io rdma")
    groups = Cgroups(BASE, tmp_path, max_pids=100)
    assert groups.unified
    groups.make(WANTED)
    for folder in steps:
        assert (tmp_path / folder / "cgroup.subtree_control").read_text() == "+cpu +memory +pids +io"
    inside = tmp_path / PATH[1:]
    found = {file.name: file.read_text() for file in inside.iterdir()}
    assert found == {"cpu.weight": "10", "cpu.max": "50000 100000", "memory.max": str(64 << 20), "pids.max": "100"}


def test_groups_without_processes_are_removed(tmp_path: Path) -> None:
    for name in ("cpu", "memory"):
        (tmp_path / name / PATH[1:] / "container").mkdir(parents=True)
    groups = Cgroups(BASE, tmp_path)
    assert groups.left() == [PATH]
    assert groups.remove(PATH) and groups.left() == []
    assert groups.remove(PATH)
    assert remove_all("/heeler.dev", tmp_path)
    assert not (tmp_path / "cpu/heeler.dev").exists()
