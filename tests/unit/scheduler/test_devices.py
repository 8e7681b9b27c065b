"""https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/"""

import pytest

from heeler.base.clock import LoopClock
from heeler.scheduler.configuration.profiles import default_profile
from heeler.scheduler.devices.allocator import AllocationError, Allocator, Use
from heeler.scheduler.devices.known import Devices
from heeler.scheduler.devices.pools import Published
from heeler.scheduler.devices.results import allocation
from heeler.scheduler.devices.selecting import Selecting
from heeler.scheduler.plugins.plugin import PluginError
from heeler.scheduler.plugins.registry import FACTORIES, Tools
from heeler.scheduler.pod import pod_info
from tests.unit.scheduler.setting import Setting, node, pod

DRIVER = "gpu.example.com"


def device(name, capacity=None, taints=(), counters=None, **attributes):
    kinds = {str: "string", int: "int", bool: "bool"}
    found = {
        "name": name,
        "attributes": {key: {kinds[type(value)]: value} for key, value in attributes.items()},
    }
    if capacity:
        found["capacity"] = capacity
    if taints:
        found["taints"] = list(taints)
    if counters:
        found["consumesCounters"] = [
            {"counterSet": "set", "counters": {key: {"value": value} for key, value in counters.items()}}
        ]
    return found


def slice_(name, devices, where="a", *, pool=None, generation=1, count=1, **more):
    place = {"nodeName": where} if isinstance(where, str) else where
    return {
        "metadata": {"name": name},
        "spec": {
            "driver": DRIVER,
            "pool": {"name": pool or name, "generation": generation, "resourceSliceCount": count},
            "devices": devices,
            **place,
            **more,
        },
    }


def request(name="r", **fields):
    return {"name": name, "exactly": {"deviceClassName": "gpu", **fields}}


def cel(expression):
    return [{"cel": {"expression": expression}}]


def claim(*requests, name="c", **devices):
    return {
        "metadata": {"name": name, "namespace": "n", "uid": f"uid-{name}"},
        "spec": {"devices": {"requests": list(requests), **devices}},
    }


CLASSES = {"gpu": {"metadata": {"name": "gpu"}, "spec": {"selectors": cel(f"device.driver == '{DRIVER}'")}}}


def allocate(*claims, slices, use=None, on="a"):
    """(request, device) of each result; None if there aren't enough."""
    allocator = Allocator(claims, CLASSES, use or Use(), Selecting())
    found = allocator.allocate(Published(slices).for_node(node(on)))
    return None if found is None else [(one.request, one.device.id.device) for one in found]


TWO = [slice_("s", [device("d0", model="small", numa=0), device("d1", model="large", numa=1)])]


def test_a_count_takes_so_many_and_no_device_twice():
    assert allocate(claim(request(count=2)), slices=TWO) == [("r", "d0"), ("r", "d1")]
    assert allocate(claim(request(count=3)), slices=TWO) is None
    assert allocate(claim(request("a"), request("b")), slices=TWO) == [("a", "d0"), ("b", "d1")]
    assert allocate(claim(request()), slices=TWO, on="b") is None


def test_expressions_select_and_others_are_tried_where_the_first_choice_blocks_them():
    small = request("small", selectors=cel(f"device.attributes['{DRIVER}'].model == 'small'"))
    assert allocate(claim(request("any"), small), slices=TWO) == [("any", "d1"), ("small", "d0")]


def test_an_expression_that_fails_is_an_error_and_a_missing_domain_is_empty():
    missing = request(selectors=cel("device.attributes['other.example.com'].model == 'x'"))
    with pytest.raises(
        AllocationError, match=r"claim n/c, request r: selector #0: CEL runtime error: no such key: model"
    ):
        allocate(claim(missing), slices=TWO)
    careful = request(selectors=cel("'model' in device.attributes['other.example.com']"))
    assert allocate(claim(careful), slices=TWO) is None


def test_all_means_every_device_that_matches():
    assert allocate(claim(request(allocationMode="All")), slices=TWO) == [("r", "d0"), ("r", "d1")]
    use = Use()
    use.add_result({"driver": DRIVER, "pool": "s", "device": "d1"})
    assert allocate(claim(request(allocationMode="All")), slices=TWO, use=use) is None
    with pytest.raises(AllocationError, match=r"asks for all devices, but resource pool .* is currently being updated"):
        allocate(claim(request(allocationMode="All")), slices=[slice_("s", [device("d0")], count=2)])


def test_all_leaves_out_what_could_never_give_the_capacity():
    slices = [
        slice_(
            "s", [device(name, capacity={"memory": {"value": size}}) for name, size in (("d0", "1Gi"), ("d1", "4Gi"))]
        )
    ]
    wanted = request(allocationMode="All", capacity={"requests": {"memory": "2Gi"}})
    assert allocate(claim(wanted), slices=slices) == [("r", "d1")]


