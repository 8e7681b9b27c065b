"""https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/"""

import itertools
import random

import pytest

from heeler.base.clock import LoopClock
from heeler.scheduler.configuration.profiles import default_profile
from heeler.scheduler.devices.allocator import AllocationError, Allocator, InvalidPoolsError, OutOfTimeError, Use, never
from heeler.scheduler.devices.known import Devices
from heeler.scheduler.devices.pools import Published
from heeler.scheduler.devices.results import allocation
from heeler.scheduler.devices.selecting import Selecting
from heeler.scheduler.plugins.dynamic_resources import SlowSearch
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


def allocate(*claims, slices, use=None, on="a", is_late=never):
    """(request, device) of each result; None if there aren't enough."""
    allocator = Allocator(claims, CLASSES, use or Use(), Selecting(), is_late)
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


class Ticking(LoopClock):
    """Each look at it is a second later."""

    now = 0.0

    def monotonic(self):
        self.now += 1
        return self.now


def patiently(plugin, table, *, searches=None):
    """The verdict on all rows of a table: slow searches go on, as the scheduler lets them in a thread. `searches` gets
    the nodes that there are answers for after each of them."""
    info = pod_info(claiming())
    try:
        while True:
            try:
                return plugin.prepare(info, table)(table.order)
            except SlowSearch as found:
                slow = found
            slow.go_on()
            if searches is not None:
                searches.append(sorted(name for *_, name in plugin._decision.answers))
    finally:
        plugin.forget()


def test_slow_searches_go_on_where_nobody_waits_for_them_and_their_answers_stay_for_the_decision():
    devices = Devices()
    devices.classes |= CLASSES
    devices.claims |= {"n/c": claim(request(count=2))}
    devices.slices |= {"a": slice_("a", []), "b": slice_("b", TWO[0]["spec"]["devices"], "b")}
    plugin = FACTORIES["DynamicResources"](Tools(devices=devices, clock=Ticking()), {"filterTimeout": "60s"})
    table = Setting(node("a"), node("b"), node("c")).cache.table
    for _ in range(2):
        searches = []
        verdict = patiently(plugin, table, searches=searches)
        assert searches == [["a", "b"]]  # b's was slow: where no device is looked at, nothing takes long
        assert [bool(one) for one in verdict.refused] == [True, False, True]
        assert [chosen.device.id.device for _, chosen in plugin.chosen(pod_info(claiming()), table.row("b"))] == [
            "d0",
            "d1",
        ]


def test_a_remembered_answer_is_for_the_claims_that_were_open_then():
    """While a search goes on somebody else allocates the pod's first claim: the other one doesn't get its devices."""
    devices, kinds = Devices(), ("fast", "slow")
    for kind in kinds:
        selectors = cel(f"device.attributes['{DRIVER}'].kind == '{kind}'")
        devices.classes[kind] = {"metadata": {"name": kind}, "spec": {"selectors": selectors}}
        devices.claims[f"n/{kind}"] = claim(request(deviceClassName=kind), name=kind)
    devices.slices["s"] = slice_("s", [device("f0", kind="fast"), device("s0", kind="slow")])
    plugin = FACTORIES["DynamicResources"](Tools(devices=devices, clock=Ticking()), {"filterTimeout": "60s"})
    table = Setting(node("a")).cache.table
    info = pod_info(pod(resourceClaims=[{"name": kind, "resourceClaimName": kind} for kind in kinds]))
    with pytest.raises(SlowSearch) as slow:
        plugin.prepare(info, table)(table.order)
    slow.value.go_on()
    taken = {"driver": DRIVER, "pool": "s", "device": "f0", "request": "r"}
    first = devices.claims["n/fast"]
    allocated = {"status": {"allocation": {"devices": {"results": [taken]}}}}
    devices.claims["n/fast"] = {**first, "metadata": {**first["metadata"], "resourceVersion": "2"}, **allocated}
    devices.changed()
    with pytest.raises(SlowSearch) as slow:
        plugin.prepare(info, table)(table.order)
    slow.value.go_on()
    assert plugin.prepare(info, table)(table.order) is None
    assert [(name, one.device.id.device) for name, one in plugin.chosen(info, 0)] == [("slow", "s0")]


@pytest.mark.parametrize(("filter_timeout", "late"), [("2s", True), ("60s", False), ("0s", False)])
def test_devices_are_looked_for_on_a_node_for_so_long(filter_timeout, late):
    devices = Devices()
    devices.classes |= CLASSES
    devices.claims |= {"n/c": claim(request(count=3))}
    devices.slices |= {"s": slice_("s", [device(f"d{at}") for at in range(5)])}
    tools = Tools(devices=devices, clock=Ticking())
    plugin = FACTORIES["DynamicResources"](tools, {"filterTimeout": filter_timeout})
    table = Setting(node("a")).cache.table
    if late:
        words = 'running "DynamicResources" filter plugin: node a: timed out trying to allocate devices'
        with pytest.raises(PluginError, match=f"^{words}$"):
            patiently(plugin, table)
    else:
        assert patiently(plugin, table) is None


