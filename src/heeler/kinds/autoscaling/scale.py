"""Scale: the subresource of workloads through which their number of replicas is read and set."""

from __future__ import annotations

from heeler.kinds.kind import Column
from heeler.kinds.printing import AGE, NAME, at

COLUMNS = (
    Column("Name", NAME.cell, about=NAME.about),
    Column("Desired", at("spec.replicas", 0), "integer", about="autoscaling.v1.ScaleSpec.replicas"),
    Column("Available", at("status.replicas", 0), "integer", about="autoscaling.v1.ScaleStatus.replicas"),
    AGE,
)
