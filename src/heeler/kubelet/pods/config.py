"""A pod as CRI's sandbox and container configurations: names, namespaces, security, mounts, resources. Pure.

Source: https://kubernetes.io/docs/tasks/configure-pod-container/security-context/ and CRI's message facts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heeler.kubelet.pods.amounts import container_resources
from heeler.kubelet.pods.env import ConfigError, expand
from heeler.kubelet.pods.views import grace_of, spec_of
from heeler.objects.value import Object, labels_of, name_of, namespace_of, uid_of

POD_NAME, POD_NAMESPACE = "io.kubernetes.pod.name", "io.kubernetes.pod.namespace"
POD_UID, CONTAINER_NAME = "io.kubernetes.pod.uid", "io.kubernetes.container.name"
#: Every sandbox and container of ours carries the node's name, for adoption and teardown.
NODE = "heeler.dev/node"
HASH = "io.kubernetes.container.hash"
SPEC_IMAGE = "heeler.dev/image"
RESOURCES = "heeler.dev/resources"
TERMINATION_PATH = "io.kubernetes.container.terminationMessagePath"

#: What a container must not see or write of /proc and /sys, unless it asks for procMount: Unmasked.
MASKED = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

#: Kernel settings that are a pod's own and harmless (https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/).
SAFE_SYSCTLS = (
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
)


@dataclass(frozen=True, slots=True)
class Dns:
    """What pods get for a resolver: the cluster's (empty if there is none) and the node's own."""

    cluster: tuple[str, ...]
    domain: str
    servers: tuple[str, ...]
    searches: tuple[str, ...]
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImageUser:
    """Whom an image runs as by itself: a number, or a name where that isn't known."""

    uid: int | None
    name: str = ""


def pod_log_dir(logs: Path, pod: Object) -> Path:
    return logs / f"{namespace_of(pod)}_{name_of(pod)}_{uid_of(pod)}"


def _labels(pod: Object) -> dict[str, str]:
    return {POD_NAME: name_of(pod), POD_NAMESPACE: namespace_of(pod), POD_UID: str(uid_of(pod))}


def forbidden_sysctl(pod: Object, unsafe: Sequence[str] = ()) -> str:
    """The first kernel setting that the pod may not have; "" if there is none. `unsafe`: further ones that it may,
    "net.core.*" for all below it."""
    for entry in (spec_of(pod).get("securityContext") or {}).get("sysctls") or []:
        name = str(entry.get("name")).replace("/", ".")
        further = any(name == one or (one.endswith("*") and name.startswith(one[:-1])) for one in unsafe)
        if name not in SAFE_SYSCTLS and not further:
            return str(entry.get("name"))
    return ""


def hostname(pod: Object) -> str:
    """A pod's own host name: at most 63 letters, not ending in "-" or "."."""
    spec = spec_of(pod)
    name = str(spec.get("hostnameOverride") or spec.get("hostname") or name_of(pod))
    return name[:63].rstrip("-.")


#: What a resolv.conf may hold: servers, search paths, letters of all search paths.
MAX_SERVERS, MAX_SEARCHES, MAX_SEARCH_LETTERS = 3, 32, 2048


def dns(pod: Object, settings: Dns) -> Object:
    """CRI's DNSConfig by the pod's dnsPolicy and dnsConfig, within the limits of a resolv.conf."""
    out = _formed(pod, settings)
    return {**out, "servers": out["servers"][:MAX_SERVERS], "searches": _fitting(out["searches"])}


def dns_warnings(pod: Object, settings: Dns) -> list[str]:
    """What is to be said of a DNSConfig that went over the limits."""
    whole, kept = _formed(pod, settings), dns(pod, settings)
    return [
        f"{what} limits were exceeded, some {plural} have been omitted, the applied {line} line is: {' '.join(kept[key])}"
        for key, what, plural, line in (
            ("searches", "Search Line", "search paths", "search"),
            ("servers", "Nameserver", "nameservers", "nameserver"),
        )
        if kept[key] != whole[key]
    ]


