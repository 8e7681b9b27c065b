"""Finding the real helm, for tests that compare with it: `HELM=PATH`, the one that `scripts/peers.py helm` built, or PATH's."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def find_helm() -> str | None:
    named = os.environ.get("HELM")
    built = ROOT / "build" / "peers" / "helm"
    return named or (str(built) if built.exists() else shutil.which("helm"))


def real_helm() -> str:
    """Its path; the test is skipped where there is none."""
    found = find_helm()
    if found is None:
        pytest.skip("needs helm: HELM=PATH, or python scripts/peers.py helm")
    return found
