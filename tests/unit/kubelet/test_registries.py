"""What containerd is told of registries, and which credentials fit an image."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from heeler.kubelet import registries
from heeler.kubelet.pods.pulling import credentials
from heeler.objects.value import Object


def test_mirrors_come_first_and_a_registry_s_own_authority_is_trusted(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("x")
    told = {"docker.io": {"mirrors": ["http://127.0.0.1:5000"]}, "reg.example:5000": {"ca": str(ca)}}
    hub, own = registries.registries(told, "here")
    assert registries.hosts_toml(hub) == (
        'server = "https://registry-1.docker.io"\n\n[host."http://127.0.0.1:5000"]\n  capabilities = ["pull", "resolve"]\n'
    )
    assert f'[host."https://reg.example:5000"]\n  capabilities = ["pull", "resolve"]\n  ca = "{ca}"' in (
        registries.hosts_toml(own)
    )
    assert registries.on_loopback([hub, own, registries.Registry("localhost:5443")]) == [5000, 5443]
    registries.write(tmp_path / "certs", [hub, own])
    registries.write(tmp_path / "certs", [own])
    assert [p.name for p in (tmp_path / "certs").iterdir()] == ["reg.example:5000"]


@pytest.mark.parametrize(
    "told",
    [
        [],
        {"../x": {}},
        {"a": {"mirrors": ["ftp://x"]}},
        {"a": {"mirrors": "http://x"}},
        {"a": {"ca": "/not/there"}},
        {"a": {"other": 1}},
    ],
)
def test_wrong_settings_are_named(told: Any) -> None:
    with pytest.raises(ValueError, match="here"):
        registries.registries(told, "here")


def secret(*places: str) -> Object:
    auths = {place: {"username": place, "password": "p"} for place in places}
    return {"data": {".dockerconfigjson": base64.b64encode(json.dumps({"auths": auths}).encode()).decode()}}


@pytest.mark.parametrize(
    ("place", "image", "fits"),
    [
        ("reg.example", "reg.example/a:1", True),
        ("https://reg.example/v1/", "reg.example/a:1", True),
        ("reg.example:5000", "reg.example/a:1", False),
        ("*.example", "reg.example:5000/a:1", True),
        ("*.example", "a.reg.example/a:1", False),
        ("reg.example/team", "reg.example/team/a:1", True),
        ("reg.example/team", "reg.example/teams/a:1", False),
        ("https://index.docker.io/v1/", "docker.io/library/a:1", True),
    ],
)
def test_credentials_fit_by_host_port_and_path(place: str, image: str, fits: bool) -> None:
    assert bool(credentials(secret(place), image)) is fits


def test_the_closest_credentials_fit_best_and_broken_secrets_have_none() -> None:
    found = dict(credentials(secret("reg.example", "reg.example/team"), "reg.example/team/a:1"))
    assert found[max(found)]["username"] == "reg.example/team"
    assert credentials({"data": {".dockerconfigjson": "?"}}, "x/a:1") == []
