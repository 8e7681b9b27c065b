"""What a writer of pods and pod templates is warned of: deprecated names, duplicates, values that mean nothing."""

from __future__ import annotations

from collections.abc import Iterator

from heeler.kinds.meta.checks import numbered
from heeler.objects.faults import quote
from heeler.objects.quantities import parse
from heeler.objects.value import Object

#: Deprecated node labels: since when, and what to use instead.
OLD_LABELS = {
    "beta.kubernetes.io/arch": ("v1.14", "kubernetes.io/arch"),
    "beta.kubernetes.io/os": ("v1.14", "kubernetes.io/os"),
    "beta.kubernetes.io/instance-type": ("v1.17", "node.kubernetes.io/instance-type"),
    "failure-domain.beta.kubernetes.io/region": ("v1.17", "topology.kubernetes.io/region"),
    "failure-domain.beta.kubernetes.io/zone": ("v1.17", "topology.kubernetes.io/zone"),
}
_OLD_VOLUMES = {
    "gitRepo": "deprecated in v1.11",
    "glusterfs": "deprecated in v1.25, this feature will be completely removed in a subsequent Kubernetes release",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
NULL_SELECTOR = "a null labelSelector results in matching no pod"


def old_label(key: str, path: str) -> Iterator[str]:
    if key in OLD_LABELS:
        since, instead = OLD_LABELS[key]
        yield f"{path}: deprecated since {since}; use {quote(instead)} instead"


def of_pod(new: Object, old: Object | None) -> Iterator[str]:
    """Warnings for a pod."""
    if old is not None and old.get("spec") == new.get("spec"):
        return
    yield from of_spec(new.get("spec") or {}, "spec")


def of_template(template: Object | None, old: Object | None, path: str) -> Iterator[str]:
    """Warnings for a pod template, if it is new or changed."""
    if template is None or (old is not None and old == template):
        return
    yield from of_spec(template.get("spec") or {}, f"{path}.spec")


def of_spec(spec: Object, path: str) -> Iterator[str]:
    for key in sorted(spec.get("nodeSelector") or {}):
        yield from old_label(key, f"{path}.nodeSelector[{key}]")
    yield from _node_affinity((spec.get("affinity") or {}).get("nodeAffinity") or {}, f"{path}.affinity.nodeAffinity")
    for at, row in numbered(spec.get("topologySpreadConstraints")):
        yield from old_label(row.get("topologyKey", ""), f"{path}.topologySpreadConstraints[{at}].topologyKey")
        if row.get("labelSelector") is None:
            yield f"{path}.topologySpreadConstraints[{at}].labelSelector: {NULL_SELECTOR}"
    for at, volume in numbered(spec.get("volumes")):
        for key, words in _OLD_VOLUMES.items():
            if key in volume:
                yield f"{path}.volumes[{at}].{key}: {words}"
    yield from _duplicates(spec, path)
    yield from _containers(spec, path)
    yield from _pod_affinity(spec.get("affinity") or {}, f"{path}.affinity")
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is not None and grace < 0:
        words = "must be >= 0; negative values are invalid and will be treated as 1"
        yield f"{path}.terminationGracePeriodSeconds: {words}"


def _duplicates(spec: Object, path: str) -> Iterator[str]:
    seen: set[str] = set()
    for at, row in numbered(spec.get("hostAliases")):
        if row.get("ip", "") in seen:
            yield f"{path}.hostAliases[{at}].ip: duplicate ip {quote(row['ip'])}"
        seen.add(row.get("ip", ""))
    seen = set()
    for at, row in numbered(spec.get("imagePullSecrets")):
        name = row.get("name", "")
        if not name:
            yield f'{path}.imagePullSecrets[{at}].name: invalid empty name ""'
        elif name in seen:
            yield f"{path}.imagePullSecrets[{at}].name: duplicate name {quote(name)}"
        seen.add(name)


def _containers(spec: Object, path: str) -> Iterator[str]:
    ports: dict[tuple[object, ...], str] = {}
    for key in ("initContainers", "containers", "ephemeralContainers"):
        for at, container in numbered(spec.get(key)):
            here = f"{path}.{key}[{at}]"
            for part in ("limits", "requests"):
                yield from _fractional((container.get("resources") or {}).get(part) or {}, f"{here}.resources.{part}")
            seen: set[str] = set()
            for index, row in numbered(container.get("env")):
                name = row.get("name", "")
                if name in seen:
                    yield (
                        f"{here}.env[{index}]: hides previous definition of {quote(name)}, which may be dropped when "
                        "using apply"
                    )
                seen.add(name)
            yield from _ports(container, here, ports)


def _ports(container: Object, path: str, seen: dict[tuple[object, ...], str]) -> Iterator[str]:
    for index, port in numbered(container.get("ports")):
        here = f"{path}.ports[{index}]"
        key = (
            port.get("containerPort"),
            port.get("protocol", "TCP"),
            port.get("hostIP", ""),
            port.get("hostPort", 0),
        )
        if port.get("hostIP") and not port.get("hostPort"):
            shown = (
                f"{{Name:{port.get('name', '')} HostPort:0 ContainerPort:{port.get('containerPort', 0)} "
                f"Protocol:{port.get('protocol', '')} HostIP:{port['hostIP']}}}"
            )
            yield f"{here}: hostIP set without hostPort: {shown}"
        before = seen.setdefault(key, here)
        if before != here:
            yield f"{here}: duplicate port definition with {before}"


def _fractional(resources: dict[str, str], path: str) -> Iterator[str]:
    for key in ("memory", "ephemeral-storage"):
        if key in resources and parse(resources[key]).milli % 1000:
            yield f"{path}[{key}]: fractional byte value {quote(resources[key])} is invalid, must be an integer"


def _node_affinity(affinity: Object, path: str) -> Iterator[str]:
    wanted = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for at, term in numbered(wanted.get("nodeSelectorTerms")):
        for index, row in numbered(term.get("matchExpressions")):
            yield from old_label(
                row.get("key", ""),
                f"{path}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[{at}]"
                f".matchExpressions[{index}].key",
            )
    for at, term in numbered(affinity.get("preferredDuringSchedulingIgnoredDuringExecution")):
        for index, row in numbered((term.get("preference") or {}).get("matchExpressions")):
            yield from old_label(
                row.get("key", ""),
                f"{path}.preferredDuringSchedulingIgnoredDuringExecution[{at}].preference.matchExpressions[{index}].key",
            )


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
