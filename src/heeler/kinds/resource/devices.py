"""DeviceClass, DeviceTaintRule, ResourceClaim, ResourceClaimTemplate, ResourceSlice: dynamic resource allocation.

https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/
"""

from __future__ import annotations

from heeler.kinds.kind import Column, Own, SubresourceOwn, status_only
from heeler.kinds.printing import AGE, NAME, cell, text_at
from heeler.kinds.resource import rules, slice_rules
from heeler.objects.value import Object

GROUP = "resource.k8s.io"


def default_claim_spec(spec: Object) -> None:
    """Fill in a claim's spec: how many devices a request is for, how taints are compared."""
    for request in (spec.get("devices") or {}).get("requests") or ():
        for row in (
            *((request["exactly"],) if request.get("exactly") is not None else ()),
            *request.get("firstAvailable", ()),
        ):
            if not row.get("allocationMode"):
                row["allocationMode"] = "ExactCount"
            if row["allocationMode"] == "ExactCount" and not row.get("count"):
                row["count"] = 1
            for toleration in row.get("tolerations", ()):
                if not toleration.get("operator"):
                    toleration["operator"] = "Equal"


def _default_claim(claim: Object, version: str) -> None:
    default_claim_spec(claim["spec"])


def _default_template(template: Object, version: str) -> None:
    default_claim_spec(template["spec"]["spec"])


def _empty_status(obj: Object) -> None:
    obj["status"] = {}


def _state(claim: Object) -> str:
    status = claim.get("status") or {}
    states = []
    if claim["metadata"].get("deletionTimestamp"):
        states.append("deleted")
    if status.get("allocation") is None:
        if not claim["metadata"].get("deletionTimestamp"):
            states.append("pending")
    else:
        states.append("allocated")
        states.append("reserved") if status.get("reservedFor") else None
    return ",".join(states)


DEVICE_CLASS = Own(GROUP, "DeviceClass", rules=rules.device_class, generation=True, columns=(NAME, AGE))


def _taint_time(rule: Object, now: str) -> None:
    taint = rule["spec"].get("taint")
    if taint is not None:
        taint.setdefault("timeAdded", now)


def _taint_times(devices: Object, now: str) -> None:
    """The same for taints of devices in a slice."""
    for device in devices["spec"].get("devices") or ():
        for taint in device.get("taints") or ():
            taint.setdefault("timeAdded", now)


def _drop_lists(devices: Object) -> None:
    """A feature that is off by default: attributes with several values."""
    for device in devices["spec"].get("devices") or ():
        for attribute in (device.get("attributes") or {}).values():
            for key in slice_rules.LISTS_OF_VALUES:
                attribute.pop(key, None)


DEVICE_TAINT_RULE = Own(
    GROUP,
    "DeviceTaintRule",
    rules=rules.taint_rule,
    status=True,
    generation=True,
    prepare_create=_empty_status,
    stamp=_taint_time,
    subresources={"status": SubresourceOwn(status_only)},
)
RESOURCE_CLAIM = Own(
    GROUP,
    "ResourceClaim",
    rules=rules.claim,
    update_rules=rules.claim_update,
    default=_default_claim,
    status=True,
    prepare_create=_empty_status,
    columns=(
        NAME,
        Column("State", cell(_state), about="=A summary of the current state (allocated, pending, reserved, etc.)."),
        AGE,
    ),
    subresources={"status": SubresourceOwn(status_only)},
)
RESOURCE_CLAIM_TEMPLATE = Own(
    GROUP,
    "ResourceClaimTemplate",
    rules=rules.template,
    update_rules=rules.template_update,
    default=_default_template,
    columns=(NAME, AGE),
)
RESOURCE_SLICE = Own(
    GROUP,
    "ResourceSlice",
    warnings=slice_rules.warnings,
    prepare_create=_drop_lists,
    prepare_update=lambda new, old: _drop_lists(new),
    rules=slice_rules.resource_slice,
    update_rules=slice_rules.slice_update,
    stamp=_taint_times,
    generation=True,
    columns=(
        NAME,
        Column("Node", text_at("spec.nodeName", "<unset>"), about="resource.v1.ResourceSliceSpec.nodeName"),
        Column("Driver", text_at("spec.driver"), about="resource.v1.ResourceSliceSpec.driver"),
        Column("Pool", text_at("spec.pool.name"), about="resource.v1.ResourcePool.name"),
        AGE,
    ),
    selectable={
        "spec.nodeName": lambda obj: str((obj.get("spec") or {}).get("nodeName") or ""),
        "spec.driver": lambda obj: str((obj.get("spec") or {}).get("driver") or ""),
    },
    unsupported_label="field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: {label}",
)
