"""Whose an object is: the label and annotations by which Helm knows what belongs to a release. Pure.

Source: https://helm.sh/docs/topics/charts_tips_and_tricks/ and what helm 4.3 wrote and said.
"""

from __future__ import annotations

from heeler.objects.value import Object
from heeler.packages.releases.cluster import Target

MANAGED_BY, HELM = "app.kubernetes.io/managed-by", "Helm"
NAME, NAMESPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"
POLICY, KEEP = "helm.sh/resource-policy", "keep"


def owned(obj: Object, name: str, namespace: str) -> Object:
    """The object as a release's own."""
    metadata = obj.get("metadata") or {}
    labels = {**(metadata.get("labels") or {}), MANAGED_BY: HELM}
    annotations = {**(metadata.get("annotations") or {}), NAME: name, NAMESPACE: namespace}
    return {**obj, "metadata": {**metadata, "labels": labels, "annotations": annotations}}


def stranger(live: Object, name: str, namespace: str) -> str:
    """Why an object that is there doesn't belong to the release; "" if it does."""
    metadata = live.get("metadata") or {}
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    faults = [_fault("label", labels, MANAGED_BY, HELM)]
    faults += [_fault("annotation", annotations, NAME, name), _fault("annotation", annotations, NAMESPACE, namespace)]
    found = [fault for fault in faults if fault]
    return f"invalid ownership metadata; {'; '.join(found)}" if found else ""


def _fault(what: str, have: Object, key: str, wanted: str) -> str:
    if key not in have:
        return f'{what} validation error: missing key "{key}": must be set to "{wanted}"'
    if have[key] != wanted:
        return f'{what} validation error: key "{key}" must equal "{wanted}": current value is "{have[key]}"'
    return ""


def kept(target: Target) -> bool:
    """Does the object say that it is to stay when its release goes?"""
    annotations = (target.object.get("metadata") or {}).get("annotations") or {}
    return bool(str(annotations.get(POLICY) or "").strip().lower() == KEEP)
