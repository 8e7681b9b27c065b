"""A pod's status as a kubelet writes it: phase, conditions and each container's state. Pure.

Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from heeler.base.clock import rfc3339
from heeler.kubelet.pods.amounts import qos_class
from heeler.kubelet.pods.plan import applied, init_failed, initialized, over, restarts, started
from heeler.kubelet.pods.views import (
    ContainerView,
    Memory,
    View,
    Waiting,
    deleting,
    init_containers,
    is_sidecar,
    main_containers,
    spec_of,
)
from heeler.objects.value import Object

#: The conditions that a kubelet owns, in the order in which it writes them.
OWNED = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


@dataclass(frozen=True, slots=True)
class Host:
    """The node's part of a status."""

    ips: tuple[str, ...]
    runtime: str = "containerd"


def make(pod: Object, view: View, memory: Memory, host: Host, now: float) -> Object:
    """The whole `status` object; conditions of others (from the pod's current status) are kept."""
    old = pod.get("status") or {}
    done_init = initialized(pod, view, memory)
    inits = [_container(pod, c, view, memory, host, now, done_init) for c in init_containers(pod)]
    mains = [_container(pod, c, view, memory, host, now, done_init) for c in main_containers(pod)]
    extra = spec_of(pod).get("ephemeralContainers") or []
    ephemeral = [_unprobed(_container(pod, c, view, memory, host, now, done_init)) for c in extra]
    phase = _phase(pod, view, memory, inits, mains)
    out: Object = {"phase": phase}
    generation = (pod.get("metadata") or {}).get("generation")
    if generation:
        out["observedGeneration"] = generation
    if memory.ended is not None:
        told = {"reason": memory.ended[1], "message": memory.ended[2]}
        out |= {key: text for key, text in told.items() if text}
    out["conditions"] = _conditions(pod, view, phase, inits, mains, old, now)
    if memory.disrupted is not None:
        out["conditions"] = _disrupted(out["conditions"], memory.disrupted, now)
    out["hostIP"] = host.ips[0]
    out["hostIPs"] = [{"ip": ip} for ip in host.ips]
    ips = host.ips if spec_of(pod).get("hostNetwork") else _ips(view, old)
    if ips:
        out["podIP"], out["podIPs"] = ips[0], [{"ip": ip} for ip in ips]
    out["startTime"] = rfc3339(memory.started_at or now)
    if inits:
        out["initContainerStatuses"] = inits
    out["containerStatuses"] = mains
    if ephemeral:
        out["ephemeralContainerStatuses"] = ephemeral
    out["qosClass"] = qos_class(pod)
    return out


def _ips(view: View, old: Object) -> tuple[str, ...]:
    sandbox = view.sandbox
    if sandbox is not None and sandbox.ips:
        return sandbox.ips
    return tuple(str(entry.get("ip")) for entry in old.get("podIPs") or [])


def _terminated(found: ContainerView, host: Host) -> Object:
    out: Object = {"exitCode": found.exit_code}
    reason = found.reason or ("Completed" if found.exit_code == 0 else "Error")
    out["reason"] = reason
    if found.message:
        out["message"] = found.message
    out["startedAt"] = rfc3339(found.started_at)  # the epoch for one that never came to run
    out["finishedAt"] = rfc3339(found.finished_at or found.created_at)
    out["containerID"] = f"{host.runtime}://{found.id}"
    return out


def _unprobed(status: Object) -> Object:
    """Ephemeral containers have no probes: they are never ready, and nothing is said of their start."""
    return {key: value for key, value in status.items() if key != "started"} | {"ready": False}


