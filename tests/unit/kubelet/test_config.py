"""Pods as CRI's configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from heeler.kubelet.pods import amounts, config
from heeler.kubelet.pods.env import ConfigError
from heeler.objects.value import Object
from heeler.wire.protobuf.schema import build, schema
from tests.unit.kubelet.pods import container, pod

DNS = config.Dns((), "cluster.local", ("192.0.2.53",), ("example.com",), ("edns0",))
CLUSTER_DNS = config.Dns(("10.96.0.10",), "cluster.local", ("192.0.2.53",), ("example.com",), ())


ROOT = config.ImageUser(0)


def made(found: Object, wanted: Object, user: config.ImageUser = ROOT) -> Object:
    making = config.Making(0, "n1", "sha256:1", user, [("A", "1")], [], 4 << 30)
    return config.container(wanted, found, making)


def test_every_configuration_is_a_message_of_cri() -> None:
    context = {"runAsUser": 1000, "fsGroup": 2000, "sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]}
    found = container(
        "app",
        command=["sh", "-c", "echo $(A)"],
        securityContext={"capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}, "readOnlyRootFilesystem": True},
        resources={"limits": {"cpu": "250m", "memory": "64Mi"}},
        lifecycle={"stopSignal": "SIGUSR1"},
    )
    wanted = pod(found, securityContext=context)
    sandbox = config.sandbox(wanted, 1, "n1", Path("/logs"), "/x", DNS)
    build(schema("cri").message("runtime.v1.PodSandboxConfig"), sandbox)
    message = build(schema("cri").message("runtime.v1.ContainerConfig"), made(found, wanted))
    assert list(message.command) == ["sh", "-c", "echo 1"]
    assert message.linux.resources.cpu_quota == 25000
    assert message.linux.resources.memory_limit_in_bytes == 64 << 20
    assert message.linux.security_context.run_as_user.value == 1000
    assert list(message.linux.security_context.supplemental_groups) == [2000]
    assert message.linux.security_context.masked_paths


def test_the_cluster_resolver_is_used_where_there_is_one() -> None:
    found = config.dns(pod(), CLUSTER_DNS)
    assert found["servers"] == ["10.96.0.10"]
    assert found["searches"] == ["default.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.com"]
    assert found["options"] == ["ndots:5"]


def test_without_a_cluster_resolver_the_nodes_own_is_used_and_missed() -> None:
    assert config.dns(pod(), DNS)["servers"] == ["192.0.2.53"]
    assert config.missing_dns(pod(), DNS)
    assert not config.missing_dns(pod(dnsPolicy="Default"), DNS)
    assert not config.missing_dns(pod(hostNetwork=True), DNS)


def test_a_pods_own_dns_settings_are_added() -> None:
    more = {"nameservers": ["192.0.2.1"], "options": [{"name": "ndots", "value": "2"}, {"name": "rotate"}]}
    found = config.dns(pod(dnsPolicy="None", dnsConfig=more), CLUSTER_DNS)
    assert found == {"servers": ["192.0.2.1"], "searches": [], "options": ["ndots:2", "rotate"]}


@pytest.mark.parametrize(
    ("context", "user", "message"),
    [
        ({"runAsNonRoot": True}, config.ImageUser(0), "image will run as root"),
        ({"runAsNonRoot": True, "runAsUser": 0}, config.ImageUser(1), "breaks non-root policy"),
        ({"runAsNonRoot": True}, config.ImageUser(None, "app"), "non-numeric user"),
    ],
)
def test_root_is_refused_where_it_must_not_be(context: Object, user: config.ImageUser, message: str) -> None:
    found = container("app", securityContext=context)
    with pytest.raises(ConfigError, match=message):
        made(found, pod(found), user)


def test_unsafe_kernel_settings_are_found() -> None:
    assert config.forbidden_sysctl(pod(securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}))
    assert not config.forbidden_sysctl(pod())


@pytest.mark.parametrize(
    ("resources", "quality"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1"}}, "Guaranteed"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
    ],
)
def test_the_quality_class_follows_from_the_resources(resources: Any, quality: str) -> None:
    assert amounts.qos_class(pod(container("app", resources=resources))) == quality


def test_a_pods_amount_counts_sidecars_with_the_containers_and_init_containers_alone() -> None:
    def asks(name: str, cpu: str, **more: Any) -> Object:
        return container(name, resources={"requests": {"cpu": cpu}}, **more)

    inits = [asks("big", "900m"), asks("side", "100m", restartPolicy="Always"), asks("later", "300m")]
    wanted = pod(asks("a", "200m"), asks("b", "100m"), initContainers=inits)
    assert amounts.pod_amount(wanted, "requests", "cpu") == 900
    wanted["spec"]["initContainers"][0] = asks("small", "10m")
    assert amounts.pod_amount(wanted, "requests", "cpu") == 400
    assert amounts.pod_amount(wanted, "limits", "cpu") == 0


@pytest.mark.parametrize(("milli", "shares"), [(0, 2), (1, 2), (100, 102), (1000, 1024), (10_000_000, 262_144)])
def test_shares_follow_the_request(milli: int, shares: int) -> None:
    assert amounts.shares(milli) == shares


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (1024, 39), (262_144, 10_000)])
def test_version_2_weights_follow_the_shares(shares: int, weight: int) -> None:
    assert amounts.weight(shares) == weight


def test_a_resolv_conf_keeps_its_limits_and_says_so() -> None:
    more = {"nameservers": [f"192.0.2.{i}" for i in range(1, 5)], "searches": [f"s{i}.example" for i in range(40)]}
    wanted = pod(dnsConfig=more)
    found = config.dns(wanted, CLUSTER_DNS)
    assert found["servers"] == ["10.96.0.10", "192.0.2.1", "192.0.2.2"] and len(found["searches"]) == 32
    search, server = config.dns_warnings(wanted, CLUSTER_DNS)
    assert search.startswith(
        "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: "
    )
    assert server == (
        "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: "
        "10.96.0.10 192.0.2.1 192.0.2.2"
    )
    assert config.dns_warnings(pod(), CLUSTER_DNS) == []


def test_kernel_settings_beyond_the_harmless_ones_must_be_allowed() -> None:
    wanted = pod(securityContext={"sysctls": [{"name": "net.core.somaxconn", "value": "1"}]})
    assert config.forbidden_sysctl(wanted) == "net.core.somaxconn"
    assert config.forbidden_sysctl(wanted, ("net.core.*",)) == ""
    assert config.forbidden_sysctl(wanted, ("net.ipv4.*",)) == "net.core.somaxconn"
