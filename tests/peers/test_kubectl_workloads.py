"""The real kubectl with StatefulSets, DaemonSets, Jobs, CronJobs, autoscalers and claims."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster import LocalCluster
from tests.conftest import find_kubectl

pytestmark = [pytest.mark.kubectl, pytest.mark.timeout(120)]

TEMPLATE = """
  selector: {matchLabels: {app: %(name)s}}
  template:
    metadata: {labels: {app: %(name)s}}
    spec:
      containers: [{name: app, image: "app:1"}]
"""
STATEFUL = (
    "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db}\nspec:\n  serviceName: db\n  replicas: 2"
    + TEMPLATE % {"name": "db"}
    + """
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""
)
DAEMONS = "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: log}\nspec:" + TEMPLATE % {"name": "log"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    program = find_kubectl()
    if program is None:
        pytest.skip("kubectl is not here")
    found = LocalCluster(tmp_path_factory.mktemp("workloads"), "peers-workloads", program)
    found.up("--simulated-nodes", "2")
    yield found
    found.delete()


def rows(said: str) -> list[list[str]]:
    return [line.split() for line in said.splitlines()]


def test_a_stateful_set_rolls_out_and_back_and_keeps_its_claims(cluster: LocalCluster) -> None:
    said = cluster.kubectl("apply", "-f", "-", stdin=STATEFUL)
    assert said == "statefulset.apps/db created\n"  # and no warning
    cluster.kubectl("rollout", "status", "statefulset/db", "--timeout=30s")
    assert rows(cluster.kubectl("get", "statefulset", "db", "--no-headers"))[0][:2] == ["db", "2/2"]
    claims = rows(cluster.kubectl("get", "pvc", "--no-headers"))
    assert [(row[0], row[1], row[5]) for row in claims] == [
        ("data-db-0", "Bound", "local-path"),
        ("data-db-1", "Bound", "local-path"),
    ]
    cluster.kubectl("set", "image", "statefulset/db", "app=app:2")
    cluster.kubectl("rollout", "status", "statefulset/db", "--timeout=30s")
    assert cluster.kubectl("rollout", "undo", "statefulset/db").startswith("statefulset.apps/db rolled back\n")
    said = cluster.kubectl("rollout", "status", "statefulset/db", "--timeout=30s")
    assert said.splitlines()[-1] == "partitioned roll out complete: 2 new pods have been updated..."
    assert cluster.kubectl("get", "pods", "-l", "app=db", "-o", "jsonpath={..image}").split()[0] == "app:1"
    cluster.kubectl("scale", "statefulset/db", "--replicas=1")
    cluster.kubectl("wait", "pod/db-1", "--for=delete", "--timeout=30s")
    assert len(rows(cluster.kubectl("get", "pvc", "--no-headers"))) == 2


def test_a_daemon_set_has_a_pod_on_every_node_and_a_history(cluster: LocalCluster) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=DAEMONS)
    cluster.kubectl("rollout", "status", "daemonset/log", "--timeout=30s")
    assert rows(cluster.kubectl("get", "daemonset", "log", "--no-headers"))[0][:6] == ["log", *["2"] * 5]
    cluster.kubectl("set", "image", "daemonset/log", "app=app:2")
    said = cluster.kubectl("rollout", "status", "daemonset/log", "--timeout=30s")
    assert said.splitlines()[-1] == 'daemon set "log" successfully rolled out'
    assert [row[0] for row in rows(cluster.kubectl("rollout", "history", "daemonset/log"))[2:] if row] == ["1", "2"]
    assert cluster.kubectl("rollout", "undo", "daemonset/log").startswith("daemonset.apps/log rolled back\n")


def test_a_cron_job_s_job_can_be_run_now(cluster: LocalCluster) -> None:
    cluster.kubectl("create", "cronjob", "nightly", "--image=app:1", "--schedule=0 3 * * *", "--", "work")
    said = cluster.kubectl("create", "job", "now", "--from=cronjob/nightly")
    assert said == "job.batch/now created\n"
    said = cluster.kubectl("wait", "job/now", "--for=condition=complete", "--timeout=30s")
    assert said == "job.batch/now condition met\n"
    assert rows(cluster.kubectl("get", "job", "now", "--no-headers"))[0][:3] == ["now", "Complete", "1/1"]
    assert rows(cluster.kubectl("get", "pods", "-l", "job-name=now", "--no-headers"))[0][1:3] == ["0/1", "Completed"]
    shown = cluster.kubectl("get", "cronjob", "nightly", "--no-headers").split()
    assert shown[:9] == ["nightly", "0", "3", "*", "*", "*", "<none>", "False", "0"]


def test_autoscale_says_what_it_does(cluster: LocalCluster) -> None:
    cluster.kubectl("create", "deployment", "web", "--image=app:1")
    said = cluster.kubectl("autoscale", "deployment", "web", "--min=2", "--max=5", "--cpu=80%")
    assert said == "horizontalpodautoscaler.autoscaling/web autoscaled\n"
    cluster.kubectl("wait", "hpa/web", "--for=jsonpath={.status.desiredReplicas}=2", "--timeout=30s")
    assert "SuccessfulRescale" in cluster.kubectl("describe", "hpa", "web")
