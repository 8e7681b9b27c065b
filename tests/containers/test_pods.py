"""Pods on a real node: from their creation to their end."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from heeler.base.clock import SystemClock
from heeler.base.processes import check
from heeler.kubelet.pods.config import POD_NAME, Dns, sandbox
from heeler.kubelet.pods.worker import PODS
from heeler.kubelet.runtime import containerd, leftovers
from heeler.kubelet.runtime.cri import RuntimeFault
from heeler.kubelet.strays import PATIENCE, Strays
from tests.containers.node import WAIT, pod, started


def test_a_pod_runs_tells_its_status_and_ends(cluster: str, tmp_path: Path, archive: Path) -> None:
    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            resources = {"limits": {"memory": "64Mi", "cpu": "200m"}, "requests": {"cpu": "50m", "memory": "64Mi"}}
            node.api.put("pods", pod("web", f"echo hello from $HOSTNAME; {WAIT}", container={"resources": resources}))
            status = await node.phase("web", "Running")
            assert status["podIP"].startswith("10.244.0.")
            assert {c["type"]: c["status"] for c in status["conditions"]} == dict.fromkeys(
                ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"), "True"
            )
            assert await node.get("/containerLogs/default/web/c") == (200, "hello from web\n")
            limits = await node.run_in("web", "cat /proc/self/cgroup; cat /etc/hosts")
            uid = node.api.find("pods", "web", "default")["metadata"]["uid"]
            assert f"/heeler.{cluster}/n0/pods/burstable/pod{uid}/" in limits
            assert f"{status['podIP']}\tweb\n" in limits
            reasons = [reason for reason, _ in node.events("web") if reason != "MissingClusterDNS"]
            assert reasons == ["Pulled", "Created", "Started"]
            await node.delete("web")
            assert ("Killing", "Stopping container c") in node.events("web")
            assert not list(node.options.pods_dir.iterdir())
            assert node.node.runtime is not None
            assert await node.node.runtime.sandboxes() == []

    asyncio.run(main())


def test_crashes_are_restarted_with_a_back_off_and_remembered(cluster: str, tmp_path: Path, archive: Path) -> None:
    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            node.api.put("pods", pod("crash", "echo last words > /dev/termination-log; echo dying; exit 7"))
            await node.until(lambda: "CrashLoopBackOff" in str(node.container("crash").get("state")))
            shown = node.container("crash")
            assert shown["restartCount"] == 1
            ended = shown["lastState"]["terminated"]
            assert (ended["exitCode"], ended["reason"], ended["message"]) == (7, "Error", "last words\n")
            assert await node.get("/containerLogs/default/crash/c?previous=true") == (200, "dying\n")
            await node.until(lambda: "BackOff" in dict(node.events("crash")))

    asyncio.run(main())


def test_init_containers_run_first_and_jobs_complete(cluster: str, tmp_path: Path, archive: Path) -> None:
    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            mounts = [{"name": "shared", "mountPath": "/shared"}]
            init = {
                "name": "i",
                "image": "busybox:1",
                "command": ["sh", "-c", "echo 42 > /shared/x"],
                "volumeMounts": mounts,
            }
            wanted = pod(
                "job",
                'test "$(cat /shared/x)" = 42',
                container={"volumeMounts": mounts},
                initContainers=[init],
                restartPolicy="Never",
                volumes=[{"name": "shared", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}],
            )
            node.api.put("pods", wanted)
            status = await node.phase("job", "Succeeded")
            assert status["initContainerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
            node.api.put("pods", pod("fails", "exit 3", restartPolicy="Never"))
            assert (await node.phase("fails", "Failed"))["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3

    asyncio.run(main())


def test_an_ephemeral_container_joins_a_running_pod(cluster: str, tmp_path: Path, archive: Path) -> None:
    """As `kubectl debug --target` adds it: beside its target, in its process namespace, never ready, never restarted."""

    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            made = node.api.put("pods", pod("a", f": the-target; {WAIT}"))
            await node.ready("a")
            before = node.container("a")["containerID"]
            script = "cat /proc/1/cmdline | tr '\\0' ' '; echo; exit 7"
            debugger = {"name": "d", "image": "busybox:1", "command": ["sh", "-c", script], "targetContainerName": "c"}
            pod_now = node.api.find("pods", "a", "default")
            node.api.put("pods", {**pod_now, "spec": {**made["spec"], "ephemeralContainers": [debugger]}})

            def ended() -> bool:
                found = node.status("a").get("ephemeralContainerStatuses") or [{}]
                return "terminated" in (found[0].get("state") or {})

            await node.until(ended)
            found = node.status("a")["ephemeralContainerStatuses"][0]
            assert (found["ready"], found["restartCount"], "started" in found) == (False, 0, False)
            assert found["state"]["terminated"]["exitCode"] == 7
            code, said = await node.get("/containerLogs/default/a/d")
            assert code == 200 and "the-target" in said
            await asyncio.sleep(1)
            assert node.status("a")["phase"] == "Running"
            assert node.container("a")["containerID"] == before
            assert node.status("a")["ephemeralContainerStatuses"][0]["restartCount"] == 0

    asyncio.run(main())


def test_volumes_show_objects_and_follow_their_changes(cluster: str, tmp_path: Path, archive: Path) -> None:
    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            meta = {"namespace": "default"}
            node.api.put("configmaps", {"metadata": {"name": "c", **meta}, "data": {"k": "v1"}})
            hush = base64.b64encode(b"hush").decode()
            node.api.put("secrets", {"metadata": {"name": "s", **meta}, "data": {"p": hush}})
            projected = {"sources": [{"serviceAccountToken": {"path": "token"}}, {"configMap": {"name": "c"}}]}
            wanted = pod(
                "vols",
                WAIT,
                container={
                    "env": [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "s", "key": "p"}}}],
                    "volumeMounts": [{"name": n, "mountPath": f"/{n}"} for n in ("cm", "sec", "proj", "down")],
                },
                volumes=[
                    {"name": "cm", "configMap": {"name": "c"}},
                    {"name": "sec", "secret": {"secretName": "s", "defaultMode": 0o400}},
                    {"name": "proj", "projected": projected},
                    {
                        "name": "down",
                        "downwardAPI": {"items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]},
                    },
                ],
            )
            node.api.put("pods", wanted)
            await node.phase("vols", "Running")
            script = "cat /cm/k; echo; cat /sec/p; echo; cat /proj/token; echo; cat /down/n; echo; echo $P"
            assert (await node.run_in("vols", script)).split() == ["v1", "hush", "token-of-default", "vols", "hush"]
            node.api.put("configmaps", {"metadata": {"name": "c", **meta}, "data": {"k": "v2"}})
            worker = next(iter(node.node.agent.workers.values()))
            await worker.operations.refresh_volumes(0.0)
            assert await node.run_in("vols", "cat /cm/k /proj/k") == "v2v2"

    asyncio.run(main())


def test_what_is_missing_holds_a_pod_back_until_it_is_there(cluster: str, tmp_path: Path, archive: Path) -> None:
    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            node.api.put("pods", pod("late", WAIT, volumes=[{"name": "v", "configMap": {"name": "later"}}]))
            await node.until(lambda: "FailedMount" in dict(node.events("late")))
            text = 'MountVolume.SetUp failed for volume "v" : configmap "later" not found'
            assert dict(node.events("late"))["FailedMount"] == text
            assert node.container("late")["state"] == {"waiting": {"reason": "ContainerCreating"}}
            node.api.put("configmaps", {"metadata": {"name": "later", "namespace": "default"}, "data": {}})
            await node.phase("late", "Running")
            node.api.put("pods", pod("odd", WAIT, hostUsers=False))
            await node.until(
                lambda: (node.container("odd").get("state") or {}).get("waiting", {}).get("reason") == "Unsupported"
            )

    asyncio.run(main())


def test_probes_decide_on_readiness_and_restarts(cluster: str, tmp_path: Path, archive: Path) -> None:
    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            serve = "mkdir -p /www; echo ok > /www/ok; httpd -p 8080 -h /www; sleep 1; touch /tmp/ready; " + WAIT
            get = {"httpGet": {"path": "/ok", "port": 8080}}
            probes = {
                "startupProbe": get,
                "readinessProbe": {"exec": {"command": ["cat", "/tmp/ready"]}, "periodSeconds": 1},
                "livenessProbe": {**get, "periodSeconds": 1, "failureThreshold": 1},
            }
            node.api.put("pods", pod("probed", serve, container=probes))
            await node.phase("probed", "Running")
            assert not node.container("probed")["ready"]
            await node.ready("probed")
            await node.run_in("probed", "rm /www/ok")
            await node.until(lambda: node.container("probed")["restartCount"] == 1)
            events = node.events("probed")
            assert ("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 404") in events
            assert ("Killing", "Container c failed liveness probe, will be restarted") in events
            await node.ready("probed")

    asyncio.run(main())


def test_containers_outlive_the_agent_and_containerd(cluster: str, tmp_path: Path, archive: Path) -> None:
    async def main() -> None:
        async with started(cluster, tmp_path, archive, keep_pods=True) as node:
            node.api.put("pods", pod("stays", WAIT))
            before = (await node.phase("stays", "Running"))["containerStatuses"][0]["containerID"]
            await node.stop()
            pid = containerd.running(node.node.paths)
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            again = type(node)(node.options, node.api, archive, tmp_path)
            await again.start()
            try:
                await again.ready("stays")
                assert again.container("stays")["containerID"] == before
                assert again.container("stays")["restartCount"] == 0
                # A pod that was deleted meanwhile is cleaned up as well.
                await again.delete("stays")
                assert again.node.runtime is not None
                assert await again.node.runtime.sandboxes({POD_NAME: "stays"}) == []
            finally:
                await again.stop()

    asyncio.run(main())


def test_pods_run_on_and_are_restarted_while_the_api_server_is_away(
    cluster: str, tmp_path: Path, archive: Path
) -> None:
    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            probe = {
                "livenessProbe": {"exec": {"command": ["cat", "/tmp/ok"]}, "periodSeconds": 1, "failureThreshold": 1}
            }
            node.api.put("pods", pod("a", f"touch /tmp/ok; {WAIT}", container=probe))
            node.api.put("pods", pod("b", WAIT))
            for name in ("a", "b"):
                await node.ready(name)
            kept = node.container("b")["containerID"]
            node.api.cut()
            await node.run_in("a", "rm /tmp/ok")
            worker = next(w for w in node.node.agent.workers.values() if w.pod["metadata"]["name"] == "a")
            await node.until(lambda: any(c.attempt == 1 and c.state == "running" for c in worker.view.containers))
            assert node.container("a")["restartCount"] == 0, "nobody could be told yet"
            del node.api.objects["pods", "default", "b"]  # deleted there meanwhile
            node.api.put("pods", pod("c", WAIT))
            node.api.reachable = True
            await node.until(lambda: node.container("a").get("restartCount") == 1)
            for name in ("a", "c"):
                await node.ready(name)
            await node.until(lambda: kept not in str([w.view for w in node.node.agent.workers.values()]))

    asyncio.run(main())


def test_a_pod_deleted_by_force_is_gone_from_the_node_too(cluster: str, tmp_path: Path, archive: Path) -> None:
    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            node.api.put("pods", pod("stubborn", "trap '' TERM; while :; do sleep 0.1; done"))
            await node.phase("stubborn", "Running")
            await node.delete("stubborn", grace=0)
            await node.until(lambda: not node.node.agent.workers)

    asyncio.run(main())


def test_hooks_run_after_the_start_and_before_the_end(cluster: str, tmp_path: Path, archive: Path) -> None:
    async def main() -> None:
        shared = tmp_path / "shared"
        shared.mkdir(mode=0o777)
        async with started(cluster, tmp_path, archive) as node:
            hooks = {
                "postStart": {"exec": {"command": ["sh", "-c", "echo up >> /shared/told"]}},
                "preStop": {"exec": {"command": ["sh", "-c", "echo down >> /shared/told"]}},
            }
            end = "trap 'echo end >> /shared/told; exit 0' TERM; while :; do sleep 0.1; done"
            mounts = [{"name": "s", "mountPath": "/shared"}]
            volume = {"name": "s", "hostPath": {"path": str(shared), "type": "Directory"}}
            container = {"lifecycle": hooks, "volumeMounts": mounts}
            node.api.put("pods", pod("hooked", end, container=container, volumes=[volume]))
            await node.until(lambda: (shared / "told").exists())
            await node.phase("hooked", "Running")
            await node.delete("hooked")
            assert (shared / "told").read_text().split() == ["up", "down", "end"]

    asyncio.run(main())


def test_memory_beyond_the_limit_is_told_as_such(cluster: str, tmp_path: Path, archive: Path) -> None:
    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            resources = {"limits": {"memory": "16Mi"}}
            hungry = "x=0123456789abcdef; while :; do x=$x$x; done"
            node.api.put("pods", pod("hungry", hungry, container={"resources": resources}, restartPolicy="Never"))
            ended = (await node.phase("hungry", "Failed"))["containerStatuses"][0]["state"]["terminated"]
            assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)

    asyncio.run(main())


def test_a_shorter_grace_period_counts_from_then(cluster: str, tmp_path: Path, archive: Path) -> None:
    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            stubborn = pod("stubborn", "trap '' TERM; while :; do sleep 0.1; done", terminationGracePeriodSeconds=600)
            node.api.put("pods", stubborn)
            await node.phase("stubborn", "Running")
            await node.api.delete(PODS, "stubborn", "default")
            await node.until(lambda: "Killing" in dict(node.events("stubborn")))
            await node.delete("stubborn", grace=1)

    asyncio.run(main())


def test_containerd_and_sandboxes_that_die_come_back(cluster: str, tmp_path: Path, archive: Path) -> None:
    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            node.api.put("pods", pod("a", WAIT))
            before = (await node.phase("a", "Running"))["containerStatuses"][0]["containerID"]
            pid = containerd.running(node.node.paths)
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await node.until(lambda: containerd.running(node.node.paths) not in (None, pid))
            runtime = node.node.runtime
            assert runtime is not None
            for _ in range(200):
                try:
                    [sandbox] = await runtime.sandboxes({POD_NAME: "a"})
                    break
                except RuntimeFault:
                    await asyncio.sleep(0.05)
            assert node.container("a")["containerID"] == before
            status = await runtime.sandbox_status(sandbox.id, verbose=True)
            os.kill(int(json.loads(status.info["info"])["pid"]), signal.SIGKILL)
            await node.until(lambda: node.container("a").get("restartCount") == 1)
            await node.ready("a")
            assert "SandboxChanged" in dict(node.events("a"))
            assert await node.run_in("a", "echo up") == "up\n"

    asyncio.run(main())


def test_a_sandbox_that_comes_back_after_its_pod_is_gone_is_removed(
    cluster: str, tmp_path: Path, archive: Path
) -> None:
    """A start that was under way when containerd died may come back with it."""

    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            runtime = node.node.runtime
            assert runtime is not None
            stranger = {
                "metadata": {"name": "gone", "namespace": "default", "uid": "nobody"},
                "spec": {"containers": []},
            }
            groups = node.node.agent.context.cgroups
            settings = sandbox(stranger, 0, node.options.node, tmp_path, groups.pod(stranger), Dns((), "", (), (), ()))
            groups.make(stranger)
            await runtime.run_sandbox(settings)
            for _ in range(100):
                if not await runtime.sandboxes():
                    break
                await asyncio.sleep(0.1)
            assert await runtime.sandboxes() == []
            await node.until(lambda: not [g for g in groups.left() if g.endswith("nobody")])

    asyncio.run(main())


def test_what_broken_starts_left_is_cleared_and_pods_are_not(cluster: str, tmp_path: Path, archive: Path) -> None:
    """A shim, its task, a network namespace and an address, all of a sandbox that nobody knows; and a start under way."""

    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            node.api.put("pods", pod("a", WAIT))
            before = (await node.phase("a", "Running"))["containerStatuses"][0]["containerID"]
            options, runtime = node.options, node.node.runtime
            assert runtime is not None
            nobody = "0" * 64
            words = f"-namespace k8s.io -id {nobody} -address {options.containerd_socket}".split()
            shim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)", *words])  # noqa: ASYNC220 (it sleeps)
            task = node.node.paths.task_state / nobody
            (task / "rootfs").mkdir(parents=True)
            await check(["mount", "-t", "tmpfs", "none", str(task / "rootfs")])
            address = options.state / "addresses" / "heeler" / "10.244.0.250"
            address.write_text(f"{nobody}\r\neth0")
            space = node.node.paths.state / "run" / leftovers.NAMESPACES / "cni-nobody"
            space.touch()
            await check(["unshare", f"--net={space}", "true"])

            strays = Strays(options, node.node.paths, runtime, SystemClock())
            runtime.under_way.add(0)  # a start that nobody has answered: these might be its own
            for number in range(3):
                await strays.look(number * PATIENCE)
            assert {stray.sort for stray in strays.seen} == {"shim", "task", "address", "namespace"}
            assert shim.poll() is None and task.exists() and address.exists() and space.exists()
            runtime.under_way.clear()
            await strays.look(3 * PATIENCE)
            assert shim.wait(10) == -signal.SIGKILL
            assert not task.exists() and not address.exists() and not space.exists()
            await asyncio.sleep(1)
            assert node.container("a")["containerID"] == before
            assert node.container("a")["restartCount"] == 0

    asyncio.run(main())


def test_what_has_ended_stays_so_when_the_agent_starts_anew(cluster: str, tmp_path: Path, archive: Path) -> None:
    async def main() -> None:
        async with started(cluster, tmp_path, archive, keep_pods=True) as node:
            node.api.put("pods", pod("done", "exit 0", restartPolicy="Never"))
            node.api.put("pods", pod("big", WAIT, container={"resources": {"requests": {"cpu": "10k"}}}))
            await node.phase("done", "Succeeded")
            assert (await node.phase("big", "Failed"))["reason"] == "OutOfcpu"
            assert node.node.runtime is not None
            while sandboxes := await node.node.runtime.sandboxes():
                for sandbox in sandboxes:
                    with contextlib.suppress(RuntimeFault):  # the agent may be stopping it at this moment
                        await node.node.runtime.stop_sandbox(sandbox.id)
                        await node.node.runtime.remove_sandbox(sandbox.id)
                await asyncio.sleep(0.05)
            before = node.status("done"), node.status("big")
            await node.stop()
            again = type(node)(node.options, node.api, archive, tmp_path)
            await again.start()
            try:
                await again.until(lambda: len(again.node.agent.workers) == 2)
                await asyncio.sleep(1)
                assert again.node.runtime is not None
                assert await again.node.runtime.sandboxes() == []
                assert [again.status(n)["phase"] for n in ("done", "big")] == [s["phase"] for s in before]
                assert again.status("big")["reason"] == "OutOfcpu"
                assert again.status("done")["containerStatuses"] == before[0]["containerStatuses"]
            finally:
                await again.stop()

    asyncio.run(main())


def test_resources_change_in_place(cluster: str, tmp_path: Path, archive: Path) -> None:
    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            small = {"limits": {"cpu": "100m", "memory": "32Mi"}, "requests": {"cpu": "100m", "memory": "32Mi"}}
            large = {"limits": {"cpu": "300m", "memory": "64Mi"}, "requests": {"cpu": "100m", "memory": "32Mi"}}
            node.api.put("pods", pod("a", WAIT, container={"resources": small}))
            await node.phase("a", "Running")
            assert node.container("a")["resources"] == small
            for wanted in (large, small):
                changed = node.api.find("pods", "a", "default")
                changed["spec"]["containers"][0]["resources"] = wanted
                node.api.put("pods", changed)
                await node.until(lambda wanted=wanted: node.container("a")["resources"] == wanted)  # type: ignore[misc]
            assert node.container("a")["restartCount"] == 0
            assert "ResizeError" not in dict(node.events("a"))

    asyncio.run(main())
