"""What a Job's pod failure policy says of a failed pod, and its success policy of the completed indexes. Pure.

https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy and #success-policy
"""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple

from heeler.objects.value import Object, name_of
from heeler.workloads import index_sets


class Judgement(NamedTuple):
    """`action` is the matching rule's (Count without one); `message` says why a Job fails at once."""

    action: str
    message: str = ""

    @property
    def counts(self) -> bool:
        """Does the failure count towards the back-off limit?"""
        return self.action != "Ignore"


def judge(job: Object, pod: Object) -> Judgement:
    """The first rule that matches decides."""
    for number, rule in enumerate((job["spec"].get("podFailurePolicy") or {}).get("rules") or ()):
        action = rule.get("action", "")
        what = f"matching {action} rule at index {number}"
        pod_name = f"{pod['metadata'].get('namespace', '')}/{name_of(pod)}"
        codes = rule.get("onExitCodes")
        if codes is not None:
            match = _exit_code(codes, pod)
            if match is not None:
                container, code = match
                text = f"Container {container} for pod {pod_name} failed with exit code {code} {what}"
                return Judgement(action, text)
        elif rule.get("onPodConditions"):
            condition = _condition(rule["onPodConditions"], pod)
            if condition:
                return Judgement(action, f"Pod {pod_name} has condition {condition} {what}")
    return Judgement("Count")


def _exit_code(wanted: Object, pod: Object) -> tuple[str, int] | None:
    """(container, exit code) of the first failed container that the requirement is about."""
    status = pod.get("status") or {}
    for one in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())):
        if wanted.get("containerName") not in (None, one.get("name")):
            continue
        ended = (one.get("state") or {}).get("terminated")
        if ended is None or not ended.get("exitCode"):
            continue
        inside = ended["exitCode"] in (wanted.get("values") or ())
        if inside == (wanted.get("operator") == "In"):
            return one.get("name", ""), int(ended["exitCode"])
    return None


def _condition(patterns: list[Object], pod: Object) -> str:
    there = {(c.get("type"), c.get("status")) for c in (pod.get("status") or {}).get("conditions") or ()}
    return next((p["type"] for p in patterns if (p.get("type"), p.get("status") or "True") in there), "")


def succeeded_by(job: Object, completed: Set[int]) -> str:
    """The message of the success rule that is met, or ""."""
    limit = int(job["spec"].get("completions") or 0)
    for number, rule in enumerate((job["spec"].get("successPolicy") or {}).get("rules") or ()):
        count, wanted = rule.get("succeededCount"), rule.get("succeededIndexes")
        if wanted is not None:
            named = index_sets.parse(wanted, limit)
            met = len(named & completed) >= (len(named) if count is None else int(count))
        else:
            met = count is not None and len(completed) >= int(count)
        if met:
            return f"Matched rules at index {number}"
    return ""
