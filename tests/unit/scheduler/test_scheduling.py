"""https://kubernetes.io/docs/concepts/scheduling-eviction/kube-scheduler/"""

import asyncio

import pytest

from heeler.base.clock import LoopClock
from heeler.base.loop import simulate
from heeler.scheduler.configuration.profiles import default_profile
from heeler.scheduler.events import ALLOCATABLE, NODE
from heeler.scheduler.plugins.registry import Tools
from heeler.scheduler.pod import pod_info
from heeler.scheduler.queue import SchedulingQueue
from tests.unit.scheduler.setting import Setting, choose, node, pod

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
    setting = Setting(node("a"))
    setting.cache.promise(pod_info(pod("high", cpu="3", priority=100)), "a")
    assert setting.choose(pod("low", cpu="2")).node == ""
    assert setting.choose(pod("higher", cpu="2", priority=200)).node == "a"


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
    setting = Setting(node("a"))
    info = setting.cache.info(pod(cpu="3"))
    setting.cache.assume(info, "a")
    assert "Insufficient cpu" in setting.choose(pod("q", cpu="2")).message
    setting.cache.forget(info)
    assert setting.choose(pod("q", cpu="2")).node == "a"


def test_a_pod_that_took_the_name_of_another_one_isnt_taken_for_it():
    setting = Setting(node("a"))
    old, new = (
        setting.cache.info({**pod(cpu="3"), "metadata": {**pod()["metadata"], "uid": uid}}) for uid in ("1", "2")
    )
    setting.cache.assume(old, "a")
    setting.cache.drop_pod("n/p")
    setting.cache.assume(new, "a")
    setting.cache.forget(old)
    assert setting.cache.is_assumed("n/p")

    async def main():
        waiting = queue()
        waiting.add(old)
        tried = await waiting.next()
        waiting.add(new)
        waiting.done(tried)
        return (await waiting.next()).info.uid

    assert simulate(main()) == "2"


def queue():
    profile = default_profile(Tools())
    return SchedulingQueue(LoopClock(), {profile.name: profile})


def test_the_queue_gives_the_highest_priority_first_and_lets_failures_wait():
    async def main():
        waiting = queue()
        waiting.add(pod_info(pod("low")))
        waiting.add(pod_info(pod("high", priority=10)))
        high, low = await waiting.next(), await waiting.next()
        assert (high.info.name, low.info.name) == ("high", "low")
        waiting.refused(high, ["NodeResourcesFit"])
        waiting.failed(low)
        start = asyncio.get_running_loop().time()
        assert await waiting.next() is low
        assert asyncio.get_running_loop().time() - start == 1.0
        waiting.remove("n/low")
        waiting.happened((NODE, ALLOCATABLE), node("a", cpu="1"), node("a", cpu="2"))
        assert waiting.place_of("n/high") == "unschedulable"  # it asks for no CPU
        waiting.activate_all()
        assert await waiting.next() is high

    simulate(main())


def test_a_pod_that_was_being_tried_while_the_cluster_changed_is_tried_again():
    async def main():
        waiting = queue()
        waiting.add(pod_info(pod("a", cpu="2")))
        tried = await waiting.next()
        waiting.happened((NODE, ALLOCATABLE), node("a", cpu="1"), node("a", cpu="2"))
        waiting.refused(tried, ["NodeResourcesFit"])
        assert waiting.place_of("n/a") == "backoff"
        await waiting.next()  # nobody else waits: its pause is cut short
        return asyncio.get_running_loop().time()

    assert simulate(main()) == 0.0


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


def storage(*, claims=(), volumes=(), provisioner="kubernetes.io/no-provisioner"):
    setting = Setting()
    known = setting.cache.storage
    known.claims |= {f"n/{one['metadata']['name']}": one for one in claims}
    known.volumes |= {one["metadata"]["name"]: one for one in volumes}
    known.classes["late"] = {"provisioner": provisioner, "volumeBindingMode": "WaitForFirstConsumer"}
    for name in "ab":
        setting.cache.set_node(node(name))
    return setting


def test_a_pod_goes_where_a_volume_for_its_claim_is():
    setting = storage(claims=[claim()], volumes=[volume("v", "b")])
    assert setting.choose(with_claim()).node == "b"
    setting.cache.storage.promised["v"] = "n/other"
    assert "2 node(s) didn't find available persistent volumes to bind" in setting.choose(with_claim()).message


def test_a_volume_that_can_be_made_lets_the_pod_choose_and_a_chosen_node_stays():
    setting = storage(claims=[claim()], provisioner="x.example.com")
    assert setting.choose(with_claim()).node in ("a", "b")
    setting.cache.storage.claims["n/d"]["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] = "a"
    assert setting.choose(with_claim()).node == "a"


def test_a_driver_that_tells_of_its_room_is_believed():
    setting = storage(claims=[claim()], provisioner="x.example.com")
    known = setting.cache.storage
    known.classes["late"]["metadata"] = {"name": "late"}
    known.csi_drivers["x.example.com"] = {"spec": {"storageCapacity": True}}
    assert "2 node(s) did not have enough free storage" in setting.choose(with_claim()).message
    near_b = {"matchLabels": {"kubernetes.io/hostname": "b"}}
    known.capacities["n/c"] = {"storageClassName": "late", "capacity": "512Mi", "nodeTopology": near_b}
    assert setting.choose(with_claim()).node == ""
    known.capacities["n/c"]["capacity"] = "1Gi"
    assert setting.choose(with_claim()).node == "b"


def test_a_volume_that_is_gone_is_told_of():
    bound = claim(volumeName="gone")
    bound["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] = "yes"
    setting = storage(claims=[bound])
    assert (
        setting.choose(with_claim()).message == '0/2 nodes are available: persistentvolume "gone" not found. not found'
    )


def test_a_claim_that_is_missing_or_unbound_is_told_for_all_nodes():
    setting = storage()
    assert setting.choose(with_claim()).message == (
        '0/2 nodes are available: persistentvolumeclaim "d" not found. not found'
    )
    setting.cache.storage.claims["n/d"] = claim(storageClassName="now")
    assert "pod has unbound immediate PersistentVolumeClaims" in setting.choose(with_claim()).message


def test_a_claim_for_a_single_pod_is_for_a_single_pod():
    bound = claim("ReadWriteOncePod", volumeName="v")
    bound["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] = "yes"
    setting = storage(claims=[bound], volumes=[volume("v", "a")])
    assert setting.choose(with_claim()).node == "a"
    first = with_claim()
    first["metadata"] |= {"name": "first", "uid": "first"}
    first["spec"]["nodeName"] = "a"
    setting.cache.set_pod(first)
    assert "ReadWriteOncePod access mode already in-use" in setting.choose(with_claim()).message
