"""The examples as people run them: all in one cluster, from their manifests; alive after `kill -9` of everything."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heeler.base import pki
from tests.cluster import LocalCluster
from tests.conftest import ROOT, containers_possible, find_kubectl
from tests.containers import machine

pytestmark = [pytest.mark.containers, pytest.mark.kubectl, pytest.mark.timeout(300)]
EXAMPLES = ROOT / "examples"
SUM = sum(n * n for n in range(1, 301))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    program = find_kubectl()
    if program is None or containers_possible():
        pytest.skip(containers_possible() or "kubectl is not here")
    found = LocalCluster(tmp_path_factory.mktemp("apps"), f"apps{os.getpid() % 10_000}", program)
    found.up("--nodes", "2")
    try:
        # Packages are kept where `heeler image build` keeps them for the person, so that they are fetched once.
        cache = Path.home() / ".cache" / "heeler" / "images"
        found.heeler(
            *("image", "build", str(EXAMPLES / "image"), "--load", "--name", found.name, "--cache", str(cache)),
            timeout=280,
        )
        certificate(found)
        subprocess.run(
            ["sh", str(EXAMPLES / "operator-in-cluster" / "certificate.sh")],
            env={**found.environment, "PATH": f"{Path(program).parent}:{os.environ['PATH']}"},
            check=True,
            capture_output=True,
        )
        for path in ("blog/blog", "queue/queue", "logs/logs", "operator-in-cluster/operator"):
            found.kubectl("apply", "-f", str(EXAMPLES / f"{path}.yaml"))
        settled(found)
        yield found
    finally:
        found.delete()
    assert machine.traces(found.name, found.layout) == {}


def certificate(cluster: LocalCluster) -> None:
    made = pki.issue(pki.new_authority("test", time.time()), "blog", time.time(), server_names=["blog.localhost"])
    folder = cluster.folder
    (folder / "tls.crt").write_bytes(made.certificate)
    (folder / "tls.key").write_bytes(made.key)
    flags = (f"--cert={folder / 'tls.crt'}", f"--key={folder / 'tls.key'}")
    cluster.kubectl("create", "secret", "tls", "blog-tls", *flags)


def settled(cluster: LocalCluster) -> None:
    for what in (
        "statefulset/blog-database",
        "deployment/blog-web",
        "deployment/queue",
        "deployment/queue-workers",
        "deployment/log-collector",
        "daemonset/log-shipper",
    ):
        cluster.kubectl("rollout", "status", what, "--timeout=90s", timeout=100)
    cluster.kubectl(
        "rollout", "status", "-n", "site-operator", "deployment/site-operator", "--timeout=90s", timeout=100
    )


def blog(cluster: LocalCluster, path: str, **form: str) -> Any:
    """What the blog answers through the Ingress by HTTPS; None while it doesn't."""
    found = cluster.get("ingress", "blog")["status"]["loadBalancer"].get("ingress")
    if not found:
        return None
    port = next(entry["port"] for entry in found[0]["ports"] if entry["port"] != found[0]["ports"][0]["port"])
    context = ssl.create_default_context(cafile=None)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    data = urllib.parse.urlencode(form).encode() if form else None
    request = urllib.request.Request(f"https://127.0.0.1:{port}{path}", data, {"Host": "blog.localhost"})
    try:
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return None
    except OSError:
        return None


def posts(cluster: LocalCluster) -> list[str] | None:
    """The posts' texts, oldest first."""
    found = blog(cluster, "/posts")
    return None if found is None else [post["text"] for post in reversed(json.loads(found))]


def logged(cluster: LocalCluster, query: str = "") -> list[dict[str, str]]:
    said = cluster.kubectl("exec", "deploy/log-collector", "--", "wget", "-qO-", f"http://log-collector/?{query}")
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def test_the_queue_adds_up_in_a_volume(cluster: LocalCluster) -> None:
    cluster.kubectl("wait", "--for=condition=complete", "job/queue-fill", "job/queue-check", "--timeout=60s")
    assert cluster.kubectl("logs", "job/queue-check").strip() == f"the sum is {SUM}, should be {SUM}"
    indexes = cluster.get("job", "queue-fill")["status"]["completedIndexes"]
    assert indexes == "0-2"


def test_what_is_posted_is_read_back(cluster: LocalCluster) -> None:
    cluster.wait(lambda: blog(cluster, "/", author="one", text="first <words>"), 30)
    assert posts(cluster) == ["first <words>"]
    assert "first &lt;words&gt;" in blog(cluster, "/") and "A blog on Heeler" in blog(cluster, "/")


def test_only_the_web_tier_and_backups_reach_the_database(cluster: LocalCluster) -> None:
    script = "nc -w 2 blog-database-0.blog-database 3306 < /dev/null > /dev/null && echo reached || echo blocked"
    assert "blocked" in cluster.kubectl("exec", "deploy/queue-workers", "--", "sh", "-c", script)
    assert "reached" in cluster.kubectl("exec", "deploy/blog-web", "-c", "web", "--", "sh", "-c", script)


