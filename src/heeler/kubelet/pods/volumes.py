"""A pod's volumes on the node's disk: made, filled, kept up to date at one stroke, and removed.

Files made of API objects stand in a folder with a time in its name; the link `..data` is moved from the old folder to
the new one by a rename, so that a container sees all old or all new files. Paths are those of a kubelet:
PODS/UID/volumes/kubernetes.io~KIND/NAME. Secrets and tokens stand on a tmpfs, so that they never reach a disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from heeler.base.clock import rfc3339_micro
from heeler.base.files import private_folder, remove_tree
from heeler.base.processes import ProgramError, check
from heeler.kubelet.pods import env, ownership, subpaths
from heeler.kubelet.pods.amounts import count, pod_amount
from heeler.kubelet.pods.config import Mounted
from heeler.kubelet.pods.payload import Payload, VolumeError, of_volume
from heeler.kubelet.pods.views import spec_of
from heeler.kubelet.sources import Fetched
from heeler.objects.value import Object, uid_of

FOLDERS = {
    "emptyDir": "kubernetes.io~empty-dir",
    "configMap": "kubernetes.io~configmap",
    "secret": "kubernetes.io~secret",
    "projected": "kubernetes.io~projected",
    "downwardAPI": "kubernetes.io~downward-api",
    "image": "kubernetes.io~image",
}
OBJECTS = ("configMap", "secret", "projected", "downwardAPI")


def kind_of(volume: Object) -> str:
    return next((key for key in volume if key != "name"), "emptyDir")


#: Where a node has its containers' logs, as its pods see it: nodes of one machine each have their own.
POD_LOGS = Path("/var/log/pods")

#: Volumes whose content must not be written to a disk.
IN_MEMORY = ("secret", "projected")


@dataclass(frozen=True, slots=True)
class Roots:
    """Where pods' files are: `pods` on disk, `memory` on a tmpfs (secrets and tokens), their containers' `logs`."""

    pods: Path
    memory: Path
    logs: Path


async def mount_memory(folder: Path) -> None:
    """Put a tmpfs on the folder unless one is there. Raises ProgramError, OSError."""
    private_folder(folder)
    if str(folder) not in mounts_below(folder):
        await check(["mount", "-t", "tmpfs", "-o", "mode=0700,nosuid,nodev,noexec", "tmpfs", str(folder)])


async def unmount_memory(folder: Path) -> None:
    """Take the tmpfs away, with all secrets in it."""
    for point in mounts_below(folder):
        await check(["umount", "--lazy", point])


def pod_dir(pods: Path, pod: Object) -> Path:
    return pods / str(uid_of(pod))


def volume_path(roots: Roots, pod: Object, volume: Object) -> Path:
    """Where the volume is on the node."""
    kind = kind_of(volume)
    if kind == "hostPath":
        path = Path(volume[kind]["path"])
        return roots.logs / path.relative_to(POD_LOGS) if path.is_relative_to(POD_LOGS) else path
    if kind == "persistent":
        return Path(volume[kind]["path"])
    root = roots.memory if kind in IN_MEMORY else roots.pods
    return pod_dir(root, pod) / "volumes" / FOLDERS[kind] / str(volume["name"])


async def set_up(roots: Roots, pod: Object, fetched: Fetched, facts: env.Facts, now: float) -> None:
    """Make or refresh all volumes (claims are resolved already). Raises VolumeError naming the volume and why."""
    for volume in spec_of(pod).get("volumes") or []:
        try:
            await _one(roots, pod, volume, fetched, facts, now)
        except (VolumeError, OSError, ProgramError) as error:
            name = (volume.get("persistent") or {}).get("volume") or volume["name"]
            raise VolumeError(f'MountVolume.SetUp failed for volume "{name}" : {error}') from error


async def _one(roots: Roots, pod: Object, volume: Object, fetched: Fetched, facts: env.Facts, now: float) -> None:
    kind, path = kind_of(volume), volume_path(roots, pod, volume)
    group = (spec_of(pod).get("securityContext") or {}).get("fsGroup")
    if kind == "image":
        return  # it is mounted by who pulls it
    if kind == "hostPath":
        _host_path(path, str(volume["hostPath"].get("type") or ""))
        return
    if kind == "persistent":
        await _persistent(path, volume["persistent"], spec_of(pod).get("securityContext") or {})
        return
    if kind == "emptyDir":
        await _empty_dir(path, volume["emptyDir"] or {}, group, memory_size(pod, volume["emptyDir"] or {}, facts))
        return
    payload = of_volume(pod, volume, fetched, facts)
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)
    write(path, payload, group, now)


async def _persistent(path: Path, source: Object, security: Object) -> None:
    """A folder of the node: made where it is the node's own, checked where it is another's; its group is the pod's."""
    if source["make"]:
        _make_folder(path)
    _host_path(path, source["type"])
    group = security.get("fsGroup")
    if group is not None and source["group"] and not source["readOnly"]:
        always = security.get("fsGroupChangePolicy") != "OnRootMismatch"
        await asyncio.to_thread(ownership.give_group, path, int(group), always)