def test_administrators_may_have_what_is_taken():
    use = Use()
    for name in ("d0", "d1"):
        use.add_result({"driver": DRIVER, "pool": "s", "device": name})
    assert allocate(claim(request()), slices=TWO, use=use) is None
    assert allocate(claim(request(adminAccess=True)), slices=TWO, use=use) == [("r", "d0")]


def test_only_the_newest_generation_of_a_pool_counts_and_incomplete_ones_wait():
    old = slice_("s1", [device("old")], pool="p", generation=1)
    new = slice_("s2", [device("new")], pool="p", generation=2)
    assert allocate(claim(request()), slices=[old, new]) == [("r", "new")]
    assert allocate(claim(request()), slices=[slice_("s", [device("d0")], count=2)]) is None


def test_constraints_hold_attributes_together_or_apart():
    devices = [device("d0", numa=0), device("d1", numa=1), device("d2", numa=1)]
    same = {"requests": ["a", "b"], "matchAttribute": f"{DRIVER}/numa"}
    apart = {"requests": ["a", "b"], "distinctAttribute": f"{DRIVER}/numa"}
    two = (request("a"), request("b"))
    slices = [slice_("s", devices)]
    assert allocate(claim(*two, constraints=[same]), slices=slices) == [("a", "d1"), ("b", "d2")]
    assert allocate(claim(*two, constraints=[apart]), slices=slices) == [("a", "d0"), ("b", "d1")]
    assert allocate(claim(*two, constraints=[same]), slices=TWO) is None


def test_the_first_alternative_that_is_possible_is_taken():
    large = {"name": "large", "deviceClassName": "gpu", "count": 3}
    small = {"name": "small", "deviceClassName": "gpu"}
    one = {"name": "r", "firstAvailable": [large, small]}
    assert allocate(claim(one), slices=TWO) == [("r/small", "d0")]


def test_tainted_devices_want_to_be_tolerated():
    taint = {"key": "broken", "effect": "NoSchedule"}
    slices = [slice_("s", [device("d0", taints=[taint]), device("d1", taints=[{"key": "odd", "effect": "None"}])])]
    assert allocate(claim(request()), slices=slices) == [("r", "d1")]
    tolerant = request(tolerations=[{"key": "broken", "operator": "Exists"}])
    assert allocate(claim(tolerant), slices=slices) == [("r", "d0")]


def test_a_rule_taints_devices_as_their_drivers_would():
    rule = {
        "metadata": {"name": "r"},
        "spec": {"deviceSelector": {"device": "d0"}, "taint": {"key": "sick", "effect": "NoExecute"}},
    }
    [pool] = Published(TWO, [rule]).for_node(node("a"))
    assert [device.taints for device in pool.devices] == [[rule["spec"]["taint"]], []]
    found = Allocator([claim(request())], CLASSES, Use(), Selecting()).allocate([pool])
    assert [one.device.id.device for one in found] == ["d1"]


def test_parts_of_a_device_share_its_counters():
    shared = [{"name": "set", "counters": {"memory": {"value": "10Gi"}}}]
    parts = [device("half0", counters={"memory": "5Gi"}), device("most", counters={"memory": "8Gi"})]
    parts.append(device("half1", counters={"memory": "5Gi"}))
    slices = [slice_("s", parts, sharedCounters=shared)]
    assert allocate(claim(request(count=2)), slices=slices) == [("r", "half0"), ("r", "half1")]
    use = Use()
    use.add_result({"driver": DRIVER, "pool": "s", "device": "most"})
    assert allocate(claim(request()), slices=slices, use=use) is None


def test_a_shared_device_is_given_out_until_its_capacity_is_used_up():
    policy = {"default": "1Gi", "validRange": {"min": "1Gi", "max": "8Gi", "step": "1Gi"}}
    shared = device("d0", capacity={"memory": {"value": "4Gi", "requestPolicy": policy}})
    shared["allowMultipleAllocations"] = True
    slices, classes = [slice_("s", [shared])], CLASSES
    wanted = claim(request(capacity={"requests": {"memory": "1500Mi"}}))
    use = Use()
    for number in range(2):
        found = Allocator([wanted], classes, use, Selecting()).allocate(Published(slices).for_node(node("a")))
        [result] = allocation(wanted, found, classes, "a", "now", lambda: f"id-{number}")["devices"]["results"]  # noqa: B023
        assert (result["consumedCapacity"], result["shareID"]) == ({"memory": "2Gi"}, f"id-{number}")
        use.add_result(result)
    assert allocate(wanted, slices=slices, use=use) is None
    too_much = claim(request(capacity={"requests": {"memory": "9Gi"}}))
    assert allocate(too_much, slices=slices) is None


