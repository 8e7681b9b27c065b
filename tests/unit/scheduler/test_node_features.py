"""Pods that need what a node must declare: https://kubernetes.io/docs/concepts/scheduling-eviction/node-declared-features/"""

import pytest

from heeler.workloads.node_features import FEATURES, needed_to_change, needed_to_run
from tests.unit.scheduler.setting import Setting, node, pod

RESTARTS_ALL, MOUNTS = "RestartAllContainersOnContainerExits", "VolumeBindMountOptions"
RULES = {"restartPolicyRules": [{"action": "RestartAllContainers"}]}
OPTIONS = {"volumeMounts": [{"name": "v", "mountPath": "/v", "bindMountOptions": ["noexec"]}]}


def declaring(name, *features):
    return {**node(name), "status": {**node(name)["status"], "declaredFeatures": list(features)}}


@pytest.mark.parametrize(
    ("spec", "needs"),
    [
        ({"containers": [{"name": "c"}]}, ()),
        ({"containers": [{"name": "c", **RULES}]}, (RESTARTS_ALL,)),
        ({"initContainers": [{"name": "c", **RULES}]}, (RESTARTS_ALL,)),
        ({"containers": [{"name": "c", "restartPolicyRules": [{"action": "Restart"}]}]}, ()),
        ({"hostNetwork": True, "hostUsers": False}, ("UserNamespacesHostNetworkSupport",)),
        ({"hostNetwork": True}, ()),
        ({"hostUsers": False}, ()),
        ({"ephemeralContainers": [{"name": "c", **OPTIONS}]}, (MOUNTS,)),
        ({"containers": [{"name": "c", **OPTIONS, **RULES}]}, (RESTARTS_ALL, MOUNTS)),
    ],
)
def test_what_a_pod_needs_to_run(spec, needs):
    assert needed_to_run(spec) == needs


def with_init(cpu, **more):
    return {"initContainers": [{"name": "i", "resources": {"requests": {"cpu": cpu}}, **more}]}


def with_memory(limit, medium="Memory"):
    return {"volumes": [{"name": "v", "emptyDir": {"medium": medium, "sizeLimit": limit}}]}


@pytest.mark.parametrize(
    ("old", "new", "needs"),
    [
        ({}, {}, ()),
        ({}, {"resources": {"requests": {"cpu": "1"}}}, ("InPlacePodLevelResourcesVerticalScaling",)),
        (with_init("1"), with_init("2"), ("InPlacePodVerticalScalingInitContainers",)),
        (with_init("1", restartPolicy="Always"), with_init("2", restartPolicy="Always"), ()),
        (with_memory("1Gi"), with_memory("2Gi"), ("InPlacePodVerticalScalingMemoryBackedVolumes",)),
        (with_memory("1Gi"), with_memory("1024Mi"), ()),
        (with_memory("1Gi", ""), with_memory("2Gi", ""), ()),
    ],
)
def test_what_a_change_of_a_pod_needs(old, new, needs):
    assert needed_to_change(new, old) == needs


def test_features_are_told_by_name():
    names = [feature.name for feature in FEATURES]
    assert names == sorted(names)


def restarting_all():
    made = pod()
    made["spec"]["containers"][0].update(RULES)
    return made


def test_a_pod_goes_where_all_that_it_needs_is_declared():
    setting = Setting(node("a"), declaring("b", "SomethingElse", RESTARTS_ALL), declaring("c", MOUNTS))
    assert setting.choose(restarting_all()).node == "b"
    both = restarting_all()
    both["spec"]["containers"][0].update(OPTIONS)
    assert not setting.choose(both).node
    setting.cache.set_node(declaring("c", RESTARTS_ALL, MOUNTS))
    assert setting.choose(both).node == "c"


def test_a_pod_that_no_node_declares_enough_for_is_told_so_and_makes_no_room():
    decision = Setting(node("a"), declaring("b", MOUNTS)).choose(restarting_all())
    told = "0/2 nodes are available: 2 node(s) didn't match Pod's required features."
    helpless = "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
    assert decision.message == f"{told} {helpless}"
    assert (decision.plugins, decision.preempt) == (("NodeDeclaredFeatures",), None)
