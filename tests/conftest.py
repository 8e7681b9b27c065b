"""What tests share: programs that may be missing, and a real API server in a process of its own."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# how fast a machine draws examples says nothing about what is tested
settings.register_profile("heeler", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("heeler")
ROOT = Path(__file__).parent.parent
HEELER = [sys.executable, "-m", "heeler.cli.main"]


def pytest_configure(config: pytest.Config) -> None:
    # processes that tests start find the package wherever the tests are run from
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT / "src"), os.environ.get("PYTHONPATH", ""))))
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job: what tests start would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)


def find_kubectl() -> str | None:
    """The kubectl of the development tools, else the machine's."""
    beside = Path(sys.executable).with_name("kubectl")
    return str(beside) if beside.exists() else shutil.which("kubectl")


@pytest.fixture(scope="session")
def kubectl() -> str:
    found = find_kubectl()
    if found is None:
        pytest.skip("kubectl is not here")
    return found


def containers_possible() -> str:
    """Why real nodes can't be tested here; "" when they can."""
    from heeler.local.prerequisites import missing

    if sys.platform != "linux" or os.geteuid() != 0:
        return "real nodes need Linux and root"
    lacking = missing().programs
    return f"missing: {', '.join(lacking)}" if lacking else ""


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Commands and seeds that run in this process say how much is logged: not to the tests after them."""
    log = logging.getLogger("heeler")
    level, propagate = log.level, log.propagate
    yield
    log.setLevel(level)
    log.propagate = propagate


@pytest.fixture(autouse=True)
def _needs(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("containers") and (why := containers_possible()):
        pytest.skip(why)


def write_users(folder: Path) -> Path:
    """The users that the recorded cases know, as --token-auth-file takes them."""
    users = folder / "users.csv"
    users.write_text(
        'admin-token,admin,u-admin,"system:masters"\n'
        'alice-token,alice,u-alice,"devs"\n'
        'bob-token,bob,u-bob,"ops,auditors"\n'
        "carol-token,carol,u-carol\n"
    )
    return users


class ApiServerProcess:
    """`heeler apiserver` with the users that the recorded cases know."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.folder, self.flags, self.port, self.in_memory = folder, flags, 0, False
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        users = write_users(self.folder)
        words = [*HEELER, "apiserver", "--cert-dir", str(self.folder / "pki")]
        words += [] if self.in_memory else ["--data-dir", str(self.folder / "data")]
        words += ["--token-auth-file", str(users), "--secure-port", str(self.port), *self.flags]
        log = self.folder / "apiserver.log"
        with log.open("a") as target:
            already = log.stat().st_size
            self.process = subprocess.Popen(words, stdout=target, stderr=target)
        for _ in range(600):
            line = next((x for x in log.read_text()[already:].splitlines() if "serving on" in x), "")
            if line:
                self.port = int(line.rsplit(":", 1)[1])
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"the API server did not start: {log.read_text()}")

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(20)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServerProcess]:
    found = ApiServerProcess(tmp_path_factory.mktemp("apiserver"), "--authorization-mode", "RBAC")
    found.start()
    yield found
    found.stop()
