"""Each invariant notices what it is there for, and nothing else: writes made by hand."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from heeler.objects.value import Revision
from heeler.store.store import Change
from heeler.testing.simulation.convergence import unsettled
from heeler.testing.simulation.invariants import LIST, Checker
from heeler.testing.simulation.world import World

GROUPS = {
    **dict.fromkeys(("deployments", "replicasets", "statefulsets", "daemonsets"), "apps"),
    "jobs": "batch",
    "horizontalpodautoscalers": "autoscaling",
}
CLUSTER_WIDE = ("nodes", "namespaces", "persistentvolumes")
Obj = dict[str, Any]


class Writes:
    """Plays writes to a world and its checker; `said` is what was noticed."""

    def __init__(self, features: frozenset[str] = frozenset(), lag: float = 1.0) -> None:
        self.world, self.checker = World(lag), Checker(features)
        self.at = 100.0

    def write(self, plural: str, obj: Obj, by: str = "", *, gone: bool = False) -> None:
        caller = by if by.startswith("system:") or not by else f"system:serviceaccount:kube-system:{by}"
        where = "" if plural in CLUSTER_WIDE else "shop/"
        key = f"/registry/{GROUPS.get(plural, 'core')}/{plural}/{where}{obj['metadata']['name']}"
        kind = "delete" if gone else "update"
        step = self.world.apply(Change(kind, key, orjson.dumps(obj), Revision(1), None), self.at, caller)
        assert step is not None
        self.checker.look(self.world, step)

    @property
    def said(self) -> list[str]:
        return [violation.invariant for violation in self.checker.violations]


def thing(name: str, uid: str = "", owner: str = "", kind: str = "ReplicaSet", **more: Any) -> Obj:
    metadata: Obj = {"name": name, "namespace": "shop", "uid": uid or name, "generation": 1}
    if owner:
        metadata["ownerReferences"] = [
            {"uid": owner, "kind": kind, "name": owner, "controller": True, "blockOwnerDeletion": True}
        ]
    metadata |= more.pop("metadata", {})
    return {"metadata": metadata, "spec": {}, **more}


def pod(
    name: str, owner: str = "", *, ready: bool = True, phase: str = "Running", kind: str = "ReplicaSet", **spec: Any
) -> Obj:
    conditions = [{"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    status = {"phase": phase, "conditions": conditions}
    return thing(name, owner=owner, kind=kind, spec={"containers": [], **spec}, status=status)


def deployment(replicas: int, surge: Any = 1, unavailable: Any = 0) -> Obj:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    return thing("web", spec={"replicas": replicas, "strategy": strategy})


def replica_set(name: str, replicas: int) -> Obj:
    return thing(name, owner="web", kind="Deployment", spec={"replicas": replicas})


def test_a_surge_above_the_limit_is_noticed_unless_the_limit_was_so_a_moment_ago():
    writes = Writes()
    writes.write("deployments", deployment(3))
    writes.write("replicasets", replica_set("old", 3), "deployment-controller")
    writes.write("replicasets", replica_set("new", 1), "deployment-controller")
    assert writes.said == []
    writes.write("deployments", deployment(1))
    writes.write("replicasets", replica_set("new", 1), "deployment-controller")
    writes.at += 100
    writes.write("deployments", deployment(1))
    writes.write("replicasets", replica_set("new", 2), "deployment-controller")
    assert writes.said == ["a rollout never has more pods than maxSurge allows"]


TAKES_TOO_MUCH = "a rollout never takes more pods away than maxUnavailable allows"


def rolling(lost: bool) -> Writes:
    writes = Writes()
    writes.write("deployments", deployment(2, surge=1, unavailable=0))
    writes.write("replicasets", replica_set("old", 2), "deployment-controller")
    for name in ("a", "b"):
        writes.write("pods", pod(name, "old"), "system:node:n")
    if lost:
        writes.write("pods", pod("b", "old", ready=False), "system:node:n")
    writes.write("replicasets", replica_set("old", 1), "deployment-controller")
    return writes


def test_a_rollout_that_takes_too_much_is_noticed_but_not_when_a_pod_was_just_lost():
    assert rolling(lost=False).said == [TAKES_TOO_MUCH]
    assert rolling(lost=True).said == []


def test_a_change_of_scale_is_shared_out_whatever_is_available():
    """Seed 1079: the new set's pods are held up by a quota, and the old set is made smaller with it, upstream too."""
    writes = Writes()
    writes.write("deployments", deployment(4, surge=1, unavailable=0))
    writes.write("replicasets", replica_set("old", 4), "deployment-controller")
    for name in ("a", "b", "c", "d"):
        writes.write("pods", pod(name, "old"), "system:node:n")
    writes.at += 100
    writes.write("deployments", deployment(3, surge=1, unavailable=0))
    writes.write("replicasets", replica_set("old", 2), "deployment-controller")
    assert writes.said == []