def _fitting(searches: list[str]) -> list[str]:
    out: list[str] = []
    for path in searches[:MAX_SEARCHES]:
        if len(" ".join([*out, path])) > MAX_SEARCH_LETTERS:
            break
        out.append(path)
    return out


def _formed(pod: Object, settings: Dns) -> Object:
    spec = spec_of(pod)
    policy = spec.get("dnsPolicy") or "ClusterFirst"
    if policy == "ClusterFirst" and spec.get("hostNetwork"):
        policy = "Default"
    if policy in ("ClusterFirst", "ClusterFirstWithHostNet") and settings.cluster:
        domain = settings.domain
        out = {
            "servers": list(settings.cluster),
            "searches": [f"{namespace_of(pod)}.svc.{domain}", f"svc.{domain}", domain, *settings.searches],
            "options": ["ndots:5"],
        }
    elif policy == "None":
        out = {"servers": [], "searches": [], "options": []}
    else:
        out = {
            "servers": list(settings.servers),
            "searches": list(settings.searches),
            "options": list(settings.options),
        }
    more = spec.get("dnsConfig") or {}
    out["servers"] = list(dict.fromkeys(out["servers"] + (more.get("nameservers") or [])))
    out["searches"] = list(dict.fromkeys(out["searches"] + (more.get("searches") or [])))
    merged = {o.partition(":")[0]: o for o in out["options"]}
    for option in more.get("options") or []:
        value = option.get("value")
        merged[option["name"]] = f"{option['name']}:{value}" if value else option["name"]
    out["options"] = list(merged.values())
    return out


def missing_dns(pod: Object, settings: Dns) -> bool:
    """Whether the pod wants the cluster's resolver and there is none."""
    spec = spec_of(pod)
    policy = spec.get("dnsPolicy") or "ClusterFirst"
    if settings.cluster or policy not in ("ClusterFirst", "ClusterFirstWithHostNet"):
        return False
    return not (policy == "ClusterFirst" and spec.get("hostNetwork"))


def _namespaces(pod: Object) -> Object:
    spec = spec_of(pod)
    return {
        "network": "NODE" if spec.get("hostNetwork") else "POD",
        "ipc": "NODE" if spec.get("hostIPC") else "POD",
        "pid": "NODE" if spec.get("hostPID") else ("POD" if spec.get("shareProcessNamespace") else "CONTAINER"),
    }


def _profile(profile: Object | None, root: str = "") -> Object | None:
    """CRI's SecurityProfile; `root` is the folder that holds seccomp profiles."""
    if not profile:
        return None
    out: Object = {"profile_type": profile.get("type", "Unconfined")}
    if profile.get("localhostProfile"):
        out["localhost_ref"] = f"{root}/{profile['localhostProfile']}" if root else profile["localhostProfile"]
    return out


def _selinux(options: Object | None) -> Object | None:
    if not options:
        return None
    return {key: options[key] for key in ("user", "role", "type", "level") if key in options}


def _privileged(container: Object) -> bool:
    return bool((container.get("securityContext") or {}).get("privileged"))


