"""Pure rules: rollout arithmetic, taints, affinity, what a pod asks for, endpoints."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.workloads import affinity, endpoints, pods, resources, rollout, taints


@pytest.mark.parametrize(
    ("surge", "unavailable", "replicas", "want"),
    [
        ("25%", "25%", 10, (3, 2)),
        ("25%", "25%", 1, (1, 0)),
        (0, "1%", 10, (0, 1)),
        (1, 0, 3, (1, 0)),
        (0, 6, 3, (0, 3)),
        ("30%", "30%", 7, (3, 2)),
    ],
)
def test_surge_is_rounded_up_and_unavailable_down(surge, unavailable, replicas, want):
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    assert rollout.bounds(strategy, replicas) == want


@given(st.lists(st.integers(1, 30), min_size=2, max_size=5), st.integers(0, 60), st.integers(0, 5), st.integers(1, 80))
def test_a_proportional_share_adds_up_to_what_is_allowed(sizes, wanted, surge, base):
    sizes = sorted(sizes, reverse=True)
    total = sum(sizes)
    out = rollout.proportional(sizes, [base] * len(sizes), wanted, surge, total)
    allowed = wanted + surge if wanted else 0
    assert all(size >= 0 for size in out)
    if allowed >= total:
        assert sum(out) == allowed


def test_a_template_is_the_same_but_for_the_hash_label_and_nulls():
    left = {"metadata": {"labels": {"a": "b"}}, "spec": {"x": None}}
    right = {"metadata": {"labels": {"a": "b", "pod-template-hash": "h"}, "creationTimestamp": None}, "spec": {}}
    assert rollout.same_template(left, right)
    assert not rollout.same_template(left, {**right, "spec": {**right["spec"], "x": 1}})


def test_templates_are_the_same_but_for_nulls_wherever_they_stand():
    left = {"metadata": {"labels": {"a": "b", "c": None}}, "spec": {"containers": [{"name": "c", "env": None}]}}
    right = {
        "metadata": {"annotations": None, "labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c"}], "x": None},
    }
    assert rollout.same_template(left, right) and rollout.same_template(right, left)
    for other in ({"spec": {"containers": []}}, {"spec": {"containers": [{"name": "c", "env": []}]}}, {"spec": []}):
        assert not rollout.same_template(left, {**right, **other})
        assert not rollout.same_template({**right, **other}, left)
    assert rollout.template_hash(left, None) != rollout.template_hash(left, 1)
    assert len(rollout.template_hash(left, None)) == 10


NO_EXECUTE = {"key": "k", "value": "v", "effect": "NoExecute"}


@pytest.mark.parametrize(
    ("tolerations", "delay"),
    [
        ([], 0),
        ([{"operator": "Exists"}], None),
        ([{"key": "k", "operator": "Exists", "tolerationSeconds": 5}], 5),
        ([{"key": "k", "operator": "Exists", "tolerationSeconds": -1}], 0),
        ([{"key": "k", "value": "v", "tolerationSeconds": 9}, {"key": "k", "operator": "Exists"}], 9),
        ([{"key": "k", "operator": "Exists", "effect": "NoSchedule"}], 0),
        ([{"key": "k", "value": "other"}], 0),
    ],
)
def test_of_each_taint_the_first_matching_toleration_decides(tolerations, delay):
    assert taints.eviction_delay(tolerations, [NO_EXECUTE]) == delay


def test_a_pod_asks_for_the_larger_of_init_and_main_containers_with_sidecars_on_both_sides():
    def container(cpu, **more):
        return {"resources": {"requests": {"cpu": cpu}}, **more}

    pod = {
        "spec": {
            "containers": [container("100m"), container("200m")],
            "initContainers": [container("50m", restartPolicy="Always"), container("1")],
            "overhead": {"cpu": "10m"},
        }
    }
    assert resources.requests(pod) == {"cpu": 1060}


def test_node_affinity_terms_are_alternatives_and_empty_terms_match_nothing():
    node = {"metadata": {"name": "n", "labels": {"zone": "a", "cores": "8"}}}

    def pod(*terms, **selector):
        required = {"nodeSelectorTerms": list(terms)}
        return {
            "spec": {
                "nodeSelector": selector,
                "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}},
            }
        }

    zone_b = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]}
    many = {"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["4"]}]}
    named = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}
    assert affinity.node_allowed(pod(zone_b, many), node)
    assert affinity.node_allowed(pod(named), node)
    assert not affinity.node_allowed(pod(zone_b), node)
    assert not affinity.node_allowed(pod({}), node)
    assert not affinity.node_allowed(pod(many, zone="b"), node)


def test_restarts_of_sidecars_are_told_apart_and_those_of_other_init_containers_do_not_count():
    pod = {
        "spec": {"initContainers": [{"name": "sidecar", "restartPolicy": "Always"}, {"name": "init"}]},
        "status": {
            "containerStatuses": [{"name": "a", "restartCount": 2}, {"name": "b", "restartCount": 1}],
            "initContainerStatuses": [{"name": "sidecar", "restartCount": 4}, {"name": "init", "restartCount": 9}],
        },
    }
    assert pods.restarts(pod) == (2, 4)
    assert pods.restarts({}) == (0, 0)


def addressed(number: int, *, ready: bool = True, port: int = 80) -> tuple[dict, tuple[endpoints.Port, ...]]:
    pod = {
        "metadata": {"name": f"p{number}", "namespace": "n", "uid": f"{number:05}"},
        "status": {
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "podIP": f"10.0.{number // 250}.{number % 250}",
        },
    }
    return pod, (endpoints.Port("", port, "TCP"),)


def sizes(subsets: list[dict]) -> list[tuple[int, int]]:
    return [(len(one.get("addresses") or ()), len(one.get("notReadyAddresses") or ())) for one in subsets]


def test_of_too_many_addresses_the_ready_ones_are_kept_first_of_each_subset_its_share():
    service = {"metadata": {"name": "s"}, "spec": {}}
    members = [addressed(i, ready=False) for i in range(600)]
    members += [addressed(i) for i in range(600, 1200)]
    found = endpoints.subsets(service, members)
    assert sizes(found) == [(600, 600)]
    assert sizes(endpoints.truncated(found, 1000)) == [(600, 400)]
    assert endpoints.truncated(found, 1200) is found
    members = [addressed(i, ready=i % 3 > 0, port=80 + i % 2) for i in range(1800)]
    found = endpoints.subsets(service, members)
    assert sizes(found) == [(600, 300), (600, 300)]
    cut = endpoints.truncated(found, 1000)
    assert sizes(cut) == [(500, 0), (500, 0)]
    assert cut[0]["addresses"] == found[0]["addresses"][:500]


def test_an_endpoint_is_ready_only_while_it_does_not_terminate_unless_all_are_published():
    pod = {
        "metadata": {"name": "p", "namespace": "n", "uid": "u", "deletionTimestamp": "t"},
        "spec": {"containers": []},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "podIP": "10.0.0.1"},
    }
    service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80, "targetPort": "absent"}]}}
    one = endpoints.endpoint(service, pod, "10.0.0.1", "")
    assert one["conditions"] == {"ready": False, "serving": True, "terminating": True}
    assert endpoints.ports_of(service, pod) == ()
    service["spec"]["publishNotReadyAddresses"] = True
    assert endpoints.endpoint(service, pod, "10.0.0.1", "")["conditions"]["ready"]
