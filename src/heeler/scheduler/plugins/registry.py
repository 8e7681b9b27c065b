"""The plugins of upstream's default profile: their order, weights and how they are made.

https://kubernetes.io/docs/reference/scheduling/config/#scheduling-plugins
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from heeler.base.clock import Clock
from heeler.scheduler.configuration.fields import seconds
from heeler.scheduler.devices.claim_writer import ClaimWriter
from heeler.scheduler.devices.known import Devices
from heeler.scheduler.plugins.default_preemption import DefaultPreemption
from heeler.scheduler.plugins.dynamic_resources import DynamicResources, Record
from heeler.scheduler.plugins.image_locality import ImageLocality
from heeler.scheduler.plugins.node_affinity import NodeAffinity
from heeler.scheduler.plugins.node_declared_features import NodeDeclaredFeatures
from heeler.scheduler.plugins.node_name import NodeName
from heeler.scheduler.plugins.node_ports import NodePorts
from heeler.scheduler.plugins.node_resources import (
    DEFAULT_RESOURCES,
    LEAST,
    NodeResourcesBalancedAllocation,
    NodeResourcesFit,
    Strategy,
)
from heeler.scheduler.plugins.node_unschedulable import NodeUnschedulable
from heeler.scheduler.plugins.pod_affinity import InterPodAffinity
from heeler.scheduler.plugins.pod_spread import Kin, PodTopologySpread, nobody
from heeler.scheduler.plugins.scheduling_gates import SchedulingGates
from heeler.scheduler.plugins.taint_toleration import TaintToleration
from heeler.scheduler.plugins.volume_binding import NodeVolumeLimits, VolumeBinding, VolumeZone
from heeler.scheduler.plugins.volume_restrictions import VolumeRestrictions
from heeler.scheduler.storage import Storage
from heeler.scheduler.volume_binder import VolumeBinder


@dataclass(slots=True)
class Tools:
    """What plugins are made with."""

    storage: Storage = field(default_factory=Storage)
    kin: Kin = nobody
    #: None: nothing is bound (in tests of decisions).
    volume_binder: VolumeBinder | None = None
    devices: Devices = field(default_factory=Devices)
    claim_writer: ClaimWriter | None = None
    #: None: no time passes (in tests of decisions).
    clock: Clock | None = None
    record: Record | None = None


#: A plugin from its tools and the arguments that the configuration gives it, by their names there.
Factory = Callable[[Tools, Mapping[str, Any]], Any]

CPU_AND_MEMORY = ("cpu", "memory")
#: In the order in which they are asked; the weight is that of the ratings.
DEFAULT: tuple[tuple[str, int], ...] = (
    ("SchedulingGates", 0),
    ("PrioritySort", 0),
    ("NodeName", 0),
    ("NodeUnschedulable", 0),
    ("TaintToleration", 3),
    ("NodeAffinity", 2),
    ("NodePorts", 0),
    ("NodeResourcesFit", 1),
    ("VolumeRestrictions", 0),
    ("NodeVolumeLimits", 0),
    ("VolumeBinding", 0),
    ("VolumeZone", 0),
    ("PodTopologySpread", 2),
    ("InterPodAffinity", 2),
    ("DynamicResources", 2),
    ("DefaultPreemption", 0),
    ("NodeResourcesBalancedAllocation", 1),
    ("ImageLocality", 1),
    ("DefaultBinder", 0),
    ("NodeDeclaredFeatures", 0),
)

_FILTER, _SCORE = ("preFilter", "filter"), ("preScore", "score")
#: Which extension points a plugin has.
EXTENDS: dict[str, tuple[str, ...]] = {
    "SchedulingGates": ("preEnqueue",),
    "PrioritySort": ("queueSort",),
    "NodeName": ("filter",),
    "NodeUnschedulable": ("filter",),
    "TaintToleration": ("filter", *_SCORE),
    "NodeAffinity": (*_FILTER, *_SCORE),
    "NodePorts": _FILTER,
    "NodeResourcesFit": (*_FILTER, *_SCORE),
    "VolumeRestrictions": _FILTER,
    "NodeVolumeLimits": _FILTER,
    "VolumeBinding": (*_FILTER, "reserve", "preBind", *_SCORE),
    "VolumeZone": _FILTER,
    "PodTopologySpread": (*_FILTER, *_SCORE),
    "InterPodAffinity": (*_FILTER, *_SCORE),
    "DynamicResources": ("preEnqueue", *_FILTER, "postFilter", "score", "reserve", "preBind"),
    "DefaultPreemption": ("preEnqueue", "postFilter"),
    "NodeResourcesBalancedAllocation": _SCORE,
    "ImageLocality": ("score",),
    "DefaultBinder": ("bind",),
    "NodeDeclaredFeatures": _FILTER,
}


def _fit(tools: Tools, args: Mapping[str, Any]) -> NodeResourcesFit:
    given = args.get("scoringStrategy") or {}
    points = (given.get("requestedToCapacityRatio") or {}).get("shape") or ()
    strategy = Strategy(
        given.get("type", LEAST),
        tuple((one.get("name", ""), one["weight"]) for one in given.get("resources") or ()) or DEFAULT_RESOURCES,
        tuple((point.get("utilization", 0), point.get("score", 0)) for point in points),
    )
    ignored, groups = args.get("ignoredResources") or (), args.get("ignoredResourceGroups") or ()
    return NodeResourcesFit(strategy, ignored, groups, tools.devices)


def _volume_binding(tools: Tools, args: Mapping[str, Any]) -> VolumeBinding:
    return VolumeBinding(tools.storage, tools.volume_binder, args.get("bindTimeoutSeconds"))


def _spread(tools: Tools, args: Mapping[str, Any]) -> PodTopologySpread:
    by_list = args.get("defaultingType") == "List"
    return PodTopologySpread(tools.kin, args.get("defaultConstraints") or () if by_list else None)


def _devices(tools: Tools, args: Mapping[str, Any]) -> DynamicResources:
    binding, search = seconds(args.get("bindingTimeout", "10m")), seconds(args.get("filterTimeout", "10s"))
    return DynamicResources(tools.devices, tools.claim_writer, binding, search, tools.clock, tools.record)


FACTORIES: dict[str, Factory] = {
    "SchedulingGates": lambda tools, args: SchedulingGates(),
    "NodeName": lambda tools, args: NodeName(),
    "NodeUnschedulable": lambda tools, args: NodeUnschedulable(),
    "TaintToleration": lambda tools, args: TaintToleration(),
    "NodeAffinity": lambda tools, args: NodeAffinity(args.get("addedAffinity")),
    "NodePorts": lambda tools, args: NodePorts(),
    "NodeResourcesFit": _fit,
    "VolumeRestrictions": lambda tools, args: VolumeRestrictions(tools.storage),
    "NodeVolumeLimits": lambda tools, args: NodeVolumeLimits(tools.storage),
    "VolumeBinding": _volume_binding,
    "VolumeZone": lambda tools, args: VolumeZone(tools.storage),
    "PodTopologySpread": _spread,
    "InterPodAffinity": lambda tools, args: InterPodAffinity(
        args.get("hardPodAffinityWeight", 1), args.get("ignorePreferredTermsOfExistingPods", False)
    ),
    "DynamicResources": _devices,
    "DefaultPreemption": lambda tools, args: DefaultPreemption(
        args.get("minCandidateNodesPercentage", 10), args.get("minCandidateNodesAbsolute", 100)
    ),
    "NodeResourcesBalancedAllocation": lambda tools, args: NodeResourcesBalancedAllocation(
        [one.get("name", "") for one in args.get("resources") or ()] or CPU_AND_MEMORY, tools.devices
    ),
    "ImageLocality": lambda tools, args: ImageLocality(),
    "NodeDeclaredFeatures": lambda tools, args: NodeDeclaredFeatures(),
}
