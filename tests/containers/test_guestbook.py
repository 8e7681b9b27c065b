"""The whole path on real parts: `heeler up`, the example, kubectl, faults, and `heeler delete` that leaves nothing."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from heeler.base.clock import SystemClock
from heeler.kubelet.teardown import remove_cluster
from heeler.local.layout import Layout
from heeler.local.node import options
from tests.cluster import LocalCluster
from tests.conftest import ROOT, containers_possible, find_kubectl

pytestmark = [pytest.mark.containers, pytest.mark.kubectl, pytest.mark.timeout(180)]
EXAMPLE = ROOT / "examples" / "guestbook"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    program = find_kubectl()
    if program is None or containers_possible():
        pytest.skip(containers_possible() or "kubectl is not here")
    found = LocalCluster(tmp_path_factory.mktemp("guestbook"), "book", program)
    found.up()
    try:
        found.heeler("image", "build", str(EXAMPLE / "image"), "--load", "--name", "book")
        found.kubectl("apply", "-f", str(EXAMPLE / "guestbook.yaml"))
        for name in ("web", "backend"):
            found.kubectl("rollout", "status", f"deployment/{name}", "--timeout=60s")
        yield found
    finally:
        found.delete()
    assert left_over("book") == []


def left_over(name: str) -> list[str]:
    """Whatever of a cluster is still on this machine."""
    found = [f"process {line}" for line in _processes() if re.search(rf"/run/heeler/{name}\b|heeler\.{name}\b", line)]
    found += [
        f"mount {line}"
        for line in Path("/proc/mounts").read_text().splitlines()
        if f"/{name}/" in line and "heeler" in line
    ]
    ours = re.compile(rf"heeler\.{name}(\..*)?")
    found += [f"namespace {p}" for p in Path("/run/netns").glob("heeler.*") if ours.fullmatch(p.name)]
    found += [f"cgroup {p}" for p in Path("/sys/fs/cgroup").glob("**/heeler.*") if ours.fullmatch(p.name)]
    rules = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False).stdout
    found += [f"rule {line}" for line in rules.splitlines() if re.search(rf"\b{name}\b", line)]
    return found + [str(p) for p in Path("/run/heeler").glob(name)]


def _processes() -> list[str]:
    out = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if words and "pytest" not in words:
                out.append(f"{entry.name} {words}")
    return out


def page_address(cluster: LocalCluster) -> str:
    file = Path(f"/run/heeler/{cluster.name}/{cluster.name}-node-0/published.json")
    entries = orjson.loads(file.read_bytes())
    return "http://" + next(e["address"] for e in entries if e["service"] == "guestbook")


def page(cluster: LocalCluster) -> str:
    with urllib.request.urlopen(page_address(cluster), timeout=5) as answer:
        return str(answer.read().decode())


def answers(cluster: LocalCluster) -> bool:
    """The page is there (after a restart it takes a moment)."""
    try:
        return "Heeler" in page(cluster)
    except OSError:
        return False


def web_pods(cluster: LocalCluster) -> list[str]:
    return sorted(p["metadata"]["name"] for p in cluster.get("pods", "-l", "tier=web")["items"])


def test_page_is_answered_by_all_three_replicas(cluster: LocalCluster) -> None:
    names: set[str] = set()
    for _ in range(60):
        names.update(name for name in web_pods(cluster) if name in page(cluster))
        if len(names) == 3:
            break
    assert sorted(names) == web_pods(cluster) and len(names) == 3


def test_pods_have_addresses_limits_and_an_orderly_status(cluster: LocalCluster) -> None:
    pod = cluster.get("pods", "-l", "tier=web")["items"][0]
    status = pod["status"]
    assert status["phase"] == "Running" and status["podIP"].startswith("10.244.")
    assert status["qosClass"] == "Burstable"
    conditions = {c["type"]: c["status"] for c in status["conditions"]}
    assert all(conditions[t] == "True" for t in ("PodScheduled", "Initialized", "ContainersReady", "Ready"))
    assert status["containerStatuses"][0]["started"] and status["containerStatuses"][0]["containerID"].startswith(
        "containerd://"
    )


def test_logs_are_followed(cluster: LocalCluster) -> None:
    pod = web_pods(cluster)[0]
    following = cluster.start_kubectl("logs", "-f", pod, "--tail=1")
    assert following.stdout is not None
    following.stdout.readline()
    cluster.kubectl("exec", pod, "--", "sh", "-c", "echo from-inside > /proc/1/fd/1")
    while "from-inside" not in (line := following.stdout.readline()):
        assert line, "the log ended"
    following.terminate()
    following.communicate()
    assert "from-inside" in cluster.kubectl("logs", pod, "--tail=50", "--timestamps")


def test_top_shows_what_the_node_and_its_containers_use(cluster: LocalCluster) -> None:
    pod = web_pods(cluster)[0]
    assert re.search(r"^book-node-0 +\d+m +\d+% +\d+Mi ", cluster.kubectl("top", "nodes", "--no-headers"))
    assert re.search(rf"^{pod} +\S+ +\d+m +\d+Mi", cluster.kubectl("top", "pod", pod, "--containers", "--no-headers"))


def test_exec_gives_output_input_and_exit_code(cluster: LocalCluster) -> None:
    pod = web_pods(cluster)[0]
    assert cluster.kubectl("exec", pod, "--", "id", "-u").strip() == "65532"
    assert cluster.kubectl("exec", "-i", pod, "--", "cat", stdin="all of it\n") == "all of it\n"
    assert "command terminated with exit code 7" in cluster.kubectl(
        "exec", pod, "--", "sh", "-c", "exit 7", check=False
    )


def test_exec_with_a_terminal(cluster: LocalCluster) -> None:
    import pty

    leader, follower = pty.openpty()
    words = [
        find_kubectl() or "kubectl",
        "exec",
        "-it",
        web_pods(cluster)[0],
        "--",
        "sh",
        "-c",
        "tty; read x; echo got-$x",
    ]
    process = subprocess.Popen(
        words, env=cluster.environment, stdin=follower, stdout=follower, stderr=follower, close_fds=True
    )
    os.close(follower)
    said = b""
    while b"/dev/pts" not in said:
        said += os.read(leader, 1024)
    os.write(leader, b"typed\n")
    while b"got-typed" not in said:
        said += os.read(leader, 1024)
    assert process.wait(20) == 0
    os.close(leader)


@pytest.mark.parametrize("websockets", ["true", "false"])
def test_a_pods_input_is_what_is_piped_in(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch, websockets: str
) -> None:
    monkeypatch.setitem(cluster.environment, "KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets)
    words = ("run", "piped", "--image=guestbook:1", "--image-pull-policy=Never", "--rm", "-i", "--restart=Never")
    said = cluster.kubectl(*words, "--", "cat", stdin="data\n", timeout=30)
    assert "data\n" in said and 'pod "piped" deleted' in said
    # Without stdinOnce only the attachment ends.
    container = {"name": "reads", "image": "guestbook:1", "imagePullPolicy": "Never", "command": ["cat"], "stdin": True}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    pod = orjson.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "reads"}, "spec": spec}).decode()
    cluster.kubectl("apply", "-f", "-", stdin=pod)
    cluster.kubectl("wait", "pod/reads", "--for=condition=Ready", "--timeout=30s")
    for _ in range(2):
        cluster.kubectl("attach", "-i", "reads", stdin="x\n", timeout=20)
    cluster.wait(lambda: cluster.kubectl("logs", "reads") == "x\nx\n")
    cluster.kubectl("delete", "pod", "reads")


def test_the_api_server_proxies_to_services_pods_and_nodes(cluster: LocalCluster) -> None:
    base = "/api/v1/namespaces/default"
    for what in (
        "services/guestbook",
        "services/guestbook:http",
        "services/http:guestbook:80",
        f"pods/{web_pods(cluster)[0]}:http",
    ):
        assert "Heeler" in cluster.kubectl("get", "--raw", f"{base}/{what}/proxy/")
    assert cluster.kubectl("get", "--raw", f"/api/v1/nodes/{cluster.name}-node-0/proxy/healthz") == "ok"
    failed = cluster.kubectl("get", "--raw", f"{base}/pods/{web_pods(cluster)[0]}:81/proxy/", check=False)
    assert "error trying to reach service: dial tcp" in failed
    assert "connect: connection refused" in failed


def test_killed_container_comes_back(cluster: LocalCluster) -> None:
    pod = web_pods(cluster)[1]
    cluster.kubectl("exec", pod, "--", "sh", "-c", "kill 1", check=False)  # it may take the shell along

    def restarted() -> bool:
        status = cluster.get("pod", pod)["status"]["containerStatuses"][0]
        return bool(status["restartCount"] >= 1 and status["ready"])

    cluster.wait(restarted, 40)
    state = cluster.get("pod", pod)["status"]["containerStatuses"][0]["lastState"]
    assert "terminated" in state


def test_deleted_pod_is_replaced_and_its_address_leaves_the_service(cluster: LocalCluster) -> None:
    gone = web_pods(cluster)[2]
    cluster.kubectl("delete", "pod", gone)
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert gone not in web_pods(cluster) and len(web_pods(cluster)) == 3
    assert all(gone not in page(cluster) for _ in range(10))


def test_pods_reach_the_api_server_with_their_account(cluster: LocalCluster) -> None:
    script = """
        cd /var/run/secrets/kubernetes.io/serviceaccount
        cat namespace; echo; wc -c < token; head -1 ca.crt
        for i in 1 2 3 4 5; do
          timeout 2 nc $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT < /dev/null && echo connected && break
          sleep 1
        done"""
    container = {"name": "asks", "image": "guestbook:1", "imagePullPolicy": "Never", "command": ["sh", "-c", script]}
    spec = {"restartPolicy": "Never", "containers": [container]}
    pod = orjson.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "asks"}, "spec": spec}).decode()
    cluster.kubectl("apply", "-f", "-", stdin=pod)
    cluster.kubectl("wait", "pod/asks", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=30s")
    lines = cluster.kubectl("logs", "asks").split()
    assert lines[0] == "default" and int(lines[1]) > 500 and "connected" in lines and "BEGIN" in " ".join(lines)
    cluster.kubectl("delete", "pod", "asks")


def test_memory_limit_kills_what_takes_more(cluster: LocalCluster) -> None:
    pod = """{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "greedy"}, "spec": {"restartPolicy": "Never",
      "containers": [{"name": "greedy", "image": "guestbook:1", "imagePullPolicy": "Never",
      "command": ["sh", "-c", "tail /dev/zero"], "resources": {"limits": {"memory": "16Mi"}}}]}}"""
    cluster.kubectl("apply", "-f", "-", stdin=pod)
    cluster.kubectl("wait", "pod/greedy", "--for=jsonpath={.status.phase}=Failed", "--timeout=40s")
    state = cluster.get("pod", "greedy")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (state["reason"], state["exitCode"]) == ("OOMKilled", 137)
    cluster.kubectl("delete", "pod", "greedy")


def test_missing_image_says_so(cluster: LocalCluster) -> None:
    pod = """{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "nowhere"}, "spec": {"containers": [
      {"name": "nowhere", "image": "not-here:1", "imagePullPolicy": "Never"}]}}"""
    cluster.kubectl("apply", "-f", "-", stdin=pod)
    cluster.wait(lambda: "ErrImageNeverPull" in cluster.kubectl("get", "pod", "nowhere"))
    cluster.kubectl("delete", "pod", "nowhere", "--grace-period=1")


def test_containers_outlive_a_killed_agent_and_control_plane(cluster: LocalCluster) -> None:
    before = {
        p["metadata"]["name"]: p["status"]["containerStatuses"][0]["containerID"] for p in cluster.get("pods")["items"]
    }
    cluster.kubectl("create", "configmap", "acknowledged", "--from-literal=a=1")
    components = ("node-book-node-0", "control-plane")
    killed = [cluster.pid(component) for component in components]
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    cluster.wait(lambda: not {*killed} & {*map(cluster.pid, components)})  # the supervisor sees to it
    cluster.wait(
        lambda: cluster.kubectl("get", "configmap", "acknowledged", "-o", "jsonpath={.data.a}", check=False) == "1"
    )
    time.sleep(3)
    after = {
        p["metadata"]["name"]: p["status"]["containerStatuses"][0]["containerID"] for p in cluster.get("pods")["items"]
    }
    assert after == before
    cluster.wait(lambda: answers(cluster))


def test_containers_run_on_when_another_version_takes_over(cluster: LocalCluster) -> None:
    def containers() -> dict[str, str]:
        pods = cluster.get("pods")["items"]
        return {p["metadata"]["name"]: p["status"]["containerStatuses"][0]["containerID"] for p in pods}

    before, agent = containers(), cluster.pid("node-book-node-0")
    for component in ("node-book-node-0", "control-plane"):
        (cluster.layout / "run" / f"{component}.version").write_text("0.0.1\n")
    cluster.up()
    assert cluster.pid("node-book-node-0") != agent
    assert containers() == before
    cluster.wait(lambda: answers(cluster))


def test_what_cannot_be_reached_is_told_in_upstreams_words(cluster: LocalCluster) -> None:
    pod = web_pods(cluster)[0]
    forwarding = cluster.start_kubectl("port-forward", pod, ":9")
    assert forwarding.stdout is not None
    port = int(forwarding.stdout.readline().split()[2].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as made:
        assert made.recv(1) == b""
    forwarding.terminate()
    said = forwarding.communicate()[0]
    assert said.lower().count("an error occurred forwarding") == said.count("error forwarding port 9 to pod ") == 1, (
        said
    )
    assert "IPv4: dial tcp4 127.0.0.1:9: connect: connection refused IPv6" in said
    for component in ("supervisor", "node-book-node-0"):  # it would start the agent again
        os.kill(cluster.pid(component), signal.SIGKILL)
    time.sleep(0.2)
    refused = r"dial tcp 127\.0\.0\.1:\d+: connect: connection refused\n$"
    said = cluster.kubectl("exec", pod, "--", "true", check=False)
    told = "(Error from server|error: unable to upgrade connection)"  # kubectl before 1.37, and since
    assert re.match(f"{told}: error dialing backend: {refused}", said), said
    said = cluster.kubectl("logs", pod, check=False)
    assert re.match(f'Error from server: Get "https://[^"]*/containerLogs/[^"]*": {refused}', said), said
    cluster.up()


def test_down_and_up_keep_the_data(cluster: LocalCluster) -> None:
    cluster.heeler("down", "--name", "book")
    assert cluster.heeler("status", "--name", "book", check=False).returncode == 3
    cluster.up()
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    cluster.wait(lambda: answers(cluster))


KEEPER = """
{"apiVersion": "v1", "kind": "List", "items": [
  {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "kept"},
   "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}},
  {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "keeper"}, "spec": {
   "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "kept"}}, {"name": "e", "emptyDir": {}}],
   "containers": [{"name": "c", "image": "guestbook:1",
    "command": ["sh", "-c", "date >> /v/starts; date >> /e/starts; sleep 1000"],
    "volumeMounts": [{"name": "v", "mountPath": "/v"}, {"name": "e", "mountPath": "/e"}]}]}}]}
