"""The Pod Security Standards: what a pod does that a level forbids, in upstream's words.

Each check has the level that it belongs to and the minor version that it appeared in; a check of the restricted level may
stand in for one of the baseline. Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/ and
recorded answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from heeler.objects.faults import quote
from heeler.objects.value import Object

Level = Literal["privileged", "baseline", "restricted"]
LEVELS: tuple[Level, ...] = ("privileged", "baseline", "restricted")
#: The minor version that stands for "latest" (1.37).
LATEST = 37


class Policy(NamedTuple):
    """A level as of a version: `minor` is the x of v1.x, None the latest."""

    level: Level
    minor: int | None = None

    def __str__(self) -> str:
        return f"{self.level}:{'latest' if self.minor is None else f'v1.{self.minor}'}"


class Violation(NamedTuple):
    """`reason` is the short name of what is forbidden, `detail` who does it and what would be right."""

    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})"


def level_named(text: str) -> Level | None:
    return next((level for level in LEVELS if level == text), None)


def minor_of(text: str) -> int | None:
    """Of "latest" (None) or "v1.x". Raises ValueError."""
    if text == "latest":
        return None
    found = re.fullmatch(r"v1\.(0|[1-9]\d*)", text)
    if found is None:
        raise ValueError('must be "latest" or "v1.x"')
    return int(found[1])


class Seen(NamedTuple):
    """What a check knows besides the spec: the minor version that it judges by, the pod's annotations."""

    minor: int
    annotations: Mapping[str, str]


def violations(policy: Policy, spec: Object, annotations: Mapping[str, str] | None = None) -> list[Violation]:
    """All that the policy forbids of a pod with this spec and these annotations, in upstream's order."""
    minor = LATEST if policy.minor is None else policy.minor
    if policy.level == "privileged":
        return []
    restricted = policy.level == "restricted"
    checks = [c for c in CHECKS if c.since <= minor and (restricted or c.level == "baseline")]
    replaced = {c.replaces for c in checks if c.replaces}
    containers = all_containers(spec)
    seen = Seen(minor, annotations or {})
    found = (c.run(spec, containers, seen) for c in checks if c.name not in replaced)
    return [violation for violation in found if violation is not None]


def all_containers(spec: Object) -> list[Object]:
    """Init containers, containers and ephemeral ones, in this order."""
    return [c for key in ("initContainers", "containers", "ephemeralContainers") for c in spec.get(key) or ()]


# --- words ------------------------------------------------------------------------------------------------------------


def _quoted(values: Iterable[str]) -> str:
    return ", ".join(f'"{v}"' for v in dict.fromkeys(values))


def _several(noun: str, names: Iterable[str]) -> str:
    """`container "a"`, or `containers "a", "b"`."""
    names = list(dict.fromkeys(names))
    return f"{noun}{'s' if len(names) > 1 else ''} {_quoted(names)}"


def _setters(pod: bool, containers: Iterable[str]) -> str:
    """`pod`, `container "a"`, or `pod and container "a"`."""
    names = list(containers)
    who = ["pod"] if pod else []
    return " and ".join([*who, _several("container", names)] if names else who)


def _context(holder: Object) -> Object:
    found: Object = holder.get("securityContext") or {}
    return found


def _is_windows(spec: Object) -> bool:
    return bool((spec.get("os") or {}).get("name") == "windows")


# --- baseline ---------------------------------------------------------------------------------------------------------

_APP_ARMOR = ("RuntimeDefault", "Localhost")


_APP_ARMOR_NOTE = "container.apparmor.security.beta.kubernetes.io/"


