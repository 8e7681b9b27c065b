"""Pod: the smallest unit that runs. https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/"""

from __future__ import annotations

import copy
from typing import Any

from heeler.base.clock import parse_rfc3339
from heeler.kinds.core import pod_rules, pod_warnings, profile_annotations
from heeler.kinds.core.pod_resources import default_pod_resources
from heeler.kinds.core.podspec import default_pod
from heeler.kinds.kind import Column, Own, SubresourceOwn, keep_metadata, status_only
from heeler.kinds.printing import AGE, NAME, NONE, cell, human_duration, text_at
from heeler.objects.quantities import Quantity, parse
from heeler.objects.value import Object


def _default(pod: Object, version: str) -> None:
    # Of pods only: a template may still say it.
    if ((pod.get("spec") or {}).get("terminationGracePeriodSeconds") or 0) < 0:
        pod["spec"]["terminationGracePeriodSeconds"] = 1
    default_pod(pod)


# Quality of service.


def qos_class(pod: Object) -> str:
    """Guaranteed, Burstable or BestEffort, by the requests and limits for cpu and memory."""
    spec = pod.get("spec") or {}
    if spec.get("resources"):
        holders = [spec["resources"]]
    else:
        holders = [c.get("resources") or {} for c in (*(spec.get("containers") or ()), *spec.get("initContainers", ()))]
    requests: dict[str, Quantity] = {}
    limits: dict[str, Quantity] = {}
    guaranteed = True
    for resources in holders:
        for name, value in (resources.get("requests") or {}).items():
            if name in ("cpu", "memory") and parse(value).nano:
                requests[name] = requests[name] + parse(value) if name in requests else parse(value)
        found = 0
        for name, value in (resources.get("limits") or {}).items():
            if name in ("cpu", "memory") and parse(value).nano:
                found += 1
                limits[name] = limits[name] + parse(value) if name in limits else parse(value)
        guaranteed = guaranteed and found == 2
    if not requests and not limits:
        return "BestEffort"
    if guaranteed and len(requests) == len(limits) == 2:
        if all(requests[name].value == limits[name].value for name in requests):
            return "Guaranteed"
    return "Burstable"


# What the server sets.

GATED = "Scheduling is blocked due to non-empty scheduling gates"


def _prepare_create(pod: Object) -> None:
    default_pod_resources(pod.get("spec") or {})
    pod["status"] = {"phase": "Pending", "qosClass": qos_class(pod)}
    spec = pod.get("spec") or {}
    if spec.get("schedulingGates"):
        pod["status"]["conditions"] = [
            {
                "type": "PodScheduled",
                "status": "False",
                "lastProbeTime": None,
                "lastTransitionTime": pod["metadata"].get("creationTimestamp"),
                "reason": "SchedulingGated",
                "message": GATED,
            }
        ]
    _merge_label_keys(pod)
    profile_annotations.set_app_armor(pod)


def _stamp(pod: Object, now: str) -> None:
    """Since when a new pod is held back."""
    for row in (pod.get("status") or {}).get("conditions") or ():
        if row.get("reason") == "SchedulingGated" and row.get("lastTransitionTime") is None:
            row["lastTransitionTime"] = now


