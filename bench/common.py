"""What all figures share: how they are printed, and clusters that are gone afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
#: Of the clusters that are measured; two runs at a time don't meet.
NAME = f"bench{os.getpid()}"
HEELER = [sys.executable, "-m", "heeler.cli.main"]
KUBECTL = (
    str(Path(sys.executable).with_name("kubectl")) if Path(sys.executable).with_name("kubectl").exists() else "kubectl"
)


class Figures:
    """What was measured: name, value, unit, aim, peer."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(self, name: str, value: float, unit: str, aim: str = "", peer: str = "") -> None:
        self.rows.append({"name": name, "value": round(value, 3), "unit": unit, "aim": aim, "peer": peer})
        print(
            f"  {name:<58} {value:>10.2f} {unit:<6} aim {aim or '-':<10} {('peer ' + peer) if peer else ''}", flush=True
        )


@contextmanager
def home() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="heeler-bench-") as folder:
        yield {**os.environ, "HOME": folder, "KUBECONFIG": f"{folder}/kubeconfig"}


def run(words: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(words, env=environment, check=True, capture_output=True, text=True).stdout


@contextmanager
def cluster(*flags: str) -> Iterator[dict[str, str]]:
    with home() as environment:
        run([*HEELER, "up", "--name", NAME, *flags], environment)
        try:
            yield environment
        finally:
            subprocess.run([*HEELER, "delete", "--name", NAME], env=environment, check=False, capture_output=True)
