"""Which changes may help a pod: https://kubernetes.io/docs/concepts/scheduling-eviction/scheduling-framework/#queueinghint"""

import asyncio
from itertools import pairwise

import pytest

from heeler.base.clock import LoopClock
from heeler.base.loop import simulate
from heeler.scheduler import events
from heeler.scheduler.configuration.profiles import default_profile
from heeler.scheduler.events import node_changes, pod_changes
from heeler.scheduler.plugins.registry import Tools
from heeler.scheduler.pod import pod_info
from heeler.scheduler.queue import SchedulingQueue
from tests.unit.scheduler.setting import node, pod

TAINT = [{"key": "k", "effect": "NoSchedule"}]
LIKE = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "x"}}}


def required(kind):
    return {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [LIKE]}}}


def spread():
    return {"topologySpreadConstraints": [{**LIKE, "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}]}


RESTARTS_ALL = "RestartAllContainersOnContainerExits"


def declaring(one, *features):
    one["status"]["declaredFeatures"] = list(features)
    return one


def restarting_all(one):
    rule = {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [1]}}
    one["spec"]["containers"][0]["restartPolicyRules"] = [rule]
    return one


def with_port(one):
    one["spec"]["containers"][0]["ports"] = [{"hostPort": 80, "containerPort": 80}]
    return one


@pytest.mark.parametrize(
    ("plugin", "what", "old", "new", "helps"),
    [
        ("NodeResourcesFit", pod(cpu="2"), node("a", cpu="1"), node("a", cpu="2"), True),
        ("NodeResourcesFit", pod(cpu="4"), node("a", cpu="1"), node("a", cpu="2"), False),
        ("NodeResourcesFit", pod(cpu="1"), node("a", cpu="3"), node("a", cpu="2"), False),
        ("NodeResourcesFit", pod(cpu="2"), None, node("a", cpu="1"), False),
        ("NodeResourcesFit", pod(cpu="2"), None, node("a"), True),
        ("NodeResourcesFit", pod(cpu="2"), node("a"), node("a", labels={"x": "y"}), False),
        ("NodeResourcesFit", pod(cpu="2"), pod("o", cpu="1", node_name="a"), None, True),
        ("NodeUnschedulable", pod(), node("a", unschedulable=True), node("a"), True),
        ("NodeUnschedulable", pod(), node("a"), node("a", unschedulable=True), False),
        ("TaintToleration", pod(), node("a", taints=TAINT), node("a"), True),
        ("TaintToleration", pod(), None, node("a", taints=TAINT), False),
        ("NodeAffinity", pod(nodeSelector={"x": "y"}), node("a"), node("a", labels={"x": "y"}), True),
        ("NodeAffinity", pod(nodeSelector={"x": "y"}), node("a"), node("a", labels={"x": "z"}), False),
        ("NodePorts", with_port(pod()), with_port(pod("o", node_name="a")), None, True),
        ("NodePorts", with_port(pod()), pod("o", node_name="a"), None, False),
        ("InterPodAffinity", pod(**required("podAffinity")), None, pod("o", node_name="a", labels={"app": "x"}), True),
        ("InterPodAffinity", pod(**required("podAffinity")), None, pod("o", node_name="a"), False),
        (
            "InterPodAffinity",
            pod(**required("podAntiAffinity")),
            pod("o", node_name="a", labels={"app": "x"}),
            None,
            True,
        ),
        ("InterPodAffinity", pod(**required("podAntiAffinity")), pod("o", node_name="a"), None, False),
        ("InterPodAffinity", pod(**required("podAffinity")), None, node("a", labels={"zone": "1"}), True),
        ("InterPodAffinity", pod(**required("podAffinity")), None, node("a"), False),
        ("PodTopologySpread", pod(**spread()), None, pod("o", node_name="a", labels={"app": "x"}), True),
        ("PodTopologySpread", pod(**spread()), None, pod("o", node_name="a"), False),
        ("PodTopologySpread", pod(**spread()), None, node("a", labels={"zone": "1"}), True),
        ("PodTopologySpread", pod(**spread()), None, node("a"), False),
        ("NodeDeclaredFeatures", restarting_all(pod()), node("a"), declaring(node("a"), RESTARTS_ALL), True),
        ("NodeDeclaredFeatures", restarting_all(pod()), node("a"), node("a", labels={"x": "y"}), False),
        ("NodeDeclaredFeatures", restarting_all(pod()), None, node("a"), True),
        ("NodeDeclaredFeatures", restarting_all(pod()), restarting_all(pod("o")), pod("o"), False),
        ("NodeDeclaredFeatures", restarting_all(pod()), restarting_all(pod()), pod(), True),
    ],
)
def test_a_plugin_is_helped_by_what_can_make_it_let_the_pod_in(plugin, what, old, new, helps):
    is_node = "taints" in (new or old)["spec"]
    changes = list((node_changes if is_node else pod_changes)(old, new))
    profile = default_profile(Tools())

    async def main():
        waiting = SchedulingQueue(LoopClock(), {profile.name: profile})
        waiting.add(pod_info(what))
        tried = await waiting.next()
        waiting.refused(tried, [plugin])
        for change in changes:
            waiting.happened(change, old, new)
        return waiting.place_of("n/p") != "unschedulable"

    assert simulate(main()) is helps


def queue(profile=None):
    made = profile or default_profile(Tools())
    return SchedulingQueue(LoopClock(), {made.name: made})


def test_gates_hold_a_pod_until_they_are_gone():
    async def main():
        waiting = queue()
        gated = pod(schedulingGates=[{"name": "g"}])
        held = waiting.add(pod_info(gated))
        assert (held.place, held.held) == ("gated", "waiting for scheduling gates: [g]")
        waiting.happened((events.NODE, events.ADD), None, node("a"))
        assert waiting.place_of("n/p") == "gated"
        assert waiting.counts() == {"active": 0, "backoff": 0, "unschedulable": 0, "gated": 1}
        waiting.add(pod_info(pod()))
        return (await waiting.next()).attempts

    assert simulate(main()) == 1


def test_a_pod_whose_victims_are_being_sent_away_is_not_even_tried_when_nobody_else_waits():
    async def main():
        profile = default_profile(Tools())
        waiting, preemption = queue(profile), profile.plugins["DefaultPreemption"]
        waiting.add(pod_info(pod()))
        tried = await waiting.next()
        preemption.begin(tried.info.uid)
        waiting.refused(tried, ["TaintToleration"])
        waiting.happened((events.NODE, events.ADD), None, node("a"))  # it would help
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await waiting.next()
        assert waiting.place_of("n/p") == "gated"
        preemption.end(tried.info.uid)
        waiting.recheck("n/p")
        return (await waiting.next()).attempts

    assert simulate(main()) == 2


def test_a_pod_whose_own_labels_or_tolerations_change_is_tried_again():
    async def main():
        waiting = queue()
        waiting.add(pod_info(pod()))
        waiting.refused(await waiting.next(), ["TaintToleration"])
        waiting.add(pod_info(pod(labels={"a": "b"})))
        assert waiting.place_of("n/p") == "unschedulable"  # labels are nothing to taints
        waiting.add(pod_info(pod(tolerations=[{"key": "k", "operator": "Exists"}])))
        assert waiting.place_of("n/p") == "backoff"

    simulate(main())


def test_pauses_double_up_to_a_limit_and_a_quiet_pod_is_tried_after_five_minutes():
    async def main():
        clock = LoopClock()
        profile = default_profile(Tools())
        waiting = SchedulingQueue(clock, {profile.name: profile}, first_backoff=2, max_backoff=5)
        waiting.add(pod_info(pod()))
        times = []
        for _ in range(4):
            tried = await waiting.next()
            times.append(clock.monotonic())
            waiting.failed(tried)
        assert [later - sooner for sooner, later in pairwise(times)] == [2, 4, 5]
        tried = await waiting.next()
        waiting.refused(tried, ["NodeResourcesFit"])
        began = clock.monotonic()
        await waiting.next()
        return clock.monotonic() - began

    assert simulate(main()) == 300
