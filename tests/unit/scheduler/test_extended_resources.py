"""https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/#extended-resource"""

import pytest

from heeler.scheduler import events
from heeler.scheduler.configuration.profiles import default_profile
from heeler.scheduler.devices.extended import IN_MEMORY, special_claim
from heeler.scheduler.devices.known import Devices
from heeler.scheduler.devices.selecting import Selecting
from heeler.scheduler.plugins.node_resources import MOST, NodeResourcesBalancedAllocation, NodeResourcesFit, Strategy
from heeler.scheduler.plugins.registry import Tools
from heeler.scheduler.pod import pod_info
from heeler.workloads.extended_resources import by_resource
from tests.unit.scheduler.setting import Setting, node, pod
from tests.unit.scheduler.test_devices import claim, device, request, slice_

GPU, OWN = "example.com/gpu", "deviceclass.resource.kubernetes.io/gpu"
CLASS = {"metadata": {"name": "gpu"}, "spec": {"extendedResourceName": GPU}}


def container(name, amount, resource=GPU, **more):
    asked = {resource: str(amount)} if amount else {}
    return {"name": name, "resources": {"requests": {"cpu": "1", **asked}}, **more}


def asking(amount=1, resource=GPU, name="p", **more):
    made = pod(name, **more)
    made["spec"]["containers"] = [container("c", amount, resource)]
    return made


def with_own(one, amount):
    one["status"]["allocatable"][GPU] = str(amount)
    return one


def known(*slices, classes=(CLASS,), claims=()):
    devices = Devices()
    devices.classes |= {one["metadata"]["name"]: one for one in classes}
    devices.slices |= {one["metadata"]["name"]: one for one in slices}
    devices.claims |= {f"n/{one['metadata']['name']}": one for one in claims}
    return devices


def setting(*nodes, devices):
    return Setting(*nodes, profile=default_profile(Tools(devices=devices)))


TWO = slice_("s", [device("d0"), device("d1")], "a")


@pytest.mark.parametrize("resource", [GPU, OWN])
def test_a_pod_goes_where_a_class_has_devices_for_what_it_asks_for(resource):
    there = setting(node("a"), node("b"), devices=known(TWO))
    assert there.choose(asking(2, resource)).node == "a"
    assert there.choose(asking(3, resource)).message.startswith(
        "0/2 nodes are available: 2 cannot allocate all claims. preemption: "
    )


def test_nodes_that_offer_it_themselves_are_asked_for_it_themselves():
    there = setting(with_own(node("a"), 1), devices=known(TWO))
    assert there.choose(asking()).node == "a"
    assert there.choose(asking(2)).message.startswith("0/1 nodes are available: 1 Insufficient example.com/gpu.")
    assert setting(with_own(node("a"), 0), devices=known(TWO)).choose(asking(2)).node == "a"


def test_without_a_class_nothing_changes():
    there = setting(node("a"), devices=known(TWO, classes=()))
    assert there.choose(asking()).message.startswith("0/1 nodes are available: 1 Insufficient example.com/gpu.")
    assert there.choose(asking(resource=OWN)).message.startswith(f"0/1 nodes are available: 1 Insufficient {OWN}.")


def test_what_others_are_being_given_is_taken():
    devices = known(TWO)
    held = special_claim(asking(name="other"), {GPU: "gpu"}).claim
    results = [{"driver": "gpu.example.com", "pool": "s", "device": "d0"}]
    devices.set_pending(held, {"devices": {"results": results}})
    there = setting(node("a"), devices=devices)
    assert there.choose(asking(1)).node == "a"
    assert not there.choose(asking(2)).node
    devices.written(held, {"metadata": {"uid": "real"}})
    assert list(devices.pending) == ["real"]
    assert not there.choose(asking(2)).node


def test_a_claim_from_before_goes_first():
    stale = special_claim(asking(), {GPU: "gpu"}).claim
    stale = {**stale, "metadata": {**stale["metadata"], "name": "p-extended-resources-x", "uid": "x"}}
    devices = known(TWO, claims=[stale])
    there = setting(node("a"), devices=devices)
    decision = there.choose(asking())
    told = "0/1 nodes are available: 1 cannot schedule extended resource claim. deletion of ResourceClaim completed,"
    assert decision.message.startswith(f"{told} preemption: ")
    assert decision.frees is stale
    assert there.choose(asking(name="q")).node == "a"
    plugin = there.profile.plugins["DynamicResources"]
    helps = plugin.hints[events.RESOURCE_CLAIM, events.DELETE]
    assert helps(pod_info(asking()), stale, None) and not helps(pod_info(asking(name="q")), stale, None)


def test_a_claim_of_its_own_comes_beside_those_that_the_pod_names():
    devices = known(TWO, claims=[claim(request(), name="c")])
    there = setting(node("a"), devices=devices)
    both = asking(resourceClaims=[{"name": "x", "resourceClaimName": "c"}])
    assert there.choose(both).node == "a"
    plugin = there.profile.plugins["DynamicResources"]
    chosen = plugin.chosen(pod_info(both), there.cache.table.row("a"))
    assert [(name, one.device.id.device) for name, one in chosen] == [("c", "d0"), (IN_MEMORY, "d1")]


