"""Data directories of older versions, brought forward one layout at a time; what was there before is kept.

A new layout is a line in `STEPS`. Steps run on a stopped cluster (its containers run on) and may be repeated: a step that was
interrupted begins anew. The copy has what can't be made again: the specification, keys, the store; not images and volumes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from heeler.local.layout import LAYOUT, Layout, LocalError, Spec

#: Of the data directory, what a copy is made of.
KEPT = ("cluster.json", "registries.json", "pki", "store")


@dataclass(frozen=True, slots=True)
class Step:
    """From layout `to - 1` to layout `to`. `run` gets the folder and the specification, and gives the new one."""

    to: int
    what: str
    run: Callable[[Layout, Spec], Spec]


STEPS: tuple[Step, ...] = ()


def needed(spec: Spec, newest: int = LAYOUT) -> bool:
    """Was the folder made by an older layout?"""
    return spec.layout < newest


def migrate(layout: Layout, spec: Spec, steps: Sequence[Step] = STEPS, newest: int = LAYOUT) -> tuple[Spec, Path]:
    """Bring a stopped cluster's folder forward: the new specification, and where the copy is. Raises LocalError."""
    way = [step for step in steps if spec.layout < step.to <= newest]
    if [step.to for step in way] != list(range(spec.layout + 1, newest + 1)):
        raise LocalError(
            f"{layout.root} has layout {spec.layout}, and this Heeler knows no way from there to {newest}: "
            "use the Heeler that made it, or delete the cluster"
        )
    copy = keep_copy(layout, spec.layout)
    for step in way:
        spec = replace(step.run(layout, spec), layout=step.to)
        layout.save(spec)
    return spec, copy


def keep_copy(layout: Layout, number: int) -> Path:
    """Copy what can't be made again, once. Raises LocalError (no room), and then nothing has changed."""
    target = layout.root / f"before-layout-{number + 1}"
    if target.exists():
        return target  # an earlier try was interrupted after this
    partial = target.with_name(f".{target.name}.partial")
    try:
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir(mode=0o700)
        for name in KEPT:
            source = layout.root / name
            if source.is_dir():
                shutil.copytree(source, partial / name)
            elif source.exists():
                shutil.copy2(source, partial / name)
        partial.rename(target)
    except OSError as error:
        raise LocalError(
            f"cannot keep a copy of {layout.root} before it is brought to a newer layout: {error.strerror}: "
            "nothing was changed; make room and try again"
        ) from error
    return target
