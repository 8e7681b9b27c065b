"""Claims of devices: what is made for a pod, who is still a consumer, and when a claim is free again."""

import pytest

from heeler.controllers import resourceclaim_plan as rules


def pod(uid="u", **more):
    claims = [{"name": "dev", "resourceClaimTemplateName": "tpl"}, {"name": "own", "resourceClaimName": "shared"}]
    return {
        "metadata": {"name": "p", "namespace": "n", "uid": uid, **more.pop("metadata", {})},
        "spec": {"resourceClaims": claims, **more.pop("spec", {})},
        "status": more,
    }


def claim(reserved=(), finalizer=True, deleting=False, allocated=True):
    metadata = {"name": "c", "namespace": "n", "uid": "c"}
    if finalizer:
        metadata["finalizers"] = ["other", rules.FINALIZER]
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    status = {"reservedFor": [{"resource": "pods", "name": f"p{uid}", "uid": uid} for uid in reserved]}
    if allocated:
        status["allocation"] = {"devices": {}}
    return {"metadata": metadata, "status": status}


def test_a_claim_of_a_template_is_known_once_the_pod_says_its_name():
    assert rules.pod_claims(pod()) == [("dev", "tpl", ""), ("own", "", "shared")]
    told = pod(resourceClaimStatuses=[{"name": "dev", "resourceClaimName": "p-dev-x"}])
    assert rules.pod_claims(told)[0].claim == "p-dev-x"
    assert rules.pod_claims(pod(resourceClaimStatuses=[{"name": "dev"}]))[0].claim is None  # none is needed


def test_what_is_made_of_a_template():
    template = {"spec": {"metadata": {"labels": {"l": "1"}, "annotations": {"a": "1"}}, "spec": {"devices": {}}}}
    made = rules.new_claim(pod(), "dev", template)
    assert made["metadata"]["generateName"] == "p-dev-"
    assert made["metadata"]["annotations"] == {"a": "1", rules.ANNOTATION: "dev"}
    assert made["metadata"]["labels"] == {"l": "1"}
    assert made["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": True}
    ]
    assert made["spec"] == {"devices": {}}
    assert rules.is_for(made, pod())
    assert not rules.is_for(made, pod(uid="another"))
    assert rules.made_for(pod(), "dev", [made]) is made
    assert rules.made_for(pod(), "own", [made]) is None


@pytest.mark.parametrize(("name", "entry"), [("p", "dev"), ("p" * 63, "d" * 63), ("p" * 63, "d"), ("p", "d" * 63)])
def test_generated_names_leave_room_for_their_ending(name, entry):
    base = rules.base_name(name, entry)
    assert len(base) <= 58
    assert base[0] == "p"
    assert "-d" in base


@pytest.mark.parametrize(
    ("found", "stale"),
    [
        (pod(), False),
        (pod(phase="Succeeded"), True),
        (pod(uid="another"), True),
        (pod(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}), True),  # never had a node
        (pod(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}, spec={"nodeName": "n1"}), False),
        (None, True),
    ],
)
def test_who_still_uses_a_claim(found, stale):
    assert rules.is_stale({"resource": "pods", "name": "p", "uid": "u"}, {"p": found}) is stale


def test_a_claim_without_its_last_consumer_is_free_for_any_node():
    used = claim(reserved=("1", "2"))
    left = used["status"]["reservedFor"][:1]
    assert rules.step(used, used["status"]["reservedFor"]) == (None, False)
    assert rules.step(used, left) == ({"reservedFor": left, "allocation": {"devices": {}}}, False)
    assert rules.step(used, []) == ({}, True)
    assert rules.step(claim(reserved=("1",), finalizer=False), []) == ({"allocation": {"devices": {}}}, False)
    assert rules.released(used)["metadata"]["finalizers"] == ["other"]


def test_a_deleted_claim_that_nobody_uses_may_go():
    assert rules.step(claim(), []) == (None, False)  # allocated before anybody uses it: not ours to free
    assert rules.step(claim(deleting=True), []).release
    assert rules.step(claim(deleting=True), []).status == {"reservedFor": []}
    assert rules.step(claim(deleting=True, allocated=False), []) == (None, True)


def test_a_pod_that_came_to_its_node_by_itself_is_reserved_for():
    assert rules.to_be_reserved(claim(), pod())
    assert not rules.to_be_reserved(claim(reserved=("u",)), pod())
    assert not rules.to_be_reserved(claim(allocated=False), pod())
    assert not rules.to_be_reserved(claim(reserved=tuple(map(str, range(256)))), pod())
    assert rules.is_reserved_for(rules.reserved(claim(), pod()), pod())
