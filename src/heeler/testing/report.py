"""What a person wants to see of a cluster when a test failed, as text."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from heeler.base.clock import rfc3339
from heeler.objects.value import Object
from heeler.workloads import events, pods

if TYPE_CHECKING:
    from heeler.testing.plane import Plane

#: Lines of each part.
MAX_LINES = 40
#: Kinds whose status says how many of the wanted are ready: (group, plural, wanted, ready).
_WORKLOADS = (
    ("apps", "deployments", ("spec", "replicas"), ("status", "readyReplicas")),
    ("apps", "statefulsets", ("spec", "replicas"), ("status", "readyReplicas")),
    ("apps", "daemonsets", ("status", "desiredNumberScheduled"), ("status", "numberReady")),
    ("batch", "jobs", ("spec", "completions"), ("status", "succeeded")),
)


def report(plane: Plane) -> str:
    """Pods, workloads that aren't ready, the last events, refused requests."""
    now = datetime.datetime.fromtimestamp(plane.clock.time(), datetime.UTC)
    parts = [f"the cluster's time: {now.isoformat(timespec='seconds')}"]
    parts += _section("pods", [_pod(pod) for pod in plane.server.objects("", "pods")])
    parts += _section("not ready", _behind(plane))
    parts += _section("events", events.lines(plane.server.objects("", "events"))[-MAX_LINES:])
    parts += _section(
        "refused requests",
        [f"{rfc3339(r.at)}  {r.status}  {r.method} {r.target}  {r.message}".rstrip() for r in plane.refused],
    )
    return "\n".join(parts)


def _section(title: str, lines: list[str]) -> list[str]:
    if not lines:
        return [f"{title}: none"]
    more = [f"  … and {len(lines) - MAX_LINES} more"] if len(lines) > MAX_LINES else []
    return [f"{title}:", *(f"  {line}" for line in lines[:MAX_LINES]), *more]


def _pod(pod: Object) -> str:
    metadata, status = pod["metadata"], pod.get("status") or {}
    containers = status.get("containerStatuses") or []
    ready = sum(1 for one in containers if one.get("ready"))
    reasons = [found for one in containers if (found := _reason(one.get("state") or {}))]
    scheduled = pods.condition(pod, "PodScheduled") or {}
    if scheduled.get("status") == "False":
        reasons.append(f"{scheduled.get('reason')}: {scheduled.get('message')}")
    if pods.is_terminating(pod):
        reasons.append("Terminating")
    wanted = len((pod.get("spec") or {}).get("containers") or ())
    return (
        f"{metadata['namespace']}/{metadata['name']}  {ready}/{wanted}  {status.get('phase', '')}"
        f"  {pods.node_name(pod) or '<no node>'}  {' '.join(reasons)}"
    ).rstrip()


def _reason(state: Object) -> str:
    found = state.get("waiting") or state.get("terminated") or {}
    return str(found.get("reason") or "")


def _behind(plane: Plane) -> list[str]:
    out = []
    for pod in plane.server.objects("", "pods"):
        if not pods.is_finished(pod) and not pods.is_ready(pod):
            out.append(f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']}  {pods.phase(pod)}")
    for group, plural, wanted_at, ready_at in _WORKLOADS:
        for obj in plane.server.objects(group, plural):
            wanted = (obj.get(wanted_at[0]) or {}).get(wanted_at[1], 1)
            ready = (obj.get(ready_at[0]) or {}).get(ready_at[1], 0)
            if ready < wanted:
                metadata = obj["metadata"]
                out.append(f"{plural[:-1]} {metadata['namespace']}/{metadata['name']}  {ready}/{wanted}")
    return out
