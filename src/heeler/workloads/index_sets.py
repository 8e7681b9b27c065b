"""Sets of completion indexes as a Job's status writes them: `0-3,5,7,8`.

https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode — two neighbours are written one by one,
three or more as a range.
"""

from __future__ import annotations

from collections.abc import Iterable


def parse(text: str, limit: int) -> set[int]:
    """The indexes below `limit`; what can't be read counts as nothing."""
    out: set[int] = set()
    for part in text.split(",") if text else ():
        first, _, last = part.partition("-")
        try:
            start, end = int(first), int(last or first)
        except ValueError:
            continue
        out.update(range(start, min(end, limit - 1) + 1))
    return out


def write(indexes: Iterable[int]) -> str:
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(
        str(start) if start == end else f"{start},{end}" if end == start + 1 else f"{start}-{end}"
        for start, end in runs
    )
