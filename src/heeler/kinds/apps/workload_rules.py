"""What is checked of Deployment, ReplicaSet, DaemonSet, StatefulSet and ReplicationController.

https://kubernetes.io/docs/concepts/workloads/controllers/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from heeler.kinds.core.claim_rules import claim_spec
from heeler.kinds.core.podspec_rules import template_rules
from heeler.kinds.internal_form import internal, mapped
from heeler.kinds.internal_form import selector as selector_form
from heeler.kinds.meta.checks import (
    IMMUTABLE,
    as_number,
    count_or_percent,
    immutable,
    not_negative,
    not_over_100_percent,
    numbered,
    one_of,
)
from heeler.kinds.meta.objectmeta import each
from heeler.kinds.meta.selector_rules import is_empty, label_selector, matches, valid
from heeler.kinds.types import type_named
from heeler.objects import names
from heeler.objects.faults import Fault, forbidden, invalid, not_supported, required
from heeler.objects.value import Object

MISMATCH = "`selector` does not match template `labels`"
APPS = "io.k8s.api.apps.v1"


def _selector(spec: Object, path: str, kind: str) -> Iterator[Fault]:
    selector = spec.get("selector")
    if selector is None:
        yield required(f"{path}.selector")
        return
    yield from label_selector(selector, f"{path}.selector")
    if is_empty(selector):
        yield invalid(f"{path}.selector", selector_form(selector), f"empty selector is invalid for {kind}")


def _labels_match(spec: Object, path: str) -> Iterator[Fault]:
    """The selector finds the pods of the template; no selector finds none, an empty one all."""
    selector = spec.get("selector")
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if selector is None or (not is_empty(selector) and not matches(selector, labels)):
        yield invalid(f"{path}.template.metadata.labels", mapped(labels), MISMATCH)


def _always(spec: Object, path: str, kind: str) -> Iterator[Fault]:
    """Pods of a workload restart for ever."""
    pod = (spec.get("template") or {}).get("spec") or {}
    if pod.get("restartPolicy") != "Always":
        yield not_supported(f"{path}.template.spec.restartPolicy", pod.get("restartPolicy", ""), ("Always",))
    if pod.get("activeDeadlineSeconds") is not None:
        yield forbidden(
            f"{path}.template.spec.activeDeadlineSeconds", f"activeDeadlineSeconds in {kind} is not Supported"
        )


def _replica_template(spec: Object, path: str) -> Iterator[Fault]:
    selector = spec.get("selector")
    if selector is not None and not valid(selector):
        yield invalid(f"{path}.selector", selector_form(selector), "invalid label selector")
        return
    yield from _labels_match(spec, path)
    yield from template_rules(spec.get("template"), f"{path}.template")
    yield from _always(spec, path, "ReplicaSet")


# Deployment.


def deployment(obj: Object) -> Iterator[Fault]:
    spec = obj["spec"]
    yield from not_negative(spec.get("replicas"), "spec.replicas")
    yield from _selector(spec, "spec", "deployment")
    yield from _replica_template(spec, "spec")
    yield from _deployment_strategy(spec["strategy"], "spec.strategy")
    for key in ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        yield from not_negative(spec.get(key), f"spec.{key}")
    deadline, ready = spec.get("progressDeadlineSeconds"), spec.get("minReadySeconds", 0)
    if deadline is not None and deadline <= ready:
        yield invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def _deployment_strategy(strategy: Object, path: str) -> Iterator[Fault]:
    kind, rolling = strategy.get("type", ""), strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            yield forbidden(f"{path}.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    elif kind == "RollingUpdate":
        if rolling is None:
            yield required(f"{path}.rollingUpdate", "this should be defaulted and never be nil")
        else:
            yield from _rolling_deployment(rolling, f"{path}.rollingUpdate")
    else:
        shown = internal(strategy, type_named(f"{APPS}.DeploymentStrategy"))
        yield not_supported(path, shown, ("Recreate", "RollingUpdate"))


def _rolling_deployment(rolling: Object, path: str) -> Iterator[Fault]:
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    yield from count_or_percent(unavailable, f"{path}.maxUnavailable")
    yield from count_or_percent(surge, f"{path}.maxSurge")
    if as_number(unavailable) == 0 and as_number(surge) == 0:
        yield invalid(f"{path}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0")
    yield from not_over_100_percent(unavailable, f"{path}.maxUnavailable")


def selector_immutable(rules: Any) -> Any:
    """The rules of a new object, and that its selector stays."""

    def update(new: Object, old: Object) -> Iterator[Fault]:
        yield from rules(new)
        yield from selector_stays(new, old)

    return update


def selector_stays(new: Object, old: Object) -> Iterator[Fault]:
    given, before = (selector_form(obj["spec"].get("selector")) for obj in (new, old))
    yield from immutable(given, before, "spec.selector")


deployment_update = selector_immutable(deployment)


def _counts(status: Object, keys: tuple[str, ...]) -> Iterator[Fault]:
    for key in keys:
        yield from not_negative(status.get(key), f"status.{key}")


def _at_most(status: Object, key: str, limit: str, words: str) -> Iterator[Fault]:
    if status.get(key, 0) > status.get(limit, 0):
        yield invalid(f"status.{key}", status.get(key, 0), words)


def deployment_status(new: Object, old: Object) -> Iterator[Fault]:
    status = new.get("status") or {}
    yield from _counts(
        status,
        (
            *("observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas"),
            *("unavailableReplicas", "terminatingReplicas", "collisionCount"),
        ),
    )
    over = "cannot be greater than status.replicas"
    yield from _at_most(status, "updatedReplicas", "replicas", over)
    yield from _at_most(status, "readyReplicas", "replicas", over)
    yield from _at_most(status, "availableReplicas", "replicas", over)
    yield from _at_most(status, "availableReplicas", "readyReplicas", "cannot be greater than readyReplicas")
    before = (old.get("status") or {}).get("collisionCount")
    now = status.get("collisionCount")
    if before is not None and (now or 0) < before:
        yield invalid("status.collisionCount", now or 0, "cannot be decremented")


# ReplicaSet and ReplicationController.


def replicaset(obj: Object) -> Iterator[Fault]:
    spec = obj["spec"]
    yield from not_negative(spec.get("replicas"), "spec.replicas")
    yield from not_negative(spec.get("minReadySeconds"), "spec.minReadySeconds")
    yield from _selector(spec, "spec", "deployment")
    yield from _replica_template(spec, "spec")


replicaset_update = selector_immutable(replicaset)


def replicas_status(new: Object, old: Object) -> Iterator[Fault]:
    status = new.get("status") or {}
    yield from _counts(
        status, ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration")
    )
    over = "cannot be greater than status.replicas"
    for key in ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"):
        yield from _at_most(status, key, "replicas", over)
    yield from _at_most(status, "availableReplicas", "readyReplicas", "cannot be greater than readyReplicas")


def replication_controller(obj: Object) -> Iterator[Fault]:
    spec = obj["spec"]
    yield from not_negative(spec.get("minReadySeconds"), "spec.minReadySeconds")
    if not spec.get("selector"):
        yield required("spec.selector")
    yield from not_negative(spec.get("replicas"), "spec.replicas")
    template = spec.get("template")
    if template is None:
        yield required("spec.template")
        return
    labels = (template.get("metadata") or {}).get("labels")
    if spec.get("selector") and not matches({"matchLabels": spec["selector"]}, labels):
        yield invalid("spec.template.metadata.labels", mapped(labels), MISMATCH)
    yield from template_rules(template, "spec.template")
    yield from _always(spec, "spec", "ReplicationController")


# DaemonSet.


def daemonset(obj: Object) -> Iterator[Fault]:
    spec = obj["spec"]
    selector = spec.get("selector")
    yield from label_selector(selector, "spec.selector")
    labels = (spec["template"].get("metadata") or {}).get("labels")
    if selector is None or (valid(selector) and not is_empty(selector) and not matches(selector, labels)):
        yield invalid("spec.template.metadata.labels", mapped(labels), MISMATCH)
    if selector is not None and is_empty(selector):
        yield invalid("spec.selector", selector_form(selector), "empty selector is invalid for daemonset")
    yield from template_rules(spec.get("template"), "spec.template")
    yield from _always(spec, "spec", "DaemonSet")
    yield from not_negative(spec.get("minReadySeconds"), "spec.minReadySeconds")
    yield from _daemonset_strategy(spec["updateStrategy"], "spec.updateStrategy")
    yield from not_negative(spec.get("revisionHistoryLimit"), "spec.revisionHistoryLimit")


def _daemonset_strategy(strategy: Object, path: str) -> Iterator[Fault]:
    kind, rolling = strategy.get("type", ""), strategy.get("rollingUpdate")
    if kind == "OnDelete":
        return
    if kind != "RollingUpdate":
        shown = internal(strategy, type_named(f"{APPS}.DaemonSetUpdateStrategy"))
        yield not_supported(path, shown, ("RollingUpdate", "OnDelete"))
    elif rolling is None:
        yield required(f"{path}.rollingUpdate")
    else:
        unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
        here = f"{path}.rollingUpdate"
        yield from count_or_percent(unavailable, f"{here}.maxUnavailable")
        yield from count_or_percent(surge, f"{here}.maxSurge")
        yield from not_over_100_percent(unavailable, f"{here}.maxUnavailable")
        yield from not_over_100_percent(surge, f"{here}.maxSurge")
        if as_number(unavailable) and as_number(surge):
            yield invalid(f"{here}.maxSurge", surge, "may not be set when maxUnavailable is non-zero")
        elif not as_number(unavailable) and not as_number(surge):
            yield required(f"{here}.maxUnavailable", "cannot be 0 when maxSurge is 0")


def daemonset_update(new: Object, old: Object) -> Iterator[Fault]:
    yield from selector_stays(new, old)
    yield from daemonset(new)


def daemonset_status(new: Object, old: Object) -> Iterator[Fault]:
    yield from _counts(
        new.get("status") or {},
        (
            *("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"),
            *("observedGeneration", "updatedNumberScheduled", "numberAvailable", "numberUnavailable"),
        ),
    )


# StatefulSet.


def statefulset(obj: Object) -> Iterator[Fault]:
    yield from _statefulset_spec(obj["spec"], True)


def _statefulset_spec(spec: Object, new: bool) -> Iterator[Fault]:
    policy = spec.get("podManagementPolicy", "")
    if not policy:
        yield required("spec.podManagementPolicy")
    elif policy not in ("OrderedReady", "Parallel"):
        yield invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'")
    yield from _statefulset_strategy(spec["updateStrategy"], "spec.updateStrategy")
    retention = spec.get("persistentVolumeClaimRetentionPolicy")
    for key in ("whenDeleted", "whenScaled"):
        if retention is not None:
            yield from one_of(
                retention.get(key), ("Retain", "Delete"), f"spec.persistentVolumeClaimRetentionPolicy.{key}"
            )
    for key in ("replicas", "minReadySeconds"):
        yield from not_negative(spec.get(key), f"spec.{key}")
    if spec.get("ordinals") is not None:
        yield from not_negative(spec["ordinals"].get("start"), "spec.ordinals.start")
    service = spec.get("serviceName", "")
    if new and service:
        yield from each("spec.serviceName", service, names.label(service))
    yield from _selector(spec, "spec", "statefulset")
    selector = spec.get("selector")
    if selector is not None and not valid(selector):
        yield invalid("spec.selector", selector_form(selector), "")
    else:
        yield from _statefulset_template(spec, new)
    yield from _always(spec, "spec", "StatefulSet")


def _statefulset_template(spec: Object, new: bool) -> Iterator[Fault]:
    """The claims' names are known as volumes too."""
    yield from _labels_match(spec, "spec")
    claims = tuple((c.get("metadata") or {}).get("name", "") for c in spec.get("volumeClaimTemplates") or ())
    template = dict(spec.get("template") or {})
    # The pods' names come of the set's, whatever the template says.
    template["spec"] = {k: v for k, v in (template.get("spec") or {}).items() if k not in ("hostname", "subdomain")}
    yield from template_rules(template, "spec.template", claims)
    if new:
        yield from claim_templates(spec)


