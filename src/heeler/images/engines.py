"""Images of a Docker or Podman on this machine, by their own commands."""

from __future__ import annotations

import subprocess
from pathlib import Path

from heeler.base.processes import ProgramError, find_program

ENGINES = ("docker", "podman")
#: Seconds for an engine to look an image up, and to write it.
LOOK_SECONDS, SAVE_SECONDS = 30.0, 1800.0


def save(name: str, folder: Path) -> Path:
    """Have the engine that knows the image write its archive into `folder`. Raises ProgramError saying what each said."""
    said = []
    for engine in ENGINES:
        program = find_program(engine)
        if program is None:
            said.append(f"{engine} is not installed")
            continue
        try:
            _run([program, "image", "inspect", "--format", "{{.Id}}", name], LOOK_SECONDS)
        except ProgramError as error:
            said.append(f"{engine}: {error}")
            continue
        target = folder / "saved.tar"
        _run([program, "save", "--output", str(target), name], SAVE_SECONDS)
        return target
    raise ProgramError(f"{name} is neither a file nor an image of a local Docker or Podman ({'; '.join(said)})")


def _run(arguments: list[str], timeout: float) -> str:
    try:
        done = subprocess.run(arguments, capture_output=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise ProgramError(f"{arguments[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise ProgramError(f"no answer within {timeout:g} s") from error
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise ProgramError(words[-1] if words else f"it ended with {done.returncode}")
    return done.stdout.decode(errors="replace").strip()
