"""When a node is short of something, and which pod goes first. Pure: observations in, conditions and names out.

Source: https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from heeler.kubelet.pods.amounts import count, pod_amount
from heeler.kubelet.pods.views import all_containers, main_containers, spec_of
from heeler.objects.quantities import Quantity, QuantityError, parse
from heeler.objects.value import Object, meta

#: Signal -> (the node's condition, the resource as messages name it).
SIGNALS: dict[str, tuple[str, str]] = {
    "memory.available": ("MemoryPressure", "memory"),
    "nodefs.available": ("DiskPressure", "ephemeral-storage"),
    "nodefs.inodesFree": ("DiskPressure", "inodes"),
    "imagefs.available": ("DiskPressure", "ephemeral-storage"),
    "imagefs.inodesFree": ("DiskPressure", "inodes"),
    "pid.available": ("PIDPressure", "pids"),
}
#: A kubelet's defaults (--eviction-hard).
DEFAULT_HARD = (
    "imagefs.available<15%,imagefs.inodesFree<5%,memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%"
)
#: Pods of this priority and above stay.
CRITICAL = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Observation:
    """How much of something is left, of how much there is: bytes, inodes or processes."""

    available: int
    capacity: int


@dataclass(frozen=True, slots=True)
class Threshold:
    """Short below `amount` (or below `share` of the capacity), at once or after `grace` seconds. `reclaim`: so much more
    is to be free before it is over."""

    signal: str
    amount: int = 0
    share: Fraction | None = None
    grace: float = 0.0
    text: str = ""
    reclaim: int = 0

    def limit(self, capacity: int) -> int:
        return int(capacity * self.share) if self.share is not None else self.amount


@dataclass(frozen=True, slots=True)
class Settings:
    """A kubelet's eviction settings; times in seconds."""

    hard: tuple[Threshold, ...] = ()
    soft: tuple[Threshold, ...] = ()
    max_pod_grace: float = 0.0
    transition: float = 300.0


def thresholds(text: str, graces: str = "", reclaims: str = "") -> tuple[Threshold, ...]:
    """`signal<amount` parts, comma-separated; soft ones need a `signal=1m30s` each. Raises ValueError."""
    times = {signal: seconds(value) for signal, value in _pairs(graces)}
    least = {signal: _amount(value, signal) for signal, value in _pairs(reclaims)}
    out = []
    for part in [p.strip() for p in text.split(",") if p.strip()]:
        signal, less, value = part.partition("<")
        if not less:
            raise ValueError(f"invalid eviction threshold syntax {part}, expected <signal><operator><value>")
        if signal not in SIGNALS:
            raise ValueError(f"unsupported eviction signal {signal}")
        if graces and signal not in times:
            raise ValueError(f"grace period must be specified for the soft eviction threshold {signal}")
        share = _share(value)
        if share is not None and share == 0:
            continue  # it is turned off
        amount = 0 if share is not None else _amount(value, signal)
        out.append(Threshold(signal, amount, share, times.get(signal, 0.0), value, least.get(signal, 0)))
    return tuple(out)


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(a.strip(), b.strip()) for a, _, b in (p.partition("=") for p in text.split(",") if p.strip())]


def _share(value: str) -> Fraction | None:
    if not value.endswith("%"):
        return None
    try:
        found = Fraction(value[:-1]) / 100
    except ValueError as error:
        raise ValueError(f"invalid percentage {value}") from error
    if not 0 <= found < 1:
        raise ValueError(f"eviction percentage threshold {value} must be >= 0% and < 100%")
    return found


def _amount(value: str, signal: str) -> int:
    try:
        return parse(value).ceil
    except QuantityError as error:
        raise ValueError(f"eviction threshold {signal}: {error}") from error


def seconds(text: str) -> float:
    """A duration as Go writes it: "1m30s", "90s", "1h"."""
    units, total, number = {"h": 3600.0, "m": 60.0, "s": 1.0}, 0.0, ""
    for char in text:
        if char in units and number:
            total, number = total + float(number) * units[char], ""
        elif char.isdigit() or char == ".":
            number += char
        else:
            raise ValueError(f"invalid duration {text}")
    if number:
        raise ValueError(f"missing unit in duration {text}")
    return total


@dataclass(slots=True)
class State:
    """What is remembered between two looks: since when thresholds are met, and when conditions were seen last."""

    since: dict[str, float] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Met:
    """A threshold that is met now; `hard`: the pod gets no time."""

    threshold: Threshold
    observed: Observation
    hard: bool


def met(settings: Settings, observed: Mapping[str, Observation], state: State, now: float) -> list[Met]:
    """The thresholds that call for something to be done, memory first; `state` is brought up to date."""
    out = []
    for hard, group in ((True, settings.hard), (False, settings.soft)):
        for threshold in group:
            seen = observed.get(threshold.signal)
            key = f"{threshold.signal}<{threshold.text}"
            if seen is None:
                continue
            was_met = key in state.since
            limit = threshold.limit(seen.capacity) + (threshold.reclaim if was_met else 0)
            if seen.available >= limit:
                state.since.pop(key, None)
                continue
            began = state.since.setdefault(key, now)
            state.seen[SIGNALS[threshold.signal][0]] = now
            if now - began >= threshold.grace:
                out.append(Met(threshold, seen, hard))
    order = list(SIGNALS)
    return sorted(out, key=lambda found: (order.index(found.threshold.signal), not found.hard))


