"""Heeler: Kubernetes from the laptop to production, in one Python package.

async with heeler.Cluster(simulated_nodes=3) as cluster:
    ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heeler.cluster import Cluster as Cluster

__version__ = "0.1.0"
__all__ = ["Cluster", "__version__"]


def __getattr__(name: str) -> Any:
    """`Cluster` is imported when it is first asked for, so that `import heeler` costs nothing."""
    if name == "Cluster":
        from heeler.cluster import Cluster

        return Cluster
    raise AttributeError(f"module 'heeler' has no attribute {name!r}")
