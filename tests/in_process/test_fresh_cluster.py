"""A fresh cluster for tests: what the pytest fixture gives."""

import asyncio
import datetime
import gc
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from heeler.objects.status import StatusError
from heeler.testing.clock import seconds_of
from heeler.testing.cluster import CommandFailed, FreshCluster
from heeler.testing.manifests import find_kind, objects_of

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "web:1"}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "dogs.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"kind": "Dog", "plural": "dogs"},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ],
    },
}
DOG = {"apiVersion": "example.com/v1", "kind": "Dog", "metadata": {"name": "rex"}}


@pytest.fixture(scope="module")
def shared() -> Iterator[FreshCluster]:
    with FreshCluster(nodes=2) as found:
        yield found


@pytest.fixture
def cluster(shared: FreshCluster) -> FreshCluster:
    shared.reset()
    return shared


def test_controllers_scheduler_and_nodes_work(cluster: FreshCluster) -> None:
    cluster.apply(WEB)
    cluster.wait("deployment/web", "condition=Available")
    pods = cluster.list("pods", labels="app=web")
    assert {pod["status"]["phase"] for pod in pods} == {"Running"}
    addresses = cluster.get("endpoints", "web")["subsets"][0]["addresses"]
    assert {a["ip"] for a in addresses} == {pod["status"]["podIP"] for pod in pods}


def test_what_belongs_to_something_goes_with_it(cluster: FreshCluster) -> None:
    cluster.apply(WEB)
    cluster.wait("deploy/web", "condition=Available")
    cluster.delete("deployment", "web")
    cluster.wait("deployment/web", "delete")
    cluster.advance("10s")
    assert cluster.list("pods") == []


def test_namespaces_end(cluster: FreshCluster) -> None:
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "temporary"}})
    cluster.apply(WEB, "temporary")
    cluster.wait("deployment/web", "condition=Available", "temporary")
    cluster.delete("ns", "temporary")
    cluster.wait("ns/temporary", "delete")
    assert cluster.list("pods", "temporary") == []


def test_what_protects_pods_stays_until_the_last_one_of_the_namespace_is_gone(cluster: FreshCluster) -> None:
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "temporary"}})
    held = {"name": "held", "finalizers": ["example.com/hold"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": held, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny"}}
    cluster.apply([pod, {**policy, "spec": {"podSelector": {}}}], "temporary")
    cluster.delete("ns", "temporary")
    cluster.advance("1 minute")
    assert [obj["metadata"]["name"] for obj in cluster.list("netpol", "temporary")] == ["deny"]
    conditions = {c["type"]: c["reason"] for c in cluster.get("ns", "temporary")["status"]["conditions"]}
    assert conditions["NamespaceContentRemaining"] == "ContentRemoved", "as upstream: they are silent about pods"
    cluster.patch("pod", "held", {"metadata": {"finalizers": None}}, "temporary")
    cluster.wait("ns/temporary", "delete")


def test_a_pod_that_is_stuck_on_a_lost_node_keeps_its_successor_out_for_minutes_only(cluster: FreshCluster) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "one"}, "spec": {"hard": {"pods": "1"}}}
    cluster.apply(quota)
    cluster.apply(WEB.replace("replicas: 2", "replicas: 1"))
    cluster.wait("deployment/web", "condition=Available")
    node = cluster.list("pods")[0]["spec"]["nodeName"]
    cluster.kill_node(node)
    cluster.advance("45 minutes")
    assert sorted("deletionTimestamp" in pod["metadata"] for pod in cluster.list("pods")) == [False, True]
    cluster.revive_node(node)


def test_a_claim_is_unused_when_its_pod_has_ended(cluster: FreshCluster) -> None:
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    cluster.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "d"}, "spec": claim})
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "d"}}]
    spec = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}], "volumes": volumes}
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "user"}, "spec": spec})
    cluster.wait("pvc/d", "condition=Unused=False")
    cluster.patch("pod", "user", {"status": {"phase": "Succeeded"}}, subresource="status")
    cluster.wait("pvc/d", "condition=Unused=True")


