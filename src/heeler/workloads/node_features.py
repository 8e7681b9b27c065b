"""What nodes declare that they can do (`status.declaredFeatures`), and what a pod, or a change of one, needs of that.

Features leave the table when every supported node has them. https://kubernetes.io/docs/concepts/scheduling-eviction/node-declared-features/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from heeler.objects.quantities import parse
from heeler.objects.value import Object


def _never(spec: Object) -> bool:
    return False


def _unchanged(new: Object, old: Object) -> bool:
    return False


class Feature(NamedTuple):
    """`runs`: does a pod of this spec need it? `changes`: does a change of a pod's spec, from the second to the first?"""

    name: str
    runs: Callable[[Object], bool] = _never
    changes: Callable[[Object, Object], bool] = _unchanged


def _containers(spec: Object, *kinds: str) -> Iterator[Object]:
    for kind in kinds:
        yield from spec.get(kind) or ()


def _resizes_init_containers(new: Object, old: Object) -> bool:
    pairs = zip(new.get("initContainers") or (), old.get("initContainers") or (), strict=False)
    return any(
        had.get("restartPolicy") != "Always" and (has.get("resources") or {}) != (had.get("resources") or {})
        for has, had in pairs
    )


def _memory_limit(volume: Object) -> str:
    given = volume.get("emptyDir") or {}
    return str(given.get("sizeLimit") or "") if given.get("medium") == "Memory" else ""


def _resizes_memory(new: Object, old: Object) -> bool:
    had = {volume["name"]: limit for volume in old.get("volumes") or () if (limit := _memory_limit(volume))}
    limits = ((had.get(volume["name"]), _memory_limit(volume)) for volume in new.get("volumes") or ())
    return any(was and limit and parse(was) != parse(limit) for was, limit in limits)


def _resizes_pod(new: Object, old: Object) -> bool:
    return (new.get("resources") or {}) != (old.get("resources") or {})


def _restarts_all(spec: Object) -> bool:
    return any(
        rule.get("action") == "RestartAllContainers"
        for container in _containers(spec, "containers", "initContainers")
        for rule in container.get("restartPolicyRules") or ()
    )


def _maps_users_on_the_hosts_network(spec: Object) -> bool:
    return bool(spec.get("hostNetwork")) and spec.get("hostUsers") is False


def _has_mount_options(spec: Object) -> bool:
    return any(
        mount.get("bindMountOptions")
        for container in _containers(spec, "containers", "initContainers", "ephemeralContainers")
        for mount in container.get("volumeMounts") or ()
    )


#: By name, in the order in which they are told. Others that nodes declare no pod needs.
FEATURES = (
    Feature("InPlacePodLevelResourcesVerticalScaling", changes=_resizes_pod),
    Feature("InPlacePodVerticalScalingInitContainers", changes=_resizes_init_containers),
    Feature("InPlacePodVerticalScalingMemoryBackedVolumes", changes=_resizes_memory),
    Feature("RestartAllContainersOnContainerExits", runs=_restarts_all),
    Feature("UserNamespacesHostNetworkSupport", runs=_maps_users_on_the_hosts_network),
    Feature("VolumeBindMountOptions", runs=_has_mount_options),
)
_BITS = {feature.name: 1 << at for at, feature in enumerate(FEATURES)}


def needed_to_run(spec: Object) -> tuple[str, ...]:
    """The features that a pod of this spec needs of its node."""
    return tuple(feature.name for feature in FEATURES if feature.runs(spec))


def needed_to_change(new: Object, old: Object) -> tuple[str, ...]:
    """The features that a change of a pod's spec needs of the node that it is on."""
    return tuple(feature.name for feature in FEATURES if feature.changes(new, old))


def declared(node: Object) -> tuple[str, ...]:
    return tuple((node.get("status") or {}).get("declaredFeatures") or ())


def bits(names: Iterable[str]) -> int:
    """Features as one number, those of the table only: one bit each."""
    out = 0
    for name in names:
        out |= _BITS.get(name, 0)
    return out
