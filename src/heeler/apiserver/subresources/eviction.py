"""pods/eviction: delete a pod unless a disruption budget says no.

Source: https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/ and recorded answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heeler.apiserver.body import read_body
from heeler.apiserver.cache import Item, encode, key_of
from heeler.apiserver.call import Call, Plain
from heeler.apiserver.options import META, write_options
from heeler.apiserver.status_writer import write_status
from heeler.apiserver.subresources.body import sent
from heeler.apiserver.verbs.delete import DeleteOptions, delete_object, propagation_faults
from heeler.base.clock import rfc3339
from heeler.kinds.bodies import EVICTION
from heeler.objects import selectors
from heeler.objects.go_text import plain
from heeler.objects.status import StatusError, bad_request, forbidden, invalid, not_found, too_many_requests
from heeler.objects.value import Object
from heeler.store.store import KeyNotFound, RevisionMismatch
from heeler.workloads import disruption, pods

if TYPE_CHECKING:
    from heeler.apiserver.request import Context

GROUP = "policy"
TRIES = 16
#: Evictions that were granted and haven't shown as deletions, at the most.
MAX_GRANTED = 2000
TOO_MANY_GRANTED = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
#: Older apiVersions in which an Eviction is taken.
ALSO = ("policy/v1beta1", "v1")


async def create(call: Call, context: Context) -> Plain:
    """POST of an Eviction."""
    options = write_options(call, "CreateOptions")
    body = await context.server.aside.run(
        call.weight, read_body, call, EVICTION, context.server.kinds, options.validation, ALSO
    )
    name, namespace = context.info.name, context.info.namespace
    given = (body.get("metadata") or {}).get("name", "")
    if given != name:
        raise bad_request("name in URL does not match name in Eviction object")
    body = await sent(call, context, body, EVICTION, options)
    entry = await context.server.store.get(key_of(context.kind, namespace, name))
    if entry is None:
        raise not_found("pods", "", name)
    pod = Item(context.kind, entry.key, entry.value, entry.revision).object()
    wanted = body.get("deleteOptions") or {}
    _check_dry_run(call, wanted)
    dry_run = options.dry_run or bool(wanted.get("dryRun"))
    if found := propagation_faults(wanted.get("propagationPolicy")):
        raise invalid("DeleteOptions", META, "", found)
    conditions = wanted.get("preconditions") or {}
    if _counts(pod):
        await _ask_budget(context, pod, dry_run)
    deletion = DeleteOptions(
        wanted.get("gracePeriodSeconds"),
        wanted.get("propagationPolicy") or "",
        dry_run,
        conditions.get("uid") or "",
        conditions.get("resourceVersion") or "",
        False,
    )
    if not dry_run:
        await _tell(context, entry.key)
    await delete_object(call, context, deletion, namespace, name, admitted=True)
    return Plain({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201)


def _check_dry_run(call: Call, wanted: Object) -> None:
    """What is asked for in the query and in the body must be the same, if both ask. Raises 500, as upstream."""
    asked, given = call.query.get("dryRun") or [], wanted.get("dryRun") or []
    if asked and given and asked != given:
        text = f"Non-matching dry-run options in request and content: {plain(asked)} and {plain(given)}"
        raise StatusError(500, "", text)


async def _tell(context: Context, key: str) -> None:
    """The pod says that it goes since somebody evicted it."""
    for _ in range(TRIES):
        entry = await context.server.store.get(key)
        if entry is None:
            return
        pod = Item(context.kind, key, entry.value, entry.revision).fresh()
        status = pod.setdefault("status", {})
        if pod["metadata"].get("deletionTimestamp") or status.get("phase") in ("Succeeded", "Failed"):
            return
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "lastProbeTime": None,
            "lastTransitionTime": rfc3339(context.server.clock.time()),
            "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
        }
        others = [c for c in status.get("conditions") or () if c["type"] != "DisruptionTarget"]
        status["conditions"] = [*others, condition]
        try:
            await context.server.store.update(key, encode(pod), entry.revision)
            return
        except (RevisionMismatch, KeyNotFound):
            continue


def _counts(pod: Object) -> bool:
    """A pod that isn't running yet, has finished or is going already disturbs nobody."""
    phase = (pod.get("status") or {}).get("phase")
    return phase not in ("Pending", "Succeeded", "Failed") and not pod["metadata"].get("deletionTimestamp")


