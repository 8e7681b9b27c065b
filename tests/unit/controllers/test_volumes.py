"""Which claim gets which volume, and what becomes of both: https://kubernetes.io/docs/concepts/storage/persistent-volumes/"""

from __future__ import annotations

from typing import Any

import pytest

from heeler.controllers import local_path as provisioner
from heeler.controllers import volume_plan as rules
from heeler.controllers.ephemeral_volume import wanted_claims
from heeler.controllers.volume_expand import wants_more
from heeler.controllers.volume_protection import guarded, users
from heeler.objects.value import name_of
from heeler.workloads import local_path, volumes


def claim(name: str = "d", size: str = "5Gi", *, notes: Any = None, status: Any = None, **spec: Any) -> dict[str, Any]:
    base = {"accessModes": ["ReadWriteOnce"], "storageClassName": "c", "resources": {"requests": {"storage": size}}}
    metadata = {
        "name": name,
        "namespace": "n",
        "uid": f"uid-{name}",
        "resourceVersion": "1",
        "annotations": notes or {},
    }
    return {"metadata": metadata, "spec": {**base, **spec}, "status": status or {"phase": "Pending"}}


def volume(name: str = "v", size: str = "10Gi", phase: str = "Available", *, notes: Any = None, **spec: Any) -> Any:
    base = {
        "capacity": {"storage": size},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "c",
        "persistentVolumeReclaimPolicy": "Retain",
    }
    metadata = {"name": name, "uid": f"uid-{name}", "annotations": notes or {}, "labels": {}}
    return {"metadata": metadata, "spec": {**base, **spec}, "status": {"phase": phase}}


def reserved(name: str = "d", uid: str = "uid-d") -> dict[str, str]:
    return {"namespace": "n", "name": name, **({"uid": uid} if uid else {})}


LATE = {"metadata": {"name": "c"}, "provisioner": "x.example.com", "volumeBindingMode": "WaitForFirstConsumer"}
NOW = {"metadata": {"name": "c"}, "provisioner": "x.example.com", "volumeBindingMode": "Immediate"}


@pytest.mark.parametrize(
    ("known", "chosen"),
    [
        ([volume("big", "20Gi"), volume("small", "6Gi"), volume("tiny", "1Gi")], "small"),
        ([volume("many", "5Gi", accessModes=["ReadWriteOnce", "ReadOnlyMany"]), volume("few", "9Gi")], "few"),
        ([volume("other", storageClassName="x")], None),
        ([volume("block", volumeMode="Block")], None),
        ([volume("gone", phase="Released"), volume("new", phase="Pending")], None),
        ([volume("shared", accessModes=["ReadOnlyMany"])], None),
        ([volume("mine", "50Gi", claimRef=reserved(uid="")), volume("free", "5Gi")], "mine"),
        ([volume("theirs", claimRef=reserved("x", "uid-x"))], None),
        ([volume("again", claimRef=reserved("d", "an-older-one"))], None),
    ],
)
def test_the_best_volume_is_chosen(known, chosen):
    step = rules.plan_claim(claim(), known, NOW, [])
    assert (None if step.bind is None else name_of(step.bind)) == chosen


def test_a_volume_for_a_pod_that_waits_is_the_smallest_whatever_else_it_can():
    node = {"metadata": {"name": "a"}}
    known = [volume("few", "9Gi"), volume("many", "5Gi", accessModes=["ReadWriteOnce", "ReadOnlyMany"])]
    found = volumes.best_match(claim(), known, node=node)
    assert found is not None and name_of(found) == "many"


def test_a_late_class_waits_for_a_pod_and_then_asks_its_provisioner():
    step = rules.plan_claim(claim(), [volume()], LATE, [])
    assert step.bind is None
    assert step.event.reason == "WaitForFirstConsumer"
    pod = {"metadata": {"name": "p"}, "spec": {}, "status": {}}
    assert rules.plan_claim(claim(), [], LATE, [pod]).event.message == "waiting for pod p to be scheduled"
    step = rules.plan_claim(claim(notes={volumes.SELECTED_NODE: "a"}), [], LATE, [])
    assert (step.provisioner, step.event.reason) == ("x.example.com", "ExternalProvisioning")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (volume("v", "1Gi"), 'Cannot bind to requested volume "v": requested PV is too small'),
        (volume("v", storageClassName="x"), 'Cannot bind to requested volume "v": storageClassName does not match'),
        (volume("v", volumeMode="Block"), 'Cannot bind to requested volume "v": incompatible volumeMode'),
        (volume("v", accessModes=["ReadOnlyMany"]), 'Cannot bind to requested volume "v": incompatible accessMode'),
    ],
)
def test_a_volume_that_is_asked_for_by_name_must_do(found, message):
    assert rules.plan_claim(claim(volumeName="v"), [found], NOW, []).event.message == message


@pytest.mark.parametrize(
    ("found", "known", "step"),
    [
        (volume(), None, ("Available", None, False)),
        (volume(claimRef=reserved(uid="")), claim(), ("Available", None, False)),
        (volume(claimRef=reserved()), claim(volumeName="v"), ("Bound", None, False)),
        (volume(claimRef=reserved(), phase="Bound"), None, ("Released", None, False)),
        (volume(claimRef=reserved("d", "older"), phase="Bound"), claim(), ("Released", None, False)),
        (volume(claimRef=reserved()), claim(volumeName="another"), ("", False, False)),
        (
            volume(claimRef=reserved(), notes={volumes.BOUND_BY_CONTROLLER: "yes"}),
            claim(volumeName="another"),
            ("", True, False),
        ),
    ],
)
def test_what_a_volume_becomes(found, known, step):
    planned = rules.plan_volume(found, known)
    assert (planned.phase, planned.unbind, planned.remove) == step


