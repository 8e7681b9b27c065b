"""What is checked of a pod's spec and of pod templates, in upstream's order.

https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from heeler.kinds.core import profile_annotations
from heeler.kinds.core.container_rules import Around, containers, ephemeral_containers, init_containers
from heeler.kinds.core.pod_resources import pod_resources
from heeler.kinds.core.security_rules import by_system, host_process, pod_security
from heeler.kinds.core.volume_rules import volumes
from heeler.kinds.meta.checks import MAX_INT32, needed, numbered, one_of, optional_one_of
from heeler.kinds.meta.objectmeta import annotation_rules, each, label_rules
from heeler.kinds.meta.resource_rules import quantity, resource_name
from heeler.kinds.meta.selector_rules import label_selector, node_selector, node_term
from heeler.objects import names
from heeler.objects.faults import Fault, duplicate, forbidden, invalid, not_supported, required, too_long
from heeler.objects.value import Object

RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def template_rules(template: Object | None, path: str, more_volumes: tuple[str, ...] = ()) -> Iterator[Fault]:
    """A PodTemplateSpec: metadata (whose paths upstream shortens), then the spec.

    `more_volumes` are names of volumes that the pods will get besides (a StatefulSet's claims).
    """
    template = template or {}
    meta = template.get("metadata") or {}
    yield from label_rules(meta.get("labels"), f"{path}.labels")
    yield from annotation_rules(meta.get("annotations"), f"{path}.annotations")
    yield from pod_annotations(meta.get("annotations"), template.get("spec") or {}, f"{path}.annotations")
    yield from spec_rules(template.get("spec") or {}, f"{path}.spec", more_volumes)
    ephemeral = (template.get("spec") or {}).get("ephemeralContainers")
    if ephemeral:
        yield forbidden(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template")
    yield from profile_annotations.matching(meta.get("annotations") or {}, template.get("spec") or {}, f"{path}.spec")


MIRROR = "kubernetes.io/config.mirror"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_is_cost = re.compile(r"(0|-[0-9]+|[1-9][0-9]*)\Z", re.ASCII).match


def pod_annotations(annotations: dict[str, str] | None, spec: Object, path: str) -> Iterator[Fault]:
    if annotations and MIRROR in annotations and not spec.get("nodeName"):
        yield invalid(
            f"{path}[{MIRROR}]", annotations[MIRROR], "must set spec.nodeName if mirror pod annotation is set"
        )
    cost = (annotations or {}).get(DELETION_COST)
    if cost is not None and not (_is_cost(cost) and -(2**31) <= int(cost) < 2**31):
        yield invalid(f"{path}[{DELETION_COST}]", cost, "must be a 32bit integer")
    yield from profile_annotations.rules(annotations or {}, spec, path)


def spec_rules(spec: Object, path: str, more_volumes: tuple[str, ...] = ()) -> Iterator[Fault]:
    """A PodSpec."""
    known, faults = volumes(spec.get("volumes"), f"{path}.volumes", more_volumes)
    yield from faults
    known |= {name: {"name": name, "persistentVolumeClaim": {}} for name in more_volumes}
    claims = tuple(c.get("name", "") for c in spec.get("resourceClaims") or ())
    if claims:
        yield from _resource_claims(spec["resourceClaims"], f"{path}.resourceClaims")
    around = Around(
        known,
        claims,
        spec.get("terminationGracePeriodSeconds"),
        spec.get("restartPolicy", ""),
        spec.get("hostUsers") is not False,
    )
    yield from containers(spec.get("containers"), around, f"{path}.containers")
    yield from init_containers(spec.get("initContainers"), around, f"{path}.initContainers")
    if spec.get("ephemeralContainers"):
        named = [c.get("name", "") for key in ("containers", "initContainers") for c in spec.get(key) or ()]
        yield from ephemeral_containers(spec["ephemeralContainers"], around, named, f"{path}.ephemeralContainers")
    if spec.get("resources"):
        yield from pod_resources(spec, f"{path}.resources")
    if spec.get("hostNetwork"):
        yield from _host_network(spec, path)
    yield from one_of(spec.get("restartPolicy"), RESTART_POLICIES, f"{path}.restartPolicy")
    yield from one_of(spec.get("dnsPolicy"), DNS_POLICIES, f"{path}.dnsPolicy")
    if spec.get("nodeSelector"):
        yield from label_rules(spec["nodeSelector"], f"{path}.nodeSelector")
    yield from pod_security(spec, f"{path}.securityContext", path)
    if spec.get("affinity"):
        yield from affinity_rules(spec["affinity"], f"{path}.affinity")
    yield from _dns(spec, f"{path}.dnsConfig")
    if spec.get("readinessGates"):
        yield from _readiness_gates(spec["readinessGates"], f"{path}.readinessGates")
    if spec.get("schedulingGates"):
        yield from _scheduling_gates(spec["schedulingGates"], f"{path}.schedulingGates")
    if spec.get("topologySpreadConstraints"):
        yield from _spread(spec["topologySpreadConstraints"], f"{path}.topologySpreadConstraints")
    yield from host_process(spec, path)
    yield from _host_users(spec, path)
    yield from _names(spec, path)
    if spec.get("tolerations"):
        yield from tolerations(spec["tolerations"], f"{path}.tolerations")
    if spec.get("hostAliases"):
        yield from _host_aliases(spec["hostAliases"], f"{path}.hostAliases")
    yield from _classes(spec, path)
    if spec.get("os"):
        yield from by_system(spec, path)


def _resource_claims(rows: list[Object] | None, path: str) -> Iterator[Fault]:
    seen: set[str] = set()
    for at, row in numbered(rows):
        here, name = f"{path}[{at}]", row.get("name", "")
        if not name:
            yield required(f"{here}.name")
        elif name in seen:
            yield duplicate(f"{here}.name", name)
        else:
            yield from each(f"{here}.name", name, names.label(name))
        seen.add(name)
        claim, template = row.get("resourceClaimName"), row.get("resourceClaimTemplateName")
        shown = {"Name": name, "ResourceClaimName": claim, "ResourceClaimTemplateName": template}
        if claim is not None and template is not None:
            yield invalid(
                here, shown, "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            )
        if claim is None and template is None:
            yield invalid(here, shown, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`")
        for key in ("resourceClaimName", "resourceClaimTemplateName"):
            if row.get(key) is not None:
                yield from each(f"{here}.{key}", row[key], names.subdomain(row[key]))


def _host_network(spec: Object, path: str) -> Iterator[Fault]:
    """With the host's network a container's port is the host's."""
    if not spec.get("hostNetwork"):
        return
    for at, container in numbered(spec.get("containers")):
        for index, port in numbered(container.get("ports")):
            if port.get("hostPort", 0) and port["hostPort"] != port.get("containerPort"):
                yield invalid(
                    f"{path}.containers[{at}].ports[{index}].hostPort",
                    port["hostPort"],
                    "must match `containerPort` when `hostNetwork` is true",
                )


def affinity_rules(affinity: Object, path: str) -> Iterator[Fault]:
    node = affinity.get("nodeAffinity")
    if node is not None:
        wanted = node.get("requiredDuringSchedulingIgnoredDuringExecution")
        here = f"{path}.nodeAffinity"
        if wanted is not None:
            yield from node_selector(wanted, f"{here}.requiredDuringSchedulingIgnoredDuringExecution")
        for at, row in numbered(node.get("preferredDuringSchedulingIgnoredDuringExecution")):
            one = f"{here}.preferredDuringSchedulingIgnoredDuringExecution[{at}]"
            if not 1 <= row.get("weight", 0) <= 100:
                yield invalid(f"{one}.weight", row.get("weight", 0), "must be in the range 1-100")
            yield from node_term(row.get("preference") or {}, f"{one}.preference")
    for kind in ("podAffinity", "podAntiAffinity"):
        if affinity.get(kind) is not None:
            yield from _pod_affinity(affinity[kind], f"{path}.{kind}")


def _pod_affinity(affinity: Object, path: str) -> Iterator[Fault]:
    for at, term in numbered(affinity.get("requiredDuringSchedulingIgnoredDuringExecution")):
        yield from _term(term, f"{path}.requiredDuringSchedulingIgnoredDuringExecution[{at}]")
    for at, row in numbered(affinity.get("preferredDuringSchedulingIgnoredDuringExecution")):
        here = f"{path}.preferredDuringSchedulingIgnoredDuringExecution[{at}]"
        if not 1 <= row.get("weight", 0) <= 100:
            yield invalid(f"{here}.weight", row.get("weight", 0), "must be in the range 1-100")
        yield from _term(row.get("podAffinityTerm") or {}, f"{here}.podAffinityTerm")


def _term(term: Object, path: str) -> Iterator[Fault]:
    yield from label_selector(term.get("labelSelector"), f"{path}.labelSelector")
    yield from label_selector(term.get("namespaceSelector"), f"{path}.namespaceSelector")
    for _, name in numbered(term.get("namespaces")):
        yield from each(f"{path}.namespace", name, names.label(name))
    for key in ("matchLabelKeys", "mismatchLabelKeys"):
        if term.get(key) and term.get("labelSelector") is None:
            yield forbidden(f"{path}.{key}", "must not be specified when labelSelector is not set")
            continue
        for at, label in numbered(term.get(key)):
            yield from each(f"{path}.{key}[{at}]", label, names.qualified(label))
    yield from _label_keys(term, path)
    topology = term.get("topologyKey", "")
    if not topology:
        yield required(f"{path}.topologyKey", "can not be empty")
    yield from each(f"{path}.topologyKey", topology, names.qualified(topology))


def _label_keys(term: Object, path: str) -> Iterator[Fault]:
    """Keys whose values come of the pod are not selected by other means too."""
    keys, selector = term.get("matchLabelKeys") or [], term.get("labelSelector") or {}
    seen = set(selector.get("matchLabels") or {})
    for row in selector.get("matchExpressions") or ():
        key = row.get("key", "")
        if key in keys and key in seen:
            yield invalid(f"{path}[{keys.index(key)}]", key, "exists in both matchLabelKeys and labelSelector")
        seen.add(key)
    for at, key in enumerate(keys):
        if key in (term.get("mismatchLabelKeys") or ()):
            yield invalid(f"{path}.matchLabelKeys[{at}]", key, "exists in both matchLabelKeys and mismatchLabelKeys")


def _dns(spec: Object, path: str) -> Iterator[Fault]:
    config = spec.get("dnsConfig")
    servers = (config or {}).get("nameservers") or ()
    if spec.get("dnsPolicy") == "None":
        if config is None:
            yield required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
            return
        if not servers:
            yield required(f"{path}.nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None")
    if config is None:
        return
    if len(servers) > 3:
        yield invalid(f"{path}.nameservers", list(servers), "must not have more than 3 nameservers")
    for at, server in numbered(servers):
        yield from each(f"{path}.nameservers[{at}]", server, names.address(server))
    searches = config.get("searches") or ()
    if len(searches) > 32:
        yield invalid(f"{path}.searches", list(searches), "must not have more than 32 search paths")
    if len(" ".join(searches)) > 2048:
        yield invalid(
            f"{path}.searches",
            list(searches),
            "must not have more than 2048 characters (including spaces) in the search list",
        )
    for at, search in numbered(searches):
        if search != ".":
            name = search.removesuffix(".")
            yield from each(f"{path}.searches[{at}]", name, names.search_domain(name))
    for at, option in numbered(config.get("options")):
        yield from needed(option.get("name"), f"{path}.options[{at}]", "must not be empty")


def _readiness_gates(rows: list[Object] | None, path: str) -> Iterator[Fault]:
    for at, row in numbered(rows):
        kind = row.get("conditionType", "")
        yield from each(f"{path}[{at}].conditionType", kind, names.qualified(kind))


def _scheduling_gates(rows: list[Object] | None, path: str) -> Iterator[Fault]:
    seen: set[str] = set()
    for at, row in numbered(rows):
        name = row.get("name", "")
        yield from each(f"{path}[{at}]", name, names.qualified(name))
        if name in seen:
            yield duplicate(f"{path}[{at}]", name)
        seen.add(name)


def _spread(rows: list[Object] | None, path: str) -> Iterator[Fault]:
    pairs = [(row.get("topologyKey", ""), row.get("whenUnsatisfiable", "")) for row in rows or ()]
    for at, row in numbered(rows):
        here = f"{path}[{at}]"
        if row.get("maxSkew", 0) <= 0:
            yield invalid(f"{here}.maxSkew", row.get("maxSkew", 0), "must be greater than zero")
        topology, when = pairs[at]
        if not topology:
            yield required(f"{here}.topologyKey", "can not be empty")
        if when not in ("DoNotSchedule", "ScheduleAnyway"):
            yield not_supported(f"{here}.whenUnsatisfiable", when, ("DoNotSchedule", "ScheduleAnyway"))
        if pairs[at] in pairs[at + 1 :]:
            yield duplicate(f"{here}.{{topologyKey, whenUnsatisfiable}}", f"{{{topology}, {when}}}")
        least = row.get("minDomains")
        if least is not None:
            if least <= 0:
                yield invalid(f"{here}.minDomains", least, "must be greater than zero")
            if when != "DoNotSchedule":
                yield invalid(
                    f"{here}.minDomains",
                    least,
                    f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}",
                )
        for key in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            yield from optional_one_of(row.get(key), ("Honor", "Ignore"), f"{here}.{key}")
        for index, label in numbered(row.get("matchLabelKeys")):
            yield from each(f"{here}.matchLabelKeys[{index}]", label, names.qualified(label))
        if row.get("matchLabelKeys") and row.get("labelSelector") is None:
            yield forbidden(f"{here}.matchLabelKeys", "must not be specified when labelSelector is not set")
        yield from label_selector(row.get("labelSelector"), f"{here}.labelSelector")