def test_advance_moves_object_times_and_returns_when_all_is_done(cluster: FreshCluster) -> None:
    before = cluster.clock.now()
    cluster.clock.advance("1 hour")
    created = cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "now"}})
    stamp = datetime.datetime.fromisoformat(created["metadata"]["creationTimestamp"])
    assert datetime.timedelta(minutes=59) < stamp - before < datetime.timedelta(minutes=61)
    assert cluster.get("node", "simulated-0")["status"]["conditions"][-1]["status"] == "True"
    cluster.clock.advance_to(cluster.clock.now() + datetime.timedelta(minutes=5))
    with pytest.raises(ValueError, match="has passed"):
        cluster.clock.advance_to(before)


def test_a_silent_node_is_noticed_and_its_pods_move(cluster: FreshCluster) -> None:
    cluster.apply(WEB)
    cluster.wait("deployment/web", "condition=Available")
    cluster.kill_node("simulated-0")
    cluster.wait("node/simulated-0", "condition=Ready=Unknown", timeout="2m")
    cluster.advance("6m")
    running = [pod for pod in cluster.list("pods") if "deletionTimestamp" not in pod["metadata"]]
    assert {pod["spec"]["nodeName"] for pod in running} == {"simulated-1"}
    cluster.revive_node("simulated-0")
    cluster.wait("node/simulated-0", timeout="1m")
    with pytest.raises(ValueError, match="no simulated node"):
        cluster.kill_node("nobody")


def test_snapshot_and_reset(cluster: FreshCluster) -> None:
    cluster.apply(WEB)
    cluster.wait("deployment/web", "condition=Available")
    snapshot = cluster.snapshot()
    uids = {pod["metadata"]["uid"] for pod in cluster.list("pods")}
    cluster.patch("deployment", "web", {"spec": {"replicas": 5}})
    cluster.delete("service", "web")
    cluster.apply([CRD, DOG])
    cluster.settle()
    cluster.reset(snapshot)
    assert {pod["metadata"]["uid"] for pod in cluster.list("pods")} == uids
    assert cluster.get("service", "web")["spec"]["clusterIP"]
    with pytest.raises(ValueError, match='nothing called "dogs"'):
        cluster.list("dogs")
    cluster.patch("deployment", "web", {"spec": {"replicas": 3}})  # controllers go on with the old state
    cluster.wait("deployment/web", lambda web: web["status"].get("readyReplicas") == 3)
    cluster.reset()
    assert cluster.list("deployments") == []


def test_custom_kinds_come_back_with_their_objects(cluster: FreshCluster) -> None:
    cluster.apply([CRD, DOG])
    snapshot = cluster.snapshot()
    cluster.reset()
    cluster.reset(snapshot)
    assert cluster.get("dog", "rex")["metadata"]["name"] == "rex"


def test_wait_says_what_is_there(cluster: FreshCluster) -> None:
    with pytest.raises(
        TimeoutError,
        match=r"pod/none in default: condition=Ready was not true within 60 s; its status:\nit isn't there",
    ):
        cluster.wait("pod/none", patience=0)
    with pytest.raises(ValueError, match="names no object"):
        cluster.wait("pod")
    with pytest.raises(ValueError, match='write "condition=NAME"'):
        cluster.wait("pod/x", "ready")
    with pytest.raises(StatusError, match="not found"):
        cluster.get("pod", "none")


