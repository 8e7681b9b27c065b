"""A disk that is full: writes are refused with the reason, nothing that was acknowledged is lost, room heals it."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from heeler import cluster
from heeler.base.clock import SystemClock
from heeler.base.processes import check
from heeler.base.random import SystemRandom
from heeler.client.client import Client
from heeler.cluster import ADMIN
from heeler.local.layout import Layout, Spec
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource

CONFIGMAPS = GroupVersionResource("", "v1", "configmaps")
FULL = "the store could not write: database or disk is full: free some space, the cluster goes on by itself"


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    made = Layout(tmp_path / "data")
    made.pki.mkdir(parents=True)
    made.store.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "disk", str(made.store)]).returncode:
        pytest.skip("needs root, and a small disk")
    yield made
    subprocess.run(["umount", str(made.store)], check=True)


async def fill(client: Client, prefix: str, size: int) -> tuple[list[str], str]:
    """Create until it fails: what was acknowledged, and why it went no further."""
    kept: list[str] = []
    while True:
        name = f"{prefix}-{len(kept)}"
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"x": "x" * size}}
        try:
            await client.create(CONFIGMAPS, made, "default")
        except StatusError as error:
            return kept, f"{error.code} {error.message}"
        kept.append(name)


def test_a_full_disk_refuses_writes_loses_nothing_and_heals(layout: Layout) -> None:
    async def names(client: Client) -> list[str]:
        return [o["metadata"]["name"] for o in (await client.list(CONFIGMAPS, "default")).items]

    async def main() -> None:
        def start() -> AbstractAsyncContextManager[cluster.Context]:
            return cluster.control_plane(
                layout, Spec(name="full"), durable=True, clock=SystemClock(), random=SystemRandom()
            )

        async with start() as found:
            client = found.client(ADMIN, "test")
            kept, why = await fill(client, "large", 200_000)
            assert why == f"503 {FULL}"
            small, why = await fill(client, "small", 100)
            assert why == f"503 {FULL}"
            kept += small
            status, body = await client.request("GET", "/readyz/etcd")
            assert (status, body.decode()) == (500, f"internal server error: {FULL}\n")
            status, body = await client.request("GET", "/livez", query={"verbose": ""})
            assert status == 500
            assert b"[+]ping ok\n[+]log ok\n[-]etcd failed: reason withheld\n" in body
            assert body.endswith(b"livez check failed\n")
            assert (await client.request("GET", "/livez", query={"exclude": "etcd"}))[0] == 200
        async with start() as found:  # a start on the full disk: all can be read
            client = found.client(ADMIN, "test")
            assert set(kept) <= set(await names(client))
            await check(["mount", "-o", "remount,size=40m", str(layout.store)])
            for name in kept[:3]:
                await client.delete(CONFIGMAPS, name, "default")
        async with start() as found:
            assert set(await names(found.client(ADMIN, "test"))) - {"kube-root-ca.crt"} == set(kept[3:])

    asyncio.run(main())
