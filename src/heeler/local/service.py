"""A systemd unit for a cluster: it starts with the machine, and comes back when something of it ends.

Source: https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from heeler.base.files import write_atomic
from heeler.local.layout import LocalError, Owner

SYSTEM = Path("/etc/systemd/system")
#: Is systemd the machine's init?
BOOTED = Path("/run/systemd/system")


@dataclass(frozen=True, slots=True)
class Service:
    """What the unit runs, for whom. `user`: a unit of the person's own systemd (no real nodes: these need root)."""

    name: str
    program: tuple[str, ...]
    data_dir: Path | None
    who: Owner
    login: str
    user: bool = False

    @property
    def unit(self) -> str:
        return f"heeler-{self.name}.service"

    @property
    def folder(self) -> Path:
        return self.who.home / ".config" / "systemd" / "user" if self.user else SYSTEM


def unit_text(service: Service) -> str:
    """The unit file."""
    words = [*service.program, "up", "--foreground", "--name", service.name]
    stop = [*service.program, "down", "--name", service.name]
    if service.data_dir is not None:
        words += ["--data-dir", str(service.data_dir)]
        stop += ["--data-dir", str(service.data_dir)]
    lines = [
        "[Unit]",
        f"Description=Heeler cluster {service.name}",
        "Wants=network-online.target",
        "After=network-online.target local-fs.target time-sync.target",
        "",
        "[Service]",
        "Type=exec",
        f"ExecStart={_quoted(words)}",
        f"ExecStop={_quoted(stop)}",
        "Restart=on-failure",
        "RestartSec=2",
        "# containers outlive the cluster's own processes; `heeler down` ends them in an orderly way",
        "KillMode=process",
        "Delegate=yes",
        "TasksMax=infinity",
        "LimitNOFILE=1048576",
        "TimeoutStopSec=120",
        f"Environment=HOME={service.who.home}",
    ]
    if not service.user and service.who.is_other:
        lines += [
            f"Environment=SUDO_UID={service.who.uid}",
            f"Environment=SUDO_GID={service.who.gid}",
            f"Environment=SUDO_USER={service.login}",
        ]
    target = "default.target" if service.user else "multi-user.target"
    return "\n".join([*lines, "", "[Install]", f"WantedBy={target}", ""])


def _quoted(words: list[str]) -> str:
    """Words as systemd reads them: quoted where need be, and its specifiers and variables are none here."""
    out = []
    for word in words:
        safe = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
        out.append(f'"{safe}"' if any(c in word for c in " \t\"'\\;") else safe)
    return " ".join(out)


def install(service: Service) -> Path:
    """Write the unit, let systemd read it, start it now and at boot. Raises LocalError."""
    path = service.folder / service.unit
    try:
        service.folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, unit_text(service).encode(), 0o644)
    except OSError as error:
        raise LocalError(f"cannot write {path}: {error.strerror}: call it with sudo, or with --user") from error
    if not BOOTED.exists():
        raise LocalError(f"{path} is written, but systemd doesn't run this machine: nothing was started")
    _systemctl(service, "daemon-reload")
    _systemctl(service, "enable", "--now", service.unit)
    return path


def uninstall(service: Service) -> bool:
    """Stop the cluster and take the unit away; False if there was none. Raises LocalError."""
    path = service.folder / service.unit
    if not path.exists():
        return False
    if BOOTED.exists():
        _systemctl(service, "disable", "--now", service.unit)
    try:
        path.unlink()
    except OSError as error:
        raise LocalError(f"cannot remove {path}: {error.strerror}: call it with sudo") from error
    if BOOTED.exists():
        _systemctl(service, "daemon-reload")
    return True


def state(service: Service) -> dict[str, object]:
    """Is it there, enabled, active?"""
    path = service.folder / service.unit
    out: dict[str, object] = {"unit": service.unit, "path": str(path), "installed": path.exists()}
    if BOOTED.exists() and path.exists():
        for what in ("is-enabled", "is-active"):
            done = subprocess.run(_command(service, what, service.unit), capture_output=True, text=True, check=False)
            out[what.removeprefix("is-")] = done.stdout.strip()
    return out


def _command(service: Service, *words: str) -> list[str]:
    return ["systemctl", *(["--user"] if service.user else []), *words]


def _systemctl(service: Service, *words: str) -> None:
    if shutil.which("systemctl") is None:
        raise LocalError("systemctl is not here: is this machine run by systemd?")
    done = subprocess.run(_command(service, *words), capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalError(f"systemctl {' '.join(words)}: {done.stderr.strip() or f'exit code {done.returncode}'}")
