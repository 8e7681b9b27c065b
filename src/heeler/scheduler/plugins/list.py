"""The plugins, in the order in which they are asked. The first refusal of a node is the one that is told."""

from __future__ import annotations

from heeler.scheduler.plugins.image_locality import ImageLocality
from heeler.scheduler.plugins.node_affinity import NodeAffinity
from heeler.scheduler.plugins.node_name import NodeName
from heeler.scheduler.plugins.node_ports import NodePorts
from heeler.scheduler.plugins.node_resources import NodeResourcesBalancedAllocation, NodeResourcesFit
from heeler.scheduler.plugins.node_unschedulable import NodeUnschedulable
from heeler.scheduler.plugins.plugin import Filter, Score
from heeler.scheduler.plugins.pod_affinity import InterPodAffinity
from heeler.scheduler.plugins.pod_spread import PodTopologySpread
from heeler.scheduler.plugins.taint_toleration import TaintToleration
from heeler.scheduler.plugins.volume_binding import NodeVolumeLimits, VolumeBinding, VolumeZone
from heeler.scheduler.plugins.volume_restrictions import VolumeRestrictions

VOLUME_BINDING = VolumeBinding()

FILTERS: tuple[Filter, ...] = (
    NodeUnschedulable(),
    NodeName(),
    TaintToleration(),
    NodeAffinity(),
    NodePorts(),
    NodeResourcesFit(),
    VolumeRestrictions(),
    NodeVolumeLimits(),
    VOLUME_BINDING,
    VolumeZone(),
    PodTopologySpread(),
    InterPodAffinity(),
)

SCORES: tuple[Score, ...] = (
    TaintToleration(),
    NodeAffinity(),
    PodTopologySpread(),
    InterPodAffinity(),
    NodeResourcesFit(),
    NodeResourcesBalancedAllocation(),
    ImageLocality(),
)