def test_the_report_shows_pods_events_and_refused_requests(cluster: FreshCluster) -> None:
    greedy = objects_of(WEB)[0]
    greedy["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "100"}}
    cluster.apply(greedy)
    cluster.advance("1s")
    text = cluster.report()
    assert "0/1  Pending  <no node>  Unschedulable: 0/2 nodes are available: 2 Insufficient cpu." in text
    assert "deployment default/web  0/2" in text
    assert "Warning  FailedScheduling  Pod default/web-" in text


def test_kubectl_reaches_it(cluster: FreshCluster, kubectl: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(kubectl).parent}{os.pathsep}{os.environ['PATH']}")
    cluster.kubectl("create", "configmap", "a", "--from-literal=b=c")
    assert cluster.get("cm", "a")["data"] == {"b": "c"}
    cluster.clock.advance("3h")
    assert "3h" in cluster.kubectl("get", "configmap", "a")  # AGE follows the cluster's time
    with pytest.raises(CommandFailed, match='configmaps "b" not found'):
        cluster.kubectl("get", "configmap", "b")
    assert "404  GET /api/v1/namespaces/default/configmaps/b" in cluster.report()


def test_a_token_is_good_in_real_time(cluster: FreshCluster) -> None:
    path = "serviceaccounts/default/token"
    made = cluster._run(
        cluster.client_in_thread().request("POST", f"/api/v1/namespaces/default/{path}", body=b'{"spec":{}}')
    )
    assert made[0] == 201
    end = datetime.datetime.fromisoformat(json.loads(made[1])["status"]["expirationTimestamp"])
    real = datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(minutes=50) < end - real < datetime.timedelta(minutes=70)


def test_async_tests_use_the_same_cluster(cluster: FreshCluster) -> None:
    async def test() -> str:
        await cluster.aio.apply(WEB)
        found = await cluster.aio.wait("deployment/web", "condition=Available")
        await cluster.aio.advance("1h")
        return found["metadata"]["name"]

    assert asyncio.run(test()) == "web"


def test_several_clusters_at_once_and_nothing_left_afterwards() -> None:
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    threads = threading.active_count()
    with FreshCluster(seed=1) as one, FreshCluster(seed=1) as two:
        one.apply(WEB)
        assert two.list("deployments") == []
        path = one.kubeconfig
        assert path.read_bytes().startswith(b"apiVersion: v1")
        assert one.server != two.server
    gc.collect()
    for _ in range(100):  # a thread that was told to end ends in a moment
        if threading.active_count() <= threads:
            break
        time.sleep(0.05)
    assert threading.active_count() <= threads
    assert not path.exists()
    for _ in range(50):  # what was closed is let go in a moment
        if not before or len(os.listdir("/proc/self/fd")) <= len(before) + 1:
            break
        time.sleep(0.1)
    else:
        raise AssertionError(sorted(os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")))
    with pytest.raises(RuntimeError, match="doesn't run"):
        one.list("pods")
    one.close()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("1h30m", 5400), ("3 days", 259200), ("1 week, 2 hours", 612000), ("1.5m", 90), ("250ms", 0.25)],
)
def test_durations_in_words(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("wrong", ["", "soon", "3 fortnights", "5", "-1s", -1, float("inf"), float("nan")])
def test_what_is_no_duration_is_refused(wrong: str | float) -> None:
    with pytest.raises(ValueError):
        seconds_of(wrong)


def test_manifests_of_files_folders_and_lists(tmp_path: Path, cluster: FreshCluster) -> None:
    (tmp_path / "a.yaml").write_text(WEB)
    items = [{"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}} for kind in ("A", "B")]
    (tmp_path / "b.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    (tmp_path / "notes.txt").write_text("nothing")
    assert [o["kind"] for o in objects_of(tmp_path)] == ["Deployment", "Service", "A", "B"]
    assert len(objects_of(str(tmp_path / "a.yaml"))) == 2
    with pytest.raises(ValueError, match="a manifest is an object"):
        objects_of("- a\n- b\n")
    with pytest.raises(ValueError, match="knows no kind 'Cat'"):
        cluster.apply({"apiVersion": "v9", "kind": "Cat", "metadata": {"name": "tom"}})
    (tmp_path / "c.yaml").write_text("duration: 3 days\n")
    with pytest.raises(
        ValueError, match=r"c\.yaml: no manifest: it has no apiVersion and no kind and no metadata\.name"
    ):
        objects_of(tmp_path)
    assert find_kind(cluster._entered.server.kinds, "deployments.apps").plural == "deployments"


def test_objects_are_the_tests_own(cluster: FreshCluster) -> None:
    """Read, change, write: what a test does with an object that it was given doesn't reach the server before it is sent."""
    made = cluster.create({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}, "data": {"x": "1"}})
    for given in (
        made,
        cluster.get("cm", "a"),
        next(obj for obj in cluster.list("cm") if obj["metadata"]["name"] == "a"),
        cluster.wait("cm/a", "exists"),
        cluster.patch("cm", "a", {"metadata": {"labels": {"app": "a"}}}),
        *cluster.apply({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}, "data": {"x": "1"}}),
    ):
        given["data"]["x"] = "2"
        assert cluster.get("cm", "a")["data"] == {"x": "1"}
