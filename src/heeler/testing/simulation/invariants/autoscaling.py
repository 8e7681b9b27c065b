"""An autoscaler stays between its bounds, those of the recent past included."""

from __future__ import annotations

from collections.abc import Iterator

from heeler.objects.value import name_of, namespace_of
from heeler.testing.simulation.invariants.invariant import Invariant, Recent
from heeler.testing.simulation.world import Step, World

KINDS = {"deployments": "Deployment", "statefulsets": "StatefulSet", "replicasets": "ReplicaSet"}


class _Bounds:
    def __init__(self) -> None:
        self._specs = Recent()

    def __call__(self, world: World, step: Step) -> Iterator[str]:
        if step.plural == "horizontalpodautoscalers":
            self._specs.see(world, step)
            return
        old, new = step.old, step.new
        if old is None or new is None or not step.by("horizontal-pod-autoscaler"):
            return
        wanted = int(new["spec"].get("replicas", 1))
        if wanted == int(old["spec"].get("replicas", 1)):
            return
        for one in world.all("horizontalpodautoscalers"):
            target = one["spec"]["scaleTargetRef"]
            if (namespace_of(one), target["kind"], target["name"]) != (
                namespace_of(new),
                KINDS[step.plural],
                name_of(new),
            ):
                continue
            key = f"/registry/autoscaling/horizontalpodautoscalers/{namespace_of(one)}/{name_of(one)}"
            specs = self._specs.specs(world, key, step.at)
            if not any(int(s.get("minReplicas", 1)) <= wanted <= int(s["maxReplicas"]) for s in specs):
                yield f"was scaled to {wanted} by {name_of(one)}, whose bounds are otherwise"


INVARIANTS = (
    Invariant(
        "an autoscaler stays between its bounds",
        ("horizontalpodautoscalers", *KINDS),
        _Bounds,
        frozenset({"straggling"}),
    ),
)
