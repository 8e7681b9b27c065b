"""What is checked of security contexts. https://kubernetes.io/docs/tasks/configure-pod-container/security-context/"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from heeler.kinds.internal_form import internal
from heeler.kinds.meta.checks import MAX_INT32, numbered, optional_one_of
from heeler.kinds.types import type_named
from heeler.objects import names
from heeler.objects.faults import Fault, duplicate, forbidden, invalid, not_supported, required
from heeler.objects.value import Object

ID_RANGE = f"must be between 0 and {MAX_INT32}, inclusive"
_SYSCTL = r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_is_sysctl = re.compile(rf"{_SYSCTL}\Z").match


@dataclass(slots=True)
class Policy:
    """What the whole cluster allows; a server sets it once when it starts (upstream's --allow-privileged)."""

    allow_privileged: bool = False


POLICY = Policy()


def user_id(value: int | None, path: str) -> Iterator[Fault]:
    if value is not None and not 0 <= value <= MAX_INT32:
        yield invalid(path, value, ID_RANGE)


def container_security(context: Object | None, path: str, host_users: bool = True) -> Iterator[Fault]:
    """A container's security context."""
    if context is None:
        return
    if context.get("privileged") and not POLICY.allow_privileged:
        yield forbidden(f"{path}.privileged", "disallowed by cluster policy")
    yield from user_id(context.get("runAsUser"), f"{path}.runAsUser")
    yield from user_id(context.get("runAsGroup"), f"{path}.runAsGroup")
    mount = context.get("procMount")
    if mount is not None:
        if mount not in ("Default", "Unmasked"):
            yield not_supported(f"{path}.procMount", mount, ("Default", "Unmasked"))
        if host_users and mount == "Unmasked":
            yield invalid(f"{path}.procMount", mount, "`hostUsers` must be false to use `Unmasked`")
    yield from seccomp(context.get("seccompProfile"), f"{path}.seccompProfile")
    if context.get("allowPrivilegeEscalation") is False:
        shown = internal(context, type_named("io.k8s.api.core.v1.SecurityContext"))
        if context.get("privileged"):
            yield invalid(path, shown, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
        if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or ()):
            yield invalid(
                path, shown, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            )
    yield from windows(context.get("windowsOptions"), f"{path}.windowsOptions")
    yield from app_armor(context.get("appArmorProfile"), f"{path}.appArmorProfile")


def seccomp(profile: Object | None, path: str) -> Iterator[Fault]:
    if profile is None:
        return
    kind, local = profile.get("type", ""), profile.get("localhostProfile")
    allowed = ("Localhost", "RuntimeDefault", "Unconfined")
    if not kind:
        yield required(f"{path}.type", "type is required when seccompProfile is set")
    elif kind not in allowed:
        yield not_supported(f"{path}.type", kind, allowed)
    elif kind == "Localhost":
        if local is None:
            yield required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost")
        else:
            yield from _descending(local, f"{path}.localhostProfile")
    if kind != "Localhost" and local is not None:
        shown = {"Type": kind, "LocalhostProfile": local}
        yield invalid(f"{path}.localhostProfile", shown, "can only be set when seccomp type is Localhost")


def _descending(text: str, path: str) -> Iterator[Fault]:
    if text.startswith("/"):
        yield invalid(path, text, "must be a relative path")
    if ".." in text.split("/"):
        yield invalid(path, text, "must not contain '..'")


def app_armor(profile: Object | None, path: str) -> Iterator[Fault]:
    if profile is None:
        return
    kind, local = profile.get("type", ""), profile.get("localhostProfile")
    allowed = ("Localhost", "RuntimeDefault", "Unconfined")
    if not kind:
        yield required(f"{path}.type", "type is required when appArmorProfile is set")
    elif kind not in allowed:
        yield not_supported(f"{path}.type", kind, allowed)
    elif kind == "Localhost":
        if local is None:
            yield required(f"{path}.localhostProfile", "must be set when AppArmor type is Localhost")
        elif local.strip() != local:
            yield invalid(f"{path}.localhostProfile", local, "must not be padded with whitespace")
        elif not local:
            yield required(f"{path}.localhostProfile", "must be set when AppArmor type is Localhost")
    if kind != "Localhost" and local is not None:
        yield invalid(f"{path}.localhostProfile", local, "can only be set when AppArmor type is Localhost")


def windows(options: Object | None, path: str) -> Iterator[Fault]:
    if options is None:
        return
    account, text = options.get("gmsaCredentialSpecName"), options.get("gmsaCredentialSpec")
    for words in names.subdomain(account) if account is not None else ():
        yield invalid(f"{path}.gmsaCredentialSpecName", account, words)
    if text is not None and not text:
        yield invalid(f"{path}.gmsaCredentialSpec", text, "gmsaCredentialSpec cannot be an empty string")
    elif text is not None and len(text.encode()) > 64 * 1024:
        yield invalid(f"{path}.gmsaCredentialSpec", text, "gmsaCredentialSpec size must be under 64 KiB")
    name = options.get("runAsUserName")
    for words in _user_name_faults(name) if name is not None else ():
        yield invalid(f"{path}.runAsUserName", name, f"runAsUserName{words}")


_net_bios = re.compile(r"[^\\/:*?\"<>|.][^\\/:*?\"<>|]{0,14}\Z").match
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_domain = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\Z").match


def _user_name_faults(name: str) -> Iterator[str]:
    """What is wrong with a Windows user's name, `user` or `domain\\user`."""
    if not name:
        yield " cannot be an empty string"
        return
    if re.search(r"[\x00-\x1f\x7f]", name):
        yield " cannot contain control characters"
        return
    if name.count("\\") > 1:
        yield " cannot contain more than one backslash"
        return
    domain, backslash, user = name.rpartition("\\")
    if len(domain.encode()) >= 256:
        yield "'s Domain length must be under 256 characters"
    if backslash and not (_net_bios(domain) or _domain(domain)):
        yield "'s Domain doesn't match the NetBios nor the DNS format"
    if not user:
        yield "'s User cannot be empty"
    elif len(user.encode()) > 104:
        yield "'s User length must not be longer than 104 characters"
    if user and not user.strip(". "):
        yield "'s User cannot contain only periods or spaces"
    if re.search(r'["/\\:;|=,+*?<>@\[\]]', user):
        yield "'s User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"


def pod_security(spec: Object, path: str, under: str) -> Iterator[Fault]:
    """A pod's security context; `under` is the path of the spec."""
    context = spec.get("securityContext")
    if spec.get("hostPID") and spec.get("shareProcessNamespace"):
        yield invalid(
            f"{under}.shareProcessNamespace",
            spec["shareProcessNamespace"],
            "ShareProcessNamespace and HostPID cannot both be enabled",
        )
    if context is None:
        return
    for key in ("fsGroup", "runAsUser", "runAsGroup"):
        yield from user_id(context.get(key), f"{path}.{key}")
    for at, group in numbered(context.get("supplementalGroups")):
        yield from user_id(group, f"{path}.supplementalGroups[{at}]")
    yield from _sysctls(context.get("sysctls"), spec, f"{path}.sysctls")
    yield from optional_one_of(
        context.get("fsGroupChangePolicy"), ("Always", "OnRootMismatch"), f"{path}.fsGroupChangePolicy"
    )
    yield from seccomp(context.get("seccompProfile"), f"{path}.seccompProfile")
    yield from windows(context.get("windowsOptions"), f"{path}.windowsOptions")
    yield from app_armor(context.get("appArmorProfile"), f"{path}.appArmorProfile")
    yield from optional_one_of(
        context.get("supplementalGroupsPolicy"), ("Merge", "Strict"), f"{path}.supplementalGroupsPolicy"
    )
    yield from optional_one_of(
        context.get("seLinuxChangePolicy"), ("MountOption", "Recursive"), f"{path}.seLinuxChangePolicy"
    )


_OF_IPC = (
    *("kernel.sem", "kernel.shm", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"),
    *("kernel.msg", "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni"),
)


def _shared(name: str, spec: Object) -> str:
    """The field by which the pod shares with its host what the sysctl is of; "" if it does not."""
    first = re.search(r"[./]", name)
    if first is not None and first[0] == "/":
        name = name.translate(str.maketrans("./", "/."))
    if spec.get("hostNetwork") and name.startswith("net."):
        return "hostNetwork"
    return "hostIPC" if spec.get("hostIPC") and (name in _OF_IPC or name.startswith("fs.mqueue.")) else ""


def _sysctls(rows: list[Object] | None, spec: Object, path: str) -> Iterator[Fault]:
    seen: set[str] = set()
    for at, row in numbered(rows):
        name = row.get("name", "")
        if not name:
            yield required(f"{path}[{at}].name")
        elif len(name) > 253 or not _is_sysctl(name):
            yield invalid(f"{path}[{at}].name", name, f"must have at most 253 characters and match regex ^{_SYSCTL}$")
        elif name in seen:
            yield duplicate(f"{path}[{at}].name", name)
        shared = _shared(name, spec)
        if shared:
            yield invalid(f"{path}[{at}].name", name, f"may not be specified when '{shared}' is true")
        seen.add(name)


_NOT_ON_WINDOWS = "cannot be set for a windows pod"
_CONTEXT_NOT_ON_WINDOWS = (
    *("appArmorProfile", "seLinuxOptions", "seccompProfile", "fsGroup", "fsGroupChangePolicy", "sysctls", "runAsUser"),
    *("runAsGroup", "supplementalGroups", "supplementalGroupsPolicy", "seLinuxChangePolicy"),
)
_CONTAINER_NOT_ON_WINDOWS = (
    *("appArmorProfile", "seLinuxOptions", "seccompProfile", "capabilities", "readOnlyRootFilesystem", "privileged"),
    *("allowPrivilegeEscalation", "procMount", "runAsUser", "runAsGroup"),
)


def by_system(spec: Object, path: str) -> Iterator[Fault]:
    """What the pod's operating system rules out."""
    system = (spec.get("os") or {}).get("name")
    context = spec.get("securityContext") or {}
    containers = [
        (f"{path}.{key}[{at}].securityContext", c.get("securityContext") or {})
        for key in ("initContainers", "containers", "ephemeralContainers")
        for at, c in numbered(spec.get(key))
    ]
    if system == "linux":
        if context.get("windowsOptions") is not None:
            yield forbidden(f"{path}.securityContext.windowsOptions", "windows options cannot be set for a linux pod")
        for here, own in containers:
            if own.get("windowsOptions") is not None:
                yield forbidden(f"{here}.windowsOptions", "windows options cannot be set for a linux pod")
    elif system == "windows":
        for key in _CONTEXT_NOT_ON_WINDOWS:
            if context.get(key) is not None and (key != "sysctls" or context[key]):
                yield forbidden(f"{path}.securityContext.{key}", _NOT_ON_WINDOWS)
        for key in ("hostUsers", "hostPID", "hostIPC", "shareProcessNamespace"):
            if spec.get(key) or (spec.get(key) is not None and key in ("hostUsers", "shareProcessNamespace")):
                yield forbidden(f"{path}.{key}", _NOT_ON_WINDOWS)
        for here, own in containers:
            for key in _CONTAINER_NOT_ON_WINDOWS:
                if own.get(key) is not None:
                    yield forbidden(f"{here}.{key}", _NOT_ON_WINDOWS)


def host_process(spec: Object, path: str) -> Iterator[Fault]:
    """Windows' host processes need the host's network."""
    pod_wide = ((spec.get("securityContext") or {}).get("windowsOptions") or {}).get("hostProcess")
    wanted = [
        pod_wide if own is None else own
        for key in ("containers", "initContainers", "ephemeralContainers")
        for c in spec.get(key) or ()
        for own in [((c.get("securityContext") or {}).get("windowsOptions") or {}).get("hostProcess")]
    ]
    if not any(wanted):
        return
    if not all(wanted):
        yield invalid(
            path,
            "",
            "If pod contains any hostProcess containers then all containers must be HostProcess containers",
        )
    if not spec.get("hostNetwork"):
        yield invalid(
            f"{path}.hostNetwork", False, "hostNetwork must be true if pod contains any hostProcess containers"
        )
    if not POLICY.allow_privileged:
        yield forbidden(path, "hostProcess containers are disallowed by cluster policy")
