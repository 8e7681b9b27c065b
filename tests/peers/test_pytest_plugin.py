"""The pytest plugin in a project outside of the package."""

import importlib.metadata
import os
import random
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count, repeat
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = """
import asyncio, time
import pytest

WEB = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
    "replicas": 2, "selector": {"matchLabels": {"a": "b"}},
    "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}}


def test_sync(cluster):
    cluster.apply(WEB)
    cluster.wait("deployment/web", "condition=Available")


@pytest.mark.heeler(nodes=3)
def test_nodes(cluster):
    assert len(cluster.list("nodes")) == 3


@pytest.mark.parametrize("round", [1, 2])
def test_shared(shared_cluster, round):
    assert shared_cluster.list("deployments") == []
    shared_cluster.apply(WEB)


def test_async(cluster, kubeconfig):
    import os
    async def test():
        await cluster.aio.apply(WEB)
        await cluster.aio.advance("1 minute")
    asyncio.run(test())
    assert os.environ["KUBECONFIG"] == str(kubeconfig)
"""
FAILING = """
def test_too_much(cluster):
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "big"}, "spec": {"containers": [
        {"name": "c", "image": "i", "resources": {"requests": {"cpu": "100"}}}]}})
    cluster.wait("pod/big", patience=0)


def test_refused(cluster):
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "none"}, "spec": {"containers": []}})
"""
LONG = """
import pytest

@pytest.mark.parametrize("round", range(40))
def test_long(cluster, round):
    cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
    cluster.clock.advance("1 hour")
"""


def _command(*words: str) -> list[str]:
    installed = any(e.name == "heeler" for e in importlib.metadata.entry_points(group="pytest11"))
    plugin = [] if installed else ["-p", "heeler.testing.pytest_plugin"]
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *plugin, *words]


def _environment() -> dict[str, str]:
    """Bytecode is written, as where people work: eight workers that compile everything would be all that is measured."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(*words), cwd=folder, env=_environment(), capture_output=True, text=True, timeout=100, check=False
    )


def test_its_fixtures_work_in_any_project(tmp_path: Path) -> None:
    (tmp_path / "test_app.py").write_text(TESTS)
    done = _run(tmp_path, "-q", "-n", "2")
    assert "5 passed" in done.stdout, done.stdout + done.stderr


def test_a_failed_test_shows_its_cluster(tmp_path: Path) -> None:
    (tmp_path / "test_app.py").write_text(FAILING)
    done = _run(tmp_path, "-q")
    assert done.returncode == 1
    assert "heeler: <FreshCluster https://127.0.0.1:" in done.stdout
    assert (
        "default/big  0/1  Pending  <no node>  Unschedulable: 0/1 nodes are available: 1 Insufficient cpu."
        in done.stdout
    )
    assert "not ready:\n  pod default/big  Pending" in done.stdout
    assert '422  (the test)   Pod "none" is invalid: spec.containers: Required value' in done.stdout
    assert "src/heeler/" not in done.stdout, "the test's own line is what failed"


def test_a_wrong_marker_says_what_it_takes(tmp_path: Path) -> None:
    (tmp_path / "test_app.py").write_text("import pytest\n@pytest.mark.heeler(size=3)\ndef test_x(cluster): ...\n")
    assert "@pytest.mark.heeler takes nodes=, seed= and scheduler_config=, not ['size']" in _run(tmp_path, "-q").stdout


def test_nothing_is_imported_before_a_cluster_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "test_app.py").write_text(
        "import sys\ndef test_x(): assert [m for m in sys.modules if m.startswith('heeler.') and 'testing' not in m] == []\n"
    )
    done = _run(tmp_path, "-q")
    assert "1 passed" in done.stdout, done.stdout


def _left(mark: str) -> list[str]:
    """Processes that carry the mark in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if mark.encode() in (entry / "environ").read_bytes():
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
    return found


def _interrupt(folder: Path, number: int, wait: float) -> tuple[list[str], list[Path]]:
    """Run the long tests with eight workers and interrupt them after a while: processes and files that are left."""
    temporary = folder / f"tmp{number}"
    temporary.mkdir()
    mark = f"HEELER_TEST_MARK={folder}/{number}/"
    name, _, value = mark.partition("=")
    process = subprocess.Popen(
        _command("-q", "-n", "8", f"--basetemp={temporary}/pytest"),
        cwd=folder,
        env={**_environment(), name: value, "TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(wait)
    if number % 4 == 3:
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGINT)
    process.wait(60)
    left: list[str] = []
    for _ in range(150):
        if not (left := _left(mark)):
            break
        time.sleep(0.1)
    files = [p for p in temporary.rglob("*") if p.is_file() and not p.is_relative_to(temporary / "pytest")]
    return left, [p for p in files if not _is_probe(p)]


def _is_probe(path: Path) -> bool:
    """Python's `tempfile` tries a folder by a file that it removes at once, unless it is killed just then."""
    return re.fullmatch(r"[a-z0-9_]{8}", path.name) is not None and path.read_bytes() in (b"", b"blat")


@pytest.mark.timeout(300)
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks at processes through /proc")
def test_interrupted_with_eight_workers_nothing_is_left(tmp_path: Path) -> None:
    """Fifty times (or as often as HEELER_INTERRUPTS says), by Ctrl-C or kill -9, at moments drawn by a seed."""
    (tmp_path / "test_app.py").write_text(LONG)
    drawn = random.Random(7)
    waits = [drawn.uniform(0.3, 3.0) for _ in range(int(os.environ.get("HEELER_INTERRUPTS", "50")))]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(_interrupt, repeat(tmp_path), count(), waits))
    assert [one for one in found if one != ([], [])] == []
