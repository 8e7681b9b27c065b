"""Volumes behind claims on a real node: waited for, written, kept, and removed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from heeler.kubelet.pods.volumes import mounts_below
from heeler.objects.value import Object
from heeler.workloads import local_path
from tests.containers.node import WAIT, pod, started


def claim(name: str) -> Object:
    return {"metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"}, "spec": {}, "status": {}}


def volume(name: str, of: str) -> Object:
    return {
        "metadata": {
            "name": name,
            "labels": {local_path.NODE_LABEL: "n0"},
            "annotations": {local_path.PROVISIONED_BY: local_path.PROVISIONER},
            "finalizers": [local_path.FINALIZER],
        },
        "spec": {"claimRef": {"uid": f"uid-{of}"}, "local": {"path": "/told/by/the/controller"}},
    }


def test_a_claim_s_data_outlives_its_pods_and_goes_with_its_volume(cluster: str, tmp_path: Path, archive: Path) -> None:
    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            mounts = [
                {"name": "data", "mountPath": "/data"},
                {"name": "data", "mountPath": "/mine", "subPathExpr": "$(ME)/logs"},
                {"name": "data", "mountPath": "/one", "subPath": "file"},
            ]
            env = [{"name": "ME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
            more = {
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "d"}}],
                "securityContext": {"fsGroup": 4321, "runAsUser": 1234},
            }
            script = f"echo kept >> /data/x; echo log > /mine/y; {WAIT}"
            node.api.put("persistentvolumeclaims", claim("d"))
            node.api.put("pods", pod("a", script, container={"volumeMounts": mounts, "env": env}, **more))
            await node.until(lambda: "FailedMount" in dict(node.events("a")))
            assert dict(node.events("a"))["FailedMount"] == (
                "Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[], failed to process "
                "volumes=[data]: error processing PVC default/d: PVC is not bound"
            )
            assert node.container("a")["state"] == {"waiting": {"reason": "ContainerCreating"}}
            node.api.put("persistentvolumes", volume("pv-d", "d"))
            bound = {**claim("d"), "spec": {"volumeName": "pv-d"}, "status": {"phase": "Bound"}}
            node.api.put("persistentvolumeclaims", bound)
            await node.phase("a", "Running")
            folder = node.options.local_path_dir / "pv-d"
            await node.until(lambda: (folder / "a" / "logs" / "y").exists())
            assert (folder / "x").stat().st_gid == 4321
            await node.delete("a")
            assert mounts_below(node.options.pods_dir) == []
            reading = {"volumeMounts": [{**mounts[0], "readOnly": True}]}
            node.api.put("pods", pod("b", f"exec 2>&1; cat /data/x; touch /data/z; {WAIT}", container=reading, **more))
            await node.phase("b", "Running")
            logs = await node.get("/containerLogs/default/b/c")
            assert logs[1].startswith("kept\n") and "Read-only file system" in logs[1]
            await node.delete("b")
            gone = volume("pv-d", "d")
            gone["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            node.api.put("persistentvolumes", gone)
            await node.until(lambda: not node.api.find("persistentvolumes", "pv-d", "")["metadata"].get("finalizers"))
            assert not folder.exists()

    asyncio.run(main())
