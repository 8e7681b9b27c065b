"""Kubeconfig files: read for a client, written and merged for people.

Merging keeps everything that is somebody else's, as kind and kubectl do. Source:
https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heeler.base.files import locked, write_atomic
from heeler.client.exec_plugin import Plugin, plugin
from heeler.objects import yaml_text
from heeler.objects.value import Object

#: Where a pod finds the token of its service account.
ACCOUNT_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class KubeconfigError(ValueError):
    """The file isn't a kubeconfig, or lacks what is asked for; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a cluster: PEM bytes or None; `token` may be empty."""

    server: str
    authority: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    token: str = ""
    token_file: Path | None = None
    insecure: bool = False
    server_name: str | None = None
    namespace: str = "default"
    #: A program that gives token or certificate.
    plugin: Plugin | None = None
    #: In whose name: sent with every request.
    as_user: str = ""
    as_uid: str = ""
    as_groups: tuple[str, ...] = ()
    as_extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def default_path(environment: Mapping[str, str]) -> Path:
    """Where kubectl looks: the first file of KUBECONFIG, else ~/.kube/config."""
    found = [p for p in environment.get("KUBECONFIG", "").split(os.pathsep) if p]
    home = environment.get("HOME", "~")
    return Path(found[0]) if found else Path(home).expanduser() / ".kube" / "config"


def read(path: Path) -> Object:
    """The file as an object; an empty one if it isn't there. Raises KubeconfigError."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise KubeconfigError(f"cannot read the kubeconfig {path}: {error.strerror}") from error
    try:
        value, _ = yaml_text.load(text)
    except (yaml_text.YamlError, UnicodeDecodeError) as error:
        raise KubeconfigError(
            f"the kubeconfig {path} is no YAML ({error}): repair it, or choose another file"
        ) from error
    if value is None:
        return {}
    if not isinstance(value, dict) or value.get("kind", "Config") != "Config":
        raise KubeconfigError(f"{path} is no kubeconfig (kind: Config): choose another file with --kubeconfig")
    for part in ("clusters", "users", "contexts"):
        entries = value.get(part) or []
        if not isinstance(entries, list) or not all(isinstance(e, dict) and "name" in e for e in entries):
            raise KubeconfigError(
                f"the kubeconfig {path} has a broken list of {part}: repair it, or choose another file"
            )
    return value


def access(config: Object, path: Path, context: str = "") -> Access:
    """What a context says. Raises KubeconfigError."""
    name = context or config.get("current-context", "")
    if not name and not path.exists():
        raise KubeconfigError(f"there is no kubeconfig {path}")
    if not name:
        raise KubeconfigError(
            f"{path} has no current context: choose one with --context, or start a cluster (heeler up)"
        )
    found = _named(config, "contexts", name)
    if found is None:
        raise KubeconfigError(f'{path} has no context "{name}"')
    names = found.get("context") or {}
    cluster = (_named(config, "clusters", names.get("cluster", "")) or {}).get("cluster") or {}
    user = (_named(config, "users", names.get("user", "")) or {}).get("user") or {}
    if not cluster.get("server"):
        raise KubeconfigError(f'{path}: the cluster of context "{name}" has no server')
    if "auth-provider" in user:
        raise KubeconfigError(f'{path}: the user of context "{name}" has an auth-provider, which is no more: use exec')
    folder = path.parent
    try:
        found_plugin = plugin(user["exec"], _told(cluster), folder) if user.get("exec") else None
    except ValueError as error:
        raise KubeconfigError(f'{path}: the user of context "{name}": {error}') from error
    return Access(
        server=str(cluster["server"]).rstrip("/"),
        authority=_data(cluster, "certificate-authority", folder),
        certificate=_data(user, "client-certificate", folder),
        key=_data(user, "client-key", folder),
        token=user.get("token", ""),
        token_file=folder / user["tokenFile"] if user.get("tokenFile") else None,
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        server_name=cluster.get("tls-server-name"),
        namespace=names.get("namespace") or "default",
        plugin=found_plugin,
        as_user=user.get("as") or "",
        as_uid=user.get("as-uid") or "",
        as_groups=tuple(user.get("as-groups") or ()),
        as_extra={key: tuple(values) for key, values in (user.get("as-user-extra") or {}).items()},
    )


def combined(paths: Sequence[Path]) -> Object:
    """Several files as one: of what has the same name the first counts; paths are made whole. Raises KubeconfigError."""
    out: Object = {}
    for path in paths:
        config = read(path)
        for part in ("clusters", "users", "contexts"):
            have = {entry["name"] for entry in out.get(part) or ()}
            added = [_whole(entry, path.parent) for entry in config.get(part) or () if entry["name"] not in have]
            out[part] = [*(out.get(part) or ()), *added]
        out.setdefault("current-context", "")
        out["current-context"] = out["current-context"] or config.get("current-context") or ""
    return out


_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


def _whole(entry: Object, folder: Path) -> Object:
    """An entry whose files are named from the root."""
    out = dict(entry)
    for part in ("cluster", "user"):
        if isinstance(out.get(part), dict):
            out[part] = {k: str(folder / v) if k in _FILES and v else v for k, v in out[part].items()}
    return out


def in_cluster(environment: Mapping[str, str], folder: Path = ACCOUNT_FOLDER) -> Access | None:
    """How a pod reaches its own cluster, None outside of one."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT")
    if not host or not port or not (folder / "token").exists():
        return None
    shown = f"[{host}]" if ":" in host else host
    namespace = (folder / "namespace").read_text().strip() if (folder / "namespace").exists() else "default"
    authority = (folder / "ca.crt").read_bytes() if (folder / "ca.crt").exists() else None
    return Access(f"https://{shown}:{port}", authority, token_file=folder / "token", namespace=namespace)


