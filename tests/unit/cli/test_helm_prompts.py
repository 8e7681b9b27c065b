"""What `heeler helm` asks for at a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import sys
from pathlib import Path

from tests.chart_server import LOGIN, served
from tests.helm_home import Home


def at_a_terminal(home: Home, words: list[str], until: bytes, said: bytes) -> tuple[int, str]:
    """(exit code, all that the terminal shows) of a command that is answered once it asks."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(home.work)
        source = str(Path(__file__).resolve().parents[3] / "src")
        environment = {**os.environ, **home.environment, "PYTHONPATH": source}
        os.execve(sys.executable, [sys.executable, "-m", "heeler", "helm", *words], environment)
    shown = b""
    with contextlib.suppress(OSError):  # what a terminal says when the other side has gone
        while data := os.read(terminal, 4096):
            shown += data
            if until in shown and said:
                os.write(terminal, said)
                said = b""
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode()


def test_a_password_is_asked_for_and_not_shown(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.packaged("app", "0.1.0", tmp_path / "web")
    home.do("repo", "index", tmp_path / "web")
    with served(tmp_path / "web", login=True) as server:
        words = ["repo", "add", "web", server.url, "--username", LOGIN[0]]
        code, shown = at_a_terminal(home, words, b"Password: ", f"{LOGIN[1]}\n".encode())
        assert (code, shown) == (0, 'Password: \r\n"web" has been added to your repositories\r\n')
        # without a terminal there is nobody to ask
        assert home.refused("repo", "add", "other", *words[3:]) == "inappropriate ioctl for device"
        code, shown = at_a_terminal(home, ["repo", "add", "other", *words[3:]], b"Password: ", b"\x03")
        assert code == 130 and "Traceback" not in shown
