"""A real node in namespaces of its own: containerd, runc, CNI, nftables, without a way off the machine.

Each test makes a cluster of its own name and leaves nothing of it. Without root or the programs the tests are skipped.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from heeler.base.processes import ProgramError, find_program
from heeler.images import build
from heeler.network import podnet
from tests.cluster import LocalCluster
from tests.conftest import containers_possible, find_kubectl

NEEDED = ("containerd", "runc", "ctr", "nft", "ip", "nsenter")

RECIPE = build.Recipe(
    "busybox:1",
    ("busybox-static",),
    folders={"tmp": "1777"},
    links={
        f"bin/{name}": "busybox"
        for name in "cat date echo env head httpd id ls mkdir nc rm sh sleep stty tail touch wc wget".split()
    },
    config={"Cmd": ["sh"], "Env": ["PATH=/bin"]},
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = [name for name in NEEDED if find_program(name) is None]
    if podnet.find_plugins() is None:
        missing.append("CNI plugins")
    why = "needs root" if os.geteuid() != 0 else f"needs {', '.join(missing)}" if missing else ""
    for item in items:
        if Path(__file__).parent in Path(item.fspath).parents:
            item.add_marker(pytest.mark.containers)
            if why:
                item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of an image busybox:1."""
    cache = tmp_path_factory.mktemp("images")
    try:
        return asyncio.run(build.build(replace(RECIPE), cache)).archive
    except ProgramError as error:
        pytest.skip(f"no image to run: {error}")


@pytest.fixture
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A cluster's name; the process' id keeps runs at the same time apart."""
    yield f"t{os.getpid()}-{abs(hash(request.node.name)) % 10_000}"


@pytest.fixture(scope="session")
def two_nodes(tmp_path_factory: pytest.TempPathFactory, archive: Path) -> Iterator[LocalCluster]:
    """One cluster of two nodes with the image busybox:1, for all tests of the network."""
    program = find_kubectl()
    if program is None or containers_possible():
        pytest.skip(containers_possible() or "kubectl is not here")
    name = f"netw{os.getpid() % 10_000}"  # two processes of one test run may each have one
    found = LocalCluster(tmp_path_factory.mktemp("netw"), name, program)
    found.up("--nodes", "2")
    try:
        found.heeler("image", "load", str(archive), "--name", name)
        yield found
    finally:
        found.delete()
