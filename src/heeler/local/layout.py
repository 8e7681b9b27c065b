"""Where a named cluster of this machine keeps its things, and what it was asked to be.

DATA_DIR/cluster.json   the specification, and what was chosen for good (port)
DATA_DIR/pki/           keys and certificates        DATA_DIR/store/   the store
DATA_DIR/logs/          a file a component           DATA_DIR/run/     process ids
DATA_DIR/images/        archives that were loaded, for nodes that are added later
DATA_DIR/nodes/NODE/    a real node's images, volumes and logs (root's)
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import orjson

from heeler.base.files import private_folder, write_atomic

DEFAULT_NAME = "heeler"
#: Layout of the data directory; a newer one is refused.
LAYOUT = 1
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?")
#: Ports that are tried in order for a new cluster.
PORTS = range(6443, 6543)


class LocalError(Exception):
    """Something stands in the way; the message says what to do."""


class BrokenSpec(LocalError):
    """cluster.json can't be read as one."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What a cluster is to be. `port` 0: not chosen yet."""

    name: str = DEFAULT_NAME
    nodes: int = 1
    simulated_nodes: int = 0
    port: int = 0
    service_cidr: str = "10.96.0.0/16"
    pod_cidr: str = "10.244.0.0/16"
    uplink: bool = True
    #: Where Ingresses listen on the loopback, if the ports are free.
    ingress_http_port: int = 80
    ingress_https_port: int = 443
    kubeconfig: str = ""
    #: registries' settings by host: {"mirrors": [URL], "ca": FILE, "skipVerify": bool}.
    registries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    #: A KubeSchedulerConfiguration as YAML; "": the defaults.
    scheduler_config: str = ""
    #: tells clusters of the same name in different folders apart; "" in the usual folder.
    suffix: str = ""
    layout: int = LAYOUT

    @property
    def machine_name(self) -> str:
        """What the cluster's namespaces, cgroups and links on this machine are named after."""
        return f"{self.name}-{self.suffix}" if self.suffix else self.name

    @property
    def context(self) -> str:
        return f"heeler-{self.name}"


def simulated_names(spec: Spec) -> list[str]:
    """Names of the simulated nodes."""
    return [f"simulated-{i}" for i in range(spec.simulated_nodes)]


def real_names(spec: Spec) -> list[str]:
    """Names of the real nodes, in the order of their addresses."""
    return [f"{spec.name}-node-{i}" for i in range(spec.nodes)]


@dataclass(frozen=True, slots=True)
class Owner:
    """The person who runs heeler: under sudo, who called it."""

    uid: int
    gid: int
    home: Path

    @property
    def is_other(self) -> bool:
        """Files must be handed over to them."""
        return self.uid != os.geteuid()


def owner(environment: Mapping[str, str]) -> Owner:
    """Who files belong to."""
    import pwd

    uid = os.geteuid()
    if uid == 0 and environment.get("SUDO_UID", "").isdigit():
        uid = int(environment["SUDO_UID"])
        gid = int(environment.get("SUDO_GID") or 0)
    else:
        gid = os.getegid()
    try:
        home = Path(pwd.getpwuid(uid).pw_dir)
    except KeyError:
        home = Path(environment.get("HOME", "/"))
    if uid == os.geteuid() and environment.get("HOME"):
        home = Path(environment["HOME"])
    return Owner(uid, gid, home)


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one cluster."""

    root: Path

    @property
    def spec_file(self) -> Path:
        return self.root / "cluster.json"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def registries(self) -> Path:
        """What nodes are told of registries: see `heeler.kubelet.registries`."""
        return self.root / "registries.json"

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def admin_kubeconfig(self) -> Path:
        return self.root / "admin.kubeconfig"

    def node_data(self, node: str) -> Path:
        return self.root / "nodes" / node

    def log(self, component: str) -> Path:
        return self.logs / f"{component}.log"

    def pid_file(self, component: str) -> Path:
        return self.run / f"{component}.pid"

    def prepare(self, who: Owner) -> None:
        """Make the folders. Raises LocalError, also for a folder that has other things in it (they would be ours to delete)."""
        try:
            if not self.spec_file.exists() and self.root.is_dir() and any(self.root.iterdir()):
                raise LocalError(
                    f"{self.root} is no cluster's folder, and not empty: choose another folder with --data-dir"
                )
            for folder in (self.root, self.pki, self.store, self.logs, self.run):
                private_folder(folder)
            probe = self.run / ".probe"
            write_atomic(probe, b"", 0o600)
            probe.unlink()
        except OSError as error:
            raise LocalError(
                f"cannot write to {self.root}: {error.strerror}: choose another folder with --data-dir"
            ) from error
        self.hand_over(who)

    def hand_over(self, who: Owner) -> None:
        """Give what is the person's to the person (nodes' folders stay root's)."""
        hand_over(self.root, who, but=("nodes",))

    def load(self) -> Spec | None:
        """The cluster's specification, or None if there is no cluster. Raises LocalError."""
        try:
            raw = self.spec_file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LocalError(f"cannot read {self.spec_file}: {error.strerror}") from error
        try:
            value: dict[str, Any] = orjson.loads(raw)
            known = {f.name for f in fields(Spec)}
            spec = Spec(**{k: v for k, v in value.items() if k in known})
        except (orjson.JSONDecodeError, TypeError, AttributeError) as error:
            raise BrokenSpec(
                f"{self.spec_file} is broken ({error}): delete the cluster (heeler delete), or restore the file"
            ) from error
        if spec.layout > LAYOUT:
            raise LocalError(f"{self.root} was made by a newer Heeler: upgrade heeler, or choose another --data-dir")
        return spec

    def save(self, spec: Spec) -> None:
        data = orjson.dumps(asdict(spec), option=orjson.OPT_INDENT_2) + b"\n"
        write_atomic(self.spec_file, data, 0o600)