@pytest.mark.parametrize(
    ("spec", "notes", "phase", "removed"),
    [
        ({"hostPath": {"path": "/tmp/x"}}, {}, "", True),
        ({"hostPath": {"path": "/data"}}, {}, "Failed", False),
        ({"nfs": {}}, {}, "Failed", False),
        ({"csi": {}}, {volumes.PROVISIONED_BY: "csi.example.com"}, "", False),
    ],
)
def test_who_removes_a_released_volume(spec, notes, phase, removed):
    spec |= {"persistentVolumeReclaimPolicy": "Delete", "claimRef": reserved()}
    planned = rules.plan_volume(volume(phase="Released", notes=notes, **spec), None)
    assert (planned.phase, planned.remove) == (phase, removed)


def test_binding_notes_who_did_it():
    made = rules.bound_volume(volume(), claim())
    assert made["metadata"]["annotations"] == {volumes.BOUND_BY_CONTROLLER: "yes"}
    assert rules.bound_volume(made, claim()) is made
    found = rules.bound_claim(claim(), made)
    assert found["metadata"]["annotations"] == {volumes.BIND_COMPLETED: "yes", volumes.BOUND_BY_CONTROLLER: "yes"}
    assert rules.bound_claim(claim(volumeName="v"), made)["metadata"]["annotations"] == {volumes.BIND_COMPLETED: "yes"}
    status = rules.claim_status(found, "Bound", made)
    assert (status["phase"], status["capacity"]) == ("Bound", {"storage": "10Gi"})


def test_a_claim_in_use_stays_even_if_its_pod_has_ended():
    pod = {
        "metadata": {"name": "p", "namespace": "n"},
        "spec": {"nodeName": "a", "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "d"}}]},
        "status": {"phase": "Succeeded"},
    }
    going = claim()
    going["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["f"]}
    assert users(going, [pod]) == [pod]
    assert guarded(going, "f", True) is going
    assert guarded(going, "f", False)["metadata"]["finalizers"] == []
    pod["spec"].pop("nodeName")
    assert users(going, [pod]) == []
    assert guarded(claim(), "f", False)["metadata"]["finalizers"] == ["f"]


def test_ephemeral_claims_belong_to_their_pod():
    template = {"metadata": {"labels": {"l": "1"}}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    pod = {
        "metadata": {"name": "p", "namespace": "n", "uid": "u"},
        "spec": {"volumes": [{"name": "v", "ephemeral": {"volumeClaimTemplate": template}}]},
    }
    (made,) = wanted_claims(pod)
    assert made["metadata"]["name"] == "p-v"
    assert volumes.is_owned_by(made, pod)
    assert wanted_claims({**pod, "status": {"phase": "Failed"}}) == []


def test_a_larger_claim_waits_for_somebody_else():
    grown = claim(size="8Gi", status={"phase": "Bound", "capacity": {"storage": "5Gi"}})
    assert wants_more(grown)
    assert not wants_more(claim(status={"phase": "Bound", "capacity": {"storage": "5Gi"}}))


LOCAL = {
    "metadata": {"name": "c"},
    "provisioner": local_path.PROVISIONER,
    "volumeBindingMode": "WaitForFirstConsumer",
    "reclaimPolicy": "Delete",
}
NODE = {"metadata": {"name": "a", "labels": {"kubernetes.io/hostname": "host-a"}}, "status": {}}
ASKED = {volumes.PROVISIONER: local_path.PROVISIONER, volumes.SELECTED_NODE: "a"}


def test_the_local_provisioner_makes_a_volume_on_the_chosen_node():
    made = provisioner.plan_claim(claim(notes=ASKED), LOCAL, [NODE]).make
    assert local_path.pinned_to(made, "a")
    assert made["spec"]["local"] == {"path": f"{local_path.DEFAULT_FOLDER}/pvc-uid-d"}
    assert volumes.usable_on(made, NODE)
    assert not volumes.usable_on(made, {"metadata": {"name": "b"}})
    assert (
        rules.plan_claim(claim(notes=ASKED), [{**made, "status": {"phase": "Available"}}], LOCAL, []).bind is not None
    )


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        (claim(notes=ASKED, volumeMode="Block"), "block volume provisioning is not supported"),
        (claim(notes=ASKED, accessModes=["ReadWriteMany"]), "access mode ReadWriteMany is not supported"),
        (claim(notes=ASKED, selector={"matchLabels": {"a": "b"}}), "claim.Spec.Selector is not supported"),
    ],
)
def test_the_local_provisioner_says_what_it_can_not_make(asked, refusal):
    step = provisioner.plan_claim(asked, LOCAL, [NODE])
    assert step.make is None
    assert refusal in step.refuse


def test_the_local_provisioner_waits_for_a_node_and_chooses_again_when_it_is_gone():
    waiting = claim(notes={volumes.PROVISIONER: local_path.PROVISIONER})
    assert provisioner.plan_claim(waiting, LOCAL, [NODE]) == provisioner.Step()
    assert provisioner.plan_claim(claim(notes=ASKED), LOCAL, []).elsewhere
    assert provisioner.plan_claim(claim(), LOCAL, [NODE]) == provisioner.Step()  # nobody asked
