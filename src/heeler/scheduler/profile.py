"""A profile: which plugins take part where, with which weights, for the pods that name its scheduler."""

from __future__ import annotations

from dataclasses import dataclass, field

from heeler.scheduler.plugins.lifecycle import Bind, Permit, PostBind, PreBind, Reserve
from heeler.scheduler.plugins.plugin import Filter, PreEnqueue, Score

DEFAULT_SCHEDULER = "default-scheduler"


@dataclass(slots=True, kw_only=True)
class Profile:
    """Plugins in the order in which they are asked."""

    name: str = DEFAULT_SCHEDULER
    filters: tuple[Filter, ...] = ()
    #: With their weights.
    scores: tuple[tuple[Score, int], ...] = ()
    pre_enqueue: tuple[PreEnqueue, ...] = ()
    reserve: tuple[Reserve, ...] = ()
    permit: tuple[Permit, ...] = ()
    pre_bind: tuple[PreBind, ...] = ()
    #: In the place of the usual binding; the first that takes the pod binds it.
    binders: tuple[Bind, ...] = ()
    post_bind: tuple[PostBind, ...] = ()
    #: How many percent of the nodes are looked for; None: fewer in larger clusters.
    percentage: int | None = None
    #: How many nodes preemption compares: so many percent, but no less than so many.
    preemption_percentage: int = 10
    preemption_absolute: int = 100
    #: Every plugin of the profile by its name, for hints and for what goes on around bindings.
    plugins: dict[str, object] = field(default_factory=dict)
    preempts: bool = True
    #: Claims of devices that nobody needs where they are may be given back.
    frees: bool = True

    def __repr__(self) -> str:
        return f"<Profile {self.name}: {', '.join(self.plugins)}>"
