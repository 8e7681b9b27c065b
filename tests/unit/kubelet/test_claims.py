"""Claims are followed to the node's folder, and what keeps them from it is said as upstream says it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from heeler.kubelet.pods import claims
from heeler.kubelet.sources import Fetched
from heeler.objects.value import Object
from heeler.workloads import local_path

NODE: Object = {"metadata": {"name": "n0", "labels": {"kubernetes.io/hostname": "n0"}}}
POD: Object = {
    "metadata": {"name": "p", "namespace": "default", "uid": "pod-uid"},
    "spec": {
        "containers": [{"name": "c", "volumeMounts": [{"name": "data", "mountPath": "/d"}]}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "d"}}, {"name": "e", "emptyDir": {}}],
    },
}


def claim(**more: Any) -> Object:
    made = {"metadata": {"name": "d", "uid": "c1"}, "spec": {"volumeName": "pv"}, "status": {"phase": "Bound"}}
    return {**made, **more}


def volume(**spec: Any) -> Object:
    return {"metadata": {"name": "pv", "annotations": {}}, "spec": {"claimRef": {"uid": "c1"}, **spec}}


def resolve(pod: Object, the_claim: Object | None, the_volume: Object | None, name: str = "d") -> list[Object]:
    fetched = Fetched({("claim", name): the_claim, ("volume", "pv"): the_volume})
    found: list[Object] = claims.resolve(pod, fetched, NODE, Path("/folder"))["spec"]["volumes"]
    return found


def test_a_bound_claim_becomes_the_folder_of_its_volume() -> None:
    found = resolve(POD, claim(), volume(hostPath={"path": "/srv", "type": "Directory"}))
    assert found[0]["persistent"]["path"] == "/srv"
    assert (found[0]["persistent"]["type"], found[0]["persistent"]["group"]) == ("Directory", False)
    assert found[1] == {"name": "e", "emptyDir": {}}


def test_a_volume_of_the_local_provisioner_stands_in_the_node_s_own_folder_whatever_its_path_says() -> None:
    wanted = volume(local={"path": "/elsewhere"})
    wanted["metadata"]["annotations"] = {local_path.PROVISIONED_BY: local_path.PROVISIONER}
    found = resolve(POD, claim(), wanted)[0]["persistent"]
    assert (found["path"], found["make"], found["group"]) == ("/folder/pv", True, True)


@pytest.mark.parametrize(
    ("the_claim", "the_volume", "text"),
    [
        (None, None, 'failed to fetch PVC from API server: persistentvolumeclaims "d" not found'),
        (claim(status={"phase": "Pending"}), None, "error processing PVC default/d: PVC is not bound"),
        (
            claim(metadata={"name": "d", "uid": "c1", "deletionTimestamp": "2026-01-01T00:00:00Z"}),
            None,
            "PVC is being deleted",
        ),
        (claim(), volume(claimRef={"uid": "other"}, hostPath={"path": "/x"}), "does not point to claim.UID c1"),
        (claim(), volume(nfs={"server": "s"}), "volumes of type nfs are not supported by this node"),
        (claim(), volume(local={"path": "/not/there"}), 'path "/not/there" does not exist'),
        (
            claim(),
            volume(
                hostPath={"path": "/x"},
                nodeAffinity={
                    "required": {
                        "nodeSelectorTerms": [
                            {
                                "matchExpressions": [
                                    {"key": "kubernetes.io/hostname", "operator": "In", "values": ["n9"]}
                                ]
                            }
                        ]
                    }
                },
            ),
            'MountVolume.NodeAffinity check failed for volume "pv" : no matching NodeSelectorTerms',
        ),
    ],
)
def test_what_keeps_a_claim_from_being_used_is_said(
    the_claim: Object | None, the_volume: Object | None, text: str
) -> None:
    with pytest.raises(claims.ClaimError, match="volume") as raised:
        resolve(POD, the_claim, the_volume)
    assert text in str(raised.value)


def test_an_ephemeral_volume_s_claim_must_be_the_pod_s_own() -> None:
    pod = {**POD, "spec": {**POD["spec"], "volumes": [{"name": "data", "ephemeral": {"volumeClaimTemplate": {}}}]}}
    with pytest.raises(claims.ClaimError, match="was not created for pod default/p"):
        resolve(pod, claim(), volume(hostPath={"path": "/x"}), "p-data")
    own = claim(metadata={"name": "p-data", "uid": "c1", "ownerReferences": [{"controller": True, "uid": "pod-uid"}]})
    assert resolve(pod, own, volume(hostPath={"path": "/x"}), "p-data")[0]["persistent"]["path"] == "/x"
