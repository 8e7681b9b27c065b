"""Cluster DNS on a real node: from containers by their resolv.conf, by dig over UDP and TCP, and after a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from heeler.base.clock import SystemClock
from heeler.base.processes import find_program, run
from heeler.base.random import SystemRandom
from heeler.kubelet.agent import Node
from heeler.objects.value import Object
from tests.containers.node import WAIT, pod, started

DNS = "10.96.0.10"


def test_containers_find_services_by_name(cluster: str, tmp_path: Path, archive: Path) -> None:
    async def main() -> None:
        async with started(cluster, tmp_path, archive, keep_pods=True) as node:
            node.api.put("namespaces", {"metadata": {"name": "default"}})
            spec: Object = {"clusterIP": "10.96.0.20", "ports": [{"name": "http", "port": 80}]}
            node.api.put("services", {"metadata": {"name": "web", "namespace": "default"}, "spec": spec})
            headless = {"clusterIP": "None", "ports": [{"name": "http", "port": 80}]}
            node.api.put("services", {"metadata": {"name": "db", "namespace": "default"}, "spec": headless})
            entries = [{"addresses": [f"10.244.9.{i}"], "conditions": {"ready": True}} for i in range(1, 90)]
            labels = {"kubernetes.io/service-name": "db"}
            node.api.put(
                "endpointslices",
                {
                    "metadata": {"name": "db-1", "namespace": "default", "labels": labels},
                    "addressType": "IPv4",
                    "endpoints": entries,
                    "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
                },
            )
            config = {
                "nameservers": ["192.0.2.1"],
                "searches": ["a.example"],
                "options": [{"name": "ndots", "value": "2"}],
            }
            pods: dict[str, dict[str, Any]] = {
                "first": {"dnsConfig": {**config, "nameservers": []}},
                "host": {"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": True},
                "none": {"dnsPolicy": "None", "dnsConfig": config},
            }
            for name, more in pods.items():
                node.api.put("pods", pod(name, WAIT, **more))
            for name in pods:
                await node.phase(name, "Running")
            search = "search default.svc.cluster.local svc.cluster.local cluster.local"
            first = await node.run_in("first", "cat /etc/resolv.conf")
            assert (
                f"nameserver {DNS}" in first and search in first and "a.example" in first and "options ndots:2" in first
            )
            none = await node.run_in("none", "cat /etc/resolv.conf")
            assert none.split() == "search a.example nameserver 192.0.2.1 options ndots:2".split()

            for name in ("first", "host"):
                for asked in ("web", "web.default", "web.default.svc.cluster.local"):
                    said = await node.run_in(name, f"wget -O - http://{asked}/")
                    assert "(10.96.0.20)" in said and "refused" in said, said
            assert "bad address" in await node.run_in("first", "wget -O - http://gone/")

            async def dig(*words: str, server: str = DNS) -> str:
                netns = f"--net=/run/netns/{node.options.node_netns}"
                done = await run(["nsenter", netns, "dig", "+time=3", "+tries=3", f"@{server}", *words])
                return done.out.decode()

            if not find_program("dig"):
                return
            assert (await dig("+short", "web.default.svc.cluster.local")).split() == ["10.96.0.20"]
            said = await dig("+short", "-x", "10.96.0.20", server=node.options.node_ip)
            assert said.split() == ["web.default.svc.cluster.local."]
            said = await dig("db.default.svc.cluster.local")
            assert "ANSWER: 89," in said and "(TCP)" in said  # too much for a datagram
            said = await dig("gone.default.svc.cluster.local")
            assert "status: NXDOMAIN" in said and "ns.dns.cluster.local." in said
            assert "status: REFUSED" in await dig("example.com")  # this node has no way out

            # while the agent is away nobody says that the port is closed: who asks again is served later
            await node.stop()
            asked = asyncio.ensure_future(dig("+time=1", "+tries=10", "+short", "web.default.svc.cluster.local"))
            await asyncio.sleep(0.3)
            node.node = Node(node.options, node.api, SystemClock(), SystemRandom())
            await node.start()
            assert (await asked).split()[-1] == "10.96.0.20"

    asyncio.run(main())