def _app_armor(spec: Object, containers: list[Object], seen: Seen) -> Violation | None:
    """Profiles in fields, and in the annotations that had them before."""
    pod = (_context(spec).get("appArmorProfile") or {}).get("type")
    bad = [
        (c["name"], kind)
        for c in containers
        if (kind := (_context(c).get("appArmorProfile") or {}).get("type")) and kind not in _APP_ARMOR
    ]
    bad_pod = pod is not None and pod not in _APP_ARMOR
    notes = sorted(
        f"{key}={quote(value)}"
        for key, value in seen.annotations.items()
        if key.startswith(_APP_ARMOR_NOTE) and not _is_good_profile(value)
    )
    if not bad and not bad_pod and not notes:
        return None
    values = sorted({*([str(pod)] if bad_pod else []), *(kind for _, kind in bad)}) + notes
    who = [_setters(bad_pod, (n for n, _ in bad))] if bad or bad_pod else []
    who += [f"annotation{'s' if len(notes) > 1 else ''}"] if notes else []
    detail = f"{' and '.join(who)} must not set AppArmor profile type to {_quoted(values)}"
    return Violation(f"forbidden AppArmor profile{'s' if len(values) > 1 else ''}", detail)


def _is_good_profile(note: str) -> bool:
    return note in ("", "runtime/default") or note.startswith("localhost/")


_DEFAULT_CAPABILITIES = frozenset(
    "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID "
    "SYS_CHROOT".split()
)


def _added(containers: list[Object], allowed: Iterable[str]) -> str:
    bad, values = [], set()
    for container in containers:
        extra = set((_context(container).get("capabilities") or {}).get("add") or ()).difference(allowed)
        if extra:
            bad.append(container["name"])
            values |= extra
    if not bad:
        return ""
    return (
        f"{_several('container', bad)} must not include {_quoted(sorted(values))} in securityContext.capabilities.add"
    )


def _capabilities(spec: Object, containers: list[Object], _: Seen) -> Violation | None:
    detail = _added(containers, _DEFAULT_CAPABILITIES)
    return Violation("non-default capabilities", detail) if detail else None