def _merge_label_keys(pod: Object) -> None:
    """Pods take the values of `matchLabelKeys` and `mismatchLabelKeys` into their selectors when they are made."""
    labels = pod["metadata"].get("labels") or {}
    spec = pod.get("spec") or {}
    affinity = spec.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        terms = list(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        preferred = rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        terms += [row.get("podAffinityTerm") or {} for row in preferred]
        for term in terms:
            _add_expressions(term, labels, "matchLabelKeys", "In")
            _add_expressions(term, labels, "mismatchLabelKeys", "NotIn")
    for constraint in spec.get("topologySpreadConstraints") or ():
        _add_expressions(constraint, labels, "matchLabelKeys", "In")


def _add_expressions(term: Object, labels: dict[str, str], keys: str, operator: str) -> None:
    selector = term.get("labelSelector")
    if selector is None:
        return
    for key in term.get(keys) or ():
        if key in labels:
            row = {"key": key, "operator": operator, "values": [labels[key]]}
            selector["matchExpressions"] = [*(selector.get("matchExpressions") or ()), row]


def _prepare_update(new: Object, old: Object) -> None:
    new["status"] = old["status"]


def _prepare_status(new: Object, old: Object) -> None:
    status_only(new, old)
    for key in ("deletionTimestamp", "deletionGracePeriodSeconds", "ownerReferences"):
        if key in old["metadata"]:
            new["metadata"][key] = old["metadata"][key]
        else:
            new["metadata"].pop(key, None)
    if not new.get("status", {}).get("qosClass") and old.get("status", {}).get("qosClass"):
        new.setdefault("status", {})["qosClass"] = old["status"]["qosClass"]


def _bump_if_changed(new: Object, old: Object) -> None:
    if new.get("spec") != old.get("spec"):
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def _prepare_ephemeral(new: Object, old: Object) -> None:
    """Only the ephemeral containers may change."""
    wanted = (new.get("spec") or {}).get("ephemeralContainers")
    new["spec"] = {k: v for k, v in old["spec"].items() if k != "ephemeralContainers"}
    if wanted:
        new["spec"]["ephemeralContainers"] = wanted
    keep_metadata(new, old)
    new["status"] = old["status"]
    _bump_if_changed(new, old)


def _prepare_resize(new: Object, old: Object) -> None:
    """Only resources and resize policies are taken; containers that came, went or moved are left for the rules."""
    wanted, spec = new.get("spec") or {}, dict(old["spec"])
    if wanted.get("resources") is not None:
        spec["resources"] = wanted["resources"]
    for key in ("containers", "initContainers"):
        rows, before = wanted.get(key) or [], spec.get(key) or []
        if [row.get("name") for row in rows] != [row.get("name") for row in before]:
            spec[key] = rows
        elif before:
            spec[key] = [
                {**{k: v for k, v in was.items() if k not in _RESIZED}, **{k: row[k] for k in _RESIZED if k in row}}
                for row, was in zip(rows, before)
            ]
    keep_metadata(new, old)
    if spec.get("resources"):
        spec["resources"] = copy.deepcopy(spec["resources"])
        default_pod_resources(spec)
    new["spec"] = spec
    new["status"] = old["status"]
    _bump_if_changed(new, old)


_RESIZED = ("resources", "resizePolicy")


def graceful(pod: Object, grace_seconds: int | None) -> int | None:
    """The seconds that a deletion gives a pod: none if it never ran or has ended."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    seconds = spec.get("terminationGracePeriodSeconds", 0) if grace_seconds is None else grace_seconds
    if not spec.get("nodeName") or status.get("phase") in ("Failed", "Succeeded"):
        return 0
    return 1 if seconds < 0 else seconds


# The table.


def _restartable_init(spec: Object, name: str) -> bool:
    return any(c.get("name") == name and c.get("restartPolicy") == "Always" for c in spec.get("initContainers", ()))


def summary(pod: Object, now: float) -> tuple[str, str, str]:
    """`(ready, status, restarts)` as kubectl shows them."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    total = len(spec.get("containers") or ())
    reason = status.get("reason") or status.get("phase", "")
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
    ready = restarts = sidecar_restarts = 0
    last = last_sidecar = 0.0
    initializing = False
    total += sum(1 for c in spec.get("initContainers", ()) if c.get("restartPolicy") == "Always")
    initial_count = len(spec.get("initContainers", ()))
    for at, container in enumerate(status.get("initContainerStatuses") or ()):
        restarts += container.get("restartCount", 0)
        last = max(last, _finished(container))
        sidecar = _restartable_init(spec, container.get("name", ""))
        if sidecar:
            sidecar_restarts += container.get("restartCount", 0)
            last_sidecar = max(last_sidecar, _finished(container))
        state = container.get("state") or {}
        ended, waiting = state.get("terminated"), state.get("waiting")
        if ended is not None and ended.get("exitCode", 0) == 0:
            continue
        if sidecar and container.get("started"):
            if container.get("ready"):
                ready += 1
            continue
        if ended is not None:
            reason = f"Init:{_ended(ended)}"
            initializing = True
        elif waiting is not None and waiting.get("reason") not in (None, "", "PodInitializing"):
            reason = f"Init:{waiting['reason']}"
            initializing = True
        else:
            reason = f"Init:{at}/{initial_count}"
            initializing = True
        break
    if not initializing or _is_initialized(status):
        restarts, last = sidecar_restarts, last_sidecar
        running = False
        for container in reversed(status.get("containerStatuses") or ()):
            restarts += container.get("restartCount", 0)
            last = max(last, _finished(container))
            state = container.get("state") or {}
            ended, waiting = state.get("terminated"), state.get("waiting")
            if waiting is not None and waiting.get("reason"):
                reason = waiting["reason"]
            elif ended is not None:
                reason = _ended(ended)
            elif container.get("ready") and state.get("running") is not None:
                running = True
                ready += 1
        if reason == "Completed" and running:
            is_ready = any(
                c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or ()
            )
            reason = "Running" if is_ready else "NotReady"
    if pod["metadata"].get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            reason = "Unknown"
        elif status.get("phase") not in ("Failed", "Succeeded"):
            reason = "Terminating"
    text = str(restarts)
    if restarts and last:
        text = f"{restarts} ({human_duration(now - last)} ago)"
    return f"{ready}/{total}", reason, text


def _is_initialized(status: Object) -> bool:
    return any(c.get("type") == "Initialized" and c.get("status") == "True" for c in status.get("conditions") or ())


def _finished(container: Object) -> float:
    moment = ((container.get("lastState") or {}).get("terminated") or {}).get("finishedAt")
    return parse_rfc3339(moment) if moment else 0.0


def _ended(ended: Object) -> str:
    if ended.get("reason"):
        return str(ended["reason"])
    if ended.get("signal"):
        return f"Signal:{ended['signal']}"
    return f"ExitCode:{ended.get('exitCode', 0)}"


def _ip(pod: Object) -> str:
    status = pod.get("status") or {}
    addresses = status.get("podIPs") or ()
    return (addresses[0].get("ip", "") if addresses else status.get("podIP", "")) or NONE


def _gates(pod: Object) -> str:
    gates = (pod.get("spec") or {}).get("readinessGates") or ()
    if not gates:
        return NONE
    true = {c.get("type") for c in (pod.get("status") or {}).get("conditions") or () if c.get("status") == "True"}
    return f"{sum(1 for g in gates if g.get('conditionType') in true)}/{len(gates)}"


def _ended_conditions(pod: Object) -> list[Object]:
    """Tables mark pods that have ended, so that clients can leave them out."""
    phase = (pod.get("status") or {}).get("phase")
    messages = {"Succeeded": "The pod has completed successfully.", "Failed": "The pod failed."}
    if phase not in messages:
        return []
    return [{"type": "Completed", "status": "True", "reason": phase, "message": messages[phase]}]


COLUMNS = (
    NAME,
    Column(
        "Ready",
        lambda pod, now: summary(pod, now)[0],
        about="=The aggregate readiness state of this pod for accepting traffic.",
    ),
    Column(
        "Status",
        lambda pod, now: summary(pod, now)[1],
        about="=The aggregate status of the containers in this pod.",
    ),
    Column(
        "Restarts",
        lambda pod, now: summary(pod, now)[2],
        about="=The number of times the containers in this pod have been restarted and when the last container in "
        "this pod has restarted.",
    ),
    AGE,
    Column("IP", cell(_ip), priority=1, about="core.v1.PodStatus.podIP"),
    Column("Node", text_at("spec.nodeName", NONE), priority=1, about="core.v1.PodSpec.nodeName"),
    Column(
        "Nominated Node",
        text_at("status.nominatedNodeName", NONE),
        priority=1,
        about="core.v1.PodStatus.nominatedNodeName",
    ),
    Column("Readiness Gates", cell(_gates), priority=1, about="core.v1.PodSpec.readinessGates"),
)


def _field(part: str, key: str, default: str = "") -> Any:
    def get(pod: Object) -> str:
        value = (pod.get(part) or {}).get(key)
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value) if value is not None else default

    return get


