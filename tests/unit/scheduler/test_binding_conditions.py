"""https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/#device-binding-conditions"""

import asyncio

import pytest

from heeler.base.clock import EPOCH, LoopClock, rfc3339
from heeler.base.loop import simulate
from heeler.base.random import SeededRandom
from heeler.scheduler.configuration.profiles import default_profile
from heeler.scheduler.devices import binding
from heeler.scheduler.devices.claim_writer import ClaimWriter
from heeler.scheduler.devices.known import Devices
from heeler.scheduler.plugins.lifecycle import Rejected
from heeler.scheduler.plugins.registry import Tools
from heeler.scheduler.pod import pod_info
from tests.unit.scheduler.setting import Setting, node, pod

RESULT = {"driver": "d", "pool": "p", "device": "x"}
ASKS = {"bindingConditions": ["Up", "Wired"], "bindingFailureConditions": ["Broken"]}


def claim(*conditions, asks=ASKS, at=None):
    """An allocated claim whose device's driver says this of it: {type: status}."""
    told = [
        {"type": kind, "status": status, "reason": "Why", "message": 'so "it" is'}
        for one in conditions
        for kind, status in one.items()
    ]
    allocation = {"devices": {"results": [{**RESULT, **asks}]}}
    if at is not None:
        allocation["allocationTimestamp"] = rfc3339(at)
    devices = {"devices": [{**RESULT, "conditions": told}]} if conditions else {}
    return {
        "metadata": {"name": "c", "namespace": "n", "uid": "uid-c"},
        "spec": {},
        "status": {"allocation": allocation, **devices},
    }


@pytest.mark.parametrize(
    ("conditions", "ready"),
    [
        ((), False),
        (({"Up": "True"},), False),
        (({"Up": "True", "Wired": "False"},), False),
        (({"Up": "True", "Wired": "True"},), True),
        (({"Up": "True", "Wired": "True", "Broken": "False"},), True),
    ],
)
def test_a_device_is_ready_when_all_of_its_conditions_are_met(conditions, ready):
    made = claim(*conditions)
    assert binding.waits(made)
    assert (binding.is_ready(made), binding.failure(made)) == (ready, "")


def test_a_device_without_conditions_is_not_waited_for():
    assert not binding.waits(claim(asks={}))
    assert not binding.waits({"metadata": {"name": "c"}})
    assert binding.is_ready(claim(asks={}))


def test_one_condition_of_failure_is_enough():
    made = claim({"Up": "True", "Wired": "True", "Broken": "True"})
    assert binding.failure(made) == r'device binding failed: claim=c, reason=Why, message="so \"it\" is"'


def waited(devices, seconds, changes=()):
    """Wait for a claim; `changes` are (after so many seconds, what it is then). How long it took."""

    async def main():
        clock = LoopClock()
        writer = ClaimWriter(None, devices, clock=clock, random=SeededRandom(1), row=lambda name: None, claims=None)

        async def change():
            for after, made in changes:
                await clock.sleep(after)
                if made is None:
                    del devices.claims["n/c"]
                else:
                    devices.claims["n/c"] = made

        changing = asyncio.create_task(change())
        began = clock.monotonic()
        try:
            await writer.wait_ready([devices.claims["n/c"]], seconds)
        finally:
            changing.cancel()
        return clock.monotonic() - began

    return simulate(main())


def known(made):
    devices = Devices()
    devices.claims["n/c"] = made
    return devices


def test_a_pod_waits_until_its_devices_are_ready():
    ready = claim({"Up": "True", "Wired": "True"})
    assert waited(known(ready), 60) == 0
    assert 20 <= waited(known(claim()), 60, [(10, claim({"Up": "True"})), (10, ready)]) < 22


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ([(10, claim({"Broken": "True"}))], "device binding failed: claim=c, reason=Why, "),
        ([(10, None)], 'resourceclaim.resource.k8s.io "c" not found'),
        ([(59, claim({"Up": "True"}))], "device binding timeout: context deadline exceeded"),
    ],
)
def test_it_waits_no_longer_for_what_will_not_be_or_takes_too_long(changes, told):
    with pytest.raises(Rejected, match=told) as error:
        waited(known(claim()), 60, changes)
    assert not error.value.unschedulable  # it is tried again by itself


@pytest.mark.parametrize(
    ("made", "freed"),
    [
        (claim({"Broken": "True"}, at=EPOCH), True),
        (claim(at=EPOCH - 601), True),
        (claim(at=EPOCH - 599), False),
        (claim({"Up": "True", "Wired": "True"}, at=EPOCH - 601), False),
        (claim(asks={}, at=EPOCH - 601), False),
    ],
)
def test_devices_that_failed_or_are_late_are_given_back_at_the_next_attempt(made, freed):
    async def main():
        profile = default_profile(Tools(devices=known(made), clock=LoopClock()))
        return Setting(node("a"), profile=profile).choose(pod(resourceClaims=[{"name": "x", "resourceClaimName": "c"}]))

    decision = simulate(main())
    assert (decision.frees is made, decision.node) == (freed, "" if freed else "a")
    if freed:
        told = "0/1 nodes are available: 1 resourceclaim not available on the node. deallocation of ResourceClaim completed,"
        assert decision.message.startswith(told)


def test_that_a_pod_waits_is_told_once():
    ready = claim({"Up": "True", "Wired": "True"})
    ready["status"]["reservedFor"] = [{"resource": "pods", "name": "p", "uid": "uid-p"}]
    told = []

    def record(info, *event):
        told.append((info.name, *event))

    async def main():
        devices, clock = known(ready), LoopClock()
        writer = ClaimWriter(None, devices, clock=clock, random=SeededRandom(1), row=lambda name: 0, claims=None)
        tools = Tools(devices=devices, claim_writer=writer, clock=clock, record=record)
        setting = Setting(node("a"), profile=default_profile(tools))
        claiming = pod(resourceClaims=[{"name": "x", "resourceClaimName": "c"}])
        assert setting.choose(claiming).node == "a"
        plugin, info = setting.profile.plugins["DynamicResources"], pod_info(claiming)
        plugin.reserve(info, "a")
        await plugin.pre_bind(info, "a")

    simulate(main())
    note = "waiting for binding conditions for device on node a"
    assert told == [("p", "BindingConditionsPending", "Scheduling", note)]