async def _ask_budget(context: Context, pod: Object, dry_run: bool) -> None:
    """Take one disruption from the pod's budget. Raises 429, 500."""
    budgets = _budgets(context, pod)
    if not budgets:
        return
    if len(budgets) > 1:
        text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        raise StatusError(500, "", text)
    if _unready_may_go(pod, budgets[0]):
        return
    kind = context.server.kind(GROUP, "poddisruptionbudgets")
    key = key_of(kind, pod["metadata"]["namespace"], budgets[0]["metadata"]["name"])
    for _ in range(TRIES):
        entry = await context.server.store.get(key)
        if entry is None:
            return
        item = Item(kind, key, entry.value, entry.revision)
        budget = item.fresh()
        _check_budget(budget)
        if dry_run:
            return
        status, now = budget["status"], context.server.clock.time()
        status["disruptionsAllowed"] -= 1
        status["disruptedPods"] = {**(status.get("disruptedPods") or {}), pod["metadata"]["name"]: rfc3339(now)}
        if status["disruptionsAllowed"] == 0:
            status["conditions"] = disruption.counted(budget, 0, now)
        try:
            await write_status(context.server, item, budget)
            return
        except (RevisionMismatch, KeyNotFound):
            continue
    raise too_many_requests("the disruption budget is being changed by others; try again", 5)


def _budgets(context: Context, pod: Object) -> list[Object]:
    labels = pod["metadata"].get("labels") or {}
    found = context.server.objects(GROUP, "poddisruptionbudgets", pod["metadata"]["namespace"])
    return [
        b
        for b in found
        if (b.get("spec") or {}).get("selector") is not None
        and selectors.of_object(b["spec"]["selector"]).matches(labels)
    ]


def _ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _unready_may_go(pod: Object, budget: Object) -> bool:
    """Source: https://kubernetes.io/docs/tasks/run-application/configure-pdb/#unhealthy-pod-eviction-policy"""
    if _ready(pod):
        return False
    policy = (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") or "IfHealthyBudget"
    status = budget.get("status") or {}
    if policy == "AlwaysAllow":
        return True
    return bool(status.get("currentHealthy", 0) >= status.get("desiredHealthy", 0) > 0)


def _check_budget(budget: Object) -> None:
    name, status = budget["metadata"]["name"], budget.get("status") or {}
    message = "Cannot evict pod as it would violate the pod's disruption budget."

    def cause(text: str) -> Object:
        return {"causes": [{"reason": "DisruptionBudget", "message": text}]}

    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        text = f"The disruption budget {name} is still being processed by the server."
        raise too_many_requests(message, 10, cause(text) | {"retryAfterSeconds": 10})
    for why, wrong in (
        ("pdb disruptions allowed is negative", status.get("disruptionsAllowed", 0) < 0),
        (TOO_MANY_GRANTED, len(status.get("disruptedPods") or {}) > MAX_GRANTED),
    ):
        if wrong:
            refusal = forbidden("poddisruptionbudget", "policy", name, why)
            told = cause(f"The disruption budget {name} does not allow evicting pods currently: {why}")
            raise StatusError(403, refusal.reason, refusal.message, {**(refusal.details or {}), **told})
    if status.get("disruptionsAllowed", 0) == 0:
        raise StatusError(429, "TooManyRequests", message, cause(_why_not(name, status)))


def _why_not(name: str, status: Object) -> str:
    """Why a budget that allows nothing allows nothing."""
    closed = f"The disruption budget {name} does not allow evicting pods currently"
    found = pods.condition({"status": status}, "DisruptionAllowed") or {}
    told = str(found.get("message") or "") if found.get("status") == "False" else ""
    if told and found.get("reason") == "SyncFailed":  # what it counts isn't to be trusted then
        return f"{closed} because it failed sync: {told}"
    wanted, there = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
    if status.get("disruptedPods"):
        there = min(there, wanted)  # what was granted just now counts, though the controller hasn't counted it yet
    if there <= wanted:
        return f"The disruption budget {name} needs {wanted} healthy pods and has {there} currently"
    return f"{closed} ({found.get('reason')}): {told}" if told else closed
