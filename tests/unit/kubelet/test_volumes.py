"""Volumes made of API objects: what stands in them, and that they change at one stroke."""

from __future__ import annotations

import asyncio
import base64
import os
from pathlib import Path

import pytest

from heeler.kubelet.pods import env, volumes
from heeler.kubelet.pods.payload import Content, VolumeError, of_volume
from heeler.kubelet.sources import Fetched
from tests.unit.kubelet.pods import container, pod

FACTS = env.Facts("n1", ("192.0.2.1",), ("10.244.0.5",), 2000, 4 << 30)
FETCHED = Fetched(
    {
        ("configmap", "c"): {"data": {"a": "1", "b": "2"}, "binaryData": {"z": base64.b64encode(b"\0").decode()}},
        ("secret", "s"): {"data": {"p": base64.b64encode(b"hush").decode()}},
    },
    {("v", "token"): "T"},
)


def test_a_config_map_shows_all_keys_or_those_asked_for() -> None:
    made = of_volume(pod(), {"name": "v", "configMap": {"name": "c"}}, FETCHED, FACTS)
    assert {k: v.data for k, v in made.items()} == {"a": b"1", "b": b"2", "z": b"\0"}
    chosen = {"name": "v", "configMap": {"name": "c", "items": [{"key": "a", "path": "x/y", "mode": 0o400}]}}
    assert of_volume(pod(), chosen, FETCHED, FACTS) == {"x/y": Content(b"1", 0o400)}


def test_a_missing_object_or_key_is_an_error_unless_it_is_optional() -> None:
    with pytest.raises(VolumeError, match='secret "nope" not found'):
        of_volume(pod(), {"name": "v", "secret": {"secretName": "nope"}}, FETCHED, FACTS)
    assert of_volume(pod(), {"name": "v", "secret": {"secretName": "nope", "optional": True}}, FETCHED, FACTS) == {}
    with pytest.raises(VolumeError, match="references non-existent secret key: q"):
        item = {"name": "v", "secret": {"secretName": "s", "items": [{"key": "q", "path": "q"}]}}
        of_volume(pod(), item, FETCHED, FACTS)