def test_rows_that_are_promised_to_others_keep_what_was_found_on_the_rest():
    """Each of those is asked about apart, by a question that is prepared anew."""
    devices = known(TWO, slice_("t", [device("e0")], "b"))
    there = setting(node("a"), node("b"), devices=devices)
    there.cache.promise(there.cache.info(pod("other", priority=0)), "b")
    assert there.choose(asking()).node in ("a", "b")
    plugin = there.profile.plugins["DynamicResources"]
    found = {name: plugin.chosen(pod_info(asking()), there.cache.table.row(name)) for name in ("a", "b")}
    assert {name: len(one) for name, one in found.items()} == {"a": 1, "b": 1}


def test_what_was_found_for_a_pod_is_forgotten_with_the_next_one():
    there = setting(node("a"), devices=known(TWO))
    plugin, row = there.profile.plugins["DynamicResources"], there.cache.table.row("a")
    there.choose(asking())
    assert plugin.special(pod_info(asking()), row) is not None
    there.choose(pod("other"))
    assert plugin.special(pod_info(asking()), row) is None


# the claim


def of(before=(), after=()):
    spec = {"initContainers": list(before), "containers": list(after)}
    found = special_claim({"metadata": {"name": "p", "uid": "u"}, "spec": spec}, {GPU: "gpu"})
    requests = {one["name"]: one["exactly"]["count"] for one in found.claim["spec"]["devices"]["requests"]}
    return requests, [(one["containerName"], one["requestName"]) for one in found.mappings]


def test_containers_that_run_together_have_devices_of_their_own():
    requests, uses = of(after=[container("c", 2), container("none", 0), container("d", 1)])
    assert requests == {"container-0-request-1": 2, "container-2-request-1": 1}
    assert uses == [("c", "container-0-request-1"), ("d", "container-2-request-1")]


def test_an_init_container_takes_the_devices_of_those_after_it():
    side = container("s", 1, restartPolicy="Always")
    requests, uses = of([container("i", 2), side, container("j", 1)], [container("c", 1)])
    assert requests == {"container-1-request-1": 1, "container-3-request-1": 1}
    assert uses == [
        ("s", "container-1-request-1"),
        ("c", "container-3-request-1"),
        ("i", "container-1-request-1"),
        ("i", "container-3-request-1"),
        ("j", "container-3-request-1"),
    ]


def test_what_init_containers_need_beyond_is_one_request_as_large_as_the_largest():
    requests, uses = of([container("i", 2), container("j", 4), container("k", 3)], [container("c", 1)])
    assert requests == {"container-1-request-1": 3, "container-3-request-1": 1}
    assert uses == [
        ("c", "container-3-request-1"),
        *(pair for name in "ijk" for pair in ((name, "container-3-request-1"), (name, "container-1-request-1"))),
    ]


def test_of_several_classes_for_a_resource_the_newest_counts_then_the_first_by_name():
    def named(name, made):
        metadata = {"name": name, "creationTimestamp": f"2026-01-0{made}T00:00:00Z"}
        return {"metadata": metadata, "spec": {"extendedResourceName": GPU}}

    found = by_resource([named("b", 2), named("a", 2), named("c", 1), {"metadata": {"name": "z"}, "spec": {}}])
    assert {name: one["metadata"]["name"] for name, one in found.items()} == {GPU: "a"}


# what helps, and what is better


@pytest.mark.parametrize(
    ("old", "new", "helps"),
    [
        (None, CLASS, True),
        (None, {"metadata": {"name": "gpu"}, "spec": {}}, False),
        ({"metadata": {"name": "gpu"}, "spec": {}}, CLASS, True),
        (CLASS, CLASS, False),
    ],
)
def test_a_class_that_comes_to_stand_for_a_resource_helps(old, new, helps):
    change = events.plain_change(events.DEVICE_CLASS, old, new)
    assert NodeResourcesFit().hints[change](pod_info(asking()), old, new) is helps
    if old is None:
        assert NodeResourcesFit().hints[change](pod_info(asking(resource=OWN)), old, new)


def test_a_node_helps_without_the_resource_where_a_class_has_it():
    fits = NodeResourcesFit(devices=known(TWO)).hints[events.NODE, events.ADD]
    assert fits(pod_info(asking()), None, node("a"))
    assert not NodeResourcesFit().hints[events.NODE, events.ADD](pod_info(asking()), None, node("a"))


def test_devices_of_classes_count_when_nodes_are_rated_by_them():
    used = claim(request(), name="other")
    used["status"] = {
        "allocation": {"devices": {"results": [{"driver": "gpu.example.com", "pool": "s", "device": "d0"}]}}
    }
    devices = known(TWO, slice_("t", [device(f"e{at}") for at in range(4)], "b"), claims=[used])
    assert devices.totals(CLASS, node("a"), Selecting()) == (2, 1)
    there = setting(node("a"), node("b"), with_own(node("c"), 2), devices=devices)
    rows = there.cache.table.order
    names = [there.cache.table.names[row] for row in rows]
    fit = NodeResourcesFit(Strategy(MOST, ((GPU, 1),)), devices=devices)
    rated = fit.rate(pod_info(asking()), there.cache.table, rows)
    assert dict(zip(names, rated.tolist(), strict=True)) == {"a": 100, "b": 25, "c": 50}
    balance = NodeResourcesBalancedAllocation(("cpu", GPU), devices).rate(pod_info(asking()), there.cache.table, rows)
    assert dict(zip(names, balance.tolist(), strict=True)) == {"a": 68, "b": 75, "c": 68}
