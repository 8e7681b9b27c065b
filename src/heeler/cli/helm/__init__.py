"""`heeler helm …`: Helm 4's commands, flags, output and exit codes. `frame.py` has a call's way, a file a command the rest."""

from __future__ import annotations

import gc
import os
import sys


def run(argv: list[str], cwd: str | os.PathLike[str]) -> tuple[int, str, str]:
    """(exit code, standard output, standard error) of `helm ARGV…` in the folder `cwd`, in this process."""
    from heeler.cli.helm.frame import run_command

    return run_command(argv, cwd)


def main(argv: list[str]) -> int:
    """Run a command for a terminal; the exit code."""
    from heeler.cli.helm.frame import run_command

    # Templates become many objects that stay until the end: looking for cycles among them took half of a large chart's time.
    gc.set_threshold(200_000, 20, 50)
    code, out, errors = run_command(
        argv, os.getcwd(), out_terminal=sys.stdout.isatty(), errors_terminal=sys.stderr.isatty(), live=True
    )
    for text, stream in ((out, sys.stdout), (errors, sys.stderr)):
        stream.flush()
        stream.buffer.write(text.encode("utf-8", "surrogateescape"))
        stream.flush()
    gc.freeze()  # nor at the end, where the interpreter would look three times more
    return code