def _container(
    pod: Object, container: Object, view: View, memory: Memory, host: Host, now: float, done_init: bool
) -> Object:
    name = container["name"]
    latest, running = view.latest(name), False
    if latest is None and (memory.ended is not None or deleting(pod)):
        lost = _lost(_known_status(pod, name), now)
        if lost is not None:
            return lost
    state: Object = {}
    last: Object = {}
    init = container in init_containers(pod) and not is_sidecar(container)
    waiting = memory.waiting.get(name)
    if latest is None or latest.id in memory.hooking:
        state = {"waiting": _waiting(pod, container, waiting, done_init)}
    elif latest.state in ("running", "unknown"):
        state = {"running": {"startedAt": rfc3339(latest.started_at)}}
        running = True
    elif latest.state == "created":
        state = {"waiting": _waiting(pod, container, waiting, done_init)}
    elif waiting is not None and not _finished(pod, container, latest, view, memory):
        state = {"waiting": _shown(waiting)}
        last = {"terminated": _terminated(latest, host)}
    else:
        state = {"terminated": _terminated(latest, host)}
    previous = view.previous(name)
    if not last and previous is not None and previous.state == "exited":
        last = {"terminated": _terminated(previous, host)}
    if not last:
        last = _known_last(pod, name, latest)
    out: Object = {
        "name": name,
        "state": state,
        "lastState": last,
        "ready": _ready(container, latest, running, init, memory),
        "restartCount": latest.attempt if latest is not None else _known_restarts(pod, name),
        "image": (latest.image if latest is not None else "") or container.get("image", ""),
        "imageID": latest.image_id if latest is not None else "",
    }
    if latest is not None:
        out["containerID"] = f"{host.runtime}://{latest.id}"
    out["started"] = running and latest is not None and started(container, latest, memory)
    _more(container, latest, running, memory, out)
    return out


def _lost(known: Object, now: float) -> Object | None:
    """An ended pod's container that the runtime has forgotten: what was told of it stays; how one ended that ran
    when it was last seen is not known. None where nothing was told."""
    state = known.get("state") or {}
    if "terminated" in state:
        return dict(known)
    if "running" not in state:
        return None
    ended: Object = {
        "exitCode": 137,
        "reason": "ContainerStatusUnknown",
        "message": "The container could not be located when the pod was terminated",
        "startedAt": state["running"].get("startedAt"),
        "finishedAt": rfc3339(now),
        "containerID": known.get("containerID", ""),
    }
    return {**known, "state": {"terminated": ended}, "ready": False, "started": False}


def _finished(pod: Object, container: Object, latest: ContainerView, view: View, memory: Memory) -> bool:
    return not restarts(pod, container, latest) or deleting(pod) or memory.ended is not None or over(pod, view)


def _waiting(pod: Object, container: Object, known: Waiting | None, done_init: bool) -> Object:
    if known is not None:
        return _shown(known)
    if init_containers(pod) and not done_init and container not in init_containers(pod):
        return {"reason": "PodInitializing"}
    return {"reason": "PodInitializing" if init_containers(pod) else "ContainerCreating"}


def _shown(waiting: Waiting) -> Object:
    out: Object = {"reason": waiting.reason}
    if waiting.message:
        out["message"] = waiting.message
    return out


def _known_status(pod: Object, name: str) -> Object:
    old = pod.get("status") or {}
    for group in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
        for status in old.get(group) or []:
            if status.get("name") == name:
                found: Object = status
                return found
    return {}


def _known_restarts(pod: Object, name: str) -> int:
    return int(_known_status(pod, name).get("restartCount") or 0)


def _known_last(pod: Object, name: str, latest: ContainerView | None) -> Object:
    """What the status says already of the container before, where the runtime has forgotten it."""
    known = _known_status(pod, name)
    if latest is not None and int(known.get("restartCount") or 0) != latest.attempt:
        return {}
    last: Object = known.get("lastState") or {}
    return last


def _ready(container: Object, latest: ContainerView | None, running: bool, init: bool, memory: Memory) -> bool:
    if latest is None:
        return False
    if not running:
        return init and latest.state == "exited" and latest.exit_code == 0
    health = memory.health.get(container["name"])
    if health is not None and health.container == latest.id:
        return health.ready and health.started
    return "readinessProbe" not in container and "startupProbe" not in container


