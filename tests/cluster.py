"""A named cluster of this machine for tests: `heeler up` in a home of its own, and kubectl that talks to it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import orjson

from tests.conftest import HEELER


class LocalCluster:
    """Runs heeler and kubectl with HOME in `folder`, so that nothing of the person's is touched."""

    def __init__(self, folder: Path, name: str, kubectl: str) -> None:
        self.folder, self.name, self._kubectl = folder, name, kubectl
        self.environment = {**os.environ, "HOME": str(folder), "KUBECONFIG": str(folder / "kubeconfig")}
        self.environment.pop("XDG_DATA_HOME", None)

    def heeler(self, *words: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*HEELER, *words], env=self.environment, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check:
            assert done.returncode == 0, f"heeler {' '.join(words)}: {done.stdout}{done.stderr}{self.logs()}"
        return done

    def up(self, *flags: str) -> str:
        return self.heeler("up", "--name", self.name, "--no-uplink", *flags).stdout

    def delete(self) -> str:
        return self.heeler("delete", "--name", self.name).stdout

    def kubectl(self, *words: str, check: bool = True, stdin: str = "", timeout: float = 60) -> str:
        done = subprocess.run(
            [self._kubectl, *words],
            env=self.environment,
            capture_output=True,
            text=True,
            input=stdin,
            timeout=timeout,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def start_kubectl(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self._kubectl, *words],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def get(self, *words: str) -> Any:
        return orjson.loads(self.kubectl("get", *words, "-o", "json"))

    def wait(self, condition: Any, seconds: float = 30) -> Any:
        """Poll until it is true; what it gave."""
        end = time.monotonic() + seconds
        while True:
            found = condition()
            if found:
                return found
            assert time.monotonic() < end, "it did not come true in time"
            time.sleep(0.1)

    @property
    def layout(self) -> Path:
        return self.folder / ".local" / "share" / "heeler" / "clusters" / self.name

    def logs(self) -> str:
        return "".join(f"\n== {p.name}\n{p.read_text()[-3000:]}" for p in sorted((self.layout / "logs").glob("*.log")))

    def pid(self, component: str) -> int:
        return int((self.layout / "run" / f"{component}.pid").read_text())
