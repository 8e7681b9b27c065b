"""containerd as a plain process of our own: configuration, start, stop, and what this build of it can do.

Root, state and sockets are private, so that another containerd or Docker on the machine is neither used nor touched.
It runs in the node's network namespace (`nsenter --net=`, which leaves mounts alone) and in a session of its own: it
outlives the agent, and pods outlive it. Versions: 1.6 and later (configuration version 2), 2.x (version 3).
Source: https://github.com/containerd/containerd/blob/main/docs/cri/config.md
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from heeler.base.clock import Clock
from heeler.base.files import private_folder, read_text, write_atomic
from heeler.base.processes import ProgramError, alive, check, command_line, end, find_program
from heeler.kubelet.runtime import leftovers


@dataclass(frozen=True, slots=True)
class RuntimePaths:
    """Where one containerd keeps its things. `root` is kept over reboots, `state` is not."""

    root: Path
    state: Path
    socket: Path
    cni_config: Path
    cni_plugins: Path
    runc: str
    pause_image: str

    @property
    def config(self) -> Path:
        return self.state / "config.toml"

    @property
    def pid_file(self) -> Path:
        return self.state / "containerd.pid"

    @property
    def runc_root(self) -> Path:
        """Where runc notes its containers: by default a folder that all containerds of the machine share."""
        return self.state / "runc"

    @property
    def task_state(self) -> Path:
        """The folder with a folder for each running container."""
        return self.state / "run" / "io.containerd.runtime.v2.task" / "k8s.io"


async def version(binary: str) -> tuple[int, int]:
    """The (major, minor) version of a containerd binary. Raises ProgramError for one before 1.6."""
    text = (await check([binary, "--version"])).decode(errors="replace")
    found = re.search(r"\bv?(\d+)\.(\d+)\.", text)
    if found is None:
        raise ProgramError(f"{binary}: can't read its version out of {text.strip()!r}")
    number = int(found[1]), int(found[2])
    if number < (1, 6):
        raise ProgramError(f"{binary} is version {number[0]}.{number[1]}: 1.6 or later is needed")
    return number


def _quoted(value: object) -> str:
    """A TOML basic string (JSON's escapes are a subset of TOML's)."""
    return json.dumps(str(value))


def may_raise_oom_priority() -> bool:
    """Whether this process may set a negative oom_score_adj (CAP_SYS_RESOURCE, bit 24); runc fails where it may not."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", read_text(Path("/proc/self/status")), re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> 24 & 1)


def configuration(paths: RuntimePaths, major: int, restrict_oom: bool, apparmor: bool, shim: str = "") -> str:
    """containerd's config.toml for its major version 1 or 2. `shim`: the one that belongs to a 2.x ("" for PATH's)."""
    head = f"""version = {2 if major < 2 else 3}
root = {_quoted(paths.root)}
state = {_quoted(paths.state / "run")}
imports = []
oom_score = 0
[grpc]
  address = {_quoted(paths.socket)}
[ttrpc]
  address = {_quoted(f"{paths.socket}.ttrpc")}
[plugins]
  [plugins."io.containerd.internal.v1.opt"]
    path = {_quoted(paths.root / "opt")}
"""
    if major < 2:
        return head + _plugins_1(paths, restrict_oom, apparmor)
    return head + _plugins_2(paths, restrict_oom, apparmor, shim)


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _plugins_1(paths: RuntimePaths, restrict_oom: bool, apparmor: bool) -> str:
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""
  [{cri}]
    sandbox_image = {_quoted(paths.pause_image)}
    stream_server_address = "127.0.0.1"
    stream_server_port = "0"
    restrict_oom_score_adj = {_flag(restrict_oom)}
    disable_apparmor = {_flag(not apparmor)}
    netns_mounts_under_state_dir = true
    [{cri}.cni]
      bin_dir = {_quoted(paths.cni_plugins)}
      conf_dir = {_quoted(paths.cni_config)}
    [{cri}.registry]
      config_path = {_quoted(paths.root / "registries")}
    [{cri}.containerd]
      snapshotter = "overlayfs"
      default_runtime_name = "runc"
      [{cri}.containerd.runtimes.runc]
        runtime_type = "io.containerd.runc.v2"
        [{cri}.containerd.runtimes.runc.options]
          BinaryName = {_quoted(paths.runc)}
          Root = {_quoted(paths.runc_root)}
          SystemdCgroup = false