def test_a_request_has_a_shared_device_once():
    shared = device("d0", capacity={"memory": {"value": "8Gi", "requestPolicy": {"default": "1Gi"}}})
    shared["allowMultipleAllocations"] = True
    slices = [slice_("s", [shared])]
    assert allocate(claim(request(count=2)), slices=slices) is None
    assert allocate(claim(request("a"), request("b")), slices=slices) == [("a", "d0"), ("b", "d0")]


def test_what_is_wrong_with_any_request_is_told_at_once():
    apart = {"distinctAttribute": f"{DRIVER}/numa"}
    words = (
        "claim n/c, request r: cannot add device gpu.example.com/s/d1 because a claim constraint would not be satisfied"
    )
    with pytest.raises(AllocationError, match=words):
        allocate(
            claim(request(allocationMode="All"), constraints=[apart]),
            slices=[slice_("s", [device("d0", numa=0), device("d1", numa=0)])],
        )
    every = {"name": "all", "deviceClassName": "gpu", "allocationMode": "All"}
    one = {"name": "r", "firstAvailable": [{"name": "one", "deviceClassName": "gpu"}, every]}
    there = [slice_("s", [device("d0")]), slice_("t", [device("d1")], count=2)]
    with pytest.raises(AllocationError, match=r"request all: asks for all devices, but resource pool \S+ is currently"):
        allocate(claim(one), slices=there)


def test_an_allocation_says_where_it_can_be_used_and_how_devices_are_set_up():
    opaque = {"opaque": {"driver": DRIVER, "parameters": {"x": 1}}}
    classes = {"gpu": {"spec": {"config": [opaque]}}}
    wanted = claim(request(), config=[{"requests": ["r"], **opaque}, {"requests": ["other"], **opaque}])
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["a", "b"]}
    where = {"nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}}
    chosen = Allocator([wanted], classes, Use(), Selecting()).allocate(
        Published([slice_("s", [device("d0")], where)]).for_node(node("a"))
    )
    found = allocation(wanted, chosen, classes, "a", "now", str)
    assert found["nodeSelector"] == where["nodeSelector"]
    assert [one["source"] for one in found["devices"]["config"]] == ["FromClass", "FromClaim"]


def setting(*claims, slices=(), nodes="ab"):
    devices = Devices()
    devices.claims |= {f"n/{one['metadata']['name']}": one for one in claims}
    devices.classes |= CLASSES
    devices.slices |= {one["metadata"]["name"]: one for one in slices}
    return Setting(*(node(name) for name in nodes), profile=default_profile(Tools(devices=devices)))


def claiming(name="c"):
    return pod(resourceClaims=[{"name": "x", "resourceClaimName": name}])


def test_a_pod_goes_where_its_device_is():
    there = setting(claim(request()), slices=[slice_("s", [device("d0")], "b")])
    assert there.choose(claiming()).node == "b"
    nowhere = setting(claim(request()))
    assert nowhere.choose(claiming()).message == (
        "0/2 nodes are available: 2 cannot allocate all claims. preemption: 0/2 nodes are available: "
        "2 Preemption is not helpful for scheduling."
    )


def test_a_pod_whose_claim_is_missing_is_held_back():
    profile = setting().profile
    held = {plugin.name: plugin.holds(claiming()) for plugin in profile.pre_enqueue}
    assert held["DynamicResources"] == 'resourceclaim.resource.k8s.io "c" not found'


def test_a_claim_that_holds_its_pod_elsewhere_is_given_back():
    taken = claim(request())
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["gone"]}]}
    taken["status"] = {"allocation": {"devices": {"results": []}, "nodeSelector": {"nodeSelectorTerms": [term]}}}
    decision = setting(taken).choose(claiming())
    assert "2 resourceclaim not available on the node" in decision.message
    assert decision.frees is taken
    taken["status"]["reservedFor"] = [{"resource": "pods", "name": "other", "uid": "other"}]
    assert setting(taken).choose(claiming()).frees is None


@pytest.mark.parametrize(("filter_timeout", "late"), [("2s", True), ("60s", False), ("0s", False)])
def test_devices_are_looked_for_on_a_node_for_so_long(filter_timeout, late):
    class Ticking(LoopClock):
        """Each look at it is a second later."""

        now = 0.0

        def monotonic(self):
            self.now += 1
            return self.now

    devices = Devices()
    devices.classes |= CLASSES
    devices.claims |= {"n/c": claim(request(count=3))}
    devices.slices |= {"s": slice_("s", [device(f"d{at}") for at in range(5)])}
    tools = Tools(devices=devices, clock=Ticking())
    plugin = FACTORIES["DynamicResources"](tools, {"filterTimeout": filter_timeout})
    table = Setting(node("a")).cache.table
    check = plugin.prepare(pod_info(claiming()), table)
    if late:
        words = 'running "DynamicResources" filter plugin: node a: timed out trying to allocate devices'
        with pytest.raises(PluginError, match=f"^{words}$"):
            check(table.order)
    else:
        assert check(table.order) is None