"""


def test_after_a_reboot_up_brings_back_pods_with_their_data(cluster: LocalCluster) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=KEEPER)
    cluster.kubectl("wait", "pod/keeper", "--for=condition=Ready", "--timeout=60s")
    before = cluster.get("pod", "keeper")
    _reboot(cluster)
    cluster.up()
    cluster.wait(lambda: _starts(cluster, "/v/starts") == _starts(cluster, "/e/starts") == 2)
    after = cluster.get("pod", "keeper")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 1
    assert "SandboxChanged" in cluster.kubectl("get", "events", "--field-selector", "involvedObject.name=keeper")
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    cluster.wait(lambda: answers(cluster))
    pods = cluster.get("pods")["items"]
    assert len({p["status"]["podIP"] for p in pods}) == len(pods)
    cluster.kubectl("delete", "pod/keeper", "pvc/kept", "--grace-period=1")


def _starts(cluster: LocalCluster, path: str) -> int:
    return cluster.kubectl("exec", "keeper", "--", "cat", path, check=False).count("UTC")


def _reboot(cluster: LocalCluster) -> None:
    """What a reboot leaves: the disk, and process ids that are somebody else's by now."""
    layout = Layout(cluster.layout)
    for component in ("supervisor", "control-plane", "node-book-node-0"):
        os.kill(cluster.pid(component), signal.SIGKILL)
        layout.pid_file(component).write_text(f"{os.getpid()}\n")
    spec = layout.load()
    assert spec is not None
    node = options(layout, spec, "book-node-0")
    asyncio.run(remove_cluster(node, SystemClock(), [node], data=False))
    assert left_over("book") == []


def test_status_says_where_a_service_is_published(cluster: LocalCluster) -> None:
    found = orjson.loads(cluster.heeler("status", "--name", cluster.name, "-o", "json").stdout)["clusters"][0]
    services = {(one["namespace"], one["service"]): one["address"] for one in found["published"]}
    assert services["default", "guestbook"].startswith("127.0.0.1:")
    assert f"service default/guestbook {services['default', 'guestbook']}" in " ".join(
        cluster.heeler("status", "--name", cluster.name).stdout.split()
    )
