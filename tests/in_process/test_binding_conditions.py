"""A device whose driver has to make it ready first: it fails, is given back, and is ready at the second attempt."""

from __future__ import annotations

import asyncio

import heeler
from heeler.client.client import Client
from heeler.objects.value import GroupVersionResource, Object
from tests.in_process.service_accounts import make_pod

PODS = GroupVersionResource("", "v1", "pods")
EVENTS = GroupVersionResource("events.k8s.io", "v1", "events")
CLAIMS, SLICES, CLASSES = (
    GroupVersionResource("resource.k8s.io", "v1", name)
    for name in ("resourceclaims", "resourceslices", "deviceclasses")
)


async def with_pod(client: Client) -> None:
    await client.create(CLASSES, {"metadata": {"name": "gpu"}, "spec": {}})
    device = {"name": "d0", "bindingConditions": ["Ready"], "bindingFailureConditions": ["Failed"]}
    pool = {"name": "pool", "generation": 1, "resourceSliceCount": 1}
    spec: Object = {"driver": "gpu.example.com", "allNodes": True, "pool": pool, "devices": [device]}
    await client.create(SLICES, {"metadata": {"name": "s"}, "spec": spec})
    wish = {"name": "r", "exactly": {"deviceClassName": "gpu"}}
    await client.create(CLAIMS, {"metadata": {"name": "c"}, "spec": {"devices": {"requests": [wish]}}}, "default")
    spec = {
        "resourceClaims": [{"name": "x", "resourceClaimName": "c"}],
        "containers": [{"name": "a", "image": "i"}],
    }
    await make_pod(client, {"metadata": {"name": "p"}, "spec": spec})


async def told(client: Client, condition: str, other_than: str = "") -> str:
    """The driver says something of the device of the next allocation; the allocation's time."""
    while True:
        claim = await client.get(CLAIMS, "c", "default")
        allocation = (claim.get("status") or {}).get("allocation")
        if allocation and not claim["status"].get("devices") and allocation["allocationTimestamp"] != other_than:
            break
        await asyncio.sleep(0.05)
    [result] = allocation["devices"]["results"]
    assert (result["bindingConditions"], result["bindingFailureConditions"]) == (["Ready"], ["Failed"])
    known = {"type": condition, "status": "True", "reason": "Why", "message": "so it is"}
    known["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    device = {key: result[key] for key in ("driver", "pool", "device")}
    claim["status"]["devices"] = [{**device, "conditions": [known]}]
    await client.update(CLAIMS, claim, subresource="status")
    return str(allocation["allocationTimestamp"])


def test_a_pod_is_bound_when_its_device_is_ready_and_looks_for_another_when_it_fails() -> None:
    async def main() -> None:
        async with heeler.Cluster(simulated_nodes=1) as cluster, asyncio.timeout(30):
            client = cluster.client
            await with_pod(client)
            first = await told(client, "Failed")
            await told(client, "Ready", other_than=first)
            while not (await client.get(PODS, "p", "default"))["spec"].get("nodeName"):
                await asyncio.sleep(0.05)
            notes = [event["note"] for event in (await client.list(EVENTS, "default")).items]
            failed = 'device binding failed: claim=c, reason=Why, message="so it is"'
            assert f'running PreBind plugin "DynamicResources": {failed}' in notes
            freed = "0/1 nodes are available: 1 resourceclaim not available on the node. deallocation of ResourceClaim"
            assert any(note.startswith(freed) for note in notes)
            assert any(note.startswith("waiting for binding conditions for device on node ") for note in notes)

    asyncio.run(main())
