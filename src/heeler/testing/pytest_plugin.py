"""Fixtures for pytest: `cluster` is a fresh Kubernetes for each test, `shared_cluster` one that is reset between tests.

    def test_three_replicas(cluster):
        cluster.apply("manifests/web.yaml")
        cluster.wait("deployment/web", "condition=Available")

    @pytest.mark.heeler(nodes=3)
    async def test_with_nodes(cluster): ...

When a test fails, its cluster's pods, events and refused requests stand in the report. Nothing is imported before the
first cluster is asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from heeler.testing.cluster import FreshCluster

#: Where a test's clusters are kept for its report.
_CLUSTERS = pytest.StashKey[list[Any]]()
#: Modules of Python clients that keep KUBECONFIG from when they were imported.
_READ_AT_IMPORT = tuple(
    f"{of}.config{part}" for of in ("kubernetes", "kubernetes_asyncio") for part in ("", ".kube_config")
)
_MARK = "heeler(nodes=1, seed=None, scheduler_config=None): what the fixture `cluster` of this test is to be"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARK)


def _wanted(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the nearest marker says. Raises UsageError for what it can't say."""
    marker = request.node.get_closest_marker("heeler")
    if marker is None:
        return {}
    unknown = sorted(set(marker.kwargs) - {"nodes", "seed", "scheduler_config"})
    if marker.args or unknown:
        taken = "nodes=, seed= and scheduler_config="
        raise pytest.UsageError(f"@pytest.mark.heeler takes {taken}, not {unknown or list(marker.args)}")
    return dict(marker.kwargs)


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[FreshCluster]:
    """A fresh cluster for this test alone."""
    from heeler.testing.cluster import FreshCluster

    with FreshCluster(**_wanted(request)) as found:
        _keep(request, found)
        yield found


@pytest.fixture(scope="session")
def heeler_session_cluster() -> Iterator[FreshCluster]:
    """One cluster for the whole session (with xdist: for each worker); tests take `shared_cluster`."""
    from heeler.testing.cluster import FreshCluster

    with FreshCluster() as found:
        yield found


@pytest.fixture
def shared_cluster(request: pytest.FixtureRequest, heeler_session_cluster: FreshCluster) -> FreshCluster:
    """The session's cluster, put back to how it was at its start."""
    heeler_session_cluster.reset()
    _keep(request, heeler_session_cluster)
    return heeler_session_cluster


@pytest.fixture
def kubeconfig(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kubeconfig of this test's cluster, which clients, operators and programs find by default while the test runs."""
    name = "shared_cluster" if "shared_cluster" in request.fixturenames else "cluster"
    path: Path = request.getfixturevalue(name).kubeconfig
    monkeypatch.setenv("KUBECONFIG", str(path))
    for module in _READ_AT_IMPORT:  # these look at the environment once only
        if hasattr(sys.modules.get(module), "KUBE_CONFIG_DEFAULT_LOCATION"):
            monkeypatch.setattr(sys.modules[module], "KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    return path


def _keep(request: pytest.FixtureRequest, found: FreshCluster) -> None:
    request.node.stash.setdefault(_CLUSTERS, []).append(found)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Put the state of a failed test's clusters into its report."""
    outcome = yield
    found = outcome.get_result()
    if not found.failed or found.when == "teardown":
        return
    for one in item.stash.get(_CLUSTERS, []):
        try:
            text = one.report()
        except Exception as error:
            text = f"no report: {error!r}"
        found.sections.append((f"heeler: {one!r}", text))