def _host_namespaces(spec: Object, containers: list[Object], _: Seen) -> Violation | None:
    used = [f"{key}=true" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    return Violation("host namespaces", ", ".join(used)) if used else None


def _host_path(spec: Object, containers: list[Object], _: Seen) -> Violation | None:
    names = [v["name"] for v in spec.get("volumes") or () if v.get("hostPath") is not None]
    return Violation("hostPath volumes", _several("volume", names)) if names else None


def _host_ports(spec: Object, containers: list[Object], _: Seen) -> Violation | None:
    bad = [(c["name"], p["hostPort"]) for c in containers for p in c.get("ports") or () if p.get("hostPort")]
    if not bad:
        return None
    ports = sorted({str(port) for _, port in bad}, key=int)
    names = list(dict.fromkeys(name for name, _ in bad))
    many = "s" if len(ports) > 1 else ""
    verb = "use" if len(names) > 1 else "uses"
    return Violation("hostPort", f"{_several('container', names)} {verb} hostPort{many} {', '.join(ports)}")


def _hosts(container: Object) -> Iterator[str]:
    """Hosts that the node would talk to for the container."""
    probes = [container.get(p) for p in ("livenessProbe", "readinessProbe", "startupProbe")]
    hooks = [(container.get("lifecycle") or {}).get(h) for h in ("postStart", "preStop")]
    for action in [a for a in (*probes, *hooks) if a]:
        for how in ("httpGet", "tcpSocket"):
            host = (action.get(how) or {}).get("host")
            if host:
                yield host


def _host_probes(spec: Object, containers: list[Object], _: Seen) -> Violation | None:
    bad = {c["name"]: found for c in containers if (found := list(_hosts(c)))}
    if not bad:
        return None
    hosts = sorted({host for found in bad.values() for host in found})
    verb, many = ("use" if len(bad) > 1 else "uses"), ("s" if len(hosts) > 1 else "")
    detail = f"{_several('container', bad)} {verb} probe or lifecycle host{many} {_quoted(hosts)}"
    return Violation("probe or lifecycle host", detail)


def _privileged(spec: Object, containers: list[Object], _: Seen) -> Violation | None:
    bad = [c["name"] for c in containers if _context(c).get("privileged")]
    return (
        Violation("privileged", f"{_several('container', bad)} must not set securityContext.privileged=true")
        if bad
        else None
    )


def _proc_mount(spec: Object, containers: list[Object], _: Seen) -> Violation | None:
    bad = [(c["name"], m) for c in containers if (m := _context(c).get("procMount")) and m != "Default"]
    if not bad:
        return None
    who = _several("container", (name for name, _ in bad))
    values = _quoted(sorted({mount for _, mount in bad}))
    return Violation("procMount", f"{who} must not set securityContext.procMount to {values}")


def _proc_mount_in_host(spec: Object, containers: list[Object], seen: Seen) -> Violation | None:
    """A pod in a user namespace of its own may see all of /proc."""
    return None if _own_users(spec, seen) else _proc_mount(spec, containers, seen)


_SE_LINUX = ("", "container_t", "container_init_t", "container_kvm_t")


def _se_linux(spec: Object, containers: list[Object], seen: Seen) -> Violation | None:
    allowed = (*_SE_LINUX, "container_engine_t") if seen.minor >= 31 else _SE_LINUX
    types: list[str] = []
    user = role = False
    bad = []
    for name, options in [("", _context(spec).get("seLinuxOptions"))] + [
        (c["name"], _context(c).get("seLinuxOptions")) for c in containers
    ]:
        if not options:
            continue
        wrong_type = options.get("type", "") not in allowed
        if wrong_type:
            types.append(options["type"])
        user, role = user or bool(options.get("user")), role or bool(options.get("role"))
        if wrong_type or options.get("user") or options.get("role"):
            bad.append(name)
    if not bad:
        return None
    what = [f"type{'s' if len(set(types)) > 1 else ''} {_quoted(sorted(types))}"] if types else []
    what += ["user may not be set"] if user else []
    what += ["role may not be set"] if role else []
    who = _setters("" in bad, (name for name in bad if name))
    return Violation("seLinuxOptions", f"{who} set forbidden securityContext.seLinuxOptions: {'; '.join(what)}")


_SECCOMP = ("RuntimeDefault", "Localhost")


def _seccomp_type(holder: Object) -> str | None:
    found: str | None = (_context(holder).get("seccompProfile") or {}).get("type")
    return found


def _bad_seccomp(spec: Object, containers: list[Object]) -> str:
    pod = _seccomp_type(spec)
    bad_pod = pod is not None and pod not in _SECCOMP
    bad = [(c["name"], kind) for c in containers if (kind := _seccomp_type(c)) is not None and kind not in _SECCOMP]
    if not bad and not bad_pod:
        return ""
    values = ([str(pod)] if bad_pod else []) + [kind for _, kind in bad]
    return f"{_setters(bad_pod, (n for n, _ in bad))} must not set securityContext.seccompProfile.type to {_quoted(values)}"


_SECCOMP_NOTES = ("seccomp.security.alpha.kubernetes.io/pod", "container.seccomp.security.alpha.kubernetes.io/")


def _noted_seccomp(containers: list[Object], annotations: Mapping[str, str]) -> Violation | None:
    """Before there were fields for it, annotations named the profile."""
    pod, container = _SECCOMP_NOTES
    keys = [pod, *(f"{container}{c['name']}" for c in containers)]
    bad = sorted(
        f"{key}={quote(annotations[key])}"
        for key in keys
        if key in annotations
        and annotations[key] not in ("runtime/default", "docker/default")
        and not annotations[key].startswith("localhost/")
    )
    detail = f"forbidden annotation{'s' if len(bad) > 1 else ''} {', '.join(bad)}"
    return Violation("seccompProfile", detail) if bad else None


def _seccomp(spec: Object, containers: list[Object], seen: Seen) -> Violation | None:
    if seen.minor < 19:
        return _noted_seccomp(containers, seen.annotations)
    detail = _bad_seccomp(spec, containers)
    return Violation("seccompProfile", detail) if detail else None


#: Safe sysctls by the minor version since which they are.
_SYSCTLS = {
    "kernel.shm_rmid_forced": 0,
    "net.ipv4.ip_local_port_range": 0,
    "net.ipv4.ip_unprivileged_port_start": 0,
    "net.ipv4.tcp_syncookies": 0,
    "net.ipv4.ping_group_range": 0,
    "net.ipv4.ip_local_reserved_ports": 27,
    "net.ipv4.tcp_keepalive_time": 29,
    "net.ipv4.tcp_fin_timeout": 29,
    "net.ipv4.tcp_keepalive_intvl": 29,
    "net.ipv4.tcp_keepalive_probes": 29,
    "net.ipv4.tcp_rmem": 32,
    "net.ipv4.tcp_wmem": 32,
}


def _sysctls(spec: Object, containers: list[Object], seen: Seen) -> Violation | None:
    names = [s["name"] for s in _context(spec).get("sysctls") or ()]
    bad = [name for name in names if _SYSCTLS.get(name, LATEST + 1000) > seen.minor]
    return Violation("forbidden sysctls", ", ".join(bad)) if bad else None


def _host_process(spec: Object, containers: list[Object], _: Seen) -> Violation | None:
    def asks(holder: Object) -> bool:
        return bool((_context(holder).get("windowsOptions") or {}).get("hostProcess"))

    bad = [c["name"] for c in containers if asks(c)]
    if not bad and not asks(spec):
        return None
    who = _setters(asks(spec), bad)
    return Violation("hostProcess", f"{who} must not set securityContext.windowsOptions.hostProcess=true")


# --- restricted -------------------------------------------------------------------------------------------------------


def _escalation(spec: Object, containers: list[Object], seen: Seen) -> Violation | None:
    if seen.minor >= 25 and _is_windows(spec):
        return None
    bad = [c["name"] for c in containers if _context(c).get("allowPrivilegeEscalation") is not False]
    detail = f"{_several('container', bad)} must set securityContext.allowPrivilegeEscalation=false"
    return Violation("allowPrivilegeEscalation != false", detail) if bad else None


def _dropped(spec: Object, containers: list[Object], seen: Seen) -> Violation | None:
    if seen.minor >= 25 and _is_windows(spec):
        return None
    keep = [c["name"] for c in containers if "ALL" not in ((_context(c).get("capabilities") or {}).get("drop") or ())]
    details = []
    if keep:
        details.append(f'{_several("container", keep)} must set securityContext.capabilities.drop=["ALL"]')
    added = _added(containers, ("NET_BIND_SERVICE",))
    if added:
        details.append(added)
    return Violation("unrestricted capabilities", "; ".join(details)) if details else None


_VOLUMES = ("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected")
_RESTRICTED_VOLUMES = frozenset((*_VOLUMES, "secret"))


def _volumes(spec: Object, containers: list[Object], _: Seen) -> Violation | None:
    bad: list[tuple[str, str]] = []
    for volume in spec.get("volumes") or ():
        kinds = [key for key, value in volume.items() if key != "name" and value is not None]
        bad += [(volume["name"], kind) for kind in kinds if kind not in _RESTRICTED_VOLUMES]
    if not bad:
        return None
    kinds = sorted({kind for _, kind in bad})
    verb, many = ("use" if len(bad) > 1 else "uses"), ("s" if len(kinds) > 1 else "")
    detail = f"{_several('volume', (name for name, _ in bad))} {verb} restricted volume type{many} {_quoted(kinds)}"
    return Violation("restricted volume types", detail)


def _own_users(spec: Object, seen: Seen) -> bool:
    """Whether the pod has users of its own, of which root is not the host's."""
    return seen.minor >= 35 and spec.get("hostUsers") is False


def _non_root(spec: Object, containers: list[Object], seen: Seen) -> Violation | None:
    if _own_users(spec, seen):
        return None
    pod = _context(spec).get("runAsNonRoot")
    bad = [c["name"] for c in containers if _context(c).get("runAsNonRoot") is False]
    if bad or pod is False:
        who = _setters(pod is False, bad)
        return Violation("runAsNonRoot != true", f"{who} must not set securityContext.runAsNonRoot=false")
    open_ = [c["name"] for c in containers if _context(c).get("runAsNonRoot") is None]
    if pod or not open_:
        return None
    who = f"pod or {_several('container', open_)}"
    return Violation("runAsNonRoot != true", f"{who} must set securityContext.runAsNonRoot=true")


def _root(spec: Object, containers: list[Object], seen: Seen) -> Violation | None:
    if _own_users(spec, seen):
        return None
    pod = _context(spec).get("runAsUser") == 0
    bad = [c["name"] for c in containers if _context(c).get("runAsUser") == 0]
    return Violation("runAsUser=0", f"{_setters(pod, bad)} must not set runAsUser=0") if pod or bad else None


def _some_seccomp(spec: Object, containers: list[Object], seen: Seen) -> Violation | None:
    if seen.minor >= 25 and _is_windows(spec):
        return None
    detail = _bad_seccomp(spec, containers)
    if detail:
        return Violation("seccompProfile", detail)
    without = [c["name"] for c in containers if _seccomp_type(c) is None]
    if _seccomp_type(spec) is not None or not without:
        return None
    who = f"pod or {_several('container', without)}"
    wanted = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return Violation("seccompProfile", f"{who} {wanted}")


class Check(NamedTuple):
    """`run` gets the pod's spec, all its containers, the version and annotations; `replaces` names a check of the baseline."""

    name: str
    level: Level
    since: int
    run: Callable[[Object, list[Object], Seen], Violation | None]
    replaces: str = ""


#: The baseline's checks come first; within a level they are in the order of upstream's names.
CHECKS: tuple[Check, ...] = (
    Check("appArmorProfile", "baseline", 0, _app_armor),
    Check("capabilities_baseline", "baseline", 0, _capabilities),
    Check("hostNamespaces", "baseline", 0, _host_namespaces),
    Check("hostPathVolumes", "baseline", 0, _host_path),
    Check("hostPorts", "baseline", 0, _host_ports),
    Check("hostProbesAndHostLifecycle", "baseline", 34, _host_probes),
    Check("privileged", "baseline", 0, _privileged),
    Check("procMount", "baseline", 0, _proc_mount_in_host),
    Check("seLinuxOptions", "baseline", 0, _se_linux),
    Check("seccompProfile_baseline", "baseline", 0, _seccomp),
    Check("sysctls", "baseline", 0, _sysctls),
    Check("windowsHostProcess", "baseline", 0, _host_process),
    Check("allowPrivilegeEscalation", "restricted", 8, _escalation),
    Check("capabilities_restricted", "restricted", 22, _dropped, "capabilities_baseline"),
    Check("procMount_restricted", "restricted", 35, _proc_mount, "procMount"),
    Check("restrictedVolumes", "restricted", 0, _volumes, "hostPathVolumes"),
    Check("runAsNonRoot", "restricted", 0, _non_root),
    Check("runAsUser", "restricted", 23, _root),
    Check("seccompProfile_restricted", "restricted", 19, _some_seccomp, "seccompProfile_baseline"),
)


def summary(policy: Policy, found: list[Violation]) -> str:
    """`restricted:latest` with what is violated, as messages have it: reasons with their details."""
    return f'PodSecurity "{policy}": {", ".join(str(v) for v in found)}'


def reasons(found: list[Violation]) -> str:
    """The short names only."""
    return ", ".join(v.reason for v in found)


__all__ = ["LEVELS", "Level", "Policy", "Violation", "level_named", "minor_of", "reasons", "summary", "violations"]