def claim_templates(spec: Object) -> Iterator[Fault]:
    for at, claim in numbered(spec.get("volumeClaimTemplates")):
        yield from claim_spec(claim.get("spec") or {}, f"spec.volumeClaimTemplates[{at}].spec")


def _statefulset_strategy(strategy: Object, path: str) -> Iterator[Fault]:
    kind, rolling = strategy.get("type", ""), strategy.get("rollingUpdate")
    if not kind:
        yield required(path)
    elif kind == "OnDelete":
        if rolling is not None:
            shown = internal(rolling, type_named(f"{APPS}.RollingUpdateStatefulSetStrategy"))
            yield invalid(f"{path}.rollingUpdate", shown, "only allowed for updateStrategy 'RollingUpdate'")
    elif kind == "RollingUpdate":
        if rolling is not None:
            here = f"{path}.rollingUpdate"
            yield from not_negative(rolling.get("partition"), f"{here}.partition")
            unavailable = rolling.get("maxUnavailable")
            if unavailable is not None:
                yield from count_or_percent(unavailable, f"{here}.maxUnavailable")
                if as_number(unavailable) == 0:
                    yield invalid(f"{here}.maxUnavailable", unavailable, "cannot be 0")
                yield from not_over_100_percent(unavailable, f"{here}.maxUnavailable")
    else:
        shown = internal(strategy, type_named(f"{APPS}.StatefulSetUpdateStrategy"))
        yield invalid(path, shown, "must be 'RollingUpdate' or 'OnDelete'")


