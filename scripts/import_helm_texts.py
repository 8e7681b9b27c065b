"""Write `src/heeler/cli/helm/texts/`: what each command of the real helm prints for `--help`.

    python scripts/import_helm_texts.py HELM

Flags are read from these texts at run time, so they are also the table of each command's flags. Folders of the caller
become `<HELM_…>` and `<HOME>`; the section of global flags is kept once, in `global.txt`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

TEXTS = Path(__file__).parent.parent / "src/heeler/cli/helm/texts"
PLACES = ("HELM_CONTENT_CACHE", "HELM_REGISTRY_CONFIG", "HELM_REPOSITORY_CACHE", "HELM_REPOSITORY_CONFIG", "HOME")


def help_of(helm: str, path: tuple[str, ...], empty: str) -> str:
    """What `helm PATH --help` prints."""
    environment = {name: f"<{name}>" for name in PLACES}
    return subprocess.run(
        [helm, *path, "--help"], capture_output=True, text=True, env=environment, cwd=empty, check=True
    ).stdout


def commands(helm: str, path: tuple[str, ...], empty: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """(path, text) of the command at `path` and of all below it."""
    text = help_of(helm, path, empty)
    yield path, text
    listed = re.search(r"Available Commands:\n((?:  .*\n)+)", text)
    for line in listed[1].splitlines() if listed else ():
        if (name := line.split()[0]) != "help":
            yield from commands(helm, (*path, name), empty)


def main() -> None:
    helm = str(Path(sys.argv[1]).resolve())
    TEXTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as empty:
        for path, text in [*commands(helm, (), empty), (("help",), help_of(helm, ("help",), empty))]:
            own, mark, rest = text.partition("\nGlobal Flags:\n")
            if mark:
                flags, _, after = rest.replace('(default "auto")', '(default "<HELM_COLOR>")').partition("\n\n")
                (TEXTS / "global.txt").write_text("\nGlobal Flags:\n" + flags.rstrip("\n") + "\n")
                own += "<global>" + (f"\n{after}" if after else "")
            (TEXTS / ("_".join(path) or "helm")).with_suffix(".txt").write_text(
                own.replace('(default "auto")', '(default "<HELM_COLOR>")')
            )


if __name__ == "__main__":
    main()
