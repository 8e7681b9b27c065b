"""Where a Service's or a proxied name leads."""

import pytest

from heeler.apiserver.extensions.reach import Target, Unreachable, allowed, targets
from heeler.apiserver.subresources.proxy import split
from heeler.objects.status import StatusError

SERVICE = {
    "metadata": {"name": "web"},
    "spec": {"ports": [{"name": "https", "port": 443}, {"name": "metrics", "port": 9}]},
}
SLICE = {
    "ports": [{"name": "https", "port": 8443}, {"name": "metrics", "port": 9090}],
    "endpoints": [
        {"addresses": ["10.0.0.1"], "conditions": {"ready": True}, "nodeName": "a"},
        {"addresses": ["10.0.0.2"], "conditions": {"ready": False}, "nodeName": "a"},
        {"addresses": ["10.0.0.3"]},
    ],
}


def test_a_port_leads_to_the_ready_endpoints_of_its_name() -> None:
    assert list(targets(SERVICE, 443, [SLICE])) == [Target("10.0.0.1", 8443, "a"), Target("10.0.0.3", 8443, "")]
    assert [t.port for t in targets(SERVICE, 9, [SLICE])] == [9090, 9090]


def test_a_port_that_the_service_lacks_is_named() -> None:
    with pytest.raises(Unreachable, match='no service port 80 found for service "web"'):
        list(targets(SERVICE, 80, [SLICE]))


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("web", ("http", "web", "")),
        ("web:80", ("http", "web", "80")),
        ("https:web", ("https", "web", "")),
        ("https:web:443", ("https", "web", "443")),
        ("http:web:", ("http", "web", "")),
        (":web:80", ("http", "web", "80")),
    ],
)
def test_scheme_name_and_port(name: str, parts: tuple[str, str, str]) -> None:
    assert split(name) == parts


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "::1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "fe80::1", "::ffff:127.0.0.1", "localhost"]
)
def test_the_server_is_not_led_to_itself(host: str) -> None:
    """A pod's address is what its node says it is."""
    assert not allowed(host)
    assert allowed("10.244.0.5")


def test_another_scheme_is_refused() -> None:
    with pytest.raises(StatusError, match='invalid service request "ftp:web:21"'):
        split("ftp:web:21")
