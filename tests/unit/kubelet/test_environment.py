"""Containers' environments."""

from __future__ import annotations

import base64

import pytest

from heeler.kubelet.pods import env
from heeler.kubelet.sources import Fetched
from tests.unit.kubelet.pods import container, pod

FACTS = env.Facts("n1", ("192.0.2.1",), ("10.244.0.5",), 2000, 4 << 30)


def of(
    spec: dict[str, object], fetched: Fetched | None = None, services: list[dict[str, object]] | None = None
) -> dict[str, str]:
    found = container("app", **spec)
    return dict(env.environment(pod(found), found, fetched or Fetched(), services or [], FACTS))


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("$(A)", "1"),
        ("$$(A)", "$(A)"),
        ("$(B)", "$(B)"),
        ("$A", "$A"),
        ("x$", "x$"),
        ("$(A", "$(A"),
        ("$(A)$(A)", "11"),
        ("$$$(A)", "$1"),
    ],
)
def test_references_are_expanded_where_they_are_known(text: str, made: str) -> None:
    assert env.expand(text, {"A": "1"}) == made


def test_a_variable_sees_those_before_it() -> None:
    got = of({"env": [{"name": "A", "value": "x"}, {"name": "B", "value": "$(A)y"}, {"name": "C", "value": "$(D)"}]})
    assert got == {"A": "x", "B": "xy", "C": "$(D)"}


def test_config_maps_and_secrets_give_values() -> None:
    fetched = Fetched(
        {
            ("configmap", "c"): {"data": {"k": "v", "l": "w"}},
            ("secret", "s"): {"data": {"p": base64.b64encode(b"hush").decode()}},
        }
    )
    spec = {
        "envFrom": [{"prefix": "X_", "configMapRef": {"name": "c"}}, {"secretRef": {"name": "s"}}],
        "env": [{"name": "K", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}],
    }
    assert of(spec, fetched) == {"K": "v", "X_k": "v", "X_l": "w", "p": "hush"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMapKeyRef": {"name": "c", "key": "k"}}, 'configmap "c" not found'),
        ({"secretKeyRef": {"name": "s", "key": "nope"}}, "couldn't find key nope in Secret default/s"),
    ],
)
def test_what_is_missing_is_named(source: dict[str, object], message: str) -> None:
    with pytest.raises(env.ConfigError, match=message):
        of({"env": [{"name": "A", "valueFrom": source}]}, Fetched({("secret", "s"): {"data": {}}}))


def test_what_is_optional_may_be_missing() -> None:
    source = {"configMapKeyRef": {"name": "c", "key": "k", "optional": True}}
    assert of({"env": [{"name": "A", "valueFrom": source}]}) == {}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "web"),
        ("spec.nodeName", "n1"),
        ("status.podIP", "10.244.0.5"),
        ("status.hostIP", "192.0.2.1"),
        ("metadata.labels['app']", "shop"),
        ("metadata.labels", 'app="shop"\ntier="a\\"b"'),
    ],
)
def test_fields_of_the_pod_are_told(path: str, value: str) -> None:
    found = pod()
    found["metadata"]["labels"] = {"tier": 'a"b', "app": "shop"}
    assert env.field_value(found, path, FACTS) == value


@pytest.mark.parametrize(
    ("resource", "divisor", "value"),
    [
        ("limits.cpu", "", "1"),
        ("limits.cpu", "1m", "500"),
        ("requests.memory", "1Mi", "64"),
        ("limits.memory", "", str(4 << 30)),
    ],
)
def test_resources_are_told_in_units_of_the_divisor(resource: str, divisor: str, value: str) -> None:
    found = container("app", resources={"limits": {"cpu": "500m"}, "requests": {"memory": "64Mi"}})
    ref = {"resource": resource, "divisor": divisor}
    assert env.resource_value(pod(found), found, ref, FACTS) == value


def test_services_are_told_as_variables() -> None:
    service = {
        "metadata": {"name": "back-end", "namespace": "default"},
        "spec": {"clusterIP": "10.96.0.9", "ports": [{"name": "http", "port": 80}, {"port": 53, "protocol": "UDP"}]},
    }
    got = of({}, services=[service])
    assert got["BACK_END_SERVICE_HOST"] == "10.96.0.9"
    assert got["BACK_END_SERVICE_PORT"] == "80" and got["BACK_END_SERVICE_PORT_HTTP"] == "80"
    assert got["BACK_END_PORT"] == "tcp://10.96.0.9:80" == got["BACK_END_PORT_80_TCP"]
    assert got["BACK_END_PORT_53_UDP_ADDR"] == "10.96.0.9" and got["BACK_END_PORT_53_UDP_PROTO"] == "udp"


def test_service_links_can_be_switched_off_but_for_kubernetes() -> None:
    def service(name: str, namespace: str) -> dict[str, object]:
        return {
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 443}]},
        }

    found = pod(enableServiceLinks=False)
    found["metadata"]["namespace"] = "shop"
    got = env.service_variables(
        found, [service("kubernetes", "default"), service("x", "shop"), service("y", "default")]
    )
    assert set(got) == {
        "KUBERNETES_SERVICE_HOST",
        "KUBERNETES_SERVICE_PORT",
        "KUBERNETES_PORT",
        "KUBERNETES_PORT_443_TCP",
        "KUBERNETES_PORT_443_TCP_PROTO",
        "KUBERNETES_PORT_443_TCP_PORT",
        "KUBERNETES_PORT_443_TCP_ADDR",
    }
