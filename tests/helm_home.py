"""A home of `helm` for tests, in which heeler's runs in this process, or the real one runs."""

from __future__ import annotations

import io
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from heeler.cli.helm import run


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    errors: str


class Home:
    """`program` "" is heeler's own. What is made lies in `work`, which is the working directory."""

    def __init__(self, folder: Path, program: str = "") -> None:
        self.folder, self.program, self.work = folder, program, folder / "work"
        self.work.mkdir(parents=True, exist_ok=True)
        self.environment = {f"HELM_{kind}_HOME": str(folder / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        self.environment |= {"HOME": str(folder), "KUBECONFIG": str(folder / "none"), "NO_COLOR": "1", "TZ": "UTC"}

    def ask(self, *words: str | Path) -> Answer:
        argv = [str(word) for word in words]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HELM_", "KUBE"))}
        environment = kept | self.environment
        if self.program:
            call = [self.program, *argv]
            done = subprocess.run(
                call, cwd=self.work, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120
            )
            return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())
        nothing = io.TextIOWrapper(io.BytesIO())
        with mock.patch.dict(os.environ, environment, clear=True), mock.patch("sys.stdin", nothing):
            return Answer(*run(argv, self.work))

    def do(self, *words: str | Path) -> str:
        """The output of a command that must succeed."""
        answer = self.ask(*words)
        assert answer.code == 0, f"helm {' '.join(map(str, words))}: {answer.out}{answer.errors}"
        return answer.out

    def refused(self, *words: str | Path) -> str:
        """What follows `Error: ` of a command that must fail."""
        answer = self.ask(*words)
        assert answer.code == 1, f"helm {' '.join(map(str, words))}: {answer.code}, {answer.out}{answer.errors}"
        found = re.search(r"^Error: ", answer.errors, re.MULTILINE)
        assert found is not None, answer.errors
        return answer.errors[found.end() :].rstrip("\n")

    def chart(self, name: str, version: str, more: str = "") -> Path:
        """A folder with a small chart."""
        folder = self.folder / "charts" / name
        (folder / "templates").mkdir(parents=True, exist_ok=True)
        (folder / "Chart.yaml").write_text(f"apiVersion: v2\nname: {name}\nversion: {version}\n{more}")
        (folder / "values.yaml").write_text("greeting: hello\n")
        (folder / "templates" / "it.yaml").write_text(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: it\ndata:\n  said: {{ .Values.greeting }}\n"
        )
        return folder

    def packaged(self, name: str, version: str, to: Path, more: str = "") -> Path:
        """An archive of a small chart in the folder `to`."""
        to.mkdir(parents=True, exist_ok=True)
        self.do("package", self.chart(name, version, more), "-d", to)
        return to / f"{name}-{version}.tgz"
