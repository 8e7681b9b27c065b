"""Node. https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/node-v1/"""

from __future__ import annotations

from heeler.kinds.core import node_rules
from heeler.kinds.kind import Cell, Column, Own, SubresourceOwn, status_only
from heeler.kinds.printing import AGE, NAME, NONE, UNKNOWN, cell, text_at
from heeler.objects.value import Object

ROLE_PREFIX = "node-role.kubernetes.io/"
ROLE_LABEL = "kubernetes.io/role"


def _default(node: Object, version: str) -> None:
    status, spec = node["status"], node["spec"]
    if spec.get("podCIDR") and (spec.get("podCIDRs") or [""])[0] != spec["podCIDR"]:
        spec["podCIDRs"] = [spec["podCIDR"]]
    elif spec.get("podCIDRs") and not spec.get("podCIDR"):
        spec["podCIDR"] = spec["podCIDRs"][0]
    if status.get("capacity"):
        allocatable = status.setdefault("allocatable", {})
        for key, value in status["capacity"].items():
            allocatable.setdefault(key, value)


def _prepare_create(node: Object) -> None:
    """The configuration of nodes through the API is gone; its field is not kept."""
    (node.get("spec") or {}).pop("configSource", None)


def _prepare_update(new: Object, old: Object) -> None:
    _prepare_create(new)
    new["status"] = old.get("status", {})


def _status(node: Object) -> str:
    conditions = {c.get("type"): c for c in (node.get("status") or {}).get("conditions") or ()}
    out = "Unknown"
    if "Ready" in conditions:
        out = "Ready" if conditions["Ready"].get("status") == "True" else "NotReady"
    if (node.get("spec") or {}).get("unschedulable"):
        out += ",SchedulingDisabled"
    return out


def _roles(node: Object) -> str:
    labels = node["metadata"].get("labels") or {}
    roles = {key.removeprefix(ROLE_PREFIX) for key in labels if key.startswith(ROLE_PREFIX)} - {""}
    if labels.get(ROLE_LABEL):
        roles.add(labels[ROLE_LABEL])
    return ",".join(sorted(roles)) or NONE


def _address(kind: str) -> Cell:
    def show(node: Object) -> str:
        for address in (node.get("status") or {}).get("addresses") or ():
            if address.get("type") == kind:
                return str(address.get("address", ""))
        return NONE

    return cell(show)


def _info(key: str, default: str) -> Cell:
    return cell(lambda node: ((node.get("status") or {}).get("nodeInfo") or {}).get(key) or default)


COLUMNS = (
    NAME,
    Column("Status", cell(_status), about="=The status of the node"),
    Column("Roles", cell(_roles), about="=The roles of the node"),
    AGE,
    Column("Version", text_at("status.nodeInfo.kubeletVersion"), about="core.v1.NodeSystemInfo.kubeletVersion"),
    Column("Internal-IP", _address("InternalIP"), priority=1, about="core.v1.NodeStatus.addresses"),
    Column("External-IP", _address("ExternalIP"), priority=1, about="core.v1.NodeStatus.addresses"),
    Column("OS-Image", _info("osImage", UNKNOWN), priority=1, about="core.v1.NodeSystemInfo.osImage"),
    Column("Kernel-Version", _info("kernelVersion", UNKNOWN), priority=1, about="core.v1.NodeSystemInfo.kernelVersion"),
    Column(
        "Container-Runtime",
        _info("containerRuntimeVersion", UNKNOWN),
        priority=1,
        about="core.v1.NodeSystemInfo.containerRuntimeVersion",
    ),
)

OWN = Own(
    "",
    "Node",
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    rules=node_rules.node,
    update_rules=node_rules.node_update,
    columns=COLUMNS,
    selectable={"spec.unschedulable": lambda obj: "true" if (obj.get("spec") or {}).get("unschedulable") else "false"},
    unsupported_label="field label not supported: {label}",
    subresources={"status": SubresourceOwn(status_only, node_rules.node_status)},
    reset_fields=(("status",),),
)
