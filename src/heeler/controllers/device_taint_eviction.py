"""Pods leave when a device that they use has a taint of effect NoExecute, from its driver or from a DeviceTaintRule.

https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/#device-taints-and-tolerations
What is decided is in `device_taint_plan`.
"""

from __future__ import annotations

from collections.abc import Iterable

from heeler.base.clock import parse_rfc3339, rfc3339
from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers import device_taint_plan as plan
from heeler.controllers.loop import Context
from heeler.controllers.resourceclaim_plan import consumers, is_reserved_for, pod_claims
from heeler.controllers.resources import DEVICE_TAINT_RULES, PODS, RESOURCE_CLAIMS, RESOURCE_SLICES
from heeler.objects.status import StatusError
from heeler.objects.value import Object, name_of, uid_of
from heeler.workloads import device_taints, pods
from heeler.workloads.taints import NO_EXECUTE

POD, RULE = "pod:", "rule:"
NAME = "device-taint-eviction"
#: Seconds between two looks at a rule's status.
STATUS_SECONDS = 10.0


class DeviceTaintEvictionController:
    """Keys are pods and rules."""

    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._context, self._client = context, context.client
        self._events = context.recorder(NAME)
        self._pods = context.informers.get(PODS)
        self._claims = context.informers.get(RESOURCE_CLAIMS)
        self._slices = context.informers.get(RESOURCE_SLICES)
        self._rules = context.informers.get(DEVICE_TAINT_RULES)
        #: What slices say, until one of them changes.
        self._devices: dict[plan.Device, list[Object]] | None = None
        #: Pods (uids) that are to leave, and how many have left because of a rule (uid).
        self._due: dict[str, float] = {}
        self._evicted: dict[str, int] = {}
        self._pods.add_handler(self._pod_changed)
        self._claims.add_handler(self._claim_changed)
        self._slices.add_handler(self._slice_changed)
        self._rules.add_handler(self._rule_changed)

    # what concerns whom

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            self._due.pop(uid_of(old or {}), None)
            return
        if not (new.get("spec") or {}).get("resourceClaims"):
            return
        if old is None or _place(old) != _place(new):
            self.queue.add(POD + key_of(new))

    def _claim_changed(self, old: Object | None, new: Object | None) -> None:
        for claim in (old, new):
            self._look_at_users(claim)

    def _look_at_users(self, claim: Object | None) -> None:
        for one in consumers(claim) if claim is not None else ():
            if claim is not None and one.get("resource") == "pods":
                self.queue.add(f"{POD}{claim['metadata']['namespace']}/{one['name']}")

    def _slice_changed(self, old: Object | None, new: Object | None) -> None:
        self._devices = None
        tainted = any(
            device.get("taints") for one in (old, new) if one is not None for device in one["spec"].get("devices") or ()
        )
        if tainted:
            self._look_at_all()

    def _rule_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            self._evicted.pop(uid_of(old or {}), None)
        elif old is None or old["spec"] != new["spec"]:
            self.queue.add(RULE + key_of(new))
        if old is None or new is None or old["spec"] != new["spec"]:
            self._look_at_all()

    def _look_at_all(self) -> None:
        for claim in self._claims:
            if plan.allocated(claim):
                self._look_at_users(claim)

    async def reconcile(self, key: str) -> None:
        if key.startswith(POD):
            await self._pod(key.removeprefix(POD))
        else:
            await self._rule(key.removeprefix(RULE))

    # pods

    async def _pod(self, key: str) -> None:
        pod = self._pods.get(key)
        if pod is None:
            return
        found = self._eviction(pod, self._evicting_rules())
        if found is None or pods.is_terminating(pod):
            if self._due.pop(uid_of(pod), None) is not None and found is None:
                self._event(pod, "Cancelling deletion")
            return
        now = self._context.clock.time()
        self._due[uid_of(pod)] = found.at
        self._tell_later(found.rules)
        if found.at > now:
            self.queue.add_after(POD + key, found.at - now)
            return
        await self._evict(pod)
        del self._due[uid_of(pod)]
        for rule in found.rules:
            self._evicted[rule] = self._evicted.get(rule, 0) + 1

    def _eviction(self, pod: Object, rules: Iterable[Object]) -> plan.Eviction | None:
        """When a pod must leave, by the claims that are reserved for it."""
        if not pods.node_name(pod) or pods.is_finished(pod):
            return None
        if self._devices is None:
            self._devices = plan.tainted_devices(self._slices)
        evicting, found = list(rules), []
        for entry in pod_claims(pod):
            claim = self._claims.get(f"{pod['metadata']['namespace']}/{entry.claim}") if entry.claim else None
            if claim is None or not is_reserved_for(claim, pod):
                continue
            one = plan.eviction(claim, self._devices, evicting)
            if one is not None:
                found.append(one)
        if not found:
            return None
        reasons = dict.fromkeys(rule for one in found for rule in one.rules)
        return plan.Eviction(min(one.at for one in found), tuple(sorted(reasons)))

    def _evicting_rules(self) -> list[Object]:
        return [rule for rule in self._rules if rule["spec"]["taint"].get("effect") == NO_EXECUTE]

    async def _evict(self, pod: Object) -> None:
        name, namespace = name_of(pod), pod["metadata"]["namespace"]
        self._event(pod, "Marking for deletion")
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "lastTransitionTime": rfc3339(self._context.clock.time()),
            "reason": "DeletionByDeviceTaintManager",
            "message": "Device Taint manager: deleting due to NoExecute taint",
        }
        patch: Object = {"metadata": {"uid": uid_of(pod)}, "status": {"conditions": [condition]}}
        try:
            await self._client.patch(
                PODS, name, patch, namespace, type="application/strategic-merge-patch+json", subresource="status"
            )
            await self._client.delete(PODS, name, namespace, uid=uid_of(pod))
        except StatusError as error:
            if error.code not in (404, 409):
                raise

    def _event(self, pod: Object, message: str) -> None:
        about = {**pod, "kind": "Pod", "apiVersion": "v1"}
        self._events.record(about, "Normal", "DeviceTaintManagerEviction", message)

    # rules

    def _tell_later(self, uids: Iterable[str]) -> None:
        wanted = dict.fromkeys(uids)
        for rule in self._rules:
            if uid_of(rule) in wanted:
                self.queue.add_after(RULE + key_of(rule), STATUS_SECONDS)

    async def _rule(self, name: str) -> None:
        rule = self._rules.get(name)
        if rule is None:
            return
        now = self._context.clock.time()
        known = pods.condition(rule, plan.IN_PROGRESS)
        if known is not None and known.get("observedGeneration") == rule["metadata"].get("generation"):
            left = parse_rfc3339(known["lastTransitionTime"]) + STATUS_SECONDS - now
            if left > 0:
                self.queue.add_after(RULE + name, left)
                return
        wanted = plan.condition(rule, self._seen(rule), now)
        if known is not None and {**wanted, "lastTransitionTime": ""} == {**known, "lastTransitionTime": ""}:
            return
        applied: Object = {
            "kind": "DeviceTaintRule",
            "apiVersion": DEVICE_TAINT_RULES.api_version,
            "metadata": {"name": name, "uid": uid_of(rule)},
            "status": {"conditions": [wanted]},
        }
        done = await self._client.patch(
            DEVICE_TAINT_RULES,
            name,
            applied,
            type="application/apply-patch+yaml",
            subresource="status",
            field_manager="device-taint-eviction-controller",
            force=True,
        )
        self._rules.assume(done)

    def _seen(self, rule: Object) -> plan.Seen:
        effect, evicted = rule["spec"]["taint"].get("effect"), self._evicted.get(uid_of(rule), 0)
        if effect not in (NO_EXECUTE, plan.NONE):
            return plan.Seen(0, 0, 0, 0, evicted)
        rules = [*self._evicting_rules(), *([rule] if effect == plan.NONE else ())]
        leaving = [
            pod
            for pod in self._pods
            if (pod.get("spec") or {}).get("resourceClaims")
            and not pods.is_terminating(pod)
            and (found := self._eviction(pod, rules)) is not None
            and uid_of(rule) in found.rules
        ]
        namespaces = len(dict.fromkeys(pod["metadata"]["namespace"] for pod in leaving))
        if effect != plan.NONE:
            return plan.Seen(len(leaving), namespaces, 0, 0, evicted)
        devices = plan.tainted_devices(self._slices)
        published = sum(device_taints.selects(rule, device) for device in devices)
        used = [(r["driver"], r["pool"], r["device"]) for claim in self._claims for r in plan.allocated(claim)]
        return plan.Seen(
            len(leaving), namespaces, published, sum(device_taints.selects(rule, one) for one in used), evicted
        )


def _place(pod: Object) -> tuple[object, ...]:
    """What of a pod decides about its claims."""
    return pods.node_name(pod), (pod.get("status") or {}).get("resourceClaimStatuses")
