"""Certificate signing requests: nodes' own are approved, what is approved is signed, old ones go.

Source: https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/ and
https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/#approval-controller
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterable
from typing import NamedTuple

from heeler.base import pki
from heeler.base.clock import parse_rfc3339
from heeler.base.pki import Requested
from heeler.client.client import Client
from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object, name_of
from heeler.workloads.pods import has_condition

log = logging.getLogger(__name__)

REQUESTS = GroupVersionResource("certificates.k8s.io", "v1", "certificatesigningrequests")
REVIEWS = GroupVersionResource("authorization.k8s.io", "v1", "subjectaccessreviews")

CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
LEGACY = "kubernetes.io/legacy-unknown"
SIGNERS = (CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY)
NODE, NODES = "system:node:", "system:nodes"
#: Seconds that a certificate may ask for at least; how long requests stay: after an answer, and without one.
MIN_SECONDS, ANSWERED_SECONDS, PENDING_SECONDS = 600, 3600, 86400
#: Seconds between two looks of the cleaner, and until a request that was recognised but not allowed is asked for again.
CLEANING_SECONDS, AGAIN_SECONDS = 600.0, 60.0


class Grant(NamedTuple):
    """A right (a subresource of certificatesigningrequests) by which a kubelet's request is approved by itself."""

    subresource: str
    message: str


SELF_NODE = Grant("selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview.")
NEW_NODE = Grant("nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview.")


def problem(signer: str, requested: Requested, usages: Iterable[str]) -> str:
    """Why a signer may not sign this, in upstream's words; "" if it may."""
    wanted = set(usages)
    if signer == CLIENT:
        for usage in sorted(wanted - {"digital signature", "key encipherment", "client auth"}):
            return f"invalid usage for client certificate: {usage}"
        return "" if "client auth" in wanted else "missing required usage for client certificate: client auth"
    if signer not in (KUBELET_CLIENT, KUBELET_SERVING):
        return ""
    purpose = "client auth" if signer == KUBELET_CLIENT else "server auth"
    if requested.organizations != (NODES,):
        return "subject organization is not system:nodes"
    if signer == KUBELET_SERVING:
        if not requested.dns and not requested.addresses:
            return "DNS or IP subjectAltName is required"
    else:
        for kind, names in (("DNS", requested.dns), ("email", requested.emails), ("IP", requested.addresses)):
            if names:
                return f"{kind} subjectAltNames are not allowed"
    for kind, names in (("email", requested.emails), ("URI", requested.uris)):
        if names:
            return f"{kind} subjectAltNames are not allowed"
    needed = {"digital signature", purpose}
    if wanted not in (needed, needed | {"key encipherment"}):
        return f"usages did not match [{' '.join(sorted(needed | {'key encipherment'}))}]"
    if not requested.common_name.startswith(NODE):
        return "subject common name does not begin with system:node:"
    return ""


def grants(request: Object, requested: Requested) -> tuple[Grant, ...]:
    """The rights any of which lets a kubelet's request be approved; none for other requests."""
    spec = request["spec"]
    if spec["signerName"] != KUBELET_CLIENT or problem(KUBELET_CLIENT, requested, spec.get("usages") or ()):
        return ()
    return (SELF_NODE, NEW_NODE) if spec.get("username") == requested.common_name else (NEW_NODE,)


def is_answered(request: Object) -> bool:
    return has_condition(request, "Approved") or has_condition(request, "Denied")


def is_old(request: Object, now: float, ends: float | None) -> bool:
    """May it go? `ends`: when its certificate does, in seconds since the epoch."""
    status = request.get("status") or {}
    if ends is not None and ends < now:
        return True
    age = now - parse_rfc3339(request["metadata"]["creationTimestamp"])
    for condition in status.get("conditions") or ():
        since = condition.get("lastUpdateTime")
        age_of_answer = now - parse_rfc3339(since) if since else age
        if condition["type"] == "Approved" and not status.get("certificate"):
            continue  # it still waits for its signer
        if condition["type"] in ("Approved", "Denied", "Failed"):
            return age_of_answer > ANSWERED_SECONDS
    return age > PENDING_SECONDS


def _request_of(request: Object) -> Requested:
    return pki.read_request(base64.b64decode(request["spec"]["request"]))