def test_a_projected_volume_puts_its_sources_together() -> None:
    sources = [
        {"serviceAccountToken": {"path": "token"}},
        {"configMap": {"name": "c", "items": [{"key": "a", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
    made = of_volume(pod(), {"name": "v", "projected": {"sources": sources}}, FETCHED, FACTS)
    assert {k: v.data for k, v in made.items()} == {"token": b"T", "ca.crt": b"1", "namespace": b"default"}


def roots(folder: Path) -> volumes.Roots:
    return volumes.Roots(folder / "pods", folder / "memory", folder / "logs")


def test_secrets_and_tokens_are_kept_apart_from_the_disk(tmp_path: Path) -> None:
    kinds = {"a": {"secret": {}}, "b": {"projected": {}}, "c": {"configMap": {}}, "d": {"emptyDir": {}}}
    at = {n: volumes.volume_path(roots(tmp_path), pod(), {"name": n, **kind}) for n, kind in kinds.items()}
    assert [n for n, path in at.items() if tmp_path / "memory" in path.parents] == ["a", "b"]


def read(folder: Path) -> dict[str, bytes]:
    return {
        str(Path(root).relative_to(folder) / name): (Path(root) / name).read_bytes()
        for root, _, names in os.walk(folder, followlinks=True)
        for name in names
        if ".." not in Path(root).relative_to(folder).parts and not str(Path(root).relative_to(folder)).startswith("..")
    }


def test_an_update_replaces_all_files_at_one_stroke(tmp_path: Path) -> None:
    assert volumes.write(tmp_path, {"a": Content(b"1", 0o644), "d/b": Content(b"2", 0o600)}, None, 1000.0)
    assert read(tmp_path) == {"a": b"1", "d/b": b"2"}
    before = os.readlink(tmp_path / "..data")
    assert not volumes.write(tmp_path, {"a": Content(b"1", 0o644), "d/b": Content(b"2", 0o600)}, None, 1001.0)
    assert os.readlink(tmp_path / "..data") == before
    assert volumes.write(tmp_path, {"a": Content(b"3", 0o644)}, None, 1002.0)
    assert read(tmp_path) == {"a": b"3"}
    assert not (tmp_path / before).exists()
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "..data"])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(VolumeError):
        volumes.write(tmp_path, {path: Content(b"", 0o644)}, None, 1000.0)


def test_a_sub_path_cannot_leave_its_volume(tmp_path: Path) -> None:
    found = container("app", volumeMounts=[{"name": "v", "mountPath": "/m", "subPath": "link/x"}])
    wanted = pod(found, volumes=[{"name": "v", "emptyDir": {}}])
    root = volumes.volume_path(roots(tmp_path), wanted, {"name": "v", "emptyDir": {}})
    root.mkdir(parents=True)
    (root / "link").symlink_to("/etc")
    with pytest.raises(env.ConfigError, match="failed to prepare subPath"):
        asyncio.run(volumes.mounts(roots(tmp_path), wanted, found, {}))


def test_a_volume_in_memory_is_as_large_as_the_pod_may_use_at_the_most() -> None:
    limited = pod(container("app", resources={"limits": {"memory": "64Mi"}}))
    assert volumes.memory_size(limited, {"sizeLimit": "1Gi"}, FACTS) == 64 << 20
    assert volumes.memory_size(limited, {"sizeLimit": "1Mi"}, FACTS) == 1 << 20
    assert volumes.memory_size(pod(), {}, FACTS) == 4 << 30


def test_host_paths_are_checked_by_type(tmp_path: Path) -> None:
    volumes._host_path(tmp_path / "new", "DirectoryOrCreate")
    assert (tmp_path / "new").is_dir()
    with pytest.raises(VolumeError, match="is not a file"):
        volumes._host_path(tmp_path / "new", "File")


def test_the_hosts_file_names_the_pod_and_its_aliases() -> None:
    found = pod(hostAliases=[{"ip": "192.0.2.9", "hostnames": ["x", "y"]}], subdomain="sub")
    text = volumes.hosts_text(found, ("10.244.0.5",), "web", "cluster.local")
    assert "10.244.0.5\tweb.sub.default.svc.cluster.local\tweb\n" in text
    assert text.endswith("\n# Entries added by HostAliases.\n192.0.2.9\tx\ty\n")


def test_trust_bundles_are_put_together_each_certificate_once() -> None:
    def bundle(*names: str) -> dict[str, object]:
        blocks = [f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----" for name in names]
        return {"metadata": {"name": names[0]}, "spec": {"trustBundle": "# ours\n" + "\n".join(blocks)}}

    source = {"clusterTrustBundle": {"signerName": "x/y", "labelSelector": {}, "path": "ca.pem"}}
    volume = {"name": "v", "projected": {"sources": [source]}}
    fetched = Fetched(bundles={("v", "ca.pem"): [bundle("b", "a"), bundle("a")]})
    text = of_volume(pod(), volume, fetched, FACTS)["ca.pem"].data.decode()
    assert [line for line in text.splitlines() if "-" not in line] == ["a", "b"]
    with pytest.raises(VolumeError, match="matched zero ClusterTrustBundles"):
        of_volume(pod(), volume, Fetched(bundles={("v", "ca.pem"): []}), FACTS)


def test_the_logs_that_a_pod_sees_are_its_node_s(tmp_path: Path) -> None:
    made = roots(tmp_path)
    for path, expected in (
        ("/var/log/pods", tmp_path / "logs"),
        ("/var/log/pods/default_a_uid", tmp_path / "logs" / "default_a_uid"),
        ("/var/log/podsaver", Path("/var/log/podsaver")),
        ("/var/log", Path("/var/log")),
    ):
        assert volumes.volume_path(made, {}, {"name": "v", "hostPath": {"path": path}}) == expected