def tell(*devices, used=0):
    """A slice, and a use of its first devices."""
    use = Use()
    for one in devices[:used]:
        use.add_result({"driver": DRIVER, "pool": "s", "device": one["name"]})
    return [slice_("s", list(devices))], use


MANY = [device(f"d{at:02}", number=at, group=at // 31) for at in range(64)]


def test_a_claim_for_more_devices_than_it_may_have_is_refused_at_once():
    def refused(*requests):
        with pytest.raises(AllocationError) as error:
            allocate(claim(*requests), slices=tell(*MANY)[0])
        return str(error.value)

    limit = "exceeds the claim limit of 32, with"
    assert refused(request(count=33)) == f"claim n/c, request r: adding 33 devices {limit} 0 already accounted for"
    assert refused(request("a", count=30), request("b", count=2**63 - 1)) == (
        f"claim n/c, request b: adding {2**63 - 1} devices {limit} 30 already accounted for"
    )
    one_of = {"name": "b", "firstAvailable": [{"name": "x", "deviceClassName": "gpu", "count": at} for at in (9, 3)]}
    assert "request b: adding 3 devices" in refused(request("a", count=30), one_of)


def test_an_alternative_with_too_many_devices_is_left_out():
    one_of = {
        "name": "b",
        "firstAvailable": [
            {"name": "x", "deviceClassName": "gpu", "count": 9},
            {"name": "y", "deviceClassName": "gpu", "count": 2},
        ],
    }
    found = allocate(claim(request("a", count=30), one_of), slices=tell(*MANY)[0])
    assert [name for name, _ in found] == ["a"] * 30 + ["b/y"] * 2


def looked_at(*claims, slices, use=None):
    """What is found, and how many times a device was looked at for it."""
    steps = 0

    def is_late():
        nonlocal steps
        steps += 1
        return False

    found = allocate(*claims, slices=slices, use=use, is_late=is_late)
    return found, steps


@pytest.mark.parametrize(
    ("used", "requests", "constraints"),
    [
        # 30 are free
        (34, [request(count=32)], []),
        (34, [request("a", count=20), request("b", count=12)], []),
        # 31 go together at most
        (0, [request(count=32)], [{"matchAttribute": f"{DRIVER}/group"}]),
        (0, [request(f"r{at}") for at in range(32)], [{"matchAttribute": f"{DRIVER}/group"}]),
        # each is the only one with its number
        (0, [request(count=2)], [{"matchAttribute": f"{DRIVER}/number"}]),
        (0, [request(f"r{at}", count=2) for at in range(16)], [{"distinctAttribute": f"{DRIVER}/group"}]),
    ],
)
def test_what_cannot_be_found_is_given_up_soon(used, requests, constraints):
    slices, use = tell(*MANY, used=used)
    found, steps = looked_at(claim(*requests, constraints=constraints), slices=slices, use=use)
    assert found is None
    assert steps < 20_000


def test_devices_that_use_up_the_same_counters_stand_for_each_other():
    parts = [device(f"d{at:02}", counters={"slots": "1"}) for at in range(40)]
    shared = [{"name": "set", "counters": {"slots": {"value": "20"}}}]
    slices = [slice_("s", parts, count=2), slice_("t", [], pool="s", count=2, sharedCounters=shared)]
    assert len(allocate(claim(request(count=20)), slices=slices)) == 20
    found, steps = looked_at(claim(request(count=21)), slices=slices)
    assert found is None
    assert steps < 20_000


def test_a_search_ends_after_so_many_devices_however_much_time_is_left(monkeypatch):
    monkeypatch.setattr("heeler.scheduler.devices.allocator.MAX_STEPS", 50)
    with pytest.raises(OutOfTimeError):
        allocate(claim(request(count=32)), slices=tell(*MANY)[0])


def test_many_claims_with_many_devices_are_no_matter_of_depth():
    claims = [claim(request(count=32), name=f"c{at}") for at in range(60)]
    slices = [slice_(f"s{at:02}", [device(f"d{number}") for number in range(64)]) for at in range(30)]
    assert len(allocate(*claims, slices=slices)) == 60 * 32


def test_an_administrator_has_nothing_twice_in_a_claim():
    twice = claim(request("a", adminAccess=True), request("b", adminAccess=True))
    assert allocate(twice, slices=TWO) == [("a", "d0"), ("b", "d1")]
    assert allocate(claim(request("a", adminAccess=True), request("b")), slices=TWO) == [("a", "d0"), ("b", "d1")]


GOOD = slice_("p", [device("g0"), device("g1")])
TWICE = [slice_(name, [device("g2")], pool="dup", count=2) for name in ("x", "y")]


def test_an_invalid_pool_is_left_out_and_told_where_the_others_do_not_do():
    slices = [GOOD, *TWICE]
    assert allocate(claim(request(count=2)), slices=slices) == [("r", "g0"), ("r", "g1")]
    with pytest.raises(InvalidPoolsError, match=r"^invalid resource pools were encountered$"):
        allocate(claim(request(count=3)), slices=slices)
    with pytest.raises(AllocationError, match=f"resource pool {DRIVER}/dup is currently invalid"):
        allocate(claim(request(allocationMode="All")), slices=slices)


def test_nodes_are_refused_for_invalid_pools():
    devices = Devices()
    devices.classes |= CLASSES
    devices.claims |= {"n/c": claim(request(count=3))}
    everywhere = {"allNodes": True}
    slices = (
        slice_("p", [device("g0")], everywhere),
        *(slice_(at, [device("g2")], everywhere, pool="dup") for at in "xy"),
    )
    for one in slices:
        one["spec"]["pool"]["resourceSliceCount"] = 1 if one["spec"]["pool"]["name"] == "p" else 2
        devices.slices[one["metadata"]["name"]] = one
    there = Setting(node("a"), node("b"), node("c"), profile=default_profile(Tools(devices=devices)))
    assert there.choose(claiming()).message.startswith(
        "0/3 nodes are available: 3 invalid resource pools were encountered. "
    )


def counting(name, counter_set="set"):
    shared = [{"name": counter_set, "counters": {"x": {"value": "1"}}}]
    return slice_(name, [], pool="dup", count=2, sharedCounters=shared)


@pytest.mark.parametrize(
    "slices",
    [
        TWICE,
        [slice_("x", [device("g2", counters={"x": "1"})], pool="dup", count=2), counting("y", "other")],
        [slice_("x", [device("g2", counters={"y": "1"})], pool="dup", count=2), counting("y")],
        [counting("x"), counting("y")],
    ],
)
def test_pools_are_invalid_that_name_something_twice_or_what_is_not_there(slices):
    with pytest.raises(InvalidPoolsError):
        allocate(claim(request(count=3)), slices=[GOOD, *slices])
    assert allocate(claim(request()), slices=[*slices, GOOD]) == [("r", "g0")]


def test_devices_of_other_nodes_may_have_the_same_name():
    slices = [
        slice_("x", [device("g")], pool="p", count=2),
        slice_("y", [device("g")], "b", pool="p", count=2),
    ]
    assert allocate(claim(request()), slices=slices) == [("r", "g")]
    assert allocate(claim(request(allocationMode="All")), slices=slices) == [("r", "g")]


def first_of_all(requests, constraint, devices):
    """What trying everything finds first, for requests of (count, least number)."""

    def ways(at, chosen):
        if at == len(requests):
            yield chosen
            return
        count, least = requests[at]
        free = [one for one in devices if one not in chosen and one[1] >= least]
        for some in itertools.combinations(free, count):
            both = [*chosen, *some]
            groups = [one[2] for one in both]
            if constraint == "matchAttribute" and len(set(groups)) > 1:
                continue
            if constraint == "distinctAttribute" and len(set(groups)) < len(groups):
                continue
            yield from ways(at + 1, both)

    return next(ways(0, []), None)


@pytest.mark.parametrize("seed", range(60))
def test_the_search_finds_what_trying_everything_finds_first(seed):
    draw = random.Random(seed)
    devices = [(f"d{at}", draw.randrange(3), draw.randrange(3)) for at in range(draw.randrange(3, 8))]
    requests = [(draw.randrange(1, 4), draw.randrange(3)) for _ in range(draw.randrange(1, 4))]
    constraint = draw.choice(["", "matchAttribute", "distinctAttribute"])
    asked = claim(
        *(
            request(f"r{at}", count=count, selectors=cel(f"device.attributes['{DRIVER}'].number >= {least}"))
            for at, (count, least) in enumerate(requests)
        ),
        constraints=[{constraint: f"{DRIVER}/group"}] if constraint else [],
    )
    found = allocate(asked, slices=[slice_("s", [device(name, number=n, group=g) for name, n, g in devices])])
    wanted = first_of_all(requests, constraint, devices)
    assert (None if found is None else [name for _, name in found]) == (
        None if wanted is None else [one[0] for one in wanted]
    )