def _more(container: Object, latest: ContainerView | None, running: bool, memory: Memory, out: Object) -> None:
    """Resources (those that a running container really has), mounts and user, as since Kubernetes 1.33."""
    resources = container.get("resources") or {}
    if resources.get("requests"):
        out["allocatedResources"] = resources["requests"]
    if running and latest is not None:
        have = applied(latest, memory)
        resources = resources if have is None else have
    shown = {k: resources[k] for k in ("limits", "requests") if resources.get(k)}
    out["resources"] = shown
    mounts = []
    for mount in container.get("volumeMounts") or []:
        entry: Object = {"name": mount["name"], "mountPath": mount["mountPath"]}
        if mount.get("readOnly"):
            entry |= {"readOnly": True, "recursiveReadOnly": "Disabled"}
        mounts.append(entry)
    if mounts:
        out["volumeMounts"] = mounts
    if latest is not None and latest.user:
        out["user"] = latest.user


def _phase(pod: Object, view: View, memory: Memory, inits: Sequence[Object], mains: Sequence[Object]) -> str:
    if memory.ended is not None:
        return memory.ended[0]
    known = str((pod.get("status") or {}).get("phase") or "")
    if known in ("Succeeded", "Failed"):
        return known
    if init_failed(pod, view):
        return "Failed"
    waiting = running = stopped = succeeded = 0
    for status in mains:
        state = status["state"]
        if "running" in state:
            running += 1
        elif "terminated" in state:
            stopped += 1
            succeeded += state["terminated"]["exitCode"] == 0
        elif "terminated" in status["lastState"]:
            stopped += 1
        else:
            waiting += 1
    if not initialized(pod, view, memory):
        # An ended pod whose containers never came to run has failed.
        return "Failed" if deleting(pod) and not running and _nothing_runs(view, memory) else "Pending"
    if deleting(pod) and not running and _nothing_runs(view, memory):
        return "Succeeded" if stopped and stopped == succeeded and not waiting else "Failed"
    if waiting:
        return "Pending"
    if running:
        return "Running"
    if over(pod, view):
        return "Succeeded" if stopped == succeeded else "Failed"
    return "Running"


def _nothing_runs(view: View, memory: Memory) -> bool:
    busy = any(key == "sandbox" or key.startswith(("start/", "kill/")) for key in memory.busy)
    return not busy and not any(True for _ in view.running())


def _conditions(
    pod: Object, view: View, phase: str, inits: Sequence[Object], mains: Sequence[Object], old: Object, now: float
) -> list[Object]:
    sandbox = view.sandbox
    has_network = sandbox is not None and sandbox.ready and bool(sandbox.ips or spec_of(pod).get("hostNetwork"))
    ready = _containers_ready(pod, phase, inits, mains)
    fresh = {
        "PodReadyToStartContainers": {"status": "True" if has_network else "False"},
        "Initialized": _initialized_condition(pod, phase, inits, mains),
        "Ready": _ready_condition(pod, ready, old),
        "ContainersReady": ready,
        "PodScheduled": {"status": "True"},
    }
    before = {c.get("type"): c for c in old.get("conditions") or []}
    generation = (pod.get("metadata") or {}).get("generation")
    out: list[Object] = []
    for kind in OWNED:
        condition: Object = {"type": kind, **fresh[kind]}
        was = before.pop(kind, None)
        same = was is not None and was.get("status") == condition["status"] and was.get("lastTransitionTime")
        condition["lastTransitionTime"] = was["lastTransitionTime"] if was is not None and same else rfc3339(now)
        if generation:
            condition["observedGeneration"] = generation
        out.append(condition)
    return out + [dict(c) for c in before.values()]


def _disrupted(conditions: list[Object], why: tuple[str, str], now: float) -> list[Object]:
    """With the condition that tells that the node ended the pod."""
    if any(c["type"] == "DisruptionTarget" and c.get("status") == "True" for c in conditions):
        return conditions
    told = {"type": "DisruptionTarget", "status": "True", "reason": why[0], "message": why[1]}
    return [*(c for c in conditions if c["type"] != "DisruptionTarget"), {**told, "lastTransitionTime": rfc3339(now)}]


