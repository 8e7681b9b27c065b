"""The supervisor: a program of its own that sleeps until a process of a cluster ends, then has it started again.

It runs without the site packages and imports nothing of Heeler, so that it needs some 3 MiB of its own. What is to be
done stands in `supervise.py`; it is called as a command, which waits for commands that stop or change the cluster, and
starts nothing that was stopped on purpose. Arguments: the cluster's folder, Heeler's version, the command's words, and
the component's name.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from contextlib import suppress

#: Seconds between looks at what there is to be watched; a start that came so long after the last one counts as new.
LOOK, CALM = 5.0, 60.0
#: The pause before a start, twice as long each time unless all was calm.
FIRST_PAUSE, MAX_PAUSE = 0.2, 60.0


def next_pause(pause: float, calm: float) -> float:
    """The pause after one of `pause` seconds; nothing had ended for `calm` seconds before."""
    return FIRST_PAUSE if calm >= CALM else min(pause * 2, MAX_PAUSE)


def pids(run: str, own: str) -> dict[str, int]:
    """component → pid, of those that should run: what is stopped on purpose has no file."""
    out = {}
    for entry in sorted(os.listdir(run)):
        name, dot, kind = entry.rpartition(".")
        if dot and kind == "pid" and name != own:
            with suppress(OSError, ValueError), open(os.path.join(run, entry), encoding="ascii") as file:
                out[name] = int(file.read())
    return out


def wait_for_end(found: dict[str, int], seconds: float) -> list[str]:
    """Sleep until one of the processes ends, or that long: who has ended."""
    if not hasattr(os, "pidfd_open"):  # macOS
        select.select([], [], [], seconds)
        return [name for name, pid in found.items() if not _alive(pid)]
    ended, opened = [], {}
    try:
        for name, pid in found.items():
            try:
                opened[os.pidfd_open(pid)] = name
            except ProcessLookupError:
                ended.append(name)
        poll = select.poll()
        for descriptor in opened:
            poll.register(descriptor, select.POLLIN)
        return ended + [opened[fd] for fd, _ in poll.poll(0 if ended else seconds * 1000)]
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def watch(root: str, command: list[str], own: str) -> None:
    """Until the cluster is stopped or deleted."""
    run, pause, calm = os.path.join(root, "run"), FIRST_PAUSE, CALM
    while os.path.isfile(os.path.join(root, "cluster.json")) and not os.path.exists(os.path.join(run, "stopped")):
        ended = wait_for_end(pids(run, own), LOOK)
        if not ended:
            calm += LOOK
            continue
        pause = next_pause(pause, calm)
        print(f"{', '.join(ended)} ended: started again in {pause:g} s", flush=True)
        select.select([], [], [], pause)
        calm = 0.0
        code = os.waitstatus_to_exitcode(os.waitpid(os.posix_spawn(command[0], command, os.environ), 0)[1])
        if code:
            print(f"that failed with exit code {code}", flush=True)


def main(words: list[str]) -> None:
    root, version, *command, own = words
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    run = os.path.join(root, "run")
    for suffix, text in (("version", version), ("pid", str(os.getpid()))):
        path = os.path.join(run, f"{own}.{suffix}")
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            file.write(f"{text}\n")
        os.replace(f"{path}.new", path)
    ready = os.environ.pop("HEELER_READY_FD", "")
    if ready.isdigit():
        os.write(int(ready), b"ready\n")
        os.close(int(ready))
    with suppress(FileNotFoundError):  # the folder was taken away
        watch(root, command, own)


if __name__ == "__main__":
    main(sys.argv[1:])