@pytest.mark.parametrize(("share_of", "said"), [(4, []), (3, [TAKES_TOO_MUCH])])
def test_it_is_shared_out_too_when_nobody_could_act_on_it_for_long(share_of, said):
    """Seed 2948: the controllers came back minutes after the scale was changed; the set notes which one it has its share of."""
    writes = Writes()
    writes.write("deployments", deployment(4, surge=1, unavailable=0))
    old = replica_set("old", 3)
    old["metadata"]["annotations"] = {"deployment.kubernetes.io/desired-replicas": str(share_of)}
    writes.write("replicasets", old, "deployment-controller")
    for name in ("a", "b", "c"):
        writes.write("pods", pod(name, "old"), "system:node:n")
    writes.write("deployments", deployment(3, surge=1, unavailable=0))
    writes.at += 1000
    writes.write("deployments", deployment(3, surge=1, unavailable=0))
    writes.write("replicasets", replica_set("old", 2), "deployment-controller")
    assert writes.said == said


def test_a_pod_too_many_is_noticed_where_no_answer_can_have_been_lost():
    for features, expected in ((frozenset(), 1), (frozenset({"lost"}), 0)):
        writes = Writes(features)
        writes.write("replicasets", thing("rs", spec={"replicas": 1}))
        for name in ("a", "b"):
            writes.write("pods", pod(name, "rs"), "replicaset-controller")
        assert writes.said == ["a ReplicaSet makes no more pods than it wants"] * expected


def test_two_daemons_on_a_node_are_noticed():
    writes = Writes()
    writes.write("daemonsets", thing("log", spec={}))
    for name in ("a", "b"):
        writes.write("pods", pod(name, "log", kind="DaemonSet", nodeName="n"), "daemon-set-controller")
    assert writes.said == ["a DaemonSet has at most one pod on a node"]


def test_a_stateful_pod_before_its_turn_is_noticed():
    writes = Writes()
    writes.write("statefulsets", thing("db", spec={"replicas": 3}))
    writes.write("pods", pod("db-0", "db", kind="StatefulSet"), "system:node:n")
    writes.write("pods", pod("db-1", "db", kind="StatefulSet"), "statefulset-controller")
    assert writes.said == []
    writes.write("pods", pod("db-1", "db", ready=False, kind="StatefulSet"), "system:node:n")
    writes.at += 100
    writes.write("pods", pod("db-2", "db", kind="StatefulSet"), "statefulset-controller")
    assert writes.said == ["a StatefulSet starts its pods in order"]


def job(completions: int = 2, **status: Any) -> Obj:
    return thing("work", spec={"completions": completions, "parallelism": 2}, status=status)


def test_a_job_that_counts_what_never_was_or_takes_back_its_verdict_is_noticed():
    name = "a Job counts each pod once, and its verdict stays"
    writes = Writes()
    writes.write("jobs", job())
    writes.write("pods", pod("a", "work", phase="Succeeded", kind="Job"), "system:node:n")
    writes.write("jobs", job(succeeded=1), "job-controller")
    assert writes.said == []
    writes.write("jobs", job(succeeded=2), "job-controller")
    assert writes.said == [name]
    writes = Writes()
    writes.write("jobs", job(conditions=[{"type": "Complete", "status": "True"}]))
    writes.write("jobs", job(conditions=[]), "job-controller")
    assert writes.said == [name]


def test_a_job_that_overruns_is_noticed():
    writes = Writes()
    writes.write("jobs", job(1))
    for name in ("a", "b"):
        writes.write("pods", pod(name, "work", phase="Succeeded", kind="Job"), "system:node:n")
    writes.write("jobs", job(1, succeeded=2), "job-controller")
    assert writes.said == ["a Job makes no more pods than are wanted"]


def test_a_cron_job_that_starts_a_time_twice_is_noticed():
    writes = Writes()
    writes.write("cronjobs", thing("tick", spec={}))
    note = {"annotations": {"batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-01-01T00:01:00Z"}}
    for name in ("tick-1", "tick-2"):
        writes.write("jobs", thing(name, owner="tick", kind="CronJob", metadata=note), "cronjob-controller")
    assert writes.said == ["a CronJob starts each time once"]


def test_a_quota_that_is_exceeded_is_noticed():
    writes = Writes()
    writes.write("resourcequotas", thing("small", spec={"hard": {"pods": "1"}}, status={"hard": {"pods": "1"}}))
    writes.write("pods", pod("a"))
    assert writes.said == []
    writes.write("pods", pod("b"))
    assert writes.said == ["a quota is never exceeded"]