def _initialized_condition(pod: Object, phase: str, inits: Sequence[Object], mains: Sequence[Object]) -> Object:
    if phase == "Succeeded":
        return {"status": "True", "reason": "PodCompleted"}
    specs = {c["name"]: c for c in init_containers(pod)}
    begun = any("running" in s["state"] or "terminated" in s["state"] or s["lastState"] for s in mains)
    missing = [s["name"] for s in inits if not begun and not _init_ready(specs[s["name"]], s)]
    if not missing:
        return {"status": "True"}
    text = f"containers with incomplete status: [{' '.join(missing)}]"
    return {"status": "False", "reason": "ContainersNotInitialized", "message": text}


def _init_ready(container: Object, status: Object) -> bool:
    if is_sidecar(container):
        return bool(status.get("started"))
    return bool(status["state"].get("terminated")) and status["state"]["terminated"]["exitCode"] == 0


def _containers_ready(pod: Object, phase: str, inits: Sequence[Object], mains: Sequence[Object]) -> Object:
    if phase == "Succeeded":
        return {"status": "False", "reason": "PodCompleted"}
    if phase == "Failed":
        return {"status": "False", "reason": "PodFailed"}
    side = [s for c, s in zip(init_containers(pod), inits) if is_sidecar(c)]
    unready = [s["name"] for s in [*side, *mains] if not s["ready"]]
    if not unready:
        return {"status": "True"}
    text = f"containers with unready status: [{' '.join(unready)}]"
    return {"status": "False", "reason": "ContainersNotReady", "message": text}


def _ready_condition(pod: Object, containers: Object, old: Object) -> Object:
    if containers["status"] != "True":
        return dict(containers)
    have = {c.get("type"): str(c.get("status")) for c in old.get("conditions") or []}
    texts = []
    for gate in spec_of(pod).get("readinessGates") or []:
        kind = gate.get("conditionType")
        if kind not in have:
            texts.append(f'corresponding condition of pod readiness gate "{kind}" does not exist.')
        elif have[kind] != "True":
            texts.append(f'the status of pod readiness gate "{kind}" is not "True", but {have[kind]}')
    if texts:
        return {"status": "False", "reason": "ReadinessGatesNotReady", "message": ", ".join(texts)}
    return {"status": "True"}


def patch(pod: Object, fresh: Object) -> Object | None:
    """A strategic merge patch of the status that changes only what differs; None when nothing does."""
    old: dict[str, Any] = pod.get("status") or {}
    changes: Object = {}
    for key, value in fresh.items():
        if key in ("conditions", "podIPs", "hostIPs"):
            continue
        if old.get(key) != value:
            changes[key] = value
    before = {c.get("type"): c for c in old.get("conditions") or []}
    conditions = []
    for condition in fresh["conditions"]:
        was = before.get(condition["type"])
        if was is None or {**was, "lastProbeTime": None} != {**condition, "lastProbeTime": None}:
            # A merge keeps what isn't named: say what is no more.
            gone = {k: None for k in ("reason", "message") if was and k in was and k not in condition}
            conditions.append({**condition, **gone})
    if conditions:
        changes["conditions"] = conditions
    for key in ("podIPs", "hostIPs"):
        if key in fresh and fresh[key] != old.get(key):
            kept = {e["ip"]: None for e in fresh[key]}
            dropped = [e["ip"] for e in old.get(key) or [] if e.get("ip") not in kept]
            changes[key] = fresh[key] + [{"$patch": "delete", "ip": ip} for ip in dropped]
    for key in ("reason", "message"):
        if key in old and key not in fresh:
            changes[key] = None
    if not changes:
        return None
    uid = (pod.get("metadata") or {}).get("uid")
    return {"metadata": {"uid": uid}, "status": changes}
