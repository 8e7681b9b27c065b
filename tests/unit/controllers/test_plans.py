"""The pure decisions of controllers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.client.discovery import Discovery, Resource
from heeler.controllers import (
    deployment_plan,
    disruption,
    endpointslice_plan,
    garbage,
    namespace,
    node_plan,
    podgc,
    replicaset,
)
from heeler.controllers.list import CONTROLLERS, chosen
from heeler.objects.value import GroupVersionResource
from heeler.workloads.endpoints import Port, identity


def rs(name, size, available=None, revision=1, image="1", desired=None, most=None):
    annotations = {"deployment.kubernetes.io/revision": str(revision)}
    if desired is not None:
        annotations["deployment.kubernetes.io/desired-replicas"] = str(desired)
    if most is not None:
        annotations["deployment.kubernetes.io/max-replicas"] = str(most)
    return {
        "metadata": {"name": name, "annotations": annotations, "creationTimestamp": f"2026-01-01T00:00:0{revision}Z"},
        "spec": {"replicas": size, "template": {"spec": {"image": image}}},
        "status": {"availableReplicas": size if available is None else available},
    }


def deployment(replicas, surge="25%", unavailable="25%", image="1", **status):
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    return {
        "metadata": {"name": "d"},
        "spec": {
            "replicas": replicas,
            "template": {"spec": {"image": image}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
        },
        "status": status,
    }


def test_a_new_set_grows_to_the_surge_before_old_ones_shrink():
    step = deployment_plan.plan(deployment(10, image="2"), [rs("old", 10), rs("new", 0, revision=2, image="2")])
    assert step.scale == [("new", 3)]


def test_old_sets_give_up_unavailable_pods_first():
    sets = [rs("a", 5, available=2), rs("b", 5), rs("new", 3, available=0, revision=3, image="2")]
    assert deployment_plan.plan(deployment(10, image="2"), sets).scale == [("a", 3)]


def test_nothing_moves_while_the_new_pods_are_not_ready():
    sets = [rs("old", 8), rs("new", 5, available=0, revision=2, image="2")]
    assert deployment_plan.plan(deployment(10, image="2"), sets).scale == []


def test_a_change_of_size_half_way_is_shared_in_proportion():
    sets = [rs("old", 8, desired=10, most=13), rs("new", 5, available=2, revision=2, image="2", desired=10, most=13)]
    obj = deployment(30, surge=3, unavailable=2, image="2")
    assert deployment_plan.is_scaling_event(obj, sets)
    step = deployment_plan.plan(obj, sets, scale_only=True)
    assert sum(size for _, size in step.scale) == 33
    assert dict(step.scale) == {"old": 20, "new": 13}


@given(
    st.integers(0, 12), st.integers(0, 5), st.integers(0, 5), st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)))
)
def test_a_rolling_step_keeps_within_its_bounds(replicas, surge, unavailable, olds):
    obj = deployment(replicas, surge, unavailable, image="new")
    sets = [rs(f"o{i}", size, min(size, up), i) for i, (size, up) in enumerate(olds[:3])]
    sets.append(rs("new", 0, 0, 9, "new"))
    total = sum(deployment_plan.size(one) for one in sets)
    available = sum(deployment_plan.available(one) for one in sets)
    targets = dict(deployment_plan.plan(obj, sets).scale)
    after = {s["metadata"]["name"]: targets.get(s["metadata"]["name"], deployment_plan.size(s)) for s in sets}
    bound = deployment_plan.rollout.bounds(obj["spec"]["strategy"], replicas)
    assert all(size >= 0 for size in after.values())
    assert sum(after.values()) <= max(total, replicas + bound.surge)
    kept = sum(min(after[s["metadata"]["name"]], deployment_plan.available(s)) for s in sets)
    assert kept >= min(available, replicas - bound.unavailable)


def pod(name, node="n1", phase="Running", ready=True, cost=None, created=0):
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}] if ready else []
    return {
        "metadata": {
            "name": name,
            "uid": name,
            "creationTimestamp": f"2026-01-01T00:00:{created:02d}Z",
            "annotations": {"controller.kubernetes.io/pod-deletion-cost": cost} if cost else {},
        },
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": phase, "conditions": conditions},
    }


def restarted(containers, sidecars):
    own = pod("x")
    started = {"initContainerStatuses": [{"name": "s", "restartCount": sidecars}]}
    status = own["status"] | started | {"containerStatuses": [{"name": "c", "restartCount": containers}]}
    return {"spec": own["spec"] | {"initContainers": [{"name": "s", "restartPolicy": "Always"}]}, "status": status}


@pytest.mark.parametrize(
    ("pods", "first"),
    [
        ([pod("a"), pod("b", node="")], "b"),
        ([pod("a"), pod("b", phase="Pending")], "b"),
        ([pod("a", cost="-1"), pod("b", ready=False, cost="5")], "b"),
        ([pod("a", cost="5"), pod("b")], "b"),
        ([pod("a", node="n2"), pod("b"), pod("c")], "b"),
        ([pod("a"), pod("b") | restarted(0, 1)], "b"),
        ([pod("a") | restarted(2, 9), pod("b") | restarted(3, 0)], "b"),
    ],
)
def test_the_pod_that_is_missed_least_goes_first(pods, first):
    assert replicaset.plan(len(pods) - 1, pods, pods, 1e10).delete[0]["metadata"]["name"] == first


def test_pods_are_made_as_many_as_are_missing_but_not_all_at_once():
    assert replicaset.plan(3, [pod("a")], [], 0).create == 2
    assert replicaset.plan(10_000, [], [], 0).create == replicaset.BURST


ENDPOINTS = st.lists(st.integers(1, 250), unique=True)


@given(ENDPOINTS, ENDPOINTS)
def test_every_endpoint_is_in_one_slice_and_slices_are_not_too_large(before, after):
    ports = (Port("http", 80, "TCP"),)

    def wanted(numbers):
        found = [{"addresses": [f"10.0.0.{n}"], "targetRef": {"uid": str(n)}} for n in numbers]
        return [endpointslice_plan.Wanted("IPv4", ports, found)]

    def perform(slices, changes):
        out = {s["metadata"]["name"]: s for s in slices}
        for one in changes.delete:
            del out[one["metadata"]["name"]]
        for one, given_ports, found in changes.update:
            out[one["metadata"]["name"]] = {**one, "ports": given_ports, "endpoints": found}
        for kind, given_ports, found in changes.create:
            name = f"s{len(out)}-{len(changes.delete)}-{len(found)}"
            out[name] = {
                "metadata": {"name": name},
                "addressType": kind,
                "ports": given_ports,
                "endpoints": found,
            }
        return list(out.values())

    slices = perform([], endpointslice_plan.plan(wanted(before), [], "IPv4"))
    slices = perform(slices, endpointslice_plan.plan(wanted(after), slices, "IPv4"))
    found = [identity(one) for s in slices for one in s["endpoints"]]
    assert sorted(found) == sorted(identity(one) for one in wanted(after)[0].endpoints)
    assert all(len(s["endpoints"]) <= endpointslice_plan.LIMIT for s in slices)
    assert slices  # an empty one stands for "none"
    again = endpointslice_plan.plan(wanted(after), slices, "IPv4")
    assert not again.create and not again.update and not again.delete


def test_taints_follow_conditions_and_leave_others_alone():
    node = {
        "metadata": {"name": "n", "labels": {"kubernetes.io/os": "linux"}},
        "spec": {
            "unschedulable": True,
            "taints": [{"key": "mine", "effect": "NoSchedule"}, {"key": node_plan.NOT_READY, "effect": "NoExecute"}],
        },
        "status": {
            "conditions": [{"type": "Ready", "status": "Unknown"}, {"type": "MemoryPressure", "status": "True"}]
        },
    }
    assert [(t["key"], t["effect"]) for t in node_plan.taints(node, 0)] == [
        ("mine", "NoSchedule"),
        (node_plan.NOT_READY, "NoExecute"),
        ("node.kubernetes.io/unreachable", "NoSchedule"),
        ("node.kubernetes.io/memory-pressure", "NoSchedule"),
        ("node.kubernetes.io/unschedulable", "NoSchedule"),
    ]
    assert node_plan.evicting(node) == node_plan.UNREACHABLE
    assert node_plan.evicted_by(node) == [node_plan.NOT_READY]
    assert [(t["key"], t["effect"]) for t in node_plan.with_eviction(node, node_plan.UNREACHABLE, 0)] == [
        ("mine", "NoSchedule"),
        (node_plan.UNREACHABLE, "NoExecute"),
    ]
    assert [t["key"] for t in node_plan.with_eviction(node, "", 0)] == ["mine"]
    assert node_plan.labels(node)["beta.kubernetes.io/os"] == "linux"


def test_pods_of_a_missing_node_go_after_the_quarantine():
    orphan = pod("a", node="gone")
    assert podgc.plan([orphan], {}, {"gone": 0}, 39, 0) == []
    assert podgc.plan([orphan], {}, {"gone": 0}, 40, 0)[0].message == "PodGC: node no longer exists"


def test_of_too_many_ended_pods_the_evicted_ones_go_first():
    def ended(name, second, **status):
        moment = f"2026-01-01T00:00:0{second}Z"
        return {
            "metadata": {"name": name, "creationTimestamp": moment},
            "status": {"phase": "Failed", **status},
        }

    found = [ended("old", 1), ended("evicted", 2, reason="Evicted"), ended("new", 3)]
    assert [one.pod["metadata"]["name"] for one in podgc.plan(found, {}, {}, 0, 1)] == ["evicted", "old"]


def test_a_namespace_says_what_remains():
    remains = namespace.Remains({"configmaps.": 1, "secrets.": 2}, {"example.com/hold": 3})
    told = {type: message for type, _, _, message in namespace.told(remains)}
    assert told["NamespaceContentRemaining"] == (
        "Some resources are remaining: configmaps. has 1 resource instances, secrets. has 2 resource instances"
    )
    assert told["NamespaceFinalizersRemaining"].endswith("example.com/hold in 3 resource instances")


def test_controllers_are_chosen_by_name():
    every = [entry.name for entry in CONTROLLERS]
    off = ["bootstrap-signer-controller", "token-cleaner-controller"]
    assert [entry.name for entry in chosen(["*"])] == [name for name in every if name not in off]
    assert [entry.name for entry in chosen(["*", *off])] == every
    assert [entry.name for entry in chosen(["podgc", "tokencleaner"])] == [off[1], "pod-garbage-collector-controller"]
    assert "pod-garbage-collector-controller" not in [entry.name for entry in chosen(["*", "-podgc"])]
    assert chosen(["selinux-warning-controller"]) == []  # known, and nothing to do here
    assert [entry.name for entry in chosen(["deployment-controller"])] == ["deployment-controller"]
    assert "deployment-controller" not in [entry.name for entry in chosen(["*", "-deployment-controller"])]
    with pytest.raises(ValueError, match="nope"):
        chosen(["nope"])


@pytest.mark.parametrize(
    ("spec", "scale", "want"),
    [
        ({"minAvailable": 2}, 0, (3, 2, 2, 0)),
        ({"minAvailable": "50%"}, 3, (3, 2, 2, 0)),
        ({"maxUnavailable": "34%"}, 3, (3, 1, 2, 1)),
        ({"maxUnavailable": 1}, 0, (0, 0, 2, 0)),
        ({}, 0, (3, 0, 2, 2)),
    ],
)
def test_a_budget_counts_healthy_pods_against_what_must_stay(spec, scale, want):
    members = [pod("a"), pod("b"), pod("c", ready=False)]
    found = disruption.count(spec, members, scale, {}, 0)
    assert (found.expected, found.desired, found.healthy, found.allowed) == want


def test_a_granted_eviction_counts_until_it_shows_or_expires():
    granted = {"a": "2026-01-01T00:00:00Z"}
    now = 1_767_225_600.0 + 60
    members = [pod("a"), pod("b")]
    assert disruption.count({"minAvailable": 1}, members, 0, granted, now).healthy == 1
    assert disruption.still_granted(granted, members, now) == granted
    assert disruption.count({"minAvailable": 1}, members, 0, granted, now + 100).healthy == 2
    assert disruption.still_granted(granted, [pod("b")], now) == {}
    assert disruption.not_deleted(granted, members, now) == []
    assert disruption.not_deleted(granted, members, now + 100) == [members[0]]
    members[0]["metadata"]["deletionTimestamp"] = "2026-01-01T00:02:00Z"
    assert disruption.not_deleted(granted, members, now + 100) == []


def test_a_kind_that_was_defined_is_missing_until_discovery_tells_of_it():
    definition = {
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com",
            "names": {"kind": "Thing"},
            "versions": [{"name": "v1", "served": True}, {"name": "v2", "served": False}],
        },
        "status": {"conditions": [{"type": "Established", "status": "True"}]},
    }
    thing = Resource(GroupVersionResource("example.com", "v1", "things"), "Thing", True, ("list", "watch"), True)
    assert garbage.is_missing(definition, Discovery([], []))
    assert not garbage.is_missing(definition, Discovery([thing], []))
    assert not garbage.is_missing({**definition, "status": {}}, Discovery([], []))
