"""Releases in a real PostgreSQL, in the tables that helm makes; where the real helm is found, each takes over the other's."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from heeler.packages.releases.records import Release
from heeler.packages.releases.sql import Sql, parameters, tls
from heeler.packages.releases.storage import ReleaseNotFound, Storage, StorageError
from heeler.testing.cluster import FreshCluster
from tests.peers.helm import real_helm
from tests.peers.test_helm_releases import OURS, chart

T = TypeVar("T")


def find(program: str) -> str | None:
    found = shutil.which(program)
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    return found or (str(places[-1]) if places else None)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a database that belongs to the user helm."""
    initdb, postgres = find("initdb"), find("postgres")
    if initdb is None or postgres is None:
        pytest.skip("needs postgresql")
    # PostgreSQL doesn't run as root, and its folder must be its user's
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    folder = Path(subprocess.check_output(["mktemp", "-d", "/tmp/heeler-sql-XXXXXX"], text=True).strip())
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    rights: dict[str, Any] = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    data = str(folder / "data")
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **rights}
    subprocess.run([initdb, "-D", data, "-U", "helm", "--auth=trust", "--no-sync"], check=True, **quiet)
    words = [postgres, "-D", data, "-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1", "-F"]
    process = subprocess.Popen(words, **quiet)
    try:
        address = f"postgresql://helm@127.0.0.1:{port}/postgres?sslmode=disable"
        for _ in range(200):
            try:
                Sql(address, "", time.time).close()
                break
            except StorageError:
                assert process.poll() is None
                time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def release(name: str, version: int, status: str, namespace: str = "shop", **more: Any) -> Release:
    return Release(name, namespace, version, status, {"metadata": {"name": "app"}}, **more)


def test_records_are_kept_found_and_removed(server: str) -> None:
    driver = Sql(server, "shop", lambda: 1000.0)
    storage = Storage(driver)

    async def main() -> None:
        await storage.create(
            release("web", 1, "deployed", labels={"team": "x"}, config={"a": "'; DROP TABLE releases_v1"})
        )
        await storage.create(release("web", 2, "failed"))
        await storage.update(release("web", 1, "superseded"))
        assert [(one.version, one.status) for one in await storage.history("web")] == [(2, "failed"), (1, "superseded")]
        assert (await storage.get("web", 1)).labels == {"team": "x"}
        with pytest.raises(StorageError, match="release: already exists"):
            await storage.create(release("web", 2, "failed"))
        everywhere = Sql(server, "", lambda: 0)
        await Storage(everywhere).create(release("web", 1, "deployed", "other"))
        assert len(await Storage(everywhere).all()) == 3
        for version in (1, 2):
            await storage.delete(release("web", version, ""))
        await Storage(everywhere).delete(release("web", 1, "", "other"))
        for gone in (
            storage.get("web", 1),
            storage.update(release("web", 1, "")),
            storage.delete(release("web", 1, "")),
        ):
            with pytest.raises(ReleaseNotFound):
                await gone
        everywhere.close()

    run(main())
    driver.close()


def test_helm_and_heeler_share_the_tables(server: str, tmp_path: Path) -> None:
    helm = real_helm()
    chart(tmp_path, "app", one="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n")
    with FreshCluster() as cluster:
        environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "HELM_DRIVER": "sql"}
        environment["HELM_DRIVER_SQL_CONNECTION_STRING"] = server

        def said(*words: str) -> str:
            return subprocess.run(
                words, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
            ).stdout

        said(*OURS, "install", "web", "app", "--labels", "team=x")
        assert "team=x" in said(helm, "get", "metadata", "web")
        said(helm, "upgrade", "web", "app")
        assert said(*OURS, "history", "web") == said(helm, "history", "web")
        said(*OURS, "uninstall", "web")
        assert said(helm, "list", "-q").strip() == ""


def test_an_address_is_read_in_both_forms() -> None:
    wanted = {"host": "db", "port": "5433", "dbname": "helm", "user": "ann", "password": "p w", "sslmode": "disable"}
    assert parameters("postgres://ann:p%20w@db:5433/helm?sslmode=disable") == wanted
    assert parameters("host=db port=5433 dbname=helm user=ann password='p w' sslmode=disable") == wanted


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("", "must say where the database is"),
        ("postgresql://h:x/y", "is no address of a database"),
        ("postgresql://nobody@127.0.0.1:1/x?sslmode=disable", "can't connect to the database"),
        ("postgresql://nobody:hush@127.0.0.1:1/x?sslmode=prefer", 'unsupported sslmode "prefer"'),
    ],
)
def test_a_database_that_cannot_be_reached(address: str, words: str) -> None:
    with pytest.raises(StorageError, match=words) as error:
        Sql(address, "", time.time)
    assert "hush" not in str(error.value)


def test_connections_are_encrypted_unless_it_says_otherwise() -> None:
    import ssl

    assert tls({"sslmode": "disable"}) is None
    plain, full = tls({}), tls({"sslmode": "verify-full"})
    assert plain is not None and plain.verify_mode == ssl.CERT_NONE
    assert full is not None and full.verify_mode == ssl.CERT_REQUIRED and full.check_hostname