def test_logs_of_all_nodes_arrive_with_their_nodes_names(cluster: LocalCluster) -> None:
    pods = cluster.get("pods", "-l", "app=queue,tier=workers")["items"]
    where = {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in pods}

    def arrived() -> set[str]:
        return {line["text"] for line in logged(cluster) if line["pod"] in where and "squared" in line["text"]}

    assert "300 squared is 90000" in cluster.wait(lambda: len(arrived()) >= 300 and arrived())
    lines = logged(cluster)
    assert {line["node"] for line in lines} == {f"{cluster.name}-node-0", f"{cluster.name}-node-1"}
    assert all(line["node"] == where[line["pod"]] for line in lines if line["pod"] in where)


SITE = """{"apiVersion": "example.com/v1", "kind": "Site", "metadata": {"name": "%s"}, "spec": {"text": "%s"}}"""


def test_the_operator_makes_what_a_site_asks_for(cluster: LocalCluster) -> None:
    cluster.kubectl("apply", "-f", str(EXAMPLES / "operator-in-cluster" / "site.yaml"))
    cluster.wait(lambda: cluster.get("site", "hello").get("status", {}).get("ready") == 2)
    said = cluster.kubectl("exec", "deploy/log-collector", "--", "wget", "-qO-", "http://site-hello/")
    assert said.strip() == "Hello from a Site"


def test_the_api_server_asks_the_webhook_in_the_pod(cluster: LocalCluster) -> None:
    said = cluster.kubectl("apply", "-f", "-", stdin=SITE % ("bad", "Lorem Ipsum"), check=False)
    assert 'admission webhook "sites.example.com" denied the request: a site says more than "lorem ipsum"' in said


def test_the_operator_goes_on_after_its_pod_is_killed(cluster: LocalCluster) -> None:
    cluster.kubectl("delete", "pod", "-n", "site-operator", "--all", "--grace-period=0", "--force", "--wait=false")
    # Until the webhook is back no Site is let through: it fails closed.
    cluster.wait(lambda: "created" in cluster.kubectl("create", "-f", "-", stdin=SITE % ("b", "two"), check=False), 40)
    cluster.wait(lambda: cluster.get("site", "b").get("status", {}).get("ready") == 1)
    cluster.kubectl("delete", "site", "b")
    cluster.wait(lambda: "NotFound" in cluster.kubectl("get", "deployment", "site-b", check=False))


def test_all_is_alive_after_everything_was_killed(cluster: LocalCluster) -> None:
    before = posts(cluster)
    cluster.wait(lambda: blog(cluster, "/", author="two", text="just before"), 10)
    killed = machine.kill_everything(cluster.name)
    assert killed["control-plane"] == 1 and killed["agent"] == killed["containerd"] == 2
    assert killed["envoy"] == 1 and killed["shim"] >= 12 and killed["container"] >= 24
    cluster.up()
    settled(cluster)
    cluster.wait(lambda: posts(cluster) == [*(before or []), "just before"], 60)
    assert "the sum is" in result(cluster)
    cluster.wait(lambda: cluster.get("site", "hello")["status"]["ready"] == 2)
    cluster.wait(lambda: blog(cluster, "/", author="three", text="afterwards"))
    cluster.wait(lambda: any("POST" in line["text"] for line in logged(cluster)))


def result(cluster: LocalCluster) -> str:
    """The queue says that all is done already: its data are alive."""
    cluster.kubectl("delete", "job", "queue-check")
    cluster.kubectl("apply", "-f", str(EXAMPLES / "queue" / "queue.yaml"))
    cluster.kubectl("wait", "--for=condition=complete", "job/queue-check", "--timeout=60s")
    return cluster.kubectl("logs", "job/queue-check")


def test_all_is_alive_after_down_and_up(cluster: LocalCluster) -> None:
    before = cluster.wait(lambda: posts(cluster))
    cluster.heeler("down", "--name", cluster.name)
    cluster.up()
    settled(cluster)
    assert cluster.wait(lambda: posts(cluster)) == before


def test_backups_ran_by_themselves(cluster: LocalCluster) -> None:
    cluster.wait(lambda: cluster.get("cronjob", "blog-backup")["status"].get("lastSuccessfulTime"), 70)
    # The first run may come before there is anything.
    words = ("logs", "-l", "tier=backup", "--tail=-1")  # of a pod that is just starting there is none
    cluster.wait(lambda: "has 1 tables with rows" in cluster.kubectl(*words, check=False), 130)
    [claim] = [c for c in cluster.get("pvc")["items"] if c["metadata"]["name"] == "blog-backups"]
    folders = cluster.layout.glob(f"nodes/*/volumes/{claim['spec']['volumeName']}/*.sql")
    assert any("first <words>" in dump.read_text() for dump in folders)