@pytest.mark.parametrize(("seconds", "counted", "noticed"), [(0, "0", False), (0, "1", True), (1000, "0", True)])
def test_a_quota_may_be_exceeded_by_what_its_count_left_out_as_it_was_just_made(seconds, counted, noticed):
    """Seed 5147: a new quota's first count left out a pod of the very same moment, upstream too."""
    writes = Writes()
    quota = thing("small", spec={"hard": {"pods": "1"}})
    writes.write("resourcequotas", quota)
    writes.write("pods", pod("a"))
    writes.at += seconds
    status = {"hard": {"pods": "1"}, "used": {"pods": counted}}
    writes.write("resourcequotas", {**quota, "status": status}, "resourcequota-controller")
    writes.write("pods", pod("b"))
    assert len(writes.said) == noticed
    writes.write("pods", pod("c"))
    assert len(writes.said) == 1 + noticed


@pytest.mark.parametrize(("disturbed", "expected"), [(False, 1), (True, 0)])
def test_an_eviction_that_a_budget_forbids_is_noticed(disturbed, expected):
    writes = Writes()
    labels = {"labels": {"app": "web"}}
    writes.write(
        "poddisruptionbudgets", thing("web", spec={"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}})
    )
    for name in ("a", "b", "c"):
        found = pod(name)
        found["metadata"] |= labels
        writes.write("pods", found)
    writes.at += 100
    if disturbed:
        found = pod("c", ready=False)
        found["metadata"] |= labels
        writes.write("pods", found, "system:node:n")
    for name in ("a", "b"):
        evicted = pod(name)
        evicted["metadata"] |= {**labels, "deletionTimestamp": "2026-01-01T00:00:00Z"}
        evicted["status"]["conditions"].append(
            {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
        )
        writes.write("pods", evicted, "admin")
    assert writes.said == ["an eviction never violates a disruption budget"] * expected


def node(name: str, cpu: str = "1", **spec: Any) -> Obj:
    allocatable = {"cpu": cpu, "pods": "10"}
    return {
        "metadata": {"name": name, "uid": name},
        "spec": spec,
        "status": {"allocatable": allocatable, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def wanting(name: str, cpu: str, **spec: Any) -> Obj:
    return pod(name, phase="Pending", containers=[{"name": "c", "resources": {"requests": {"cpu": cpu}}}], **spec)


def test_a_node_that_is_overcommitted_is_noticed():
    writes = Writes()
    writes.write("nodes", node("n"))
    for name in ("a", "b"):
        writes.write("pods", wanting(name, "600m"))
        writes.write("pods", wanting(name, "600m", nodeName="n"), "system:kube-scheduler")
    assert writes.said == ["the scheduler never overcommits a node"]


def test_a_pod_on_a_node_that_has_long_been_cordoned_is_noticed():
    writes = Writes()
    writes.write("nodes", node("n", taints=[{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]))
    writes.at += 100
    writes.write("pods", wanting("a", "1m", nodeName="n"), "system:kube-scheduler")
    assert writes.said == ["no pod is bound to a node that it doesn't tolerate"]


def test_who_is_sent_away_for_nobody_or_for_no_reason_is_noticed():
    writes = Writes()
    writes.write("nodes", node("n"))
    writes.at += 100
    for by in ("system:kube-scheduler", "node-controller"):
        writes.write("pods", pod("a", nodeName="n"))
        going = pod("a", nodeName="n")
        going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        writes.write("pods", going, by)
        writes.write("pods", going, gone=True)
    assert writes.said == ["preemption serves the more important", "pods are sent away from a node for a reason"]


def test_what_changes_its_node_its_identity_or_its_past_is_noticed():
    writes = Writes()
    writes.write("pods", pod("a", nodeName="n"))
    writes.write("pods", pod("a", nodeName="m"))
    writes.write("pods", pod("b", phase="Succeeded"))
    writes.write("pods", pod("b", phase="Running"))
    assert writes.said == ["a pod keeps its node, and its life goes forward"] * 2
    writes = Writes()
    writes.write("deployments", thing("web", metadata={"generation": 2}, status={"observedGeneration": 2}))
    writes.write("deployments", thing("web", metadata={"generation": 2}, status={"observedGeneration": 1}))
    writes.write("deployments", thing("web", uid="other", metadata={"generation": 2}, status={"observedGeneration": 3}))
    assert writes.said == ["an object keeps its identity, and its generations grow"] * 3


def test_claims_that_share_or_change_a_volume_are_noticed():
    writes = Writes()
    for name in ("a", "b"):
        writes.write("persistentvolumeclaims", thing(name, spec={"volumeName": "v"}, status={"phase": "Bound"}))
    writes.write("persistentvolumeclaims", thing("a", spec={"volumeName": "w"}, status={"phase": "Pending"}))
    assert writes.said == ["a claim keeps its volume, and shares it with nobody"] * 2
    writes = Writes()
    for uid in ("a", "b"):
        writes.write("persistentvolumes", {"metadata": {"name": "v", "uid": "v"}, "spec": {"claimRef": {"uid": uid}}})
    assert writes.said == ["a volume belongs to one claim"]


def test_what_is_collected_too_early_or_ends_too_early_is_noticed():
    writes = Writes()
    writes.write("replicasets", thing("rs", spec={"replicas": 0}, metadata={"finalizers": ["foregroundDeletion"]}))
    writes.write("pods", pod("a", "rs"))
    writes.at += 100
    writes.write("replicasets", thing("rs", metadata={"finalizers": ["foregroundDeletion"]}), gone=True)
    assert writes.said == ["an owner that is deleted in the foreground goes last"]
    writes = Writes()
    writes.write("replicasets", thing("rs", spec={"replicas": 1}))
    writes.write("pods", pod("a", "rs"))
    writes.write("pods", pod("a", "rs"), "generic-garbage-collector", gone=True)
    assert writes.said == ["nothing is collected that an owner still has"]
    writes = Writes()
    writes.write("namespaces", {"metadata": {"name": "shop", "uid": "n"}, "spec": {}})
    writes.write("pods", pod("a"))
    writes.write("namespaces", {"metadata": {"name": "shop", "uid": "n"}, "spec": {}}, gone=True)
    assert writes.said == ["a namespace ends empty"]


def test_an_autoscaler_out_of_its_bounds_is_noticed():
    target = {"kind": "Deployment", "name": "web"}
    writes = Writes()
    writes.write(
        "horizontalpodautoscalers", thing("web", spec={"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 3})
    )
    writes.write("deployments", deployment(2))
    writes.write("deployments", deployment(9), "horizontal-pod-autoscaler")
    assert writes.said == ["an autoscaler stays between its bounds"]


def test_other_groups_kinds_of_the_same_name_are_not_judged_as_ours():
    world = World()
    key = "/registry/serving.example.com/services/shop/web"
    step = world.apply(
        Change("create", key, orjson.dumps(thing("web", spec={"selector": {"a": "b"}})), Revision(1), None), 1.0, ""
    )
    assert step is not None and step.plural == "services.serving.example.com"
    assert world.objects["services.serving.example.com"] and "services" not in world.objects


def test_every_invariant_is_named_once():
    names = [one.name for one in LIST]
    assert len(names) == len(set(names))


def test_what_is_left_of_somebody_or_is_counted_wrongly_has_not_converged():
    writes = Writes()
    writes.write("namespaces", {"metadata": {"name": "shop", "uid": "ns"}, "spec": {}})
    writes.write("serviceaccounts", thing("default", uid="sa"))
    writes.write("configmaps", thing("kube-root-ca.crt", uid="ca"))
    writes.write("nodes", node("n"))
    assert unsettled(writes.world, 100.0) == []
    writes.write("pods", pod("a", "gone", nodeName="n"))
    writes.write("pods", wanting("b", "500m"))
    writes.write("replicasets", thing("rs", spec={"replicas": 1}, status={"observedGeneration": 1, "replicas": 1}))
    found = "\n".join(unsettled(writes.world, 100.0))
    assert "pods shop/a: is left of ReplicaSet gone, which is gone" in found
    assert "pods shop/b: waits, though n has room" in found
    assert "replicasets shop/rs: says replicas 1, it is 0" in found
    assert "replicasets shop/rs: has 0 pods of 1" in found


def test_a_failed_pod_waits_for_its_successor_while_its_job_stands_still():
    """Seeds 5416 and 9934: failures that count by index are counted when the next pod of the index is made, and these pods
    can't go before, even if somebody deletes them."""
    job: Obj = {"backoffLimitPerIndex": 1, "completions": 2, "suspend": True}
    waiting = pod("work-0-a", "work", phase="Failed", kind="Job")
    waiting["metadata"]["finalizers"] = ["batch.kubernetes.io/job-tracking"]
    for spec, left in ((job, False), ({**job, "suspend": False}, True), ({"completions": 2, "suspend": True}, True)):
        writes = Writes()
        writes.write("namespaces", {"metadata": {"name": "shop", "uid": "n"}, "spec": {}})
        writes.write("jobs", thing("work", spec=spec))
        writes.write("pods", waiting)
        said = [text for text in unsettled(writes.world, 200.0) if "was not counted" in text]
        assert bool(said) is left, spec
        gone = {**waiting, "metadata": {**waiting["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
        writes.write("pods", gone)
        said = [text for text in unsettled(writes.world, 200.0) if "still being deleted" in text]
        assert bool(said) is left, spec
