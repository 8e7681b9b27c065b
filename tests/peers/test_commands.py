"""`heeler up`, `down`, `delete` where something is odd: foreign folders, lost files, two at once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import HEELER

pytestmark = [pytest.mark.timeout(120)]


class Home:
    """A person's home, with a cluster called `odd` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        home = folder / "home"
        home.mkdir()
        self.environment = {**os.environ, "HOME": str(home), "KUBECONFIG": str(folder / "kubeconfig")}

    def start(self, *words: str) -> subprocess.Popen[str]:
        where = ["--name", "odd", "--data-dir", str(self.data)]
        return subprocess.Popen(
            [*HEELER, *words, *where],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words: str) -> tuple[int, str]:
        process = self.start(*words)
        said, _ = process.communicate(timeout=60)
        return process.returncode, said

    def processes(self) -> list[int]:
        """The cluster's daemons."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if str(self.data).encode() in words and b"control-plane" in words:
                    found.append(int(entry.name))
        return found


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_folder_with_other_things_is_left_alone(home: Home) -> None:
    (home.data / "logs").mkdir(parents=True)
    (home.data / "logs" / "mine.txt").write_text("mine")
    home.data.chmod(0o755)
    code, said = home.run("up", "--simulated-nodes", "1")
    assert code == 1
    assert "is no cluster's folder, and not empty: choose another folder with --data-dir" in said
    assert home.data.stat().st_mode & 0o777 == 0o755
    assert (home.data / "logs" / "mine.txt").read_text() == "mine"


def test_two_ups_of_one_cluster_end_with_one_that_runs(home: Home) -> None:
    both = [home.start("up", "--simulated-nodes", "1") for _ in range(2)]
    try:
        said = [process.communicate(timeout=60)[0] for process in both]
        assert [process.returncode for process in both] == [0, 0], said
        assert len(home.processes()) == 1
    finally:
        home.run("delete")
    assert home.processes() == []


@pytest.mark.parametrize("content", [None, "1", "-1", "rubbish"])
def test_a_lost_pid_file_hides_nothing(home: Home, content: str | None) -> None:
    assert home.run("up", "--simulated-nodes", "1")[0] == 0
    file = home.data / "run" / "control-plane.pid"
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    code, said = home.run("up")
    assert (code, "runs already" in said) == (0, True), said
    assert home.run("delete")[0] == 0
    assert home.processes() == []
    assert not home.data.exists()


def test_a_cluster_whose_specification_is_broken_can_be_deleted(home: Home) -> None:
    assert home.run("up", "--simulated-nodes", "1")[0] == 0
    (home.data / "cluster.json").write_text("{")
    code, said = home.run("up")
    assert code == 1
    assert "is broken" in said
    assert home.run("delete")[0] == 0
    assert home.processes() == []
    assert not home.data.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("serviceCidr: zzz", "serviceCidr must be an IPv4 network like 10.96.0.0/16"),
        ("podCidr: 10.244.0.0/30", "10.244.0.0/30 is too small"),
        ("serviceCidr: 10.244.0.0/16", "overlap"),
    ],
)
def test_networks_that_can_not_be_are_refused(home: Home, text: str, said: str) -> None:
    config = home.folder / "config.yaml"
    config.write_text(text + "\n")
    code, answer = home.run("up", "--simulated-nodes", "1", "--config", str(config))
    assert code == 1
    assert said in answer
    assert not home.data.exists()