def _make_folder(path: Path) -> None:
    """A folder that everybody may write, there at one stroke."""
    if not path.is_dir():
        making = path.with_name(f".{path.name}.new")
        making.mkdir(parents=True, exist_ok=True)
        making.chmod(0o777)
        making.rename(path)


def memory_size(pod: Object, source: Object, facts: env.Facts) -> int:
    """Bytes that a volume in memory may take: its limit, else what the pod may use, else what the node has."""
    limit = pod_amount(pod, "limits", "memory") or facts.node_memory
    return min(count(source["sizeLimit"]), limit) if source.get("sizeLimit") else limit


async def _empty_dir(path: Path, source: Object, group: int | None, size: int) -> None:
    if os.path.isdir(path):  # noqa: ASYNC240 (one look at a local folder)
        return
    making = path.with_name(f".{path.name}.new")
    making.mkdir(parents=True, exist_ok=True)
    if source.get("medium") == "Memory":
        # The mount can't be renamed: a tmpfs is put on the final folder.
        making.rename(path)
        limit = f",size={size}" if size else ""
        await check(["mount", "-t", "tmpfs", "-o", f"mode=0777{limit}", "tmpfs", str(path)])
        making = path
    making.chmod(0o777)
    if group is not None:
        os.chown(making, -1, int(group))
        making.chmod(0o2777)
    if making != path:
        making.rename(path)


def _host_path(path: Path, wanted: str) -> None:
    """Check (or make) a hostPath by its type. Raises VolumeError in upstream's words."""
    if wanted == "DirectoryOrCreate" and not path.exists():
        path.mkdir(parents=True, mode=0o755)
    elif wanted == "FileOrCreate" and not path.exists():
        path.touch(mode=0o644)
    checks = {
        "Directory": (path.is_dir, "a directory"),
        "DirectoryOrCreate": (path.is_dir, "a directory"),
        "File": (path.is_file, "a file"),
        "FileOrCreate": (path.is_file, "a file"),
        "Socket": (path.is_socket, "a socket file"),
        "CharDevice": (path.is_char_device, "a character device"),
        "BlockDevice": (path.is_block_device, "a block device"),
    }
    if wanted in checks and not checks[wanted][0]():
        raise VolumeError(f"hostPath type check failed: {path} is not {checks[wanted][1]}")


def _same(folder: Path, payload: Payload) -> bool:
    """Whether the folder holds exactly these files."""
    have: dict[str, bytes] = {}
    data = folder / "..data"
    if not data.is_dir():
        return False
    for path in sorted(data.rglob("*")):
        if path.is_file():
            have[str(path.relative_to(data))] = path.read_bytes()
    return have == {name: content.data for name, content in payload.items()}


def write(folder: Path, payload: Payload, group: int | None, now: float) -> bool:
    """Make the folder show exactly these files; False where it did so before. Raises OSError, VolumeError."""
    for name in payload:
        parts = Path(name).parts
        if Path(name).is_absolute() or ".." in parts or not parts or parts[0].startswith(".."):
            raise VolumeError(f"invalid path {name}")
    if _same(folder, payload):
        return False
    stamp = ".." + rfc3339_micro(now).replace("-", "_").replace(":", "_").replace("T", "_").rstrip("Z")
    fresh = folder / stamp
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o755)
    fresh.chmod(0o755)
    for name, content in payload.items():
        target = fresh / name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.data)
            os.fchmod(file.fileno(), content.mode | (0o040 if group is not None else 0))
            os.fchown(
                file.fileno(), content.uid if content.uid is not None else -1, int(group) if group is not None else -1
            )
    data = folder / "..data"
    old = os.readlink(data) if data.is_symlink() else ""
    temporary = folder / "..data_tmp"
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    temporary.symlink_to(stamp)
    os.replace(temporary, data)
    _links(folder, payload)
    if old and old != stamp:
        shutil.rmtree(folder / old, ignore_errors=True)
    return True