def hand_over(folder: Path, who: Owner, but: tuple[str, ...] = ()) -> None:
    """Give a folder, and those above it that root made in the person's home, to the person."""
    if not who.is_other:
        return
    for base, folders, files in os.walk(folder):
        if base == str(folder):
            folders[:] = [name for name in folders if name not in but]
        for entry in (base, *(os.path.join(base, f) for f in files)):
            os.chown(entry, who.uid, who.gid, follow_symlinks=False)
    parent = folder.parent
    while parent.is_relative_to(who.home) and parent != who.home and parent.stat().st_uid == 0:
        os.chown(parent, who.uid, who.gid)
        parent = parent.parent


def clusters_folder(who: Owner, environment: Mapping[str, str]) -> Path:
    """Where clusters are kept that no --data-dir names."""
    base = environment.get("XDG_DATA_HOME", "")
    if base and not who.is_other:
        return Path(base) / "heeler" / "clusters"
    return who.home / ".local" / "share" / "heeler" / "clusters"


def layout_of(name: str, data_dir: Path | None, who: Owner, environment: Mapping[str, str]) -> Layout:
    """The paths of a cluster. Raises LocalError for a name that can't be."""
    if not NAME.fullmatch(name):
        raise LocalError(
            f"\"{name}\" can't be a cluster's name: use lower case letters, digits and dashes, 32 characters at most"
        )
    try:
        return Layout((data_dir or clusters_folder(who, environment) / name).absolute())
    except FileNotFoundError as error:
        raise LocalError("the current directory is gone: change to another, or give --data-dir in full") from error


def existing(name: str, data_dir: Path | None, who: Owner, environment: Mapping[str, str]) -> tuple[Layout, Spec]:
    """A cluster that is there. Raises LocalError that names those that are."""
    layout = layout_of(name, data_dir, who, environment)
    spec = layout.load()
    if spec is None:
        raise LocalError(no_cluster(name, layout, who, environment))
    return layout, spec


def no_cluster(name: str, layout: Layout, who: Owner, environment: Mapping[str, str]) -> str:
    """What to say when a cluster isn't there."""
    others = known_clusters(who, environment)
    there = f"there is {', '.join(others)} (--name)" if others else "heeler up makes one"
    return f'there is no cluster "{name}" in {layout.root}: {there}'


@contextlib.contextmanager
def one_at_a_time(who: Owner) -> Iterator[None]:
    """Commands that start, stop or remove a cluster of this person wait for one another.

    Two that choose a port, or start the same cluster, at the same moment would get in each other's way. Where the home
    can't be written to there is no waiting.
    """
    import fcntl

    folder = who.home / ".local" / "share" / "heeler"
    try:
        if not folder.exists():
            private_folder(folder)
            if who.is_other:
                for made in (folder, folder.parent, folder.parent.parent):
                    if made.stat().st_uid == 0 and made != who.home:
                        os.chown(made, who.uid, who.gid)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield
        return
    try:
        if who.is_other:
            os.fchown(descriptor, who.uid, who.gid)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def known_clusters(who: Owner, environment: Mapping[str, str]) -> list[str]:
    """The names of the clusters in the usual place, sorted."""
    folder = clusters_folder(who, environment)
    try:
        return sorted(p.name for p in folder.iterdir() if (p / "cluster.json").exists())
    except OSError:
        return []


def ports_of_others(layout: Layout) -> set[int]:
    """The ports of the clusters beside this one, whether they run or not: they come back there."""
    found = set()
    for file in layout.root.parent.glob("*/cluster.json"):
        if file.parent != layout.root:
            with contextlib.suppress(LocalError):
                spec = Layout(file.parent).load()
                found.add(spec.port if spec else 0)
    return found


def free_port(taken: set[int]) -> int:
    """The first port of PORTS that nobody listens on. Raises LocalError."""
    import socket

    for port in PORTS:
        if port in taken:
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise LocalError(f"no free port from {PORTS.start} to {PORTS.stop - 1}: choose one with --port")


def port_is_free(port: int) -> bool:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def changed(spec: Spec, **values: Any) -> Spec:
    """The specification with the values that were given (None: as it was)."""
    return replace(spec, **{k: v for k, v in values.items() if v is not None})
