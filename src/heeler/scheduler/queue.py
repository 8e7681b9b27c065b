"""Pods that wait for a node: ready to be tried, waiting out a failure, waiting for a change that may help, or held back.

https://kubernetes.io/docs/concepts/scheduling-eviction/scheduling-framework/#queuesort — the highest priority goes first,
among equals the one that waits longest. A pod that fitted nowhere is asked about again when the plugins that refused it
say that a change may help (`events.py`), and at the latest after five minutes.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from heeler.base.clock import Clock
from heeler.base.tasks import Timer, later
from heeler.objects.value import Object
from heeler.scheduler.events import Change, pod_changes
from heeler.scheduler.pod import PodInfo
from heeler.scheduler.profile import Profile

FIRST_BACKOFF_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 10.0
#: However quiet the cluster is, an unschedulable pod is tried again after this time.
MAX_UNSCHEDULABLE_SECONDS = 300.0
#: Changes during one attempt that are remembered; beyond, the pod is simply tried again.
MAX_MISSED = 1000

ACTIVE, BACKOFF, UNSCHEDULABLE, TRYING, GATED = "active", "backoff", "unschedulable", "trying", "gated"
#: Where pods are, as the metric tells it (those that are tried are in none of them).
PLACES = (ACTIVE, BACKOFF, UNSCHEDULABLE, GATED)

#: The name of a profile, and plugins that refused a pod.
Group = tuple[str, tuple[str, ...]]
Event = tuple[Change, Object | None, Object | None]


@dataclass(slots=True, eq=False)
class Waiting:
    """One pod and its history of attempts. Times are monotonic seconds."""

    info: PodInfo
    profile: Profile
    #: When it came into the queue, at first or after its last attempt: who waits longer goes first.
    since: float
    first: float
    attempts: int = 0
    #: When the last attempt began.
    began: float = 0.0
    #: Attempts in which no node was found; errors since the last of them.
    refusals: int = 0
    errors: int = 0
    place: str = ACTIVE
    #: The plugins that refused it at last, or hold it back.
    plugins: tuple[str, ...] = ()
    #: Why it is held back, as a plugin says it.
    held: str = ""
    timer: Timer | None = None
    #: What changed while it was being tried; None: too much to tell.
    missed: list[Event] | None = field(default_factory=list)

    def order(self) -> tuple[int, float, str]:
        return -self.info.priority, self.since, self.info.key


class SchedulingQueue:
    """`profiles` by the name of their scheduler."""

    def __init__(
        self,
        clock: Clock,
        profiles: Mapping[str, Profile],
        *,
        first_backoff: float = FIRST_BACKOFF_SECONDS,
        max_backoff: float = MAX_BACKOFF_SECONDS,
    ) -> None:
        self._clock, self._profiles = clock, profiles
        self._first_backoff, self._max_backoff = first_backoff, max_backoff
        self._pods: dict[str, Waiting] = {}
        #: Those that a change may help, in the order in which they came, by profile and the plugins that refused them:
        #: most changes mean nothing to most plugins.
        self._stuck: dict[Group, dict[str, Waiting]] = {}
        self._active: list[tuple[tuple[int, float, str], int, Waiting]] = []
        self._pushed = itertools.count()  # so that two entries of one pod have an order
        #: Those that wait out a refusal, in the order of `order`; some have left.
        self._resting: list[tuple[tuple[int, float, str], int, Waiting]] = []
        self._deciding: Waiting | None = None
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._pods)

    def __contains__(self, key: str) -> bool:
        return key in self._pods

    def __repr__(self) -> str:
        return f"<SchedulingQueue {', '.join(f'{place}: {count}' for place, count in self.counts().items())}>"

    def counts(self) -> dict[str, int]:
        """How many pods are in each place."""
        out = dict.fromkeys(PLACES, 0)
        for waiting in self._pods.values():
            if waiting.place in out:
                out[waiting.place] += 1
        return out

    def refusing(self) -> dict[tuple[str, str], int]:
        """How many pods each plugin of a profile refuses."""
        out: dict[tuple[str, str], int] = {}
        for (profile, plugins), members in self._stuck.items():
            for plugin in plugins:
                out[plugin, profile] = out.get((plugin, profile), 0) + len(members)
        return out

    def place_of(self, key: str) -> str:
        """Where a pod is, or ""."""
        known = self._pods.get(key)
        return known.place if known is not None else ""

    def add(self, info: PodInfo) -> Waiting | None:
        """A pod that is new or changed. It is given back if it has newly become held back."""
        key = info.key
        known = self._pods.get(key)
        if known is None or known.info.uid != info.uid:
            self.remove(key)
            profile = self._profiles[scheduler_name(info.pod)]
            now = self._clock.monotonic()
            known = self._pods[key] = Waiting(info, profile, now, now)
            self._activate(known)
            return known if known.place == GATED else None
        before, known.info = known.info, info
        held = known.held
        if known.place == GATED:
            self._activate(known)
            return known if known.place == GATED and known.held != held else None
        if known.place == UNSCHEDULABLE:
            for change in pod_changes(before.pod, info.pod):
                if known.place == UNSCHEDULABLE:
                    self._consider(known, (change, before.pod, info.pod))
        elif known is self._deciding:
            for change in pod_changes(before.pod, info.pod):
                self._miss(known, (change, before.pod, info.pod))
        elif known.place == ACTIVE:
            self._push(known)  # its priority may be another one
        return None

    def remove(self, key: str) -> None:
        known = self._pods.pop(key, None)
        if known is not None:
            self._leave(known)

    def done(self, known: Waiting) -> None:
        """The pod has its node, or is gone. Another one of its name may be here by now, and stays."""
        self.decided(known)
        if self._pods.get(known.info.key) is known:
            self.remove(known.info.key)

    async def next(self) -> Waiting:
        """The next pod to try; it stays here until it is `remove`d or has `failed`."""
        while True:
            known = self._pop()
            if known is not None:
                known.place, known.missed = TRYING, []
                known.attempts += 1
                self._deciding = known
                return known
            self._changed.clear()
            await self._changed.wait()

    def decided(self, known: Waiting) -> None:
        """The decision about a pod is made: from now on changes don't matter to it."""
        if self._deciding is known:
            self._deciding = None

    def refused(self, known: Waiting, plugins: Iterable[str]) -> None:
        """No node was found: the pod waits until one of these plugins is told something that may help.

        Who was refused by none waits for any change at all."""
        known.plugins = tuple(plugins)
        known.refusals += 1
        known.errors = 0
        missed = known.missed
        if not self._settle(known):
            return
        known.place = UNSCHEDULABLE
        self._hold(known)
        known.timer = later(MAX_UNSCHEDULABLE_SECONDS, lambda: self._expired(known))
        if missed is None:
            self._move(known)
            return
        for event in missed:
            if known.place == UNSCHEDULABLE:
                self._consider(known, event)

    def failed(self, known: Waiting) -> None:
        """An attempt ended with an error: it is tried again by itself, after a pause."""
        known.plugins = ()
        known.errors += 1
        if self._settle(known):
            self._move(known)

    def _settle(self, known: Waiting) -> bool:
        """After an attempt; False if the pod has left."""
        self.decided(known)
        known.missed = []
        if self._pods.get(known.info.key) is not known:
            return False
        known.since = self._clock.monotonic()
        return True

    def happened(self, change: Change, old: Object | None, new: Object | None) -> None:
        """Something changed in the cluster: pods that were refused may fit now."""
        event = change, old, new
        for (profile, plugins), members in list(self._stuck.items()):
            known_plugins = self._profiles[profile].plugins
            if not plugins or any(_cares(known_plugins.get(name), change) for name in plugins):
                for known in list(members.values()):
                    self._consider(known, event)
        if self._deciding is not None:
            self._miss(self._deciding, event)

    def recheck(self, key: str) -> None:
        """What held a pod back may be over; what is left of its pause is not."""
        known = self._pods.get(key)
        if known is not None and known.place == GATED:
            self._move(known)

    def activate_all(self) -> None:
        """Try all pods that were refused again."""
        for members in list(self._stuck.values()):
            for known in list(members.values()):
                if known.place == UNSCHEDULABLE:
                    self._move(known)

    # inside

    def _consider(self, known: Waiting, event: Event) -> None:
        """Does one of the plugins that refused a pod say that a change may help?"""
        change, old, new = event
        if known.place == GATED:
            plugin = known.profile.plugins.get(known.plugins[0]) if known.plugins else None
            if _may_help(plugin, known.info, change, old, new):
                self._activate(known)
            return
        for name in known.plugins:
            if _may_help(known.profile.plugins.get(name), known.info, change, old, new):
                self._move(known)
                return
        if not known.plugins:
            self._move(known)

    @staticmethod
    def _miss(known: Waiting, event: Event) -> None:
        if known.missed is not None:
            known.missed.append(event)
            if len(known.missed) > MAX_MISSED:
                known.missed = None

    def _pop(self) -> Waiting | None:
        while self._active:
            order, _, known = heapq.heappop(self._active)
            current = self._pods.get(known.info.key)
            if current is known and known.place == ACTIVE and order == known.order():
                return known
        # nobody else waits: whoever only waits out a refusal needn't
        while self._resting:
            order, _, known = heapq.heappop(self._resting)
            current = self._pods.get(known.info.key)
            if current is known and known.place == BACKOFF and not known.errors and order == known.order():
                self._leave(known)
                if not self._is_held(known):
                    return known
        return None

    def _expired(self, known: Waiting) -> None:
        if self._pods.get(known.info.key) is known and known.place == UNSCHEDULABLE:
            self._move(known)

    def _move(self, known: Waiting) -> None:
        """To the active ones, or first through what is left of its pause."""
        self._leave(known)
        left = known.since + self.pause(known) - self._clock.monotonic()
        if left <= 0:
            self._activate(known)
            return
        known.place = BACKOFF
        known.timer = later(left, lambda: self._paused(known))
        if not known.errors:
            heapq.heappush(self._resting, (known.order(), next(self._pushed), known))
            self._changed.set()

    def pause(self, known: Waiting) -> float:
        """Seconds between the last failure and the next attempt."""
        times = known.errors or known.refusals
        return min(self._first_backoff * 2.0 ** min(times - 1, 32), self._max_backoff) if times else 0.0

    def _paused(self, known: Waiting) -> None:
        if self._pods.get(known.info.key) is known and known.place == BACKOFF:
            self._activate(known)

    def _activate(self, known: Waiting) -> None:
        self._leave(known)
        if not self._is_held(known):
            self._push(known)

    def _is_held(self, known: Waiting) -> bool:
        """Does a plugin hold the pod back? Then it waits for that to be over."""
        for plugin in known.profile.pre_enqueue:
            why = plugin.holds(known.info.pod)
            if why:
                known.place, known.held, known.plugins = GATED, why, (plugin.name,)
                self._hold(known)
                return True
        known.held = ""
        return False

    def _push(self, known: Waiting) -> None:
        known.place = ACTIVE
        heapq.heappush(self._active, (known.order(), next(self._pushed), known))
        self._changed.set()

    def _leave(self, known: Waiting) -> None:
        """Out of wherever it waits."""
        if known.timer is not None:
            known.timer.cancel()
            known.timer = None
        group = known.profile.name, known.plugins
        members = self._stuck.get(group)
        if members is not None and members.pop(known.info.key, None) is not None and not members:
            del self._stuck[group]

    def _hold(self, known: Waiting) -> None:
        """Until a change may help."""
        self._stuck.setdefault((known.profile.name, known.plugins), {})[known.info.key] = known


def _cares(plugin: object, change: Change) -> bool:
    """Might a change help a pod that a plugin refused? One that says nothing of changes is helped by any."""
    hints = getattr(plugin, "hints", None)
    return hints is None or change in hints


def _may_help(plugin: object, info: PodInfo, change: Change, old: Object | None, new: Object | None) -> bool:
    if not _cares(plugin, change):
        return False
    hints = getattr(plugin, "hints", None)
    hint = hints[change] if hints is not None else None
    return hint is None or bool(hint(info, old, new))


def scheduler_name(pod: Object) -> str:
    return (pod.get("spec") or {}).get("schedulerName") or "default-scheduler"
