"""What goes wrong in a pod, as `kubectl describe` shows it: the state, its reason and message, and the events.

The texts are the kubelet's and the scheduler's; a row gives patterns. All pods run at once.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import Any

from heeler.objects.value import Object
from tests.cluster import LocalCluster
from tests.containers.node import WAIT, pod

NAMESPACE = "faults"
#: Seconds until all of it must have been seen on a busy machine.
PATIENCE = 90.0
NOWHERE = {"httpGet": {"path": "/", "port": 81}, "periodSeconds": 1, "failureThreshold": 1}
FAILING = {"exec": {"command": ["sh", "-c", "echo no; exit 1"]}, "periodSeconds": 1, "failureThreshold": 1}
REFUSED = r'Get "http://10\.[0-9.]+:81/": dial tcp 10\.[0-9.]+:81: connect: connection refused'
UNKNOWN = r'failed to pull and unpack image "docker\.io/library/nowhere:1": failed to resolve reference .+'
NO_PROGRAM = (
    r"failed to create containerd task: failed to create shim task: .+"
    r'exec: "/nothing": stat /nothing: no such file or directory: unknown'
)
NONE_OF_TWO = r"0/2 nodes are available: "


@dataclass(frozen=True)
class Fault:
    """One pod and what is seen of it sooner or later.

    `state`: phase, or a container's state as `waiting:REASON`, `terminated:REASON`, `last:REASON`; `message`: its
    pattern; `events`: (reason, pattern of the message).
    """

    pod: Object
    state: str
    message: str
    events: tuple[tuple[str, str], ...]


def variable(source: str, name: str, key: str) -> Object:
    return {"env": [{"name": "X", "valueFrom": {source: {"name": name, "key": key}}}]}


def volume(**source: Any) -> dict[str, Any]:
    return {"container": {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}, "volumes": [{"name": "v", **source}]}


def config_error(name: str, container: Object, text: str) -> Fault:
    """A container that can't be made of its settings."""
    return Fault(
        pod(name, WAIT, container=container),
        "waiting:CreateContainerConfigError",
        text,
        (("Failed", f"Error: {text}"),),
    )


def unmounted(name: str, text: str, **source: Any) -> Fault:
    """A volume that can't be set up."""
    told = rf'MountVolume\.SetUp failed for volume "v" : {text}'
    return Fault(pod(name, WAIT, **volume(**source)), "waiting:ContainerCreating", "", (("FailedMount", told),))


