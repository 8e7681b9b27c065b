"""`heeler delete` in the middle of things: pods that are just starting leave nothing, nowhere on the machine."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.cluster import LocalCluster
from tests.conftest import ROOT, containers_possible, find_kubectl
from tests.containers.test_guestbook import left_over

pytestmark = [pytest.mark.containers, pytest.mark.kubectl, pytest.mark.timeout(180)]
#: Where runc notes its containers by default: folders that all of a machine's clusters share by default.
SHARED = ("/run/containerd/runc/k8s.io", "/run/runc")
PODS = 8


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    program = find_kubectl()
    if program is None or containers_possible():
        pytest.skip(containers_possible() or "kubectl is not here")
    found = LocalCluster(tmp_path, f"del{os.getpid()}", program)
    found.up()
    try:
        found.heeler("image", "build", str(ROOT / "examples/guestbook/image"), "--load", "--name", found.name)
        yield found
    finally:
        found.heeler("delete", "--name", found.name, check=False)  # the test has done it, unless it failed
    assert left_over(found.name) == []


def pods() -> str:
    spec = {"containers": [{"name": "c", "image": "guestbook:1", "imagePullPolicy": "Never", "command": ["cat"]}]}
    names = [f"starting-{i}" for i in range(PODS)]
    found = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec} for name in names]
    return "\n---\n".join(orjson.dumps(pod).decode() for pod in found)


class Watcher:
    """Notes the ids and the shims' sockets of all containers that a node begins, while others may begin theirs."""

    def __init__(self, state: Path) -> None:
        self.ids: dict[str, None] = {}
        self.sockets: dict[str, None] = {}
        self._state, self._ended = state, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.005):
            for bundle in self._state.glob("run/io.containerd.runtime.v2.task/k8s.io/*"):
                self.ids[bundle.name] = None
                with contextlib.suppress(OSError):
                    self.sockets[(bundle / "address").read_text().removeprefix("unix://")] = None


@pytest.mark.parametrize("moment", [0.0, 0.1, 0.3])
def test_pods_that_are_just_starting_leave_nothing(cluster: LocalCluster, moment: float) -> None:
    with Watcher(Path(f"/run/heeler/{cluster.name}/{cluster.name}-node-0")) as seen:
        cluster.kubectl("apply", "-f", "-", stdin=pods())
        cluster.wait(lambda: seen.ids)
        time.sleep(moment)
        cluster.delete()
    assert [name for folder in SHARED for name in seen.ids if Path(folder, name).exists()] == []
    assert [path for path in seen.sockets if Path(path).exists()] == []
    assert left_over(cluster.name) == []
