"""Attachments of CSI volumes; names and messages as kube-controller-manager 1.37.2 gave them."""

import pytest

from heeler.controllers import attach_detach_plan as plan

VOLUME = plan.Volume("pv1", "d.example.com", "vol-1", True)


def persistent(modes=("ReadWriteOnce",), **source):
    source = source or {"csi": {"driver": "d.example.com", "volumeHandle": "vol-1"}}
    return {"metadata": {"name": "pv1"}, "spec": {"accessModes": list(modes), **source}}


def node(ready=True, in_use=(), taints=(), attached=(), **annotations):
    return {
        "metadata": {"name": "n1", "annotations": annotations},
        "spec": {"taints": [{"key": key} for key in taints]},
        "status": {
            "conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}],
            "volumesInUse": list(in_use),
            "volumesAttached": [{"name": name, "devicePath": ""} for name in attached],
        },
    }


@pytest.mark.parametrize(
    ("volume", "driver", "found"),
    [
        (persistent(), None, VOLUME),
        (persistent(), {"spec": {"attachRequired": True}}, VOLUME),
        (persistent(), {"spec": {"attachRequired": False}}, None),
        (persistent(("ReadWriteMany",)), None, VOLUME._replace(exclusive=False)),
        (persistent(("ReadWriteOnce", "ReadOnlyMany")), None, VOLUME._replace(exclusive=False)),
        (persistent(hostPath={"path": "/tmp/x"}), None, None),
    ],
)
def test_which_volumes_are_attached(volume, driver, found):
    assert plan.volume_of(volume, driver) == found


def test_names_follow_from_volume_and_node():
    name = "csi-30f6d22005837af41fef7d63fe7b3970943d7d3f3347148ba9b313bbaab0f238"
    assert plan.attachment_name(VOLUME, "n1") == name
    assert plan.GIVEN_NAME.fullmatch(name)
    assert plan.attachment(VOLUME, "n1")["spec"] == {
        "attacher": "d.example.com",
        "nodeName": "n1",
        "source": {"persistentVolumeName": "pv1"},
    }
    assert VOLUME.unique == "kubernetes.io/csi/d.example.com^vol-1"


@pytest.mark.parametrize(
    ("found", "waited", "detached"),
    [
        (None, 0, True),
        (node(), 0, True),
        (node(in_use=[VOLUME.unique]), 1000, False),
        (node(in_use=[VOLUME.unique], ready=False), 359, False),
        (node(in_use=[VOLUME.unique], ready=False), 360, True),
        (node(in_use=[VOLUME.unique], taints=[plan.OUT_OF_SERVICE]), 0, True),
    ],
)
def test_when_a_volume_may_be_detached(found, waited, detached):
    assert plan.may_detach(found, VOLUME, waited, 360) is detached


def test_a_volume_for_one_node_waits_for_the_other():
    here, there = ({"spec": {"nodeName": name}} for name in ("n1", "n2"))
    assert plan.blocked(VOLUME, "n1", [there])
    assert not plan.blocked(VOLUME, "n1", [here])
    assert not plan.blocked(VOLUME._replace(exclusive=False), "n1", [there])
    head = 'Waiting for detach for volume "pv1" Volume is already '
    assert plan.waiting(VOLUME, ["a", "b"]) == head + "used by pod(s) a, b"
    assert plan.waiting(VOLUME, []) == (
        head + "exclusively attached to one node, waiting on detach before it can be attached to another node"
    )


def test_a_nodes_status_says_what_is_attached():
    assert plan.reported(node(), {}) is None
    assert plan.reported(node(attached=["a", "b"]), {"b": None, "a": None}) is None
    told = plan.reported(node(attached=["gone", "b"]), {"b": None, "a": None})
    assert told == [{"name": "b", "devicePath": ""}, {"devicePath": "", "name": "a"}]
    assert plan.reported(node(attached=["gone"]), {}) == []


def pod(phase="Running", running=True, deleting=False):
    metadata = {"name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z"} if deleting else {"name": "p"}
    state = {"running": {}} if running else {"terminated": {}}
    return {"metadata": metadata, "status": {"phase": phase, "containerStatuses": [{"state": state}]}}


@pytest.mark.parametrize(
    ("found", "needed"),
    [
        (pod(), True),
        (pod("Pending"), True),
        (pod("Succeeded"), False),
        (pod(deleting=True), True),
        (pod(deleting=True, running=False), False),
        (pod(running=False), True),
    ],
)
def test_how_long_a_pod_needs_its_volumes(found, needed):
    assert plan.needs_volumes(found, node()) is needed
    assert plan.needs_volumes(found, node(**{plan.KEEP_TERMINATED: "true"}))
