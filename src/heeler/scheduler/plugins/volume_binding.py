"""A pod's claims decide where it can run: where their volumes can be used, or could be bound or made.

https://kubernetes.io/docs/concepts/storage/storage-classes/#volume-binding-mode
"""

from __future__ import annotations

from collections.abc import Sequence

from heeler.objects.value import name_of
from heeler.scheduler.cache import NodeInfo, PodInfo
from heeler.scheduler.plugins.plugin import Check, Refusal
from heeler.workloads import volumes

UNBOUND = "pod has unbound immediate PersistentVolumeClaims"
ELSEWHERE = Refusal(("node(s) didn't match PersistentVolume's node affinity",), True)
NONE_FREE = Refusal(("node(s) didn't find available persistent volumes to bind",), True)


class VolumeBinding:
    name = "VolumeBinding"

    def hopeless(self, pod: PodInfo) -> str:
        """Why no node will do: a claim that isn't there, is going, or should be bound by now."""
        namespace = pod.namespace
        for _, name, own in volumes.claims_of(pod.pod):
            claim = pod.storage.claim(namespace, name)
            if claim is None:
                if own:
                    return f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
                return f'persistentvolumeclaim "{name}" not found'
            if (claim.get("status") or {}).get("phase") == "Lost":
                bound_to = claim["spec"].get("volumeName", "")
                return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{bound_to}"'
            if "deletionTimestamp" in claim["metadata"]:
                return f'persistentvolumeclaim "{name}" is being deleted'
            if own and not volumes.is_owned_by(claim, pod.pod):
                return f"PVC {namespace}/{name} was not created for pod {pod.key} (pod is not owner)"
        for claim in pod.storage.claims_of(pod.pod):
            if not volumes.is_bound(claim) and not pod.storage.is_delayed(claim):
                return UNBOUND
        return ""

    def prepare(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Check | None:
        storage = pod.storage
        claims = list(storage.claims_of(pod.pod))
        if not claims:
            return None
        bound = [storage.volume_of(claim) for claim in claims if claim["spec"].get("volumeName")]
        delayed = any(storage.is_delayed(claim) for claim in claims)

        def check(node: NodeInfo) -> Refusal | None:
            assert node.node is not None
            if any(volume is None or not volumes.usable_on(volume, node.node) for volume in bound):
                return ELSEWHERE
            if delayed and storage.choose(pod.pod, node.node) is None:
                return NONE_FREE
            return None

        return check


ZONES = (
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
)
OTHER_ZONE = Refusal(("node(s) had no available volume zone",), True)


class VolumeZone:
    """Volumes with a zone label want nodes of that zone, or of one of several (`a__b`)."""

    name = "VolumeZone"

    def prepare(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Check | None:
        wanted: list[tuple[str, tuple[str, ...]]] = []
        for claim in pod.storage.claims_of(pod.pod):
            volume = pod.storage.volume_of(claim)
            labels = (volume["metadata"].get("labels") or {}) if volume is not None else {}
            wanted += [(key, tuple(labels[key].split("__"))) for key in ZONES if key in labels]
        if not wanted:
            return None

        def check(node: NodeInfo) -> Refusal | None:
            if not any(key in node.labels for key in ZONES):
                return None
            return None if all(node.labels.get(key) in values for key, values in wanted) else OTHER_ZONE

        return check


EXCEEDED = Refusal(("node(s) exceed max volume count",))


class NodeVolumeLimits:
    """No more volumes of a CSI driver on a node than it says that it can attach."""

    name = "NodeVolumeLimits"

    def prepare(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Check | None:
        wanted = _attached(pod)
        if not wanted:
            return None

        def check(node: NodeInfo) -> Refusal | None:
            found = pod.storage.csi_nodes.get(node.name)
            for driver in (found or {}).get("spec", {}).get("drivers") or ():
                limit = (driver.get("allocatable") or {}).get("count")
                more = {key for key in wanted if key[0] == driver.get("name")}
                if limit is None or not more:
                    continue
                there = {key for other in node.pods.values() for key in _attached(other) if key[0] == driver["name"]}
                if len(there | more) > int(limit) and more - there:
                    return EXCEEDED
            return None

        return check


def _attached(pod: PodInfo) -> set[tuple[str, str]]:
    """(driver, volume) of each CSI volume of a pod; one that isn't made yet goes by its claim."""
    out = set()
    for claim in pod.storage.claims_of(pod.pod):
        volume = pod.storage.volume_of(claim)
        source = (volume["spec"].get("csi") or {}) if volume is not None else {}
        if source:
            out.add((str(source.get("driver")), str(source.get("volumeHandle"))))
        elif volume is None:
            provisioner = (pod.storage.class_of(claim) or {}).get("provisioner")
            if provisioner:
                out.add((str(provisioner), f"{pod.namespace}/{name_of(claim)}"))
    return out
