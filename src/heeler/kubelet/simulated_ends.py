"""How pods of simulated nodes end, since nothing really runs in them. Pure.

The annotation `heeler.dev/exit` says it: `CODE@SECONDS[,CODE@SECONDS...]`, how long each run lasts and the exit code
of all containers, in turn. After the last entry a pod with `restartPolicy: Always` runs on; with OnFailure it is started
again like that until a run ends well. A Job's pods without the annotation end well after a second; all others run on.
Restarts wait as a kubelet's do: not at first, then 10 s, twice as long each time, five minutes at most.
"""

from __future__ import annotations

from typing import NamedTuple

from heeler.base.clock import parse_rfc3339, rfc3339
from heeler.objects.value import Object, meta
from heeler.workloads import owners, pods

ANNOTATION = "heeler.dev/exit"
#: A run of a Job's pod that doesn't say.
OF_JOBS = "0@1"
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 10.0, 300.0


class Run(NamedTuple):
    code: int
    seconds: float


class Next(NamedTuple):
    """`status`: a patch for now; or the seconds until there is one."""

    status: Object | None
    wait: float | None


def runs(pod: Object) -> list[Run]:
    """How the pod's runs end; none: it runs on. Raises ValueError for an annotation that can't be read."""
    ref = owners.controller_of(pod)
    fallback = OF_JOBS if ref is not None and ref.get("kind") == "Job" else ""
    text = (meta(pod).get("annotations") or {}).get(ANNOTATION, fallback)
    return [_run(entry, text) for entry in text.split(",")] if text else []


def _run(entry: str, text: str) -> Run:
    code, _, seconds = entry.strip().partition("@")
    try:
        found = Run(int(code), float(seconds or 0))
    except ValueError:
        found = Run(-1, -1.0)
    if not (0 <= found.code <= 255 and 0 <= found.seconds < float("inf")):
        raise ValueError(
            f'the annotation {ANNOTATION} is "{text}": write CODE@SECONDS[,CODE@SECONDS...], like "1@5,0@2"'
        )
    return found


def planned(pod: Object) -> list[Run]:
    """The same, but nothing where the annotation can't be read (that is said at the pod's start)."""
    try:
        return runs(pod)
    except ValueError:
        return []


def problem(pod: Object) -> str:
    """What is wrong with the pod's annotation; "" if nothing is."""
    try:
        runs(pod)
    except ValueError as error:
        return str(error)
    return ""


def step(pod: Object, now: float) -> Next:
    """What becomes of a running pod."""
    wanted = planned(pod)
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    if not wanted or not statuses or pods.phase(pod) != "Running":
        return Next(None, None)
    first, policy = statuses[0], pod["spec"].get("restartPolicy") or "Always"
    count, state = int(first.get("restartCount") or 0), first.get("state") or {}
    if "waiting" in state:
        ended = parse_rfc3339(first["lastState"]["terminated"]["finishedAt"])
        wait = ended + _pause(count) - now
        return Next(None, wait) if wait > 0 else Next(_again(pod, now), None)
    if "running" not in state or (policy == "Always" and count >= len(wanted)):
        return Next(None, None)
    run = wanted[min(count, len(wanted) - 1)]
    wait = parse_rfc3339(state["running"]["startedAt"]) + run.seconds - now
    if wait > 0:
        return Next(None, wait)
    if policy == "Never" or (policy == "OnFailure" and run.code == 0):
        return Next(_over(pod, run.code, now), None)
    return Next(_again(pod, now, run.code) if _pause(count) == 0 else _waiting(pod, run.code, now), None)


def _pause(restarts: int) -> float:
    """Seconds before the next restart."""
    return 0.0 if restarts == 0 else min(FIRST_PAUSE_SECONDS * 2.0 ** min(restarts - 1, 16), MAX_PAUSE_SECONDS)


def _terminated(one: Object, code: int, now: float) -> Object:
    started = ((one.get("state") or {}).get("running") or {}).get("startedAt") or rfc3339(now)
    reason = "Completed" if code == 0 else "Error"
    return {
        "exitCode": code,
        "reason": reason,
        "startedAt": started,
        "finishedAt": rfc3339(now),
        "containerID": one.get("containerID", ""),
    }


def _conditions(ready: bool, now: float, reason: str = "", message: str = "") -> list[Object]:
    out = []
    for type in ("Ready", "ContainersReady"):
        condition: Object = {"type": type, "status": "True" if ready else "False", "lastTransitionTime": rfc3339(now)}
        if reason:
            condition["reason"] = reason
        if message:
            condition["message"] = message
        out.append(condition)
    return out


def _over(pod: Object, code: int, now: float) -> Object:
    phase, reason = ("Succeeded", "PodCompleted") if code == 0 else ("Failed", "PodFailed")
    statuses = [
        {**one, "state": {"terminated": _terminated(one, code, now)}, "ready": False, "started": False}
        for one in pod["status"]["containerStatuses"]
    ]
    return {"phase": phase, "containerStatuses": statuses, "conditions": _conditions(False, now, reason)}


def _waiting(pod: Object, code: int, now: float) -> Object:
    pause = int(_pause(int(pod["status"]["containerStatuses"][0].get("restartCount") or 0)))
    text = f"back-off {pause}s restarting failed container"
    statuses = [
        {
            **one,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": text}},
            "lastState": {"terminated": _terminated(one, code, now)},
            "ready": False,
            "started": False,
        }
        for one in pod["status"]["containerStatuses"]
    ]
    names = " ".join(one["name"] for one in statuses)
    message = f"containers with unready status: [{names}]"
    return {"containerStatuses": statuses, "conditions": _conditions(False, now, "ContainersNotReady", message)}


def _again(pod: Object, now: float, code: int | None = None) -> Object:
    """Started once more; `code` is the exit code of the run before, unless that is noted already."""
    statuses = []
    for one in pod["status"]["containerStatuses"]:
        last = one.get("lastState") or {} if code is None else {"terminated": _terminated(one, code, now)}
        statuses.append(
            {
                **one,
                "state": {"running": {"startedAt": rfc3339(now)}},
                "lastState": last,
                "restartCount": int(one.get("restartCount") or 0) + 1,
                "ready": True,
                "started": True,
            }
        )
    return {"containerStatuses": statuses, "conditions": _conditions(True, now)}


#: What a container runtime says of containers that were gone when it came up.
UNKNOWN_CODE = 255


def rebooted(pod: Object, now: float) -> Object | None:
    """The machine was started again: the pod's containers too, unless they run only once; None where none ran."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    if pods.phase(pod) != "Running" or not any("running" in (one.get("state") or {}) for one in statuses):
        return None
    if pod["spec"].get("restartPolicy") == "Never":
        return _over(pod, UNKNOWN_CODE, now)
    return _again(pod, now, UNKNOWN_CODE)
