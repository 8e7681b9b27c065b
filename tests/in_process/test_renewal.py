"""Certificates end, and clocks jump, while a control plane runs."""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import replace
from pathlib import Path

from cryptography import x509

from heeler import cluster
from heeler.base import pki
from heeler.base.clock import SystemClock
from heeler.base.random import SystemRandom
from heeler.client import kubeconfig
from heeler.client.https import HttpsClient
from heeler.local import certificates, upkeep
from heeler.local.layout import Layout, Spec
from heeler.objects.value import GroupVersionResource

SERVICES = GroupVersionResource("", "v1", "services")
YEAR = 366 * 86400.0


class SetClock(SystemClock):
    """The machine's, ahead of it by what the test says."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


async def refused(found: kubeconfig.Access) -> str:
    """Why a request fails; "" if it doesn't."""
    client = HttpsClient(found)
    try:
        await client.list(SERVICES)
        return ""
    except OSError as error:
        return str(error)
    finally:
        await client.close()


def test_certificates_that_ended_while_all_runs_are_made_anew_and_taken_up(tmp_path: Path) -> None:
    async def main() -> None:
        clock, layout, mine = SetClock(), Layout(tmp_path / "data"), tmp_path / "kubeconfig"
        clock.ahead = -YEAR  # all of it is made then
        layout.pki.mkdir(parents=True)
        spec = Spec(name="old", nodes=1, kubeconfig=str(mine))
        async with cluster.control_plane(layout, spec, durable=False, clock=clock, random=SystemRandom()) as found:
            spec = replace(spec, port=found.spec.port)
            layout.save(spec)
            old = certificates.admin_access(layout, spec)
            kubeconfig.merge_into(mine, spec.context, kubeconfig.entry(spec.context, old))
            kubeconfig.merge_into(mine, "other", kubeconfig.entry("other", old))
            before = kubeconfig.read(mine)
            assert "certificate has expired" in await refused(old)
            clock.ahead = 0.0
            await asyncio.to_thread(upkeep.renew, layout, found)
            assert await refused(kubeconfig.access(kubeconfig.read(mine), mine, spec.context)) == ""
            agent = layout.pki / "node-old-node-0.kubeconfig"
            assert await refused(kubeconfig.access(kubeconfig.read(agent), agent, "")) == ""
            after = kubeconfig.read(mine)
            assert after["current-context"] == "other", "whoever works with another cluster goes on with it"
            assert [u["name"] for u in after["users"]] == [u["name"] for u in before["users"]]
            assert after["users"][1] == before["users"][1]
            kubeconfig.remove_from(mine, spec.context)
            await asyncio.to_thread(upkeep.renew, layout, found)
            assert spec.context not in mine.read_text(), "whoever took the cluster out of the file meant it"

    asyncio.run(main())


def test_a_clock_set_back_by_an_hour_leaves_certificates_good() -> None:
    moment = SystemClock().time() + 3600
    authority = pki.new_authority("a", moment)
    made = pki.issue(authority, "b", moment, client=True)
    now = datetime.datetime.now(datetime.UTC)
    for pair in (authority, made):
        assert x509.load_pem_x509_certificate(pair.certificate).not_valid_before_utc < now
