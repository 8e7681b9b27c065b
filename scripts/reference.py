"""Bring tests/reference up to date: recorded cases of the real programs and the programs that replay them.

    python scripts/reference.py DIR      (DIR holds reference/ and tools/)

The cases are stored compressed, one file an area; tests read them from there, so a clone alone passes its tests.
"""

from __future__ import annotations

import gzip
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent / "tests" / "reference"


def main() -> int:
    if len(sys.argv) != 2:
        print("call it as: make reference REFERENCE=DIR (DIR holds reference/ and tools/)", file=sys.stderr)
        return 2
    source = Path(sys.argv[1])
    if not (source / "reference" / "apiserver" / "cases").is_dir():
        print(f"{source} holds no recorded cases: {source}/reference/apiserver/cases is not there", file=sys.stderr)
        return 2
    for part in ("apiserver", "control", "helm"):
        target = ROOT / part
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for file in sorted((source / "reference" / part / "cases").glob("*.jsonl")):
            (target / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes(), 9, mtime=0))
    for name in ("replay.py", "replay_control.py", "helm_replay.py"):
        shutil.copyfile(source / "tools" / name, ROOT / name)
    size = sum(f.stat().st_size for f in ROOT.rglob("*") if f.is_file())
    print(f"{ROOT}: {size / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
