"""The default roles and bindings, beside those of kube-apiserver (`make peers` builds it): rule by rule, in order."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ApiServerProcess, write_users
from tests.peers.differential import PEERS, replay, upstream

#: Ours alone: what upstream doesn't have, or does with the rights of another part.
OWN = (
    "heeler:service-account-token-controller",
    "system:controller:cluster-dns-controller",
    "system:heeler-ingress",
    "system:heeler-network",
)
#: Whose rules a controller fills in.
FIELDS = ("rules", "aggregationRule", "subjects", "roleRef")

pytestmark = pytest.mark.skipif(
    not (PEERS / "kube-apiserver").exists(), reason="upstream's programs aren't built: make peers"
)


def found(url: str, kind: str) -> dict[tuple[str, str], dict[str, Any]]:
    client = replay.Client(url, {"admin": "admin-token"}, insecure=True)
    _, body = client.send({"method": "GET", "path": f"/apis/rbac.authorization.k8s.io/v1/{kind}"}, None)
    client.conn.close()
    out = {}
    for obj in json.loads(body)["items"]:
        metadata = obj["metadata"]
        shown = {field: obj.get(field) for field in FIELDS if field in obj}
        if obj.get("aggregationRule"):
            shown.pop("rules", None)
        out[metadata.get("namespace", ""), metadata["name"]] = {**shown, "labels": metadata.get("labels")}
    return out


def test_default_roles_give_what_upstream_s_give(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    mine = ApiServerProcess(tmp_path / "ours", "--authorization-mode", "RBAC")
    mine.start()
    try:
        with upstream(tmp_path / "theirs", write_users(tmp_path)) as url:
            time.sleep(3)  # it makes them after it says that it is ready
            for kind in ("clusterroles", "clusterrolebindings", "roles", "rolebindings"):
                ours = {key: value for key, value in found(mine.url, kind).items() if key[1] not in OWN}
                assert ours == found(url, kind)
    finally:
        mine.stop()