_MAY_CHANGE = (
    *("replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit"),
    *("persistentVolumeClaimRetentionPolicy", "minReadySeconds"),
)


def statefulset_update(new: Object, old: Object) -> Iterator[Fault]:
    yield from _statefulset_spec(new["spec"], False)
    spec, was = new["spec"], old["spec"]
    for key in ("podManagementPolicy", "selector", "serviceName", "volumeClaimTemplates"):
        if (spec.get(key) or None) != (was.get(key) or None):
            shown = selector_form(spec.get(key)) if key == "selector" else spec.get(key)
            if key == "volumeClaimTemplates" and shown is not None:
                kind = type_named("io.k8s.api.core.v1.PersistentVolumeClaim")
                shown = [internal(claim, kind) for claim in shown]
            yield invalid(f"spec.{key}", shown, IMMUTABLE)


def statefulset_status(new: Object, old: Object) -> Iterator[Fault]:
    status = new.get("status") or {}
    yield from _counts(
        status,
        (
            *("replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "observedGeneration"),
            *("collisionCount", "availableReplicas"),
        ),
    )
    over = "cannot be greater than status.replicas"
    for key in ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"):
        yield from _at_most(status, key, "replicas", over)
    yield from _at_most(status, "availableReplicas", "readyReplicas", "cannot be greater than status.readyReplicas")
