"""Since when endpoints wait to be told of: the time of the change that lets them be written.

Those that read endpoints measure by it how long a change took to come to them:
https://kubernetes.io/docs/reference/labels-annotations-taints/#endpoints-kubernetes-io-last-change-trigger-time
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from heeler.base.clock import parse_rfc3339, rfc3339
from heeler.objects.value import Object, meta, name_of
from heeler.workloads import pods

ANNOTATION = "endpoints.kubernetes.io/last-change-trigger-time"


class _Seen(NamedTuple):
    """When a Service was made, and when each of its pods last changed, at the last look (seconds since the epoch)."""

    service: float
    pods: dict[str, float]


class TriggerTimes:
    """What was seen of each Service; as many as there are."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def forget(self, key: str) -> None:
        self._seen.pop(key, None)

    def of(self, key: str, service: Object, selected: Iterable[Object]) -> str:
        """The earliest change since the last look, "" without one; at the first look when the Service was made.

        A Service changes by being made, a pod by becoming ready or unready.
        """
        known = self._seen.get(key)
        seen = _Seen(_made(service), {name_of(pod): at for pod in selected if (at := _changed(pod))})
        self._seen[key] = seen
        if known is None:
            return rfc3339(seen.service)
        changes = [at for name, at in seen.pods.items() if at > known.pods.get(name, 0.0)]
        if seen.service > known.service:
            changes.append(seen.service)
        return rfc3339(min(changes)) if changes else ""


def annotated(annotations: Object | None, trigger: str) -> dict[str, str]:
    """The annotations with this time, or without one."""
    out = {key: value for key, value in (annotations or {}).items() if key != ANNOTATION}
    return {**out, ANNOTATION: trigger} if trigger else out


def _made(service: Object) -> float:
    return parse_rfc3339(meta(service)["creationTimestamp"])


def _changed(pod: Object) -> float:
    at = (pods.condition(pod, "Ready") or {}).get("lastTransitionTime")
    return parse_rfc3339(at) if at else 0.0
