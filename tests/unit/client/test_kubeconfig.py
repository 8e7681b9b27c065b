"""Kubeconfigs as other tools write them: several files, credential plugins, impersonation, and a pod's own access."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from heeler.base.clock import SystemClock
from heeler.client.exec_plugin import Credential, Plugin, PluginError, run
from heeler.client.https import HttpsClient, _impersonation
from heeler.client.kubeconfig import Access, KubeconfigError, access, combined, in_cluster

V1 = "client.authentication.k8s.io/v1"


def config(name: str, user: dict[str, Any], **cluster: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}", **cluster}}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def plugin(*words: str, version: str = V1, **more: Any) -> Plugin:
    return Plugin(sys.executable, ("-c", *words), more.pop("environment", {}), version, **more)


PRINT = (
    "import os, json; "
    "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1', 'kind': 'ExecCredential', 'status': %s}))"
)


def test_of_several_files_the_first_counts_and_paths_stay_right(tmp_path: Path) -> None:
    one, two = tmp_path / "a" / "config", tmp_path / "b" / "config"
    for file, content in (
        (one, config("x", {"token": "first"}, **{"certificate-authority": "ca.crt"})),
        (two, {**config("x", {"token": "second"}), "current-context": "y"}),
    ):
        file.parent.mkdir()
        file.write_text(json.dumps(content))
    (tmp_path / "a" / "ca.crt").write_text("pem")
    found = access(combined([one, two, tmp_path / "none"]), one)
    assert (found.server, found.token, found.authority) == ("https://x", "first", b"pem")


def test_a_plugin_gives_a_token_with_its_end(tmp_path: Path) -> None:
    told = "json.loads(os.environ['KUBERNETES_EXEC_INFO'])['spec']['cluster']['server']"
    status = f"{{'token': os.environ['NAME'] + {told}, 'expirationTimestamp': '2030-01-01T00:00:00Z'}}"
    user = {
        "exec": {
            "apiVersion": V1,
            "command": sys.executable,
            "args": ["-c", PRINT % status],
            "env": [{"name": "NAME", "value": "me@"}],
            "provideClusterInfo": True,
        }
    }
    found = access(config("x", user), tmp_path / "config")
    assert found.plugin is not None
    assert asyncio.run(run(found.plugin)) == Credential("me@https://x", until=1893456000.0)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (
            Plugin("no-such-program", (), {}, V1, "Install it so."),
            "executable no-such-program not found\n\nInstall it so.",
        ),
        (plugin("import sys; sys.exit(3)"), "failed with exit code 3"),
        (plugin("print('hello')"), "printed no ExecCredential with a status"),
        (plugin(PRINT % "{}"), "exec plugin didn't return a token or cert/key pair"),
        (plugin(PRINT % "{'token': 'a'}", version=V1 + "beta1"), "is configured to use API version"),
    ],
)
def test_a_plugin_that_fails_says_so(made: Plugin, words: str) -> None:
    with pytest.raises(PluginError) as error:
        asyncio.run(run(made))
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({"exec": {"apiVersion": V1}}, "exec has no command"),
        ({"exec": {"apiVersion": "client.authentication.k8s.io/v1alpha1", "command": "a"}}, "Heeler knows"),
        ({"auth-provider": {"name": "gcp"}}, "use exec"),
    ],
)
def test_a_user_that_cannot_log_in(user: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match=words):
        access(config("x", user), tmp_path / "config")


def test_impersonation_is_said_value_by_value(tmp_path: Path) -> None:
    user = {"token": "t", "as": "ann", "as-groups": ["a", "b"], "as-user-extra": {"Scope/x": ["1"]}}
    found = access(config("x", user), tmp_path / "config")
    assert _impersonation(found) == [
        ("impersonate-user", "ann"),
        ("impersonate-group", "a"),
        ("impersonate-group", "b"),
        ("impersonate-extra-scope%2Fx", "1"),
    ]


class Clock(SystemClock):
    now = 0.0

    def time(self) -> float:
        return self.now


def test_a_plugin_is_asked_again_when_its_token_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    asked: list[int] = []

    async def answer(_: Plugin) -> Credential:
        asked.append(1)
        return Credential(f"t{len(asked)}", until=clock.time() + 60)

    monkeypatch.setattr("heeler.client.https.run", answer)

    async def main() -> None:
        client = HttpsClient(Access("http://x", plugin=plugin("")), clock=clock)
        assert [await client._token(), await client._token()] == ["t1", "t1"]
        clock.now += 61
        assert await client._token() == "t2"
        await client.close()

    asyncio.run(main())


def test_a_pod_reaches_its_own_cluster(tmp_path: Path) -> None:
    environment = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    assert in_cluster(environment, tmp_path) is None
    (tmp_path / "token").write_text("t")
    (tmp_path / "namespace").write_text("shop\n")
    found = in_cluster(environment, tmp_path)
    assert found is not None and (found.server, found.namespace) == ("https://10.0.0.1:443", "shop")
    assert in_cluster({}, tmp_path) is None