def _told(cluster: Object) -> Object:
    """What a plugin may be told of the cluster."""
    names = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
    return {name: cluster[name] for name in names if name in cluster}


def _named(config: Object, part: str, name: str) -> Object | None:
    return next((e for e in config.get(part) or () if e.get("name") == name), None)


def _data(source: Object, key: str, folder: Path) -> bytes | None:
    if source.get(f"{key}-data"):
        try:
            return base64.b64decode(source[f"{key}-data"], validate=True)
        except ValueError as error:
            raise KubeconfigError(f"{key}-data is not base64") from error
    if source.get(key):
        try:
            found: bytes = (folder / source[key]).read_bytes()
            return found
        except OSError as error:
            raise KubeconfigError(f"cannot read {key} {folder / source[key]}: {error.strerror}") from error
    return None


def entry(name: str, found: Access) -> Object:
    """A kubeconfig with one cluster, user and context, all called `name`."""
    cluster: Object = {"server": found.server}
    if found.authority:
        cluster["certificate-authority-data"] = base64.b64encode(found.authority).decode()
    if found.insecure:
        cluster["insecure-skip-tls-verify"] = True
    user: Object = {}
    if found.certificate and found.key:
        user["client-certificate-data"] = base64.b64encode(found.certificate).decode()
        user["client-key-data"] = base64.b64encode(found.key).decode()
    if found.token:
        user["token"] = found.token
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def merged(config: Object, name: str, added: Object) -> Object:
    """`config` with the entries of `added` in place of those of the same name; `name` becomes current."""
    out: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "preferences": {}, **config}
    for part in ("clusters", "users", "contexts"):
        kept = [e for e in config.get(part) or () if e.get("name") != name]
        out[part] = [*kept, *added[part]]
    out["current-context"] = name
    return out


def without(config: Object, name: str) -> Object:
    """`config` without the entries called `name`; a current context of that name is cleared."""
    out = dict(config)
    for part in ("clusters", "users", "contexts"):
        if part in config:
            out[part] = [e for e in config.get(part) or () if e.get("name") != name]
    if config.get("current-context") == name:
        out["current-context"] = ""
    return out


def merge_into(path: Path, name: str, added: Object) -> None:
    """Add to a file under a lock; it is written whole and readable by its owner only. Raises KubeconfigError, OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(path.with_name(path.name + ".lock")):
        _write(path, merged(read(path), name, added))
    path.with_name(path.name + ".lock").unlink(missing_ok=True)


def renew_in(path: Path, name: str, added: Object) -> bool:
    """Give the user `name` of a file the new credentials; False if there is no such user, or nothing new.

    Raises KubeconfigError, OSError."""
    if not path.exists():
        return False
    with locked(path.with_name(path.name + ".lock")):
        config = read(path)
        known, fresh = _named(config, "users", name), _named(added, "users", name)
        stale = known is not None and known != fresh
        if stale:
            _write(path, {**config, "users": [fresh if user == known else user for user in config["users"]]})
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    return stale


def remove_from(path: Path, name: str) -> None:
    """Take a cluster's entries out of a file, if it is there. Raises KubeconfigError, OSError."""
    if not path.exists():
        return
    with locked(path.with_name(path.name + ".lock")):
        config = read(path)
        if any(_named(config, part, name) for part in ("clusters", "users", "contexts")):
            _write(path, without(config, name))
    path.with_name(path.name + ".lock").unlink(missing_ok=True)


def _write(path: Path, config: Object) -> None:
    """Written whole, where a link points to, and it stays its owner's though root writes it."""
    target = path.resolve() if path.is_symlink() else path
    before = target.stat() if target.exists() else None
    write_atomic(target, yaml_text.dump(config).encode(), 0o600)
    if before is not None and os.geteuid() == 0:
        os.chown(target, before.st_uid, before.st_gid)
