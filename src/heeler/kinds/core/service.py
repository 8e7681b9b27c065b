"""Service. https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/"""

from __future__ import annotations

from typing import Any

from heeler.kinds.core import service_rules
from heeler.kinds.kind import Column, Own, SubresourceOwn, status_only
from heeler.kinds.printing import AGE, NAME, NONE, cell, label_text, text_at
from heeler.objects.value import Object

DEFAULT_AFFINITY_SECONDS = 10800


def _default(service: Object, version: str) -> None:
    spec = service["spec"]
    if not spec.get("sessionAffinity"):
        spec["sessionAffinity"] = "None"
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    if spec["sessionAffinity"] == "ClientIP":
        client = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
        client.setdefault("timeoutSeconds", DEFAULT_AFFINITY_SECONDS)
    if not spec.get("type"):
        spec["type"] = "ClusterIP"
    for port in spec.get("ports", ()):
        if not port.get("protocol"):
            port["protocol"] = "TCP"
        if port.get("targetPort") in (0, ""):
            port["targetPort"] = port["port"]
    external = spec["type"] in ("NodePort", "LoadBalancer") or (spec["type"] == "ClusterIP" and spec.get("externalIPs"))
    if external and not spec.get("externalTrafficPolicy"):
        spec["externalTrafficPolicy"] = "Cluster"
    if spec["type"] in ("NodePort", "LoadBalancer", "ClusterIP"):
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
        for ingress in service["status"]["loadBalancer"].get("ingress", ()):
            if ingress.get("ip"):
                ingress.setdefault("ipMode", "VIP")


def _prepare_create(service: Object) -> None:
    service["status"] = {"loadBalancer": {}}
    spec = service["spec"]
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    _drop_by_type(service, None)


def _prepare_update(new: Object, old: Object) -> None:
    new["status"] = old["status"]
    _match_addresses(new["spec"], old["spec"])
    _keep_allocated(new["spec"], old["spec"])
    _drop_by_type(new, old)


def _match_addresses(new: Object, old: Object) -> None:
    """A writer who knows only the single address field changes the first of the list with it."""
    same_list = (new.get("clusterIPs") or []) == (old.get("clusterIPs") or [])
    if new.get("clusterIP") == old.get("clusterIP"):
        return
    if not new.get("clusterIP"):
        if same_list:
            new.pop("clusterIPs", None)
    elif same_list or not new.get("clusterIPs"):
        new["clusterIPs"] = [new["clusterIP"], *(new.get("clusterIPs") or ())[1:]]


def _keep_allocated(new: Object, old: Object) -> None:
    """An update that leaves out what was allocated keeps it."""
    if _has_address(old) and _has_address(new):
        if not new.get("clusterIP") and not (new.get("clusterIPs") or ()):
            if old.get("clusterIP"):
                new["clusterIP"] = old["clusterIP"]
            if old.get("clusterIPs"):
                new["clusterIPs"] = list(old["clusterIPs"])
        elif not new.get("clusterIPs") and old.get("clusterIPs") and new.get("clusterIP") == old.get("clusterIP"):
            new["clusterIPs"] = list(old["clusterIPs"])
    if _has_node_ports(old) and _has_node_ports(new):
        ports = {(p.get("protocol"), p["port"]): p.get("nodePort") for p in old.get("ports", ())}
        used = {p["nodePort"] for p in new.get("ports", ()) if p.get("nodePort")}
        for port in new.get("ports", ()):
            kept = ports.get((port.get("protocol"), port["port"]))
            if not port.get("nodePort") and kept and kept not in used:
                port["nodePort"] = kept
                used.add(kept)
    if _needs_health_check(old) and _needs_health_check(new) and not new.get("healthCheckNodePort"):
        if old.get("healthCheckNodePort"):
            new["healthCheckNodePort"] = old["healthCheckNodePort"]


def _has_address(spec: Object) -> bool:
    return spec.get("type") != "ExternalName"


def _has_node_ports(spec: Object) -> bool:
    return spec.get("type") in ("NodePort", "LoadBalancer")


def _needs_health_check(spec: Object) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _drop_by_type(new: Object, old: Object | None) -> None:
    """A change of the type drops the allocated fields that the new type lacks, unless they were set anew."""
    if old is None:
        return
    spec, was = new["spec"], old["spec"]
    if _has_address(was) and not _has_address(spec):
        for key in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if spec.get(key) == was.get(key):
                spec.pop(key, None)
    if _has_node_ports(was) and not _has_node_ports(spec):
        ports = {(p.get("protocol"), p["port"]): p.get("nodePort") for p in was.get("ports", ())}
        for port in spec.get("ports", ()):
            if port.get("nodePort") and ports.get((port.get("protocol"), port["port"])) == port["nodePort"]:
                del port["nodePort"]
    if _needs_health_check(was) and not _needs_health_check(spec):
        if spec.get("healthCheckNodePort") == was.get("healthCheckNodePort"):
            spec.pop("healthCheckNodePort", None)
    if was.get("type") == "LoadBalancer" and spec.get("type") != "LoadBalancer":
        for key in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
            if spec.get(key) == was.get(key):
                spec.pop(key, None)
    external = _has_node_ports(spec) or (spec.get("type") == "ClusterIP" and spec.get("externalIPs"))
    if not external and spec.get("externalTrafficPolicy") == was.get("externalTrafficPolicy"):
        spec.pop("externalTrafficPolicy", None)


# The table.


def _external(service: Object) -> str:
    spec, status = service["spec"], service.get("status") or {}
    kind, given = spec.get("type"), list(spec.get("externalIPs") or ())
    if kind == "ExternalName":
        return str(spec.get("externalName", "")) or NONE
    if kind == "LoadBalancer":
        balanced = [
            i.get("ip") or i.get("hostname", "") for i in (status.get("loadBalancer") or {}).get("ingress") or ()
        ]
        return ",".join([*balanced, *given]) or "<pending>"
    return ",".join(given) or NONE


def _ports(service: Object) -> str:
    def one(port: Any) -> str:
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        return f"{port['port']}{node}/{port.get('protocol', '')}"

    return ",".join(one(p) for p in service["spec"].get("ports") or ()) or NONE


COLUMNS = (
    NAME,
    Column("Type", text_at("spec.type"), about="core.v1.ServiceSpec.type"),
    Column("Cluster-IP", text_at("spec.clusterIP", NONE), about="core.v1.ServiceSpec.clusterIP"),
    Column("External-IP", cell(_external), about="core.v1.ServiceSpec.externalIPs"),
    Column("Port(s)", cell(_ports), about="core.v1.ServiceSpec.ports"),
    AGE,
    Column(
        "Selector",
        cell(lambda obj: label_text(obj["spec"].get("selector"))),
        priority=1,
        about="core.v1.ServiceSpec.selector",
    ),
)

OWN = Own(
    "",
    "Service",
    default=_default,
    status=True,
    name_form="label",
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    rules=service_rules.rules,
    update_rules=service_rules.update_rules,
    warnings=service_rules.warnings,
    subresources={"status": SubresourceOwn(status_only, service_rules.status_rules)},
    columns=COLUMNS,
    selectable={
        "spec.clusterIP": lambda obj: str(obj["spec"].get("clusterIP", "")),
        "spec.type": lambda obj: str(obj["spec"].get("type", "")),
    },
    unsupported_label="field label not supported: {label}",
)
