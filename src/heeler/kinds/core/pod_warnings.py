"""What a writer of pods and pod templates is warned of: deprecated names, duplicates, values that mean nothing."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from heeler.kinds.core import profile_annotations
from heeler.kinds.core.volume_warnings import overlapping_paths
from heeler.kinds.meta.checks import numbered
from heeler.objects import names
from heeler.objects.faults import quote
from heeler.objects.quantities import canonical, parse
from heeler.objects.value import Object

#: Deprecated node labels, and what is said of them.
OLD_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "app.kubernetes.io/created-by": "deprecated since v1.9",
    "scheduler.alpha.kubernetes.io/preferAvoidPods": "deprecated since v1.22; use Taints and Tolerations instead",
    "node-role.kubernetes.io/master": 'use "node-role.kubernetes.io/control-plane" instead',
}
_OLD_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": 'non-functional in v1.16+; use the "priorityClassName" field instead',
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
}
_OLD_VOLUMES = {
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
#: Volumes that are warned of by other names than those that are written.
_VOLUME_PATHS = {"storageos": "storageOS"}
_BYTES = ("memory", "ephemeral-storage")
NULL_SELECTOR = "a null labelSelector results in matching no pod"


def old_label(key: str, path: str) -> Iterator[str]:
    """Of a label that is a key of a map."""
    if key in OLD_LABELS:
        yield f"{path}: {OLD_LABELS[key]}"


def old_key(key: str, path: str) -> Iterator[str]:
    """Of a label that a field names."""
    if key in OLD_LABELS:
        yield f"{path}: {key} is {OLD_LABELS[key]}"


def of_pod(new: Object, old: Object | None) -> Iterator[str]:
    """Warnings for a new pod (those that change one are not warned)."""
    if old is not None:
        return
    yield from long_name(new, "the Pod's hostname")
    yield from _of(new.get("spec") or {}, new["metadata"].get("annotations") or {}, "")


def of_workload(new: Object, old: Object | None, *steps: str, named: bool = True) -> Iterator[str]:
    """Warnings for what makes pods, if it is new or its spec changed; the template is at `steps`.

    `named`: the pods' hostnames come of its name.
    """
    if old is None and named:
        yield from long_name(new, "Pod names and hostnames")
    if old is not None and old["metadata"].get("generation") == new["metadata"].get("generation"):
        return
    template: Object = new
    for step in steps:
        template = template.get(step) or {}
    notes = (template.get("metadata") or {}).get("annotations") or {}
    yield from _of(template.get("spec") or {}, notes, ".".join(steps))


def long_name(obj: Object, use: str) -> Iterator[str]:
    faults = names.label(obj["metadata"].get("name", ""))
    if faults:
        yield (
            f"metadata.name: this is used in {use}, which can result in surprising behavior; a DNS label is "
            f"recommended: [{' '.join(faults)}]"
        )


def claim(spec: Object, path: str) -> Iterator[str]:
    """Of a claim's spec that is part of another object."""
    for part in ("requests", "limits"):
        yield from _fractional((spec.get("resources") or {}).get(part), f"{path}.resources.{part}", ("storage",))


def _of(spec: Object, notes: Object, template: str) -> Iterator[str]:
    path = f"{template}.spec" if template else "spec"
    for key in sorted(spec.get("nodeSelector") or {}):
        yield from old_label(key, f"{path}.nodeSelector[{key}]")
    yield from _node_affinity((spec.get("affinity") or {}).get("nodeAffinity") or {}, f"{path}.affinity.nodeAffinity")
    for at, row in numbered(spec.get("topologySpreadConstraints")):
        yield from old_key(row.get("topologyKey", ""), f"{path}.topologySpreadConstraints[{at}].topologyKey")
        if row.get("labelSelector") is None:
            yield f"{path}.topologySpreadConstraints[{at}].labelSelector: {NULL_SELECTOR}"
    for key, words in _OLD_ANNOTATIONS.items():
        if key in notes:
            yield f"{template + '.' if template else ''}metadata.annotations[{key}]: {words}"
    for at, volume in numbered(spec.get("volumes")):
        for key, words in _OLD_VOLUMES.items():
            if key in volume:
                yield f"{path}.volumes[{at}].{_VOLUME_PATHS.get(key, key)}: {words}"
        wanted = (volume.get("ephemeral") or {}).get("volumeClaimTemplate") or {}
        yield from claim(wanted.get("spec") or {}, f"{path}.volumes[{at}].ephemeral.volumeClaimTemplate.spec")
    yield from overlapping_paths(spec.get("volumes") or ())
    yield from _duplicates(spec, path)
    yield from _fractional(spec.get("overhead"), f"{path}.overhead")
    yield from profile_annotations.warnings(spec, notes, template)
    for place, container in profile_annotations.each_container(spec):
        yield from profile_annotations.container_warnings(container, spec, notes, template)
        yield from _container(container, f"{path}.{place}")
    yield from _ports(spec, path)
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is not None and grace < 0:
        words = "must be >= 0; negative values are invalid and will be treated as 1"
        yield f"{path}.terminationGracePeriodSeconds: {words}"
    yield from _pod_affinity(spec.get("affinity") or {}, f"{path}.affinity")
    for at, text in numbered((spec.get("dnsConfig") or {}).get("nameservers")):
        yield from address(text, f"{path}.dnsConfig.nameservers[{at}]")
    for at, row in numbered(spec.get("hostAliases")):
        yield from address(row.get("ip", ""), f"{path}.hostAliases[{at}].ip")


