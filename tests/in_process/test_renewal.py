"""Certificates end, and clocks jump, while a control plane runs."""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from heeler import cluster
from heeler.base import pki
from heeler.base.clock import SystemClock
from heeler.base.random import SystemRandom
from heeler.client import kubeconfig
from heeler.client.https import HttpsClient
from heeler.cluster import ADMIN
from heeler.local import certificates, upkeep
from heeler.local.layout import Layout, Spec
from heeler.local.up import NODES, PODS, is_ready
from heeler.objects.value import GroupVersionResource, Object

DEPLOYMENTS = GroupVersionResource("apps", "v1", "deployments")
SERVICES = GroupVersionResource("", "v1", "services")
YEAR = 366 * 86400.0


class SetClock(SystemClock):
    """The machine's, ahead of it by what the test says."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead

    async def sleep(self, seconds: float) -> None:
        """Whoever looks now and then looks often."""
        await super().sleep(seconds / 50)


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


@pytest.mark.parametrize("step", [86400.0, -3600.0])
def test_a_control_plane_goes_on_when_the_clock_is_set(tmp_path: Path, step: float) -> None:
    """A laptop that slept for a day, and a clock that was an hour ahead: nodes stay, pods stay, work goes on."""

    async def main() -> None:
        clock, layout = SetClock(), Layout(tmp_path / "data")
        layout.pki.mkdir(parents=True)
        spec = Spec(name="jump", nodes=0, simulated_nodes=1)
        async with cluster.control_plane(layout, spec, durable=False, clock=clock, random=SystemRandom()) as found:
            client = found.client(ADMIN, "test")

            async def ready(count: int) -> list[str]:
                while True:
                    pods = (await client.list(PODS, "default")).items
                    if len(pods) == count and all(pod.get("status", {}).get("phase") == "Running" for pod in pods):
                        return [pod["metadata"]["uid"] for pod in pods]
                    await asyncio.sleep(0.05)

            await client.create(DEPLOYMENTS, deployment("web", 1), "default")
            async with asyncio.timeout(60):
                [first] = await ready(1)
                clock.ahead = step
                await client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 2}}, "default")
                assert first in await ready(2)
                await clock.sleep(30)  # the node life cycle looks several times
                assert first in await ready(2)
                [node] = (await client.list(NODES)).items
                assert is_ready(node) and not node["spec"].get("taints")

    asyncio.run(main())


def deployment(name: str, replicas: int) -> Object:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
