"""What `heeler expose` is told and remembers."""

from __future__ import annotations

from pathlib import Path

import pytest

from heeler.network import publish
from heeler.network.expose import FILE, ExposeError, Exposure, added, load, parse_ports, parse_target, save


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("80", (0, "80")), ("8080:80", (8080, "80")), ("8080:http", (8080, "http")), ("http", (0, "http"))],
)
def test_ports_are_read(text: str, wanted: tuple[int, str]) -> None:
    assert parse_ports(text) == wanted


@pytest.mark.parametrize("text", ["", "x:80", "8080:", "0:80", "99999:80", "70000"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(ExposeError):
        parse_ports(text)


def test_targets_are_read() -> None:
    assert parse_target("svc/web") == parse_target("service/web") == ("Service", "web")
    assert parse_target("pod/p") == ("Pod", "p")
    for text in ("web", "deployment/web", "svc/"):
        with pytest.raises(ExposeError):
            parse_target(text)


def test_ports_are_remembered_replaced_and_unique(tmp_path: Path) -> None:
    first = Exposure("Service", "default", "web", "80", 8080)
    save(tmp_path, added(load(tmp_path), first))
    moved = Exposure("Service", "default", "web", "80", 9090)
    assert added(load(tmp_path), moved) == [moved]
    with pytest.raises(ExposeError, match=r"local port 8080 is svc/web's"):
        added([first], Exposure("Pod", "default", "p", "80", 8080))
    (tmp_path / FILE).write_text("{")
    assert load(tmp_path) == []


def test_what_is_exposed_is_published_first() -> None:
    spec = {"type": "NodePort", "clusterIP": "10.96.0.5", "ports": [{"name": "http", "port": 80, "nodePort": 30080}]}
    service = {"metadata": {"name": "web", "namespace": "default"}, "spec": spec}
    exposures = [Exposure("Service", "default", "web", "http", 8080), Exposure("Pod", "default", "p", "9000", 9000)]
    found = publish.targets([service], "192.0.2.1", exposures)
    assert [(t.kind, t.service, t.host_port, t.address, t.port) for t in found] == [
        ("Pod", "p", 9000, "", 0),
        ("Service", "web", 8080, "10.96.0.5", 80),
        ("Service", "web", 30080, "192.0.2.1", 30080),
    ]