def _host_users(spec: Object, path: str) -> Iterator[Fault]:
    """A pod with users of its own shares no namespaces of the host."""
    if spec.get("hostUsers") is not False:
        return
    # Upstream writes two of the paths so.
    for key, shown in (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")):
        if spec.get(key):
            yield forbidden(f"{path}.{shown}", "when `hostUsers` is false")
    for at, container in profile_annotations.each_container(spec):
        if container.get("volumeDevices"):
            yield forbidden(f"{path}.{at}.volumeDevices", "when `hostUsers` is false")


def _names(spec: Object, path: str) -> Iterator[Fault]:
    for key, check in (("serviceAccountName", names.subdomain), ("nodeName", names.subdomain)):
        if spec.get(key):
            yield from each(f"{path}.{key}", spec[key], check(spec[key]))
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= MAX_INT32:
        yield invalid(f"{path}.activeDeadlineSeconds", deadline, f"must be between 1 and {MAX_INT32}, inclusive")
    for key in ("hostname", "subdomain"):
        if spec.get(key):
            yield from each(f"{path}.{key}", spec[key], names.label(spec[key]))
    if spec.get("hostnameOverride") is not None:
        name = spec["hostnameOverride"]
        for key in ("setHostnameAsFQDN", "hostNetwork"):
            if spec.get(key):
                yield forbidden(f"{path}.hostnameOverride", f"may not be specified when {key} is true")
        if len(name.encode()) > 64:
            yield too_long(f"{path}.hostnameOverride", 64)
        yield from each(f"{path}.hostnameOverride", name, names.subdomain(name))


def tolerations(rows: list[Object] | None, path: str) -> Iterator[Fault]:
    for at, row in numbered(rows):
        here = f"{path}[{at}]"
        key, operator, value = row.get("key", ""), row.get("operator", ""), row.get("value", "")
        if key:
            yield from each(f"{here}.key", key, names.qualified(key))
        elif operator != "Exists":
            yield invalid(
                f"{here}.operator",
                operator,
                'operator must be Exists when `key` is empty, which means "match all values and all keys"',
            )
        if row.get("tolerationSeconds") is not None and row.get("effect") != "NoExecute":
            yield invalid(
                f"{here}.effect", row.get("effect", ""), "effect must be 'NoExecute' when `tolerationSeconds` is set"
            )
        if operator in ("", "Equal"):
            wrong = names.label_value(value)
            if wrong:
                yield invalid(f"{here}.operator", value, ";".join(wrong))
        elif operator == "Exists":
            if value:
                yield invalid(f"{here}.operator", value, "value must be empty when `operator` is 'Exists'")
        else:
            more = ("Lt", "Gt") if operator in ("Lt", "Gt") else ()
            yield not_supported(f"{here}.operator", operator, ("Equal", "Exists", *more))
        if row.get("effect"):
            yield from optional_one_of(row["effect"], EFFECTS, f"{here}.effect")


def _host_aliases(rows: list[Object] | None, path: str) -> Iterator[Fault]:
    for at, row in numbered(rows):
        yield from each(f"{path}[{at}].ip", row.get("ip", ""), names.address(row.get("ip", "")))
        for index, name in numbered(row.get("hostnames")):
            yield from each(f"{path}[{at}].hostnames[{index}]", name, names.subdomain(name))


def _classes(spec: Object, path: str) -> Iterator[Fault]:
    for key in ("priorityClassName", "runtimeClassName"):
        if spec.get(key) or (key == "runtimeClassName" and spec.get(key) is not None):
            yield from each(f"{path}.{key}", spec[key], names.subdomain(spec[key]))
    yield from optional_one_of(
        spec.get("preemptionPolicy"), ("Never", "PreemptLowerPriority"), f"{path}.preemptionPolicy"
    )
    for name, text in sorted((spec.get("overhead") or {}).items()):
        yield from resource_name(name, f"{path}.overhead")
        yield from quantity(name, text, f"{path}.overhead[{name}]")
    system = spec.get("os")
    if system is not None:
        yield from one_of(system.get("name"), ("linux", "windows"), f"{path}.os")
