"""Resource claims (DRA): made from templates for pods, kept reserved for who uses them, freed when nobody does.

https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/ — the scheduler allocates and reserves.
"""

from __future__ import annotations

from heeler.client.informer import key_of, split_key
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.resourceclaim_plan import (
    PodClaim,
    consumers,
    extended_claim,
    is_done,
    is_for,
    is_stale,
    made_for,
    new_claim,
    owner_pod,
    pod_claims,
    released,
    reserved,
    step,
    to_be_reserved,
)
from heeler.controllers.resources import PODS, RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS
from heeler.objects.status import StatusError, not_found
from heeler.objects.value import Object, meta, name_of
from heeler.workloads import pods

POD, CLAIM = "pod:", "claim:"
FIELD_MANAGER = "ResourceClaimController"


class ResourceClaimController:
    """Keys are pods (`pod:namespace/name`) and claims (`claim:namespace/name`)."""

    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._client = context.client
        self._events = context.recorder("resource_claim")
        self._pods = context.informers.get(PODS)
        self._claims = context.informers.get(RESOURCE_CLAIMS)
        self._templates = context.informers.get(RESOURCE_CLAIM_TEMPLATES)
        self._pods.add_index("resourceclaim", _claim_keys)
        self._claims.add_index("pod", lambda claim: [ref["uid"]] if (ref := owner_pod(claim)) is not None else [])
        self._pods.add_handler(self._pod_changed)
        self._claims.add_handler(self._claim_changed)
        self._templates.add_handler(self._template_changed)

    # what concerns whom

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        pod = new or old or {}
        if not (pod.get("spec") or {}).get("resourceClaims") and not extended_claim(pod):
            return
        if new is None or is_done(new):
            for key in (*_claim_keys(pod), *_extended_keys(pod)):
                self.queue.add(CLAIM + key)
            for claim in self._claims.by_index("pod", pod["metadata"]["uid"]):
                self.queue.add(CLAIM + key_of(claim))
        elif self._needs_work(new):
            self.queue.add(POD + key_of(new))

    def _needs_work(self, pod: Object) -> bool:
        """A claim is missing, or isn't reserved for a pod that is on a node already."""
        namespace = pod["metadata"]["namespace"]
        for entry in pod_claims(pod):
            claim = self._claims.get(f"{namespace}/{entry.claim}") if entry.claim else None
            if entry.template and entry.claim is not None and (claim is None or not is_for(claim, pod)):
                return True
            if pods.node_name(pod) and claim is not None and to_be_reserved(claim, pod):
                return True
        return False

    def _claim_changed(self, old: Object | None, new: Object | None) -> None:
        key = key_of(new or old or {})
        if new is not None:
            self.queue.add(CLAIM + key)
        for pod in self._pods.by_index("resourceclaim", key):
            self._pod_changed(pod, pod)

    def _template_changed(self, old: Object | None, new: Object | None) -> None:
        """A pod that was there before its template needs no longer wait for its back-off."""
        if old is not None or new is None:
            return
        for key in self._waiting_for(new):
            self.queue.add(POD + key)

    def _waiting_for(self, template: Object) -> list[str]:
        namespace, name = template["metadata"]["namespace"], name_of(template)
        return [
            key_of(pod)
            for pod in self._pods
            if pod["metadata"]["namespace"] == namespace
            and any(entry.template == name and entry.claim == "" for entry in pod_claims(pod))
        ]

    async def reconcile(self, key: str) -> None:
        if key.startswith(POD):
            await self._pod(key.removeprefix(POD))
        else:
            await self._claim(key.removeprefix(CLAIM))

    # pods

    async def _pod(self, key: str) -> None:
        pod = self._pods.get(key)
        if pod is None or pods.is_terminating(pod) or is_done(pod):
            return
        made: dict[str, str] = {}
        for entry in pod_claims(pod):
            try:
                claim = await self._made(pod, entry)
            except (StatusError, OSError) as error:
                about = {**pod, "kind": "Pod", "apiVersion": "v1"}
                text = f"PodResourceClaim {entry.name}: {error}"
                self._events.record(about, "Warning", "FailedResourceClaimCreation", text)
                raise
            if claim is not None:
                made[entry.name] = name_of(claim)
        if made:
            pod = await self._tell(pod, made)
        if pods.node_name(pod):
            await self._reserve(pod)

    async def _made(self, pod: Object, entry: PodClaim) -> Object | None:
        """The claim of an entry with a template, where the pod doesn't know it yet."""
        namespace = pod["metadata"]["namespace"]
        if not entry.template or entry.claim is None:
            return None
        if entry.claim:
            known = self._claims.get(f"{namespace}/{entry.claim}")
            if known is not None and is_for(known, pod):
                return None
        found = made_for(pod, entry.name, self._claims.by_index("pod", pod["metadata"]["uid"]))
        if found is not None:
            return found
        template = self._templates.get(f"{namespace}/{entry.template}")
        if template is None:
            missing = not_found("resourceclaimtemplate", RESOURCE_CLAIM_TEMPLATES.group, entry.template)
            raise StatusError(404, "NotFound", f'resource claim template "{entry.template}": {missing.message}')
        try:
            claim = await self._client.create(RESOURCE_CLAIMS, new_claim(pod, entry.name, template), namespace)
        except StatusError as error:
            raise StatusError(error.code, error.reason, f"create ResourceClaim : {error}") from error
        self._claims.assume(claim)
        return claim

    async def _tell(self, pod: Object, made: dict[str, str]) -> Object:
        """Say in the pod's status which claims were made for it; what was said of others stays."""
        namespace = pod["metadata"]["namespace"]
        known = {
            one["name"]: one["resourceClaimName"]
            for one in (pod.get("status") or {}).get("resourceClaimStatuses") or ()
            if one.get("resourceClaimName")
        }
        statuses = [{"name": name, "resourceClaimName": claim} for name, claim in {**known, **made}.items()]
        applied: Object = {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {"name": name_of(pod), "namespace": namespace},
            "status": {"resourceClaimStatuses": statuses},
        }
        done = await self._client.patch(
            PODS,
            name_of(pod),
            applied,
            namespace,
            type="application/apply-patch+yaml",
            subresource="status",
            field_manager=FIELD_MANAGER,
            force=True,
        )
        self._pods.assume(done)
        return done

    async def _reserve(self, pod: Object) -> None:
        """For a pod that came to its node without the scheduler."""
        for entry in pod_claims(pod):
            claim = self._claims.get(f"{pod['metadata']['namespace']}/{entry.claim}") if entry.claim else None
            if claim is None or (entry.template and not is_for(claim, pod)) or not to_be_reserved(claim, pod):
                continue
            done = await self._client.update(RESOURCE_CLAIMS, reserved(claim, pod), subresource="status")
            self._claims.assume(done)

    # claims

    async def _claim(self, key: str) -> None:
        claim = self._claims.get(key)
        if claim is None:
            return
        named = [one for one in consumers(claim) if (one.get("apiGroup") or "", one["resource"]) != ("", "pods")]
        if named:
            raise StatusError(500, "InternalError", f"unsupported ReservedFor entry: {named[0]}")
        found = {one["name"]: await self._pod_of(claim, one["name"]) for one in consumers(claim)}
        valid = [one for one in consumers(claim) if not is_stale(one, found)]
        wanted = step(claim, valid)
        if wanted.status is not None:
            changed = {**claim, "status": wanted.status}
            claim = await self._client.update(RESOURCE_CLAIMS, changed, subresource="status")
            self._claims.assume(claim)
        if wanted.release:
            claim = await self._client.update(RESOURCE_CLAIMS, released(claim))
            if "deletionTimestamp" not in meta(claim):
                self._claims.assume(claim)
        if not valid:
            await self._remove_unneeded(claim)

    async def _pod_of(self, claim: Object, name: str) -> Object | None:
        """The server is asked before a pod counts as gone: the scheduler may know it earlier than we do."""
        namespace = claim["metadata"]["namespace"]
        found = self._pods.get(f"{namespace}/{name}")
        if found is not None:
            return found
        try:
            return await self._client.get(PODS, name, namespace)
        except StatusError as error:
            if error.code != 404:
                raise
            return None

    async def _remove_unneeded(self, claim: Object) -> None:
        """A claim that was made for a pod which has ended, or was replaced, isn't needed any more."""
        ref = owner_pod(claim)
        if ref is None or "deletionTimestamp" in meta(claim):
            return
        namespace, name = split_key(key_of(claim))
        pod = self._pods.get(f"{namespace}/{ref['name']}")
        if pod is None or (pod["metadata"]["uid"] == ref["uid"] and not is_done(pod)):
            return
        try:
            await self._client.delete(RESOURCE_CLAIMS, name, namespace, uid=claim["metadata"]["uid"])
        except StatusError as error:
            if error.code not in (404, 409):
                raise


def _extended_keys(pod: Object) -> list[str]:
    """The claim that the scheduler made for a pod. It also reserves it: a change of it is nothing to the pod."""
    name = extended_claim(pod)
    return [f"{meta(pod).get('namespace', '')}/{name}"] if name else []


def _claim_keys(pod: Object) -> list[str]:
    """The claims that a pod names, as keys."""
    namespace = meta(pod).get("namespace", "")
    return [f"{namespace}/{entry.claim}" for entry in pod_claims(pod) if entry.claim]
