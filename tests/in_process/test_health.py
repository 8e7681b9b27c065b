"""/healthz, /livez, /readyz: the checks by upstream's names, alone and together."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from heeler.testing.cluster import FreshCluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[FreshCluster]:
    with FreshCluster() as found:
        yield found


def asked(cluster: FreshCluster, path: str) -> str:
    return cluster.kubectl("get", "--raw", path)


def test_all_checks_are_listed_in_order(cluster: FreshCluster) -> None:
    lines = asked(cluster, "/readyz?verbose").splitlines()
    assert lines[:5] == ["[+]ping ok", "[+]log ok", "[+]etcd ok", "[+]etcd-readiness ok", "[+]informer-sync ok"]
    assert "[+]poststarthook/rbac/bootstrap-roles ok" in lines
    assert lines[-2:] == ["[+]shutdown ok", "readyz check passed"]
    assert "[+]informer-sync ok" not in asked(cluster, "/livez?verbose")
    assert asked(cluster, "/healthz") == "ok"


def test_one_check_is_asked_alone(cluster: FreshCluster) -> None:
    assert asked(cluster, "/livez/etcd") == "ok"
    assert asked(cluster, "/readyz/poststarthook/rbac/bootstrap-roles?verbose") == "ok"
    paths = asked(cluster, "/")
    assert '"/livez/etcd"' in paths and '"/livez/informer-sync"' not in paths
    for path in ("/livez/informer-sync", "/livez/nothing", "/livez/"):
        with pytest.raises(Exception, match=r"the server could not find the requested resource|NotFound|404"):
            asked(cluster, path)


def test_checks_are_left_out_by_name(cluster: FreshCluster) -> None:
    lines = asked(cluster, "/livez?verbose&exclude=ping&exclude=nothing&exclude=none").splitlines()
    assert lines[0] == "[+]ping excluded: ok"
    assert lines[-2] == 'warn: some health checks cannot be excluded: no matches for "nothing","none"'
