"""Flags of the controller manager become settings; names and defaults are those of kube-controller-manager 1.37."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from heeler.cli.component import LeaderElection, election_options
from heeler.cli.controller_flags import setting_options, settings_of
from heeler.controllers.loop import Settings


def settings(*words: str) -> Settings:
    found: list[Settings] = []

    @click.command()
    @setting_options
    def program(**given: Any) -> None:
        found.append(settings_of(given, Settings(root_ca="ca")))

    outcome = CliRunner().invoke(program, list(words))
    if outcome.exception is not None:
        raise outcome.exception
    return found[0]


def test_without_flags_everything_is_as_it_was() -> None:
    found, usual = settings(), Settings(root_ca="ca")
    assert found.eviction == usual.eviction
    assert (found.node_monitor_period, found.cluster_cidrs, found.root_ca) == (5.0, (), "ca")
    wanted = {"deployment-controller": 5, "garbage-collector-controller": 20, "resourceclaim-controller": 50}
    assert wanted.items() <= found.syncs.items()


def test_flags_say_how_controllers_work() -> None:
    found = settings(
        *("--concurrent-gc-syncs=3", "--node-monitor-grace-period=20s", "--node-eviction-rate=0.5"),
        *("--large-cluster-size-threshold", "10", "--terminated-pod-gc-threshold=7"),
    )
    assert found.syncs["garbage-collector-controller"] == 3
    assert (found.node_monitor_grace_period, found.terminated_pod_gc_threshold) == (20.0, 7)
    assert (found.eviction.node_eviction_rate, found.eviction.large_cluster_size_threshold) == (0.5, 10)


def test_ranges_of_pod_addresses() -> None:
    found = settings(
        *("--allocate-node-cidrs", "--cluster-cidr=10.244.0.0/16,fd00::/56", "--node-cidr-mask-size-ipv4=25"),
        "--service-cluster-ip-range=10.96.0.0/12",
    )
    assert found.allocate_node_cidrs
    assert (found.cluster_cidrs, found.service_cidrs) == (("10.244.0.0/16", "fd00::/56"), ("10.96.0.0/12",))
    assert found.node_cidr_mask_sizes == {4: 25}
    with pytest.raises(ValueError, match="mask size of cluster CIDR"):
        settings("--allocate-node-cidrs", "--cluster-cidr=10.244.0.0/16", "--node-cidr-mask-size=8")


def test_leader_election_has_flags_of_its_own() -> None:
    @click.command()
    @election_options
    def program(election: LeaderElection) -> None:
        click.echo(str(tuple(election)))

    def run(*words: str) -> str:
        return CliRunner().invoke(program, list(words)).output.strip()

    assert run() == "(True, 15.0, 10.0, 2.0, '', 'kube-system')"
    assert run("--leader-elect=false", "--leader-elect-lease-duration=1m", "--leader-elect-resource-name=x") == (
        "(False, 60.0, 10.0, 2.0, 'x', 'kube-system')"
    )
    assert "leases" in run("--leader-elect-resource-lock=endpoints")