SELECTABLE = {
    "spec.nodeName": _field("spec", "nodeName"),
    "spec.restartPolicy": _field("spec", "restartPolicy"),
    "spec.schedulerName": _field("spec", "schedulerName"),
    "spec.serviceAccountName": _field("spec", "serviceAccountName"),
    "spec.hostNetwork": _field("spec", "hostNetwork", "false"),
    "status.phase": _field("status", "phase"),
    "status.podIP": _field("status", "podIP"),
    "status.podIPs": _field("status", "podIP"),
    "status.nominatedNodeName": _field("status", "nominatedNodeName"),
}

OWN = Own(
    "",
    "Pod",
    pod_spec=("spec",),
    default=_default,
    status=True,
    generation=True,
    prepare_create=_prepare_create,
    stamp=_stamp,
    prepare_update=_prepare_update,
    rules=pod_rules.rules,
    warnings=pod_warnings.of_pod,
    early_warnings=profile_annotations.set_warnings,
    update_rules=pod_rules.update_rules,
    columns=COLUMNS,
    selectable=SELECTABLE,
    unsupported_label="field label not supported: {label}",
    graceful=graceful,
    row_conditions=_ended_conditions,
    subresources={
        "status": SubresourceOwn(
            _prepare_status,
            pod_rules.status_rules,
            (("spec",), ("metadata", "deletionTimestamp"), ("metadata", "ownerReferences")),
        ),
        "ephemeralcontainers": SubresourceOwn(_prepare_ephemeral, pod_rules.ephemeral_rules),
        "resize": SubresourceOwn(_prepare_resize, pod_rules.resize_rules),
    },
)
