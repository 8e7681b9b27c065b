"""https://kubernetes.io/docs/concepts/scheduling-eviction/kube-scheduler/"""

import asyncio

import pytest

from heeler.base.clock import LoopClock
from heeler.base.loop import simulate
from heeler.base.random import SeededRandom
from heeler.scheduler.cache import Cache, pod_info
from heeler.scheduler.cycle import decide
from heeler.scheduler.queue import SchedulingQueue


def node(name, cpu="4", taints=(), labels=None, unschedulable=False, pods="110"):
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
        "spec": {"taints": list(taints), **({"unschedulable": True} if unschedulable else {})},
        "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": pods}},
    }


def pod(name="p", cpu=None, node_name="", labels=None, **spec):
    resources = {"resources": {"requests": {"cpu": cpu}}} if cpu else {}
    return {
        "metadata": {"name": name, "namespace": "n", "uid": f"uid-{name}", "labels": labels or {}},
        "spec": {
            "containers": [{"name": "c", "image": "i", **resources}],
            **({"nodeName": node_name} if node_name else {}),
            **spec,
        },
    }


def choose(what, *nodes, placed=()):
    cache = Cache()
    for one in nodes:
        cache.set_node(one)
    for one in placed:
        cache.set_pod(one)
    return decide(pod_info(what), cache.nodes, SeededRandom(1))


HELPLESS = "Preemption is not helpful for scheduling"
NO_VICTIMS = "No preemption victims found for incoming pod"


@pytest.mark.parametrize(
    ("what", "nodes", "message"),
    [
        (pod(), [], "no nodes available to schedule pods"),
        (
            pod(cpu="5"),
            [node("a"), node("b")],
            f"0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 {HELPLESS}.",
        ),
        (
            pod(nodeSelector={"x": "y"}, cpu="5"),
            [node("a"), node("b", unschedulable=True), node("c", taints=[{"key": "k", "effect": "NoSchedule"}])],
            "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated "
            f"taint(s), 1 node(s) were unschedulable. preemption: 0/3 nodes are available: 3 {HELPLESS}.",
        ),
        (
            pod(),
            [node("a", pods="0")],
            f"0/1 nodes are available: 1 Too many pods. preemption: 0/1 nodes are available: 1 {NO_VICTIMS}.",
        ),
    ],
)
def test_a_pod_that_fits_nowhere_is_told_why_in_upstreams_words(what, nodes, message):
    decision = choose(what, *nodes)
    assert (decision.node, decision.message) == ("", message)


def test_less_important_pods_are_named_to_go_where_it_costs_least():
    placed = [
        pod("mid", cpu="3", node_name="a", priority=50),
        pod("low1", cpu="2", node_name="b", priority=10),
        pod("low2", cpu="2", node_name="b", priority=5),
        pod("high", cpu="3", node_name="c", priority=500),
    ]
    decision = choose(pod("new", cpu="2", priority=100), node("a"), node("b"), node("c"), placed=placed)
    assert decision.message == (
        "0/3 nodes are available: 3 Insufficient cpu. preemption: found a potential placement for pod on node b, "
        "preempting 1 victims"
    )
    assert [victim.pod["metadata"]["name"] for victim in decision.preempt.victims] == ["low2"]


def test_room_that_was_made_is_not_for_less_important_pods():
    cache = Cache()
    cache.set_node(node("a"))
    cache.promise(pod_info(pod("high", cpu="3", priority=100)), "a")
    low, higher = pod_info(pod("low", cpu="2")), pod_info(pod("higher", cpu="2", priority=200))
    assert decide(low, cache.with_promises(low), SeededRandom(1)).node == ""
    assert decide(higher, cache.with_promises(higher), SeededRandom(1)).node == "a"


def test_the_emptier_node_is_taken():
    placed = [pod("x", cpu="2", node_name="a")]
    assert choose(pod(cpu="1"), node("a"), node("b"), placed=placed).node == "b"


def test_a_host_port_is_taken_once():
    def with_port(name, where=""):
        found = pod(name, node_name=where)
        found["spec"]["containers"][0]["ports"] = [{"hostPort": 80, "containerPort": 80}]
        return found

    assert choose(with_port("p"), node("a"), node("b"), placed=[with_port("x", "a")]).node == "b"
    assert "free ports" in choose(with_port("p"), node("a"), placed=[with_port("x", "a")]).message


def test_preferred_affinity_and_taints_to_be_avoided_count():
    term = {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 10, "preference": term}]}
    wish = pod(affinity={"nodeAffinity": preferred})
    assert choose(wish, node("a"), node("b", labels={"disk": "ssd"})).node == "b"
    bad = [{"key": "k", "effect": "PreferNoSchedule"}]
    assert choose(pod(), node("a", taints=bad), node("b")).node == "b"


def test_spread_constraints_keep_domains_even():
    labels = {"app": "web"}
    constraint = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": labels},
    }
    new = pod(labels=labels, topologySpreadConstraints=[constraint])
    placed = [pod("x", node_name="a", labels=labels)]
    nodes = [node("a", labels={"zone": "1"}), node("b", labels={"zone": "2"}), node("c")]
    assert choose(new, *nodes, placed=placed).node == "b"