def _links(folder: Path, payload: Mapping[str, object]) -> None:
    """One visible link for each first part of a path; those of files that are no more go."""
    wanted = {Path(name).parts[0]: None for name in payload}
    for name in wanted:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(Path("..data") / name)
    for entry in sorted(folder.iterdir()):
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in wanted:
            entry.unlink()


async def mounts(roots: Roots, pod: Object, container: Object, values: Mapping[str, str]) -> list[Mounted]:
    """A container's volume mounts. Raises env.ConfigError for one that can't be made."""
    volumes = {v["name"]: v for v in spec_of(pod).get("volumes") or []}
    out = []
    mounted = mounts_below(pod_dir(roots.pods, pod) / subpaths.FOLDER) if _has_sub_paths(container) else []
    for number, mount in enumerate(container.get("volumeMounts") or []):
        volume = volumes.get(mount["name"])
        if volume is None:
            raise env.ConfigError(f'cannot find volume "{mount["name"]}" to mount into container "{container["name"]}"')
        host = volume_path(roots, pod, volume)
        sub = env.expand(mount["subPathExpr"], values) if mount.get("subPathExpr") else mount.get("subPath", "")
        kind = kind_of(volume)
        read_only = (
            bool(mount.get("readOnly")) or kind in (*OBJECTS, "image") or bool((volume[kind] or {}).get("readOnly"))
        )
        if sub:
            failed = f'failed to prepare subPath for volumeMount "{mount["name"]}" of container "{container["name"]}"'
            target = pod_dir(roots.pods, pod) / subpaths.FOLDER / mount["name"] / container["name"] / str(number)
            try:
                await subpaths.bind(host, sub, target, str(target) in mounted)
            except (subpaths.Outside, OSError, ProgramError) as error:
                raise env.ConfigError(failed) from error
            host = target
        recursive = mount.get("recursiveReadOnly") == "Enabled"
        out.append(
            Mounted(str(host), mount["mountPath"], read_only, mount.get("mountPropagation") or "None", recursive)
        )
    return out


def _has_sub_paths(container: Object) -> bool:
    return any(m.get("subPath") or m.get("subPathExpr") for m in container.get("volumeMounts") or [])


HOSTS_HEAD = """# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
"""


def hosts_text(pod: Object, ips: tuple[str, ...], name: str, domain: str) -> str:
    """A pod's /etc/hosts."""
    spec = spec_of(pod)
    lines = [HOSTS_HEAD]
    full = (
        f"{name}.{spec['subdomain']}.{(pod.get('metadata') or {}).get('namespace')}.svc.{domain}"
        if spec.get("subdomain")
        else ""
    )
    for ip in ips:
        lines.append(f"{ip}\t{full}\t{name}\n" if full else f"{ip}\t{name}\n")
    aliases = spec.get("hostAliases") or []
    if aliases:
        lines.append("\n# Entries added by HostAliases.\n")
        lines += [f"{alias['ip']}\t" + "\t".join(alias.get("hostnames") or []) + "\n" for alias in aliases]
    return "".join(lines)


def termination_file(pods: Path, pod_uid: str, container: str, attempt: int) -> Path:
    return pods / pod_uid / "containers" / container / f"{attempt}"


async def tear_down(roots: Roots, pod_uid: str) -> None:
    """Unmount and remove all of a pod's files. Raises OSError, ProgramError."""
    for folder in (roots.pods / pod_uid, roots.memory / pod_uid):
        for path in mounts_below(folder):
            await check(["umount", "--lazy", path])
        remove_tree(folder)


def mounts_below(folder: Path) -> list[str]:
    """Mount points in or below a folder, the deepest first."""
    prefix = f"{folder}/"
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4].encode().decode("unicode_escape")
        if point == str(folder) or point.startswith(prefix):
            found.append(point)
    return sorted(found, reverse=True)
