"""Revisions: what a StatefulSet's or DaemonSet's template was at a time, kept as ControllerRevisions.

https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/controller-revision-v1/ — the content is a patch
that puts the template back, which is what `kubectl rollout undo` sends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from heeler.objects.value import Object, labels_of, meta, name_of
from heeler.workloads import rollout

#: The label with the hash on revisions of StatefulSets.
HASH = "controller.kubernetes.io/hash"
#: The label on pods (and on revisions of DaemonSets) that says which revision they are of.
REVISION_LABEL = "controller-revision-hash"


def data_of(owner: Object) -> Object:
    """The patch that restores the owner's template."""
    template = rollout.without_nulls(owner["spec"]["template"])
    return {"spec": {"template": {**template, "$patch": "replace"}}}


def new(owner: Object, number: int, collisions: int | None, hash_label: str, reference: Object) -> Object:
    """The revision of the owner's present template. `reference` names the owner as its controller."""
    data = data_of(owner)
    digest = rollout.template_hash(data, collisions)
    labels = (owner["spec"]["template"].get("metadata") or {}).get("labels") or {}
    out: Object = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{name_of(owner)}-{digest}",
            "namespace": owner["metadata"]["namespace"],
            "labels": {**labels, hash_label: digest},
            "ownerReferences": [reference],
        },
        "data": data,
        "revision": number,
    }
    annotations = meta(owner).get("annotations")
    if annotations:
        out["metadata"]["annotations"] = dict(annotations)
    return out


def same(left: Object, right: Object) -> bool:
    """Do two revisions hold the same template?"""
    return bool(rollout.without_nulls(left.get("data")) == rollout.without_nulls(right.get("data")))


def ordered(found: Iterable[Object]) -> list[Object]:
    """Oldest first."""
    return sorted(found, key=lambda r: (int(r.get("revision") or 0), meta(r).get("creationTimestamp", ""), name_of(r)))


def next_number(found: Sequence[Object]) -> int:
    return max((int(revision.get("revision") or 0) for revision in found), default=0) + 1


def label_of(pod: Object) -> str:
    """The revision that a pod says it is of."""
    return labels_of(pod).get(REVISION_LABEL, "")


def excess(found: Sequence[Object], live: Iterable[str], limit: int) -> list[Object]:
    """The oldest revisions beyond the limit; those with a name in `live` are in use and neither go nor count."""
    names = dict.fromkeys(live)
    unused = [revision for revision in ordered(found) if name_of(revision) not in names]
    return unused[: max(0, len(unused) - limit)]