"""


def _plugins_2(paths: RuntimePaths, restrict_oom: bool, apparmor: bool, shim: str) -> str:
    images, runtime = "plugins.'io.containerd.cri.v1.images'", "plugins.'io.containerd.cri.v1.runtime'"
    return f"""
  [plugins.'io.containerd.nri.v1.nri']
    disable = true
  [{images}]
    snapshotter = "overlayfs"
    [{images}.pinned_images]
      sandbox = {_quoted(paths.pause_image)}
    [{images}.registry]
      config_path = {_quoted(paths.root / "registries")}
  [{runtime}]
    restrict_oom_score_adj = {_flag(restrict_oom)}
    disable_apparmor = {_flag(not apparmor)}
    netns_mounts_under_state_dir = true
    [{runtime}.cni]
      bin_dirs = [{_quoted(paths.cni_plugins)}]
      conf_dir = {_quoted(paths.cni_config)}
    [{runtime}.containerd]
      default_runtime_name = "runc"
      [{runtime}.containerd.runtimes.runc]
        runtime_type = "io.containerd.runc.v2"
        runtime_path = {_quoted(shim)}
        [{runtime}.containerd.runtimes.runc.options]
          BinaryName = {_quoted(paths.runc)}
          Root = {_quoted(paths.runc_root)}
          SystemdCgroup = false
"""


def _shim_of(binary: str) -> str:
    """The shim that stands beside a containerd binary: another version's in PATH must not be taken instead."""
    path = Path(binary).resolve().with_name("containerd-shim-runc-v2")
    return str(path) if path.exists() else ""


def running(paths: RuntimePaths) -> int | None:
    """The process id of the containerd that uses this configuration, if it runs."""
    text = read_text(paths.pid_file)
    pid = int(text) if text.isdigit() else 0
    return pid if pid and alive(pid) and str(paths.config) in command_line(pid) else None


async def start(paths: RuntimePaths, binary: str, netns: Path | None, clock: Clock) -> int:
    """Start containerd unless it runs already; its process id, once its socket answers. Raises ProgramError."""
    found = running(paths)
    if found is not None and await _answers(paths.socket):
        return found
    if found is not None:
        await end(found, 5.0)
    major, _ = await version(binary)
    private_folder(paths.root)
    private_folder(paths.state)
    apparmor = read_text(Path("/sys/module/apparmor/parameters/enabled")) == "Y" and bool(
        find_program("apparmor_parser")
    )
    text = configuration(paths, major, not may_raise_oom_priority(), apparmor, _shim_of(binary))
    write_atomic(paths.config, text.encode())
    found_left = leftovers.halves(paths.root, paths.state / "run") + leftovers.addresses(paths.root, paths.state)
    await asyncio.to_thread(leftovers.remove, found_left)
    for space in await asyncio.to_thread(leftovers.namespaces, paths.state / "run"):
        await leftovers.remove_namespace(space)
    enter = ["nsenter", f"--net={netns}"] if netns is not None else []
    log = os.open(paths.root / "containerd.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        process = await asyncio.create_subprocess_exec(
            *enter,
            binary,
            "--config",
            str(paths.config),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)
    write_atomic(paths.pid_file, str(process.pid).encode())
    await _wait(paths, process, clock)
    return process.pid


async def _wait(paths: RuntimePaths, process: asyncio.subprocess.Process, clock: Clock) -> None:
    deadline = clock.monotonic() + 30.0
    while not await _answers(paths.socket):
        if process.returncode is not None or clock.monotonic() > deadline:
            last = read_text(paths.root / "containerd.log")[-1500:]
            raise ProgramError(f"containerd did not start:\n{last}")
        await clock.sleep(0.02)


async def _answers(socket: Path) -> bool:
    """Whether the socket accepts connections (the server listens before its plugins are ready: CRI waits itself)."""
    try:
        _, writer = await asyncio.open_unix_connection(str(socket))
    except OSError:
        return False
    writer.close()
    return True


async def stop(paths: RuntimePaths) -> None:
    """End containerd; containers run on under their shims."""
    found = running(paths)
    if found is not None:
        await end(found, 10.0)
    paths.pid_file.unlink(missing_ok=True)
