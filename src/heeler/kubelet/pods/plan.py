"""What to do next for a pod: from its specification, one look at the runtime and the memory, to instructions.

Pure: no clock, no I/O. The worker carries the instructions out, looks again and asks again; every decision may thus be
repeated, missed or late. Order of a life: sandbox, init containers one after the other (a sidecar only until it has
started), containers, restarts by policy; at the end containers, then sidecars in reverse order, then the sandbox.
Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from __future__ import annotations

from dataclasses import dataclass, field

from heeler.kubelet.pods.views import (
    Backoff,
    ContainerView,
    Memory,
    View,
    Waiting,
    deleting,
    grace_of,
    init_containers,
    is_sidecar,
    main_containers,
    restart_policy,
    sidecars,
    spec_of,
)
from heeler.objects.value import Object, name_of, namespace_of, uid_of

#: Seconds: the first delay of a restart, the greatest one; a delay is forgotten after twice the greatest.
FIRST_DELAY, MAX_DELAY = 10.0, 300.0
#: Seconds after which a container that was made and isn't started is taken for left behind.
START_PATIENCE = 3.0
#: Seconds between the end of the pod's life and the killing of those who don't end by themselves at the least.
MIN_GRACE = 2.0


@dataclass(frozen=True, slots=True)
class CreateSandbox:
    attempt: int


@dataclass(frozen=True, slots=True)
class StopSandbox:
    """Stop (and with `remove` forget) a sandbox and what is left in it."""

    id: str
    remove: bool = False


@dataclass(frozen=True, slots=True)
class StartContainer:
    name: str
    attempt: int


@dataclass(frozen=True, slots=True)
class KillContainer:
    """`message` is the event's; `why` a probe's name or "" (it then decides on the grace period)."""

    id: str
    name: str
    grace: float
    message: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class ResizeContainer:
    """Give a running container the resources that its specification asks for by now."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class RemoveContainer:
    id: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing of the pod runs any more; with `forget` its object is to be deleted for good."""

    forget: bool


Instruction = CreateSandbox | StopSandbox | StartContainer | KillContainer | ResizeContainer | RemoveContainer | Finish


@dataclass(slots=True)
class Decision:
    """Instructions, and when to ask again at the latest (seconds since the epoch; 0.0: when something happens)."""

    todo: list[Instruction] = field(default_factory=list)
    wake_at: float = 0.0

    def wake(self, moment: float) -> None:
        self.wake_at = min(self.wake_at, moment) if self.wake_at else moment


def decide(pod: Object, view: View, memory: Memory, now: float) -> Decision:
    """The next step."""
    decision = Decision()
    _deadline(pod, memory, now, decision)
    if deleting(pod) or memory.ended is not None or over(pod, view):
        _end(pod, view, memory, now, decision)
        return decision
    sandbox = view.sandbox
    if sandbox is None or not sandbox.ready:
        _sandbox(pod, view, memory, now, decision)
        return decision
    _clean(view, sandbox.id, memory, decision)
    if _initialize(pod, view, memory, now, decision):
        _keep_mains(pod, view, memory, now, decision)
        for container in spec_of(pod).get("ephemeralContainers") or []:
            if view.latest(container["name"]) is None:
                _start(container["name"], 0, memory, now, decision)
    return decision


def _keep_mains(pod: Object, view: View, memory: Memory, now: float, decision: Decision) -> None:
    """The containers in their order: one with a postStart hook holds back those after it until the hook is done
    (service meshes rely on it: the proxy is up before what needs it)."""
    held = False
    for container in main_containers(pod):
        name = container["name"]
        if held and view.latest(name) is None:
            continue
        before = len(decision.todo)
        _keep(pod, container, view, memory, now, decision)
        if "postStart" in (container.get("lifecycle") or {}):
            starts = any(isinstance(step, StartContainer) for step in decision.todo[before:])
            held = held or starts or f"start/{name}" in memory.busy


def _deadline(pod: Object, memory: Memory, now: float, decision: Decision) -> None:
    seconds = spec_of(pod).get("activeDeadlineSeconds")
    if seconds is None or not memory.started_at or memory.ended is not None:
        return
    if now >= memory.started_at + float(seconds):
        text = "Pod was active on the node longer than the specified deadline"
        memory.ended = ("Failed", "DeadlineExceeded", text)
    else:
        decision.wake(memory.started_at + float(seconds))


def restarts(pod: Object, container: Object, ended: ContainerView) -> bool:
    """Whether a container that has ended is started again."""
    if is_sidecar(container):
        return True
    policy = str(container.get("restartPolicy") or restart_policy(pod))
    for rule in container.get("restartPolicyRules") or []:
        codes = rule.get("exitCodes") or {}
        inside = ended.exit_code in (codes.get("values") or [])
        if inside == (codes.get("operator") == "In"):
            return str(rule.get("action")) == "Restart"
    if container in init_containers(pod):
        return ended.exit_code != 0 and policy != "Never"
    return policy == "Always" or (policy == "OnFailure" and ended.exit_code != 0)


def init_failed(pod: Object, view: View) -> bool:
    """An init container failed for good."""
    for container in init_containers(pod):
        latest = view.latest(container["name"])
        if latest is None or latest.state != "exited" or is_sidecar(container):
            continue
        if latest.exit_code != 0 and not restarts(pod, container, latest):
            return True
    return False


def over(pod: Object, view: View) -> bool:
    """Every container has ended and none will be started again."""
    if init_failed(pod, view):
        return True
    mains = main_containers(pod)
    for container in mains:
        latest = view.latest(container["name"])
        if latest is None or latest.state != "exited" or restarts(pod, container, latest):
            return False
    return bool(mains)


def initialized(pod: Object, view: View, memory: Memory) -> bool:
    """Every init container has done its work (a sidecar: has started)."""
    if any(view.current(c["name"]) is not None for c in main_containers(pod)):
        return True
    return all(_init_done(c, view, memory) for c in init_containers(pod))


def _init_done(container: Object, view: View, memory: Memory) -> bool:
    latest = view.current(container["name"])
    if latest is None:
        return False
    if is_sidecar(container):
        return latest.state == "running" and started(container, latest, memory)
    return latest.state == "exited" and latest.exit_code == 0


def started(container: Object, latest: ContainerView, memory: Memory) -> bool:
    """A running container whose startup probe (if any) has succeeded."""
    if latest.id in memory.hooking:
        return False
    health = memory.health.get(container["name"])
    if health is not None and health.container == latest.id:
        return health.started
    return "startupProbe" not in container


def _initialize(pod: Object, view: View, memory: Memory, now: float, decision: Decision) -> bool:
    """Move the init containers on; True once the others may run. Sidecars are kept up in either case."""
    done = initialized(pod, view, memory)
    for container in init_containers(pod):
        if is_sidecar(container):
            known = view.latest(container["name"]) is not None
            if known or not done:
                _keep(pod, container, view, memory, now, decision)
        elif not done:
            latest = view.current(container["name"])
            if latest is None or latest.state != "exited" or latest.exit_code != 0:
                _keep(pod, container, view, memory, now, decision)
        if not done and not _init_done(container, view, memory):
            return False
    return True


def _keep(pod: Object, container: Object, view: View, memory: Memory, now: float, decision: Decision) -> None:
    """One container: start it, kill it where it is ill or outdated, start it again by its policy."""
    name = container["name"]
    latest = view.latest(name)
    if latest is None:
        _start(name, 0, memory, now, decision)
    elif view.current(name) is None and container in init_containers(pod):
        # It did its work in a sandbox that is gone: once more in the new one.
        _start(name, latest.attempt + 1, memory, now, decision)
    elif latest.state == "running":
        _check(pod, container, latest, memory, now, decision)
    elif latest.state == "created":
        # Made, and the agent died before it was started (or the start is under way).
        if {f"start/{name}", f"remove/{latest.id}"} & memory.busy.keys():
            return
        if latest.created_at - START_PATIENCE <= now < latest.created_at + START_PATIENCE:
            # The runtime may still be about to start it, as the agent before asked it to.
            decision.wake(latest.created_at + START_PATIENCE)
        else:
            decision.todo.append(RemoveContainer(latest.id))
    elif f"start/{name}" in memory.busy:
        # Under way: what is seen here is the container before.
        return
    elif (
        latest.state == "exited"
        and restarts(pod, container, latest)
        and _back_off(pod, name, latest, memory, now, decision)
    ):
        _start(name, latest.attempt + 1, memory, now, decision)


def _start(name: str, attempt: int, memory: Memory, now: float, decision: Decision) -> None:
    if f"start/{name}" in memory.busy:
        return
    moment = memory.retry_at.get(name, 0.0)
    if moment > now:
        decision.wake(moment)
        return
    decision.todo.append(StartContainer(name, attempt))


def _check(
    pod: Object, container: Object, latest: ContainerView, memory: Memory, now: float, decision: Decision
) -> None:
    if latest.id in memory.killed:
        return
    name, health = container["name"], memory.health.get(container["name"])
    if health is not None and health.container == latest.id and health.failed:
        message = f"Container {name} failed {health.failed} probe, will be restarted"
        grace = _probe_grace(pod, container, health.failed)
        decision.todo.append(KillContainer(latest.id, name, grace, message, health.failed))
    elif latest.spec_image and latest.spec_image != container.get("image"):
        message = f"Container {name} definition changed, will be restarted"
        decision.todo.append(KillContainer(latest.id, name, grace_of(pod), message))
    else:
        _resize(pod, container, latest, memory, now, decision)


def applied(latest: ContainerView, memory: Memory) -> Object | None:
    """The resources that a running container has."""
    return memory.resized.get(latest.id, latest.resources)


def _resize(
    pod: Object, container: Object, latest: ContainerView, memory: Memory, now: float, decision: Decision
) -> None:
    """In-place changes of resources (https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/)."""
    have, wanted, key = applied(latest, memory), container.get("resources") or {}, f"resize/{latest.id}"
    if have is None or have == wanted or key in memory.busy:
        return
    if memory.retry_at.get(key, 0.0) > now:
        decision.wake(memory.retry_at[key])
        return
    name = container["name"]
    policies = {p.get("resourceName"): p.get("restartPolicy") for p in container.get("resizePolicy") or []}
    for resource in ("cpu", "memory"):
        same = all(
            (have.get(k) or {}).get(resource) == (wanted.get(k) or {}).get(resource) for k in ("limits", "requests")
        )
        if not same and policies.get(resource) == "RestartContainer":
            message = f"Container {name} resize requires restart"
            decision.todo.append(KillContainer(latest.id, name, grace_of(pod), message))
            return
    decision.todo.append(ResizeContainer(latest.id, name))


def _probe_grace(pod: Object, container: Object, probe: str) -> float:
    value = (container.get(f"{probe}Probe") or {}).get("terminationGracePeriodSeconds")
    return float(value) if value is not None else grace_of(pod)


def back_off_text(pod: Object, name: str, delay: float) -> str:
    seconds = int(delay)
    minutes, rest = divmod(seconds, 60)
    shown = f"{minutes}m{rest}s" if minutes else f"{seconds}s"
    return f"back-off {shown} restarting failed container={name} pod={name_of(pod)}_{namespace_of(pod)}({uid_of(pod)})"


def _back_off(pod: Object, name: str, latest: ContainerView, memory: Memory, now: float, decision: Decision) -> bool:
    """Whether the container may start now. The first restart is at once, each further one waits twice as long."""
    back = memory.backoffs.setdefault(name, Backoff())
    if back.delay and latest.finished_at - back.counted_at > 2 * MAX_DELAY:
        back.delay = 0.0
    # An end in the future is one of before the clock was set back.
    if back.delay and latest.finished_at - back.delay <= now < latest.finished_at + back.delay:
        memory.waiting[name] = Waiting("CrashLoopBackOff", back_off_text(pod, name, back.delay))
        decision.wake(latest.finished_at + back.delay)
        return False
    return True


def count_restart(memory: Memory, name: str, now: float) -> None:
    """A restart takes place: the next one waits longer."""
    back = memory.backoffs.setdefault(name, Backoff())
    back.delay = min(MAX_DELAY, back.delay * 2) if back.delay else FIRST_DELAY
    back.counted_at = now


def set_clock(memory: Memory, step: float) -> None:
    """The clock was set by so many seconds: waits go on by what has passed."""
    memory.retry_at = {name: moment + step for name, moment in memory.retry_at.items()}
    if memory.ending_since:
        memory.ending_since += step
    for back in memory.backoffs.values():
        back.counted_at += step


def _sandbox(pod: Object, view: View, memory: Memory, now: float, decision: Decision) -> None:
    """No sandbox is ready: make one, after what is left of an old one is gone."""
    if "sandbox" in memory.busy:
        return
    living = list(view.running())
    for found in living:
        if f"kill/{found.id}" not in memory.busy:
            decision.todo.append(KillContainer(found.id, found.name, MIN_GRACE, f"Stopping container {found.name}"))
    unstopped = [s.id for s in view.sandboxes if s.id not in memory.killed]
    if living:
        return
    decision.todo += [StopSandbox(found) for found in unstopped if f"stop/{found}" not in memory.busy]
    if unstopped:
        return
    attempt = max((s.attempt for s in view.sandboxes), default=-1) + 1
    moment = memory.retry_at.get("sandbox", 0.0)
    if moment > now:
        decision.wake(moment)
        return
    decision.todo.append(CreateSandbox(attempt))


def _clean(view: View, sandbox: str, memory: Memory, decision: Decision) -> None:
    """Of each container the latest and the one before are kept (for `logs --previous`); old sandboxes go."""
    seen: dict[str, int] = {}
    for container in view.containers:
        seen[container.name] = seen.get(container.name, 0) + 1
        if seen[container.name] > 2 and container.state == "exited":
            decision.todo.append(RemoveContainer(container.id))
    held = {c.sandbox: None for c in view.containers}
    for old in view.sandboxes:
        if old.id != sandbox and not old.ready and old.id not in held and f"stop/{old.id}" not in memory.busy:
            decision.todo.append(StopSandbox(old.id, remove=True))


def _end(pod: Object, view: View, memory: Memory, now: float, decision: Decision) -> None:
    """Kill containers, then sidecars in reverse order, then the sandbox; then the pod is finished."""
    if not memory.ending_since:
        memory.ending_since = now
    grace = grace_of(pod) if memory.grace is None else min(memory.grace, grace_of(pod))
    left = max(MIN_GRACE if grace else 0.0, memory.ending_since + grace - now)
    names = [c["name"] for c in sidecars(pod)]
    running = list(view.running())
    mains = [c for c in running if c.name not in names]
    turn = mains or [c for c in running if c.name == _last(names, running)]
    for container in turn:
        if f"kill/{container.id}" not in memory.busy:
            first = container in mains and now - memory.ending_since < 0.5
            decision.todo.append(
                KillContainer(
                    container.id, container.name, grace if first else left, f"Stopping container {container.name}"
                )
            )
    if running:
        return
    if any(key == "sandbox" or key.startswith("start/") for key in memory.busy):
        return
    ready = [s for s in view.sandboxes if s.ready]
    for sandbox in ready:
        if f"stop/{sandbox.id}" not in memory.busy:
            decision.todo.append(StopSandbox(sandbox.id))
    if not ready:
        decision.todo.append(Finish(deleting(pod)))


def _last(names: list[str], running: list[ContainerView]) -> str:
    """The running sidecar that was started last."""
    alive = {c.name: None for c in running}
    return next((name for name in reversed(names) if name in alive), running[0].name if running else "")