def conditions(settings: Settings, state: State, now: float) -> dict[str, bool]:
    """The node's conditions: true while a threshold is met, and for the transition period afterwards."""
    kinds = dict.fromkeys(kind for kind, _ in SIGNALS.values())
    return {kind: kind in state.seen and now - state.seen[kind] <= settings.transition for kind in kinds}


@dataclass(frozen=True, slots=True)
class Use:
    """What one pod uses of the resource in question, and each of its containers."""

    pod: Object
    used: int
    containers: Mapping[str, int] = field(default_factory=dict)


def priority(pod: Object) -> int:
    return int(spec_of(pod).get("priority") or 0)


def is_critical(pod: Object) -> bool:
    """Pods that the node must not lose: of the highest priorities, or standing in files on it."""
    notes = meta(pod).get("annotations") or {}
    return priority(pod) >= CRITICAL or notes.get("kubernetes.io/config.source", "api") != "api"


def ranked(uses: Sequence[Use], resource: str) -> list[Use]:
    """Who goes first stands first: who uses more than it asked for, then by priority, then by how much more."""

    def order(use: Use) -> tuple[int, int, int]:
        if resource in ("pids", "inodes"):
            return (0, priority(use.pod), -use.used)
        beyond = use.used - pod_amount(use.pod, "requests", resource)
        return (0 if beyond > 0 else 1, priority(use.pod), -beyond)

    return sorted((use for use in uses if not is_critical(use.pod)), key=order)


def message(found: Met, use: Use) -> str:
    """Why a pod is evicted, in upstream's words."""
    resource = SIGNALS[found.threshold.signal][1]
    limit = found.threshold.limit(found.observed.capacity)
    out = f"The node was low on resource: {resource}. "
    out += f"Threshold quantity: {_shown(limit, resource)}, available: {_shown(found.observed.available, resource)}. "
    if resource in ("memory", "ephemeral-storage"):
        for container in all_containers(use.pod):
            used = use.containers.get(container["name"])
            asked = ((container.get("resources") or {}).get("requests") or {}).get(resource, "0")
            if used is not None and used > count(asked):
                out += (
                    f"Container {container['name']} was using {_shown(used, resource)}, request is {asked}, "
                    f"has larger consumption of {resource}. "
                )
    return out


def _shown(amount: int, resource: str) -> str:
    return str(Quantity(amount * 10**9, "BinarySI" if resource in ("memory", "ephemeral-storage") else "DecimalSI"))


def refused(pod: Object, pressure: Mapping[str, bool], quality: str) -> tuple[str, str] | None:
    """(reason, message) of a pod that a node under pressure doesn't take in."""
    held = [kind for kind, value in pressure.items() if value]
    if not held or is_critical(pod):
        return None
    if held == ["MemoryPressure"]:
        tolerated = any(
            t.get("key") in ("node.kubernetes.io/memory-pressure", None, "")
            and t.get("effect") in ("NoSchedule", None, "")
            for t in spec_of(pod).get("tolerations") or ()
        )
        if quality != "BestEffort" or tolerated:
            return None
    return "Evicted", f"Pod was rejected: The node had condition: [{' '.join(held)}]. "


@dataclass(frozen=True, slots=True)
class Local:
    """What a pod has written: bytes by volume and by container (its own layer and its logs)."""

    volumes: Mapping[str, int]
    containers: Mapping[str, int]


def has_local_limits(pod: Object) -> bool:
    """Whether anything of what the pod writes is limited."""
    if any((v.get("emptyDir") or {}).get("sizeLimit") for v in spec_of(pod).get("volumes") or ()):
        return True
    return any("ephemeral-storage" in ((c.get("resources") or {}).get("limits") or {}) for c in all_containers(pod))


def exceeded(pod: Object, local: Local) -> str:
    """The limit that a pod's files exceed, in upstream's words; "" if none."""
    for volume in spec_of(pod).get("volumes") or ():
        limit = (volume.get("emptyDir") or {}).get("sizeLimit")
        if limit and local.volumes.get(volume["name"], 0) > count(limit):
            return f'Usage of EmptyDir volume "{volume["name"]}" exceeds the limit "{limit}". '
    total = pod_amount(pod, "limits", "ephemeral-storage")
    if total and sum(local.volumes.values()) + sum(local.containers.values()) > total:
        shown = str(Quantity(total * 10**9, "BinarySI"))
        return f"Pod ephemeral local storage usage exceeds the total limit of containers {shown}. "
    for container in main_containers(pod):
        limit = ((container.get("resources") or {}).get("limits") or {}).get("ephemeral-storage")
        if limit and local.containers.get(container["name"], 0) > count(limit):
            return f'Container {container["name"]} exceeded its local ephemeral storage limit "{limit}". '
    return ""
