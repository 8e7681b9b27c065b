"""Which pods a node takes: what it can't do is said, and what doesn't fit is rejected. Pure.

Source: https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/ and a kubelet's admission reasons.
"""

from __future__ import annotations

from collections.abc import Sequence

from heeler.kubelet.pods.amounts import pod_amount
from heeler.kubelet.pods.views import all_containers, spec_of
from heeler.objects.value import Object
from heeler.workloads.affinity import node_allowed


def unsupported(pod: Object, features: Sequence[str] = ()) -> str:
    """What of the specification this node can't honour; "" if nothing. It is said, never ignored.

    `features`: what the runtime can do, by CRI's names."""
    spec = spec_of(pod)
    for volume in spec.get("volumes") or []:
        kinds = [key for key in volume if key != "name"]
        if kinds and kinds[0] not in VOLUMES:
            return f"volume {volume['name']!r}: volumes of type {kinds[0]} are not supported by this node"
        if (volume.get("emptyDir") or {}).get("medium", "") not in ("", "Memory"):
            return f"volume {volume['name']!r}: emptyDir medium {volume['emptyDir']['medium']} is not supported"
    if spec.get("hostUsers") is False:
        return "hostUsers: false (user namespaces) is not supported by this node"
    for name in ("resourceClaims", "runtimeClassName", "setHostnameAsFQDN"):
        if spec.get(name):
            return f"{name} is not supported by this node"
    if (pod.get("status") or {}).get("extendedResourceClaimStatus"):
        return "extended resources of device classes are not supported by this node"
    groups = (spec.get("securityContext") or {}).get("supplementalGroupsPolicy")
    if groups == "Strict" and "supplemental_groups_policy" not in features:
        return "supplementalGroupsPolicy: Strict is not supported by this node's container runtime"
    if (spec.get("os") or {}).get("name", "linux") != "linux":
        return f"pods for {spec['os']['name']} don't run on this node"
    reasons = (_unsupported_in(container, features) for container in all_containers(pod))
    return next((reason for reason in reasons if reason), "")


def _unsupported_in(container: Object, features: Sequence[str]) -> str:
    name = f"container {container['name']!r}"
    if container.get("volumeDevices"):
        return f"{name}: volumeDevices is not supported by this node"
    for source in container.get("env") or []:
        if "fileKeyRef" in (source.get("valueFrom") or {}):
            return f"{name}: env valueFrom.fileKeyRef is not supported by this node"
    for mount in container.get("volumeMounts") or []:
        if mount.get("recursiveReadOnly") == "Enabled" and "recursive_read_only_mounts" not in features:
            return f"{name}: recursiveReadOnly: Enabled is not supported by this node's container runtime"
    return ""


#: What a node keeps free of a resource -> the reason of a pod that doesn't fit.
OUT_OF = {"cpu": "OutOfcpu", "memory": "OutOfmemory", "pods": "OutOfpods"}


def misfit(pod: Object, others: Sequence[Object], milli_cpu: int, memory: int, max_pods: int) -> tuple[str, str] | None:
    """(reason, message) where a pod asks for more than the other ones leave of the node; the scheduler should have
    seen to it, but a pod may name its node itself."""
    living = [o for o in others if (o.get("status") or {}).get("phase") not in ("Succeeded", "Failed")]
    amounts = (
        ("pods", 1, len(living), max_pods),
        ("cpu", pod_amount(pod, "requests", "cpu"), sum(pod_amount(o, "requests", "cpu") for o in living), milli_cpu),
        (
            "memory",
            pod_amount(pod, "requests", "memory"),
            sum(pod_amount(o, "requests", "memory") for o in living),
            memory,
        ),
    )
    for resource, asked, used, capacity in amounts:
        if asked and asked + used > capacity:
            text = (
                f"Node didn't have enough resource: {resource}, requested: {asked}, used: {used}, capacity: {capacity}"
            )
            return OUT_OF[resource], f"Pod was rejected: {text}"
    return None


def misplaced(pod: Object, others: Sequence[Object], node: Object) -> tuple[str, str] | None:
    """(reason, message) where a pod doesn't want this node, or a port that it wants of the node is taken.

    `node` is the Node object, {} while it isn't known."""
    if node and not node_allowed(pod, node):
        return _predicate("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")
    living = [o for o in others if (o.get("status") or {}).get("phase") not in ("Succeeded", "Failed")]
    taken = [port for other in living for port in _host_ports(other)]
    if any(_clash(port, other) for port in _host_ports(pod) for other in taken):
        return _predicate("NodePorts", "node(s) didn't have free ports for the requested pod ports")
    return None


def _predicate(name: str, why: str) -> tuple[str, str]:
    return name, f"Pod was rejected: Predicate {name} failed: {why}"


def _host_ports(pod: Object) -> list[tuple[str, int, str]]:
    """(protocol, port, address) of the node's ports that a pod takes."""
    containers = [*(spec_of(pod).get("containers") or ())]
    containers += [c for c in spec_of(pod).get("initContainers") or () if c.get("restartPolicy") == "Always"]
    ports = (port for container in containers for port in container.get("ports") or ())
    return [
        (str(p.get("protocol") or "TCP"), int(p["hostPort"]), str(p.get("hostIP") or "0.0.0.0"))
        for p in ports
        if p.get("hostPort")
    ]


def _clash(one: tuple[str, int, str], other: tuple[str, int, str]) -> bool:
    every = ("0.0.0.0", "::")
    return one[:2] == other[:2] and (one[2] == other[2] or one[2] in every or other[2] in every)


VOLUMES = (
    *("emptyDir", "configMap", "secret", "projected", "downwardAPI", "hostPath"),
    *("persistentVolumeClaim", "ephemeral", "image"),
)