FAULTS = [
    Fault(
        pod("image-missing", WAIT, container={"image": "nowhere:1"}, imagePullSecrets=[{"name": "none"}]),
        "waiting:ImagePullBackOff",
        rf'Back-off pulling image "nowhere:1": ErrImagePull: {UNKNOWN}',
        (
            ("Pulling", 'Pulling image "nowhere:1"'),
            ("Failed", rf'Failed to pull image "nowhere:1": {UNKNOWN}'),
            ("Failed", "Error: ErrImagePull"),
            ("BackOff", 'Back-off pulling image "nowhere:1"'),
            ("Failed", "Error: ImagePullBackOff"),
            (
                "FailedToRetrieveImagePullSecret",
                r"Unable to retrieve some image pull secrets \(none\); attempting to pull the image may not succeed\.",
            ),
        ),
    ),
    Fault(
        pod("image-misnamed", WAIT, container={"image": "Upper:1"}),
        "waiting:InvalidImageName",
        r'Failed to apply default image tag "Upper:1": couldn\'t parse image name "Upper:1": '
        r"invalid reference format: repository name \(library/Upper\) must be lowercase",
        (
            ("InspectFailed", 'Failed to apply default image tag "Upper:1": .+'),
            ("Failed", "Error: InvalidImageName"),
        ),
    ),
    Fault(
        pod(
            "image-never",
            WAIT,
            container={"image": "nowhere:1", "imagePullPolicy": "Never"},
        ),
        "waiting:ErrImageNeverPull",
        r'Container image "nowhere:1" is not present with pull policy of Never',
        (
            ("ErrImageNeverPull", r'Container image "nowhere:1" is not present with pull policy of Never'),
            ("Failed", "Error: ErrImageNeverPull"),
        ),
    ),
    Fault(
        pod("crash", "exit 7"),
        "waiting:CrashLoopBackOff",
        r"back-off 10s restarting failed container=c pod=crash_faults\([0-9a-f-]{36}\)",
        (("BackOff", r"Back-off restarting failed container c in pod crash_faults\([0-9a-f-]{36}\)"),),
    ),
    Fault(
        pod("no-program", WAIT, container={"command": ["/nothing"]}),
        "last:StartError",
        NO_PROGRAM,
        (("Failed", f"Error: {NO_PROGRAM}"),),
    ),
    Fault(
        pod("liveness", WAIT, container={"livenessProbe": NOWHERE}, terminationGracePeriodSeconds=1),
        "last:Completed",
        "",
        (
            ("Unhealthy", f"Liveness probe failed: {REFUSED}"),
            ("Killing", "Container c failed liveness probe, will be restarted"),
        ),
    ),
    Fault(
        pod("readiness", WAIT, container={"readinessProbe": FAILING}),
        "Running",
        "",
        (("Unhealthy", r"Readiness probe failed: no\n"),),
    ),
    Fault(
        pod("readiness-tcp", WAIT, container={"readinessProbe": {"tcpSocket": {"port": 81}, "periodSeconds": 1}}),
        "Running",
        "",
        (("Unhealthy", r"Readiness probe failed: dial tcp 10\.[0-9.]+:81: connect: connection refused"),),
    ),
    Fault(
        pod("readiness-slow", WAIT, container={"readinessProbe": {"exec": {"command": ["sleep", "9"]}}}),
        "Running",
        "",
        (("Unhealthy", 'Readiness probe failed: command timed out: "sleep 9" timed out after 1s'),),
    ),
    Fault(
        pod("startup", WAIT, container={"startupProbe": FAILING}, terminationGracePeriodSeconds=1),
        "last:Completed",
        "",
        (
            ("Unhealthy", r"Startup probe failed: no\n"),
            ("Killing", "Container c failed startup probe, will be restarted"),
        ),
    ),
    Fault(
        pod(
            "memory",
            "x=0123456789abcdef; while :; do x=$x$x; done",
            container={"resources": {"limits": {"memory": "16Mi"}}},
        ),
        "last:OOMKilled",
        "",
        (("BackOff", r"Back-off restarting failed container c in pod memory_faults\(.+\)"),),
    ),
    config_error("configmap-missing", variable("configMapKeyRef", "none", "k"), 'configmap "none" not found'),
    config_error(
        "configmap-key", variable("configMapKeyRef", "some", "k"), "couldn't find key k in ConfigMap faults/some"
    ),
    config_error("secret-missing", variable("secretKeyRef", "none", "k"), 'secret "none" not found'),
    config_error("secret-key", variable("secretKeyRef", "some", "k"), "couldn't find key k in Secret faults/some"),
    config_error("all-of-none", {"envFrom": [{"configMapRef": {"name": "none"}}]}, 'configmap "none" not found'),
    config_error(
        "root",
        {"securityContext": {"runAsNonRoot": True}},
        r'container has runAsNonRoot and image will run as root \(pod: "root_faults\(.+\)", container: c\)',
    ),
    unmounted("volume-configmap", 'configmap "none" not found', configMap={"name": "none"}),
    unmounted("volume-secret", 'secret "none" not found', secret={"secretName": "none"}),
    unmounted(
        "volume-key",
        "configmap references non-existent config key: k",
        configMap={"name": "some", "items": [{"key": "k", "path": "k"}]},
    ),
    unmounted(
        "volume-folder",
        "hostPath type check failed: /nowhere is not a directory",
        hostPath={"path": "/nowhere", "type": "Directory"},
    ),
    unmounted(
        "volume-file", "hostPath type check failed: /etc is not a file", hostPath={"path": "/etc", "type": "File"}
    ),
    Fault(
        pod("claim", WAIT, **volume(persistentVolumeClaim={"claimName": "none"}), nodeName=None),
        "unscheduled:Unschedulable",
        rf'{NONE_OF_TWO}persistentvolumeclaim "none" not found\. not found',
        (("FailedScheduling", rf'{NONE_OF_TWO}persistentvolumeclaim "none" not found\. not found'),),
    ),
    Fault(
        pod("port-taken", WAIT, container={"ports": [{"containerPort": 80, "hostPort": 8081}]}),
        "Failed:NodePorts",
        r"Pod was rejected: Predicate NodePorts failed: node\(s\) didn't have free ports for the requested pod ports",
        (
            (
                "NodePorts",
                r"Predicate NodePorts failed: node\(s\) didn't have free ports for the requested pod ports",
            ),
        ),
    ),
    Fault(
        pod(
            "port-taken-everywhere",
            WAIT,
            container={"ports": [{"containerPort": 80, "hostPort": 8081}]},
            nodeName=None,
            nodeSelector={"kubernetes.io/hostname": "NODE"},
        ),
        "unscheduled:Unschedulable",
        rf"{NONE_OF_TWO}1 node\(s\) didn't have free ports for the requested pod ports, "
        r"1 node\(s\) didn't match Pod's node affinity/selector\. .*preemption: .+",
        (("FailedScheduling", rf"{NONE_OF_TWO}1 node\(s\) didn't have free ports for the requested pod ports, .+"),),
    ),
    Fault(
        pod("too-long", WAIT, activeDeadlineSeconds=1),
        "Failed:DeadlineExceeded",
        "Pod was active on the node longer than the specified deadline",
        (("DeadlineExceeded", "Pod was active on the node longer than the specified deadline"),),
    ),
    Fault(
        pod(
            "init",
            WAIT,
            initContainers=[{"name": "i", "image": "busybox:1", "command": ["sh", "-c", "exit 3"]}],
        ),
        "waiting:PodInitializing",
        "",
        (("BackOff", r"Back-off restarting failed container i in pod init_faults\(.+\)"),),
    ),
    Fault(
        pod("hook", WAIT, container={"lifecycle": {"postStart": {"exec": {"command": ["sh", "-c", "exit 1"]}}}}),
        "last:Completed",
        "",
        (("FailedPostStartHook", "PostStartHook failed"), ("Killing", "FailedPostStartHook")),
    ),
]