def address(text: str, path: str) -> Iterator[str]:
    """Of an IP address that is not written as it should be."""
    found = names.parsed_address(text)
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            yield f"{path}: non-standard IP address {quote(text)} is invalid: use {quote(str(found.ipv4_mapped))}"
        elif str(found) != text:
            yield f"{path}: IPv6 address {quote(text)} should be in RFC 5952 canonical format ({quote(str(found))})"


def _duplicates(spec: Object, path: str) -> Iterator[str]:
    seen: set[str] = set()
    for at, row in numbered(spec.get("hostAliases")):
        if row.get("ip", "") in seen:
            yield f"{path}.hostAliases[{at}].ip: duplicate ip {quote(row['ip'])}"
        seen.add(row.get("ip", ""))
    seen = set()
    for at, row in numbered(spec.get("imagePullSecrets")):
        name = row.get("name", "")
        if name in seen:
            yield f"{path}.imagePullSecrets[{at}].name: duplicate name {quote(name)}"
        seen.add(name)
    for at, row in numbered(spec.get("imagePullSecrets")):
        if not row.get("name"):
            yield f'{path}.imagePullSecrets[{at}].name: invalid empty name ""'


def _container(container: Object, path: str) -> Iterator[str]:
    resources = container.get("resources") or {}
    for key in _BYTES:
        for part in ("limits", "requests"):
            yield from _fractional(resources.get(part), f"{path}.resources.{part}", (key,))
    seen: set[str] = set()
    for index, row in numbered(container.get("env")):
        name, value = row.get("name", ""), row.get("value", "")
        itself = f"$({name})"
        if name in seen and ("valueFrom" in row or value == itself or itself not in value):
            words = f"hides previous definition of {quote(name)}, which may be dropped when using apply"
            yield f"{path}.env[{index}]: {words}"
        seen.add(name)


def _ports(spec: Object, path: str) -> Iterator[str]:
    seen: dict[tuple[int, str], list[tuple[str, Object]]] = {}
    names_seen: dict[str, str] = {}
    twice: list[str] = []
    for place, container in profile_annotations.each_container(spec):
        for index, port in numbered(container.get("ports")):
            here = f"{path}.{place}.ports[{index}]"
            address, host = port.get("hostIP", ""), port.get("hostPort", 0)
            if address and not host:
                shown = (
                    f"{{Name:{port.get('name', '')} HostPort:0 ContainerPort:{port.get('containerPort', 0)} "
                    f"Protocol:{port.get('protocol', '')} HostIP:{address}}}"
                )
                yield f"{here}: hostIP set without hostPort: {shown}"
            others = seen.setdefault((port.get("containerPort", 0), port.get("protocol", "")), [])
            for there, other in others:
                its_address, its_host = other.get("hostIP", ""), other.get("hostPort", 0)
                if (address, host) == (its_address, its_host):
                    yield f"{here}: duplicate port definition with {there}"
                elif not host or not its_host:
                    yield f"{here}: overlapping port definition with {there}"
                elif host == its_host and bool(address) != bool(its_address):
                    yield f"{here}: dangerously ambiguous port definition with {there}"
            others.append((here, port))
            name = port.get("name", "")
            if name and names_seen.setdefault(name, here) != here:
                first = names_seen[name]
                twice.append(
                    f"{here}: duplicate port name {quote(name)} with {first}, services and probes that select ports by "
                    f"name will use {first}"
                )
    yield from twice


def _fractional(resources: Object | None, path: str, keys: tuple[str, ...] = _BYTES) -> Iterator[str]:
    for key in keys:
        text = (resources or {}).get(key)
        if text is not None and parse(text).milli % 1000:
            yield f"{path}[{key}]: fractional byte value {quote(canonical(text))} is invalid, must be an integer"


def _node_affinity(affinity: Object, path: str) -> Iterator[str]:
    wanted = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for at, term in numbered(wanted.get("nodeSelectorTerms")):
        for index, row in numbered(term.get("matchExpressions")):
            yield from old_key(
                row.get("key", ""),
                f"{path}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[{at}]"
                f".matchExpressions[{index}].key",
            )
    for at, term in numbered(affinity.get("preferredDuringSchedulingIgnoredDuringExecution")):
        for index, row in numbered((term.get("preference") or {}).get("matchExpressions")):
            here = f"{path}.preferredDuringSchedulingIgnoredDuringExecution[{at}].preference.matchExpressions[{index}]"
            yield from old_key(row.get("key", ""), f"{here}.key")
            for number, value in numbered(row.get("values")):
                for fault in names.label_value(value):
                    yield f"{here}.values[{number}]: {value} is invalid, {fault}"


def _pod_affinity(affinity: Object, path: str) -> Iterator[str]:
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        for at, term in numbered(rules.get("requiredDuringSchedulingIgnoredDuringExecution")):
            if term.get("labelSelector") is None:
                yield (
                    f"{path}.{kind}.requiredDuringSchedulingIgnoredDuringExecution[{at}].labelSelector: {NULL_SELECTOR}"
                )
        for at, row in numbered(rules.get("preferredDuringSchedulingIgnoredDuringExecution")):
            if (row.get("podAffinityTerm") or {}).get("labelSelector") is None:
                yield (
                    f"{path}.{kind}.preferredDuringSchedulingIgnoredDuringExecution[{at}].podAffinityTerm"
                    f".labelSelector: {NULL_SELECTOR}"
                )
