"""The annotations that named seccomp and AppArmor profiles before there were fields for them.

https://kubernetes.io/docs/tutorials/security/apparmor/ and https://kubernetes.io/docs/tutorials/security/seccomp/
"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.kinds.core.security_rules import app_armor
from heeler.kinds.meta.checks import descending_path, numbered
from heeler.objects.faults import Fault, forbidden, invalid, quote
from heeler.objects.value import Object

APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
SECCOMP = "container.seccomp.security.alpha.kubernetes.io/"
LOCALHOST = "localhost/"
_MEANINGS = {"Unconfined": ("unconfined",), "RuntimeDefault": ("runtime/default", "docker/default")}
_OLD_APP_ARMOR = 'deprecated since v1.30; use the "appArmorProfile" field instead'
_OLD_SECCOMP = 'non-functional in v1.27+; use the "seccompProfile" field instead'


def each_container(spec: Object) -> Iterator[tuple[str, Object]]:
    """The containers of all sorts, with their paths in the spec."""
    for key in ("initContainers", "containers", "ephemeralContainers"):
        for at, container in numbered(spec.get(key)):
            yield f"{key}[{at}]", container


def _profile(holder: Object, key: str) -> Object | None:
    found: Object | None = (holder.get("securityContext") or {}).get(key)
    return found


def app_armor_meant(text: str) -> Object | None:
    """The field that an AppArmor annotation stands for; None if for none."""
    if text == "unconfined":
        return {"type": "Unconfined"}
    if text == "runtime/default":
        return {"type": "RuntimeDefault"}
    local = text.removeprefix(LOCALHOST)
    return {"type": "Localhost", "localhostProfile": local} if local and local != text else None


def _to_fields(pod: Object) -> Iterator[tuple[Object, str, Object | None]]:
    """Of each container without the field that has the annotation: itself, the annotation, what is to be set."""
    spec, notes = pod.get("spec") or {}, pod["metadata"].get("annotations") or {}
    if (spec.get("os") or {}).get("name") == "windows":
        return
    for _, container in each_container(spec):
        key = APP_ARMOR + container.get("name", "")
        if key not in notes or _profile(container, "appArmorProfile") is not None:
            continue
        meant = app_armor_meant(notes[key])
        if meant is not None and any(app_armor(meant, "")):
            meant = None
        if meant is None or meant != _profile(spec, "appArmorProfile"):
            yield container, key, meant


def set_app_armor(pod: Object) -> None:
    """In place: new pods get the fields that their annotations mean."""
    for container, _, meant in list(_to_fields(pod)):
        if meant is not None:
            container["securityContext"] = {**(container.get("securityContext") or {}), "appArmorProfile": meant}


def set_warnings(pod: Object) -> Iterator[str]:
    """What tells of `set_app_armor`, before it is called."""
    for _, key, _ in _to_fields(pod):
        yield f"metadata.annotations[{key}]: {_OLD_APP_ARMOR}"


def warnings(spec: Object, notes: Object, path: str) -> Iterator[str]:
    """Of seccomp annotations without the field; of a template's AppArmor ones too. `path` is "" for a pod."""
    at = f"{path}.metadata.annotations" if path else "metadata.annotations"
    if SECCOMP_POD in notes and _profile(spec, "seccompProfile") is None:
        yield f"{at}[{SECCOMP_POD}]: {_OLD_SECCOMP}"


def container_warnings(container: Object, spec: Object, notes: Object, path: str) -> Iterator[str]:
    at = f"{path}.metadata.annotations" if path else "metadata.annotations"
    key = SECCOMP + container.get("name", "")
    if key in notes and _profile(container, "seccompProfile") is None:
        yield f"{at}[{key}]: {_OLD_SECCOMP}"
    key = APP_ARMOR + container.get("name", "")
    if path and key in notes and _profile(container, "appArmorProfile") is None:
        of_pod = _profile(spec, "appArmorProfile")
        if of_pod is None or of_pod != app_armor_meant(notes[key]):
            yield f"{at}[{key}]: {_OLD_APP_ARMOR}"


def rules(notes: Object, spec: Object, path: str) -> Iterator[Fault]:
    """What the annotations' values must look like."""
    for key in sorted(notes, key=lambda key: (key != SECCOMP_POD, key)):
        if key == SECCOMP_POD or key.startswith(SECCOMP):
            yield from _seccomp(notes[key], f"{path}.{key}")
    named = {container.get("name", "") for _, container in each_container(spec)}
    for key in sorted(notes):
        if not key.startswith(APP_ARMOR):
            continue
        name, text = key.removeprefix(APP_ARMOR), notes[key]
        if name not in named:
            yield invalid(f"{path}[{key}]", name, "container not found")
        if text not in ("", "runtime/default", "unconfined") and not text.startswith(LOCALHOST):
            yield invalid(f"{path}[{key}]", text, f"invalid AppArmor profile name: {quote(text)}")


def _seccomp(text: str, path: str) -> Iterator[Fault]:
    if text.startswith(LOCALHOST):
        yield from descending_path(text.removeprefix(LOCALHOST), path)
    elif text not in ("runtime/default", "docker/default", "unconfined"):
        yield invalid(path, text, "must be a valid seccomp profile")


def matching(notes: Object, spec: Object, path: str) -> Iterator[Fault]:
    """Where there are both, annotation and field must say the same (new pods, and templates)."""
    if SECCOMP_POD in notes:
        here = f"{path}.securityContext.seccompProfile"
        yield from _same("seccomp", notes[SECCOMP_POD], _profile(spec, "seccompProfile"), here)
    for at, container in each_container(spec):
        text = notes.get(SECCOMP + container.get("name", ""))
        here = f"{path}.{at}.securityContext.seccompProfile"
        if text is not None:
            yield from _same("seccomp", text, _profile(container, "seccompProfile"), here)
    if (spec.get("os") or {}).get("name") == "windows":
        return
    for at, container in each_container(spec):
        text = notes.get(APP_ARMOR + container.get("name", ""))
        field = _profile(container, "appArmorProfile") or _profile(spec, "appArmorProfile")
        if text is not None:
            yield from _same("apparmor", text, field, f"{path}.{at}.securityContext.appArmorProfile")


def _same(what: str, text: str, field: Object | None, path: str) -> Iterator[Fault]:
    if field is None:
        return
    kind = field.get("type", "")
    meanings = _MEANINGS.get(kind, ())[: 1 if what == "apparmor" else 2]
    if (kind in _MEANINGS and text not in meanings) or (kind == "Localhost" and not text.startswith(LOCALHOST)):
        yield forbidden(f"{path}.type", f"{what} type in annotation and field must match")
    elif kind == "Localhost" and field.get("localhostProfile") != text.removeprefix(LOCALHOST):
        yield forbidden(f"{path}.localhostProfile", f"{what} profile in annotation and field must match")