def sandbox(pod: Object, attempt: int, node: str, logs: Path, cgroup: str, resolver: Dns) -> Object:
    """CRI's PodSandboxConfig."""
    spec, context = spec_of(pod), spec_of(pod).get("securityContext") or {}
    security: Object = {"namespace_options": _namespaces(pod)}
    if context.get("runAsUser") is not None:
        security["run_as_user"] = {"value": str(context["runAsUser"])}
        if context.get("runAsGroup") is not None:
            security["run_as_group"] = {"value": str(context["runAsGroup"])}
    security["supplemental_groups"] = [str(g) for g in _groups(context)]
    every = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    security["privileged"] = any(_privileged(c) for c in every)
    security["seccomp"] = {"profile_type": "RuntimeDefault"}
    selinux = _selinux(context.get("seLinuxOptions"))
    if selinux:
        security["selinux_options"] = selinux
    out: Object = {
        "metadata": {
            "name": name_of(pod),
            "namespace": namespace_of(pod),
            "uid": str(uid_of(pod)),
            "attempt": attempt,
        },
        "log_directory": str(pod_log_dir(logs, pod)),
        "dns_config": dns(pod, resolver),
        "labels": {**labels_of(pod), **_labels(pod), NODE: node},
        "annotations": {str(k): str(v) for k, v in ((pod.get("metadata") or {}).get("annotations") or {}).items()},
        "linux": {
            "cgroup_parent": cgroup,
            "security_context": security,
            "sysctls": {s["name"]: str(s["value"]) for s in context.get("sysctls") or []},
        },
    }
    if not spec.get("hostNetwork"):
        out["hostname"] = hostname(pod)
    return out


def _groups(context: Object) -> list[int]:
    groups = [int(g) for g in context.get("supplementalGroups") or []]
    if context.get("fsGroup") is not None:
        groups.append(int(context["fsGroup"]))
    return list(dict.fromkeys(groups))