class CertificateApprover:
    """Approves what a node, or somebody who may make nodes, asks for a kubelet's client."""

    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue(first_delay=0.2)
        self._client, self._clock = context.client, context.clock
        self._requests = context.informers.get(REQUESTS)
        self._requests.add_handler(lambda _, new: self.queue.add(key_of(new)) if new is not None else None)

    async def reconcile(self, key: str) -> None:
        request = self._requests.get(key)
        if request is None or is_answered(request) or request["spec"]["signerName"] != KUBELET_CLIENT:
            return
        try:
            allowed = grants(request, _request_of(request))
        except ValueError as error:
            log.info("the request %s can't be read: %s", key, error)
            return
        for grant in allowed:
            if await self._may(request, grant):
                await self._approve(request, grant)
                return
        if allowed:
            self.queue.add_after(key, AGAIN_SECONDS)  # rights may come

    async def _may(self, request: Object, grant: Grant) -> bool:
        spec = request["spec"]
        attributes = {
            "group": REQUESTS.group,
            "resource": REQUESTS.resource,
            "verb": "create",
            "subresource": grant.subresource,
            "version": "*",
        }
        asked: Object = {"user": spec.get("username", ""), "groups": spec.get("groups") or []}
        asked |= {"uid": spec.get("uid", ""), "extra": spec.get("extra") or {}, "resourceAttributes": attributes}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": asked}
        answer = await self._client.create(REVIEWS, review)
        return bool((answer.get("status") or {}).get("allowed"))

    async def _approve(self, request: Object, grant: Grant) -> None:
        condition = {"type": "Approved", "status": "True", "reason": "AutoApproved", "message": grant.message}
        await _add_condition(self._client, request, condition, "approval")


class CertificateSigner:
    """Signs what is approved for one of Kubernetes' own signers."""

    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue(first_delay=0.2)
        self._client, self._sign = context.client, context.settings.sign_certificate
        self._longest = context.settings.cluster_signing_duration
        self._requests = context.informers.get(REQUESTS)
        if self._sign is not None:
            self._requests.add_handler(lambda _, new: self.queue.add(key_of(new)) if new is not None else None)

    async def reconcile(self, key: str) -> None:
        request = self._requests.get(key)
        if request is None or self._sign is None or request["spec"]["signerName"] not in SIGNERS:
            return
        done = (request.get("status") or {}).get("certificate") or has_condition(request, "Failed")
        if done or not has_condition(request, "Approved") or has_condition(request, "Denied"):
            return
        spec = request["spec"]
        try:
            why = problem(spec["signerName"], _request_of(request), spec.get("usages") or ())
        except ValueError as error:
            why = f"unable to parse csr {name_of(request)!r}: {error}".replace("'", '"')
        if why:
            failed = {"type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": why}
            await _add_condition(self._client, request, failed, "status")
            return
        wanted = spec.get("expirationSeconds")
        seconds = self._longest if wanted is None else max(MIN_SECONDS, min(float(wanted), self._longest))
        made = self._sign(base64.b64decode(spec["request"]), tuple(spec.get("usages") or ()), seconds)
        status = {**(request.get("status") or {}), "certificate": base64.b64encode(made).decode()}
        await self._client.update(REQUESTS, {**request, "status": status}, subresource="status")


class CertificateCleaner:
    """Removes requests whose time is over."""

    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue(first_delay=0.2)
        self._client, self._clock = context.client, context.clock
        self._requests = context.informers.get(REQUESTS)

    async def run(self) -> None:
        while True:
            await self._clock.sleep(CLEANING_SECONDS)
            for request in list(self._requests):
                self.queue.add(key_of(request))

    async def reconcile(self, key: str) -> None:
        request = self._requests.get(key)
        if request is None:
            return
        made = (request.get("status") or {}).get("certificate")
        ends: float | None = None
        if made:
            try:
                ends = pki.expires_at(base64.b64decode(made))
            except ValueError:
                ends = None
        if is_old(request, self._clock.time(), ends):
            try:
                await self._client.delete(REQUESTS, name_of(request), uid=request["metadata"]["uid"])
            except StatusError as error:
                if error.code != 404:
                    raise


async def _add_condition(client: Client, request: Object, condition: Object, subresource: str) -> None:
    status = request.get("status") or {}
    changed = {**request, "status": {**status, "conditions": [*(status.get("conditions") or ()), condition]}}
    await client.update(REQUESTS, changed, subresource=subresource)