def states(found: Object) -> dict[str, str]:
    """All that a pod's status says of its state: what it is called in `Fault.state` → the message."""
    status = found.get("status") or {}
    phase, reason = status.get("phase", ""), status.get("reason", "")
    out = {phase: "", f"{phase}:{reason}": status.get("message", "")}
    for one in status.get("conditions") or ():
        if one["type"] == "PodScheduled" and one["status"] == "False":
            out[f"unscheduled:{one.get('reason')}"] = one.get("message", "")
    for container in status.get("containerStatuses") or ():
        for prefix, state in (("", container.get("state") or {}), ("last:", container.get("lastState") or {})):
            for kind, detail in state.items():
                out[f"{prefix or kind + ':'}{detail.get('reason')}"] = detail.get("message", "")
    return out


def lacking(fault: Fault, seen: dict[str, str], told: list[tuple[str, str]]) -> list[str]:
    """What of a fault was not seen yet."""
    out = []
    if not any(one == fault.state and matches(fault.message, text) for one, text in seen.items()):
        out.append(f"{fault.state}: {fault.message!r}")
    for reason, pattern in fault.events:
        if not any(one == reason and matches(pattern, text) for one, text in told):
            out.append(f"event {reason}: {pattern!r}")
    return out


def matches(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text, re.DOTALL) is not None


def test_faults_are_shown_as_a_kubelet_and_a_scheduler_show_them(two_nodes: LocalCluster) -> None:
    node = two_nodes.get("nodes")["items"][0]["metadata"]["name"]
    taker = pod("taker", WAIT, container={"ports": [{"containerPort": 80, "hostPort": 8081}]})
    meta = {"name": "some", "namespace": NAMESPACE}
    objects: list[Object] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"other": "x"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": {"other": "eA=="}},
    ]
    two_nodes.kubectl("create", "namespace", NAMESPACE)
    try:
        made = json.dumps([taker, *(fault.pod for fault in FAULTS)]).replace('"NODE"', json.dumps(node))
        pods = json.loads(made)
        for one in pods:
            one["metadata"]["namespace"] = NAMESPACE
            one["spec"]["nodeName"] = node if one["spec"]["nodeName"] else None
        apply(two_nodes, [*objects, pods[0]])
        two_nodes.kubectl("wait", "pod/taker", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=60s", timeout=90)
        apply(two_nodes, pods[1:])
        missing = {fault.pod["metadata"]["name"]: fault for fault in FAULTS}
        shown: dict[str, dict[str, str]] = {name: {} for name in missing}
        told: dict[str, list[tuple[str, str]]] = {}
        end = time.monotonic() + PATIENCE
        while missing and time.monotonic() < end:
            time.sleep(0.5)
            found = two_nodes.get("pods,events", "-n", NAMESPACE)["items"]
            told = {}
            for one in found:
                if one["kind"] == "Event":
                    name = one["involvedObject"]["name"]
                    told.setdefault(name, []).append((one["reason"], one["message"]))
                elif one["metadata"]["name"] in shown:  # a state may be over at the next look
                    shown[one["metadata"]["name"]] |= states(one)
            missing = {n: f for n, f in missing.items() if lacking(f, shown[n], told.get(n, []))}
        said = [
            f"{n} lacks {lacking(f, shown[n], told.get(n, []))}\n  of {shown[n]}\n  {told.get(n)}"
            for n, f in missing.items()
        ]
        assert not said, "\n".join(said)
    finally:
        two_nodes.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def apply(cluster: LocalCluster, objects: list[Object]) -> None:
    cluster.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
