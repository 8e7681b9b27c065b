"""A node that is added later has the images that were loaded before, and one that is taken away leaves its data only."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.cluster import LocalCluster
from tests.conftest import ROOT, containers_possible, find_kubectl
from tests.containers.test_guestbook import left_over

pytestmark = [pytest.mark.containers, pytest.mark.kubectl, pytest.mark.timeout(180)]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    program = find_kubectl()
    if program is None or containers_possible():
        pytest.skip(containers_possible() or "kubectl is not here")
    found = LocalCluster(tmp_path, f"add{os.getpid()}", program)
    found.up()
    try:
        yield found
    finally:
        found.delete()
    assert left_over(found.name) == []
    assert not found.layout.exists()


def test_an_added_node_has_the_images_and_goes_though_its_agent_crashed(cluster: LocalCluster) -> None:
    cluster.heeler("image", "build", str(ROOT / "examples/guestbook/image"), "--load", "--name", cluster.name)
    cluster.up("--nodes", "2")
    shown = orjson.loads(cluster.heeler("image", "list", "--name", cluster.name, "-o", "json").stdout)
    nodes = {image["name"]: image["nodes"] for image in shown["images"]}
    assert nodes["docker.io/library/guestbook:1"] == [f"{cluster.name}-node-0", f"{cluster.name}-node-1"]
    assert "only on" not in cluster.heeler("image", "list", "--name", cluster.name).stdout
    # And a node is taken away though its agent crashed.
    away = f"{cluster.name}-node-1"
    pod = {"image": "guestbook:1", "name": "c", "command": ["sleep", "1000"]}
    made = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {"nodeName": away, "containers": [pod]},
    }
    cluster.kubectl("create", "-f", "-", stdin=orjson.dumps(made).decode())
    cluster.kubectl("wait", "pod/a", "--for=condition=Ready", "--timeout=60s")
    for component in ("supervisor", f"node-{away}"):
        os.kill(cluster.pid(component), signal.SIGKILL)
    cluster.up("--nodes", "1")
    assert [n["metadata"]["name"] for n in cluster.get("nodes")["items"]] == [f"{cluster.name}-node-0"]
    assert cluster.get("pods")["items"] == []
    assert [one for one in left_over(cluster.name) if away in one] == []
    assert not list((cluster.layout / "run").glob(f"node-{away}.pid"))
    assert (cluster.layout / "nodes" / away).is_dir()
