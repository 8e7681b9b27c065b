"""Nodes that have a pod's images already are better, the more so the larger and rarer the images are."""

from __future__ import annotations

import numpy as np

from heeler.scheduler.plugins.plugin import MAX_SCORE
from heeler.scheduler.pod import PodInfo
from heeler.scheduler.table import Ints, Rows, Table

MIB = 1024 * 1024
MIN_THRESHOLD = 23 * MIB
MAX_CONTAINER_THRESHOLD = 1000 * MIB


class ImageLocality:
    name = "ImageLocality"

    def rate(self, pod: PodInfo, table: Table, rows: Rows) -> Ints | None:
        names = pod.template.images
        if not any(name in table.images for name in names):
            return None
        total = len(table)
        size = np.zeros(table.size, np.int64)
        for name in names:
            if name in table.images:
                bytes_, having = table.images[name]
                size[list(having)] += bytes_ * len(having) // total
        top = MAX_CONTAINER_THRESHOLD * max(1, len(names))
        bounded = np.clip(size[rows], MIN_THRESHOLD, top)
        return MAX_SCORE * (bounded - MIN_THRESHOLD) // (top - MIN_THRESHOLD)