def test_pods_that_must_be_apart_are():
    labels = {"app": "web"}
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": labels}}
    apart = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    new = pod(labels=labels, affinity=apart)
    assert choose(new, node("a"), node("b"), placed=[pod("x", node_name="a", labels=labels)]).node == "b"
    near = {"podAffinity": apart["podAntiAffinity"]}
    new = pod(labels={"app": "other"}, affinity=near)
    assert choose(new, node("a"), node("b"), placed=[pod("x", node_name="a", labels=labels)]).node == "a"


def test_an_assumed_pod_counts_until_it_is_forgotten():
    cache = Cache()
    cache.set_node(node("a"))
    info = pod_info(pod(cpu="3"))
    cache.assume(info, "a")
    assert "Insufficient cpu" in decide(pod_info(pod("q", cpu="2")), cache.nodes, SeededRandom(1)).message
    cache.forget(info)
    assert decide(pod_info(pod("q", cpu="2")), cache.nodes, SeededRandom(1)).node == "a"


def test_the_queue_gives_the_highest_priority_first_and_lets_failures_wait():
    async def main():
        queue = SchedulingQueue(LoopClock())
        queue.add(pod("low"))
        queue.add(pod("high", priority=10))
        assert (await queue.next()).pod["metadata"]["name"] == "high"
        assert (await queue.next()).pod["metadata"]["name"] == "low"
        queue.failed("n/high", unschedulable=True)
        queue.failed("n/low", unschedulable=False)
        start = asyncio.get_running_loop().time()
        assert (await queue.next()).pod["metadata"]["name"] == "low"
        assert asyncio.get_running_loop().time() - start == 1.0
        queue.remove("n/low")
        queue.move_all()
        assert (await queue.next()).pod["metadata"]["name"] == "high"

    simulate(main())


def test_a_pod_that_was_being_tried_while_the_cluster_changed_is_tried_again():
    async def main():
        queue = SchedulingQueue(LoopClock())
        queue.add(pod("a"))
        await queue.next()
        queue.move_all()
        queue.failed("n/a", unschedulable=True)
        await queue.next()
        return asyncio.get_running_loop().time()

    assert simulate(main()) == 1.0


def with_claim(name="d"):
    return pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": name}}])


def claim(mode="ReadWriteOnce", **spec):
    return {
        "metadata": {"name": "d", "namespace": "n", "uid": "u", "annotations": {}},
        "spec": {
            "accessModes": [mode],
            "storageClassName": "late",
            "resources": {"requests": {"storage": "1Gi"}},
            **spec,
        },
        "status": {"phase": "Pending"},
    }


def volume(name, host):
    place = {"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}
    return {
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "2Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "late",
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [place]}]}},
        },
        "status": {"phase": "Available"},
    }


def storage(cache, *, claims=(), volumes=(), provisioner="kubernetes.io/no-provisioner"):
    known = cache.storage
    known.claims |= {f"n/{one['metadata']['name']}": one for one in claims}
    known.volumes |= {one["metadata"]["name"]: one for one in volumes}
    known.classes["late"] = {"provisioner": provisioner, "volumeBindingMode": "WaitForFirstConsumer"}
    for name in "ab":
        cache.set_node(node(name))
    return cache


def decision(cache, what):
    return decide(cache.info(what), cache.nodes, SeededRandom(1))


def test_a_pod_goes_where_a_volume_for_its_claim_is():
    cache = storage(Cache(), claims=[claim()], volumes=[volume("v", "b")])
    assert decision(cache, with_claim()).node == "b"
    cache.storage.promised["v"] = "n/other"
    assert "2 node(s) didn't find available persistent volumes to bind" in decision(cache, with_claim()).message


def test_a_volume_that_can_be_made_lets_the_pod_choose_and_a_chosen_node_stays():
    cache = storage(Cache(), claims=[claim()], provisioner="x.example.com")
    assert decision(cache, with_claim()).node in ("a", "b")
    cache.storage.claims["n/d"]["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] = "a"
    assert decision(cache, with_claim()).node == "a"


def test_a_claim_that_is_missing_or_unbound_is_told_for_all_nodes():
    cache = storage(Cache())
    assert decision(cache, with_claim()).message == (
        '0/2 nodes are available: persistentvolumeclaim "d" not found. not found'
    )
    cache.storage.claims["n/d"] = claim(storageClassName="now")
    assert "pod has unbound immediate PersistentVolumeClaims" in decision(cache, with_claim()).message


def test_a_claim_for_a_single_pod_is_for_a_single_pod():
    bound = claim("ReadWriteOncePod", volumeName="v")
    bound["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] = "yes"
    cache = storage(Cache(), claims=[bound], volumes=[volume("v", "a")])
    assert decision(cache, with_claim()).node == "a"
    first = with_claim()
    first["metadata"] |= {"name": "first", "uid": "first"}
    first["spec"]["nodeName"] = "a"
    cache.set_pod(first)
    assert "ReadWriteOncePod access mode already in-use" in decision(cache, with_claim()).message