def spec_hash(container: Object) -> str:
    """Of what a container is made of: another one tells that it has to be made anew."""
    return hashlib.sha256(json.dumps(container, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Mounted:
    """A bind mount into a container."""

    host: str
    inside: str
    read_only: bool = False
    propagation: str = "None"
    recursive_read_only: bool = False


@dataclass(frozen=True, slots=True)
class Making:
    """What a container's configuration is made of besides the pod's specification."""

    attempt: int
    node: str
    image_ref: str
    image_user: ImageUser
    environment: Sequence[tuple[str, str]]
    mounts: Sequence[Mounted]
    node_memory: int
    #: Which container's processes an ephemeral container sees (its id), or "".
    target: str = ""
    #: The folder of seccomp profiles that containers may name (localhostProfile).
    profiles: str = ""


PROPAGATION = {
    "None": "PROPAGATION_PRIVATE",
    "HostToContainer": "PROPAGATION_HOST_TO_CONTAINER",
    "Bidirectional": "PROPAGATION_BIDIRECTIONAL",
}


def container(pod: Object, spec: Object, making: Making) -> Object:
    """CRI's ContainerConfig. Raises ConfigError."""
    values = dict(making.environment)
    command = [expand(part, values) for part in spec.get("command") or []]
    arguments = [expand(part, values) for part in spec.get("args") or []]
    name = spec["name"]
    out: Object = {
        "metadata": {"name": name, "attempt": making.attempt},
        "image": {"image": making.image_ref, "user_specified_image": spec.get("image", "")},
        "command": command,
        "args": arguments,
        "working_dir": spec.get("workingDir", ""),
        "envs": [{"key": key, "value": value.encode(errors="surrogateescape")} for key, value in making.environment],
        "mounts": [_mount(mounted) for mounted in making.mounts],
        "labels": {**_labels(pod), CONTAINER_NAME: name, NODE: making.node},
        "annotations": {
            HASH: spec_hash(spec),
            SPEC_IMAGE: str(spec.get("image", "")),
            RESOURCES: json.dumps(spec.get("resources") or {}, sort_keys=True),
            "io.kubernetes.container.restartCount": str(making.attempt),
            TERMINATION_PATH: str(spec.get("terminationMessagePath") or "/dev/termination-log"),
            "io.kubernetes.container.terminationMessagePolicy": str(spec.get("terminationMessagePolicy") or "File"),
            "io.kubernetes.pod.terminationGracePeriod": str(int(grace_of(pod))),
        },
        "log_path": f"{name}/{making.attempt}.log",
        "stdin": bool(spec.get("stdin")),
        "stdin_once": bool(spec.get("stdinOnce")),
        "tty": bool(spec.get("tty")),
        "linux": {
            "resources": container_resources(pod, spec, making.node_memory),
            "security_context": security(pod, spec, making.image_user, making.target, making.profiles),
        },
    }
    signal = (spec.get("lifecycle") or {}).get("stopSignal")
    if signal:
        out["stop_signal"] = f"SIGNAL_{str(signal).replace('+', 'PLUS').replace('-', 'MINUS')}"
    return out


def _mount(mounted: Mounted) -> Object:
    out: Object = {
        "container_path": mounted.inside,
        "host_path": mounted.host,
        "readonly": mounted.read_only,
        "propagation": PROPAGATION.get(mounted.propagation, "PROPAGATION_PRIVATE"),
    }
    if mounted.recursive_read_only:
        out["recursive_read_only"] = True
    return out


def _either(inner: Mapping[str, Any], outer: Mapping[str, Any], key: str) -> Any:
    return inner[key] if inner.get(key) is not None else outer.get(key)


def security(pod: Object, spec: Object, user: ImageUser, target: str, profiles: str) -> Object:
    """CRI's LinuxContainerSecurityContext: the container's own settings over the pod's. Raises ConfigError."""
    outer, inner = spec_of(pod).get("securityContext") or {}, spec.get("securityContext") or {}
    namespaces = _namespaces(pod)
    if target:
        namespaces |= {"pid": "TARGET", "target_id": target}
    out: Object = {
        "namespace_options": namespaces,
        "privileged": bool(inner.get("privileged")),
        "readonly_rootfs": bool(inner.get("readOnlyRootFilesystem")),
        "supplemental_groups": [str(g) for g in _groups(outer)],
        "no_new_privs": _no_new_privileges(inner),
    }
    uid, gid = _either(inner, outer, "runAsUser"), _either(inner, outer, "runAsGroup")
    if uid is not None:
        out["run_as_user"] = {"value": str(uid)}
    elif user.uid is not None:
        out["run_as_user"] = {"value": str(user.uid)}
    elif user.name:
        out["run_as_username"] = user.name
    if gid is not None:
        out["run_as_group"] = {"value": str(gid)}
    _check_root(pod, spec, _either(inner, outer, "runAsNonRoot"), uid, user)
    capabilities = inner.get("capabilities") or {}
    if capabilities:
        out["capabilities"] = {
            "add_capabilities": [_capability(c) for c in capabilities.get("add") or []],
            "drop_capabilities": [_capability(c) for c in capabilities.get("drop") or []],
        }
    seccomp = _profile(_either(inner, outer, "seccompProfile"), profiles)
    out["seccomp"] = seccomp or {"profile_type": "Unconfined"}
    apparmor = _profile(_either(inner, outer, "appArmorProfile"))
    if apparmor:
        out["apparmor"] = apparmor
    selinux = _selinux(_either(inner, outer, "seLinuxOptions"))
    if selinux:
        out["selinux_options"] = selinux
    if not out["privileged"] and inner.get("procMount") != "Unmasked":
        out["masked_paths"], out["readonly_paths"] = list(MASKED), list(READ_ONLY)
    return out


def _capability(name: str) -> str:
    return name.removeprefix("CAP_")


def _no_new_privileges(inner: Object) -> bool:
    return inner.get("allowPrivilegeEscalation") is False


def _check_root(pod: Object, spec: Object, non_root: Any, uid: Any, user: ImageUser) -> None:
    if not non_root:
        return
    where = f'(pod: "{name_of(pod)}_{namespace_of(pod)}({uid_of(pod)})", container: {spec["name"]})'
    if uid is not None:
        if int(uid) == 0:
            raise ConfigError(f"container's runAsUser breaks non-root policy {where}")
        return
    if user.uid == 0 or (user.uid is None and not user.name):
        raise ConfigError(f"container has runAsNonRoot and image will run as root {where}")
    if user.uid is None:
        raise ConfigError(
            f"container has runAsNonRoot and image has non-numeric user ({user.name}), "
            f"cannot verify user is non-root {where}"
        )
