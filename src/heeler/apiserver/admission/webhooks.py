"""MutatingAdmissionWebhook and ValidatingAdmissionWebhook: programs elsewhere that may change a write or refuse it.

Mutating ones are asked one after the other, in the order of their configurations' names; validating ones all at once. Not
called: for connections (exec, attach, port-forward, proxy) and for subresources with an object of their own (scale, binding,
eviction, token). Source:
https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/ and recorded answers.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heeler.apiserver.admission import policies, requests
from heeler.apiserver.extensions.webhook_client import WebhookFailure
from heeler.objects import json_patch
from heeler.objects.decode import DecodeError
from heeler.objects.status import StatusError, bad_request, internal_error
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write
    from heeler.kinds.cel.policies import Request

log = logging.getLogger(__name__)

VERSIONS = ("v1", "v1beta1")
MUTATING, VALIDATING = "mutatingwebhookconfigurations", "validatingwebhookconfigurations"
DEFAULT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Asked:
    """What webhooks are chosen by, made once for all of them: the request, its new and old object, its namespace."""

    request: Request
    objects: tuple[Object | None, Object | None]
    namespace: Object | None


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook of a configuration that takes this request, in the form (apiVersion) that its rule names."""

    webhook: Object
    key: str
    version: str
    review: str

    @property
    def name(self) -> str:
        return str(self.webhook["name"])

    @property
    def closed(self) -> bool:
        return bool(self.webhook.get("failurePolicy", "Fail") == "Fail")


async def mutate(write: Write, *, again: frozenset[str] | None = None) -> frozenset[str]:
    """Ask the mutating webhooks. Raises StatusError.

    Gives the keys of webhooks that want to be asked again since somebody changed the object after them; with `again` only
    these are asked. Source: the section on reinvocation policy of the page above.
    """
    waiting: dict[str, None] = {}
    stale: dict[str, None] = {}
    for hook in list(await _hooks(write, MUTATING)):
        if again is not None and hook.key not in again:
            continue
        if await _change(write, hook):
            stale |= waiting
        if hook.webhook.get("reinvocationPolicy") == "IfNeeded":
            waiting[hook.key] = None
    return frozenset(stale)


async def check(write: Write) -> None:
    """Ask the validating webhooks, all at once; the first refusal in their order is raised as StatusError."""
    hooks = await _hooks(write, VALIDATING)
    if not hooks:
        return
    found = await asyncio.gather(*(_judge(write, hook) for hook in hooks), return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one


async def _hooks(write: Write, plural: str) -> list[Hook]:
    configurations = list(write.context.server.objects(requests.GROUP, plural))
    if not configurations:
        return []
    if write.kind.group == requests.GROUP and write.kind.plural in requests.EXEMPT:
        return []
    subresource = write.subresource
    if subresource and (subresource == "scale" or write.kind.subresources[subresource].foreign):
        return []
    asked = _asked(write)
    return [hook for one in configurations for hook in await _taking(write, asked, one)]


def _asked(write: Write) -> Asked:
    request = requests.request(write)
    return Asked(request, requests.objects(write), requests.namespace(write, request))


async def _taking(write: Write, asked: Asked, configuration: Object) -> list[Hook]:
    out = []
    for webhook in configuration.get("webhooks") or ():
        key = f"{configuration['metadata']['uid']}/{webhook['name']}"
        for request, version in _forms(asked.request, webhook.get("matchPolicy", "Equivalent")):
            if _matches(asked, webhook, request):
                if await _conditions_hold(write, asked, webhook):
                    review = next((v for v in VERSIONS if v in webhook.get("admissionReviewVersions", ())), "v1")
                    out.append(Hook(webhook, key, version, review))
                break
    return out


def _forms(asked: Request, policy: str) -> Iterator[tuple[Request, str]]:
    """The request as it was made, then as it would be in the kind's other versions."""
    yield asked, asked.version
    if policy == "Equivalent":
        for group, version in asked.versions:
            if version != asked.version:
                yield requests.of_version(asked, group, version), version


def _matches(asked: Asked, webhook: Object, request: Request) -> bool:
    from heeler.kinds.cel.policies import matches

    if not webhook.get("rules"):
        return False
    match = {
        "resourceRules": webhook["rules"],
        "namespaceSelector": webhook.get("namespaceSelector") or {},
        "objectSelector": webhook.get("objectSelector") or {},
        "matchPolicy": "Exact",
    }
    return matches(match, request, asked.objects, asked.namespace)


async def _conditions_hold(write: Write, asked: Asked, webhook: Object) -> bool:
    """All match conditions are true. One that can't be evaluated: the failure policy decides. Raises 403."""
    conditions = webhook.get("matchConditions")
    if not conditions:
        return True
    values = requests.values(write, asked.request, asked.objects, asked.namespace)
    from heeler.kinds.cel.policies import ConditionError, conditions_hold

    try:
        return await policies.answered(write, lambda: conditions_hold(conditions, values))
    except ConditionError as error:
        if webhook.get("failurePolicy", "Fail") == "Fail":
            raise requests.denied(write, str(error), "Forbidden") from None
        return False


async def _change(write: Write, hook: Hook) -> bool:
    """Ask one mutating webhook; whether it changed the object."""
    answer = await _ask(write, hook)
    if answer is None:
        return False
    patch = answer.get("patch")
    if not patch or write.new is None:
        return False
    try:
        return await _patch(write, hook, patch)
    except (ValueError, TypeError, DecodeError, StatusError) as error:
        raise internal_error(str(error)) from None


async def _patch(write: Write, hook: Hook, patch: str) -> bool:
    before = await requests.converted(write, write.new, write.kind.api_version(hook.version))
    assert before is not None and write.new is not None
    changed = json_patch.apply(before, json_patch.decode(base64.b64decode(patch, validate=True)))
    if changed == before:
        return False
    await requests.replace(write, changed, hook.version)
    return True


async def _judge(write: Write, hook: Hook) -> None:
    answer = await _ask(write, hook)
    if answer is not None and answer.get("patch"):
        why = "received invalid webhook response: webhook response cannot contain patches"
        raise internal_error(f'failed calling webhook "{hook.name}": {why}')


async def _ask(write: Write, hook: Hook) -> Object | None:
    """The webhook's response, or None where it failed and may. Raises its refusal, and 500 where it may not fail."""
    if write.dry_run and hook.webhook.get("sideEffects") not in ("None", "NoneOnDryRun"):
        raise bad_request(f'admission webhook "{hook.name}" does not support dry run')
    uid = write.context.server.random.uuid()
    review = {
        "kind": "AdmissionReview",
        "apiVersion": f"admission.k8s.io/{hook.review}",
        "request": await requests.admission_request(write, uid, hook.version),
    }
    try:
        response = _response(await _call(write, hook, review), review, uid)
    except WebhookFailure as failure:
        text = f'failed calling webhook "{hook.name}": {failure}'
        if hook.closed:
            raise internal_error(text) from None
        log.warning("%s; it may fail, the request goes on", text)
        return None
    for warning in response.get("warnings") or ():
        write.call.warn(str(warning))
    if not response.get("allowed"):
        raise refusal(hook.name, response.get("status"))
    return response


async def _call(write: Write, hook: Hook, review: Object) -> Object:
    """Raises WebhookFailure."""
    seconds = hook.webhook.get("timeoutSeconds") or DEFAULT_SECONDS
    try:
        return await write.context.server.webhooks.call(hook.webhook["clientConfig"], review, seconds)
    except WebhookFailure as failure:
        raise WebhookFailure(f"failed to call webhook: {failure}") from failure


def _response(answer: Object, review: Object, uid: str) -> Object:
    """What an AdmissionReview answers. Raises WebhookFailure for one that doesn't fit what was asked."""
    invalid = "received invalid webhook response: "
    response = answer.get("response")
    for key in ("kind", "apiVersion"):
        if answer.get(key) != review[key]:
            wanted = f"{review['apiVersion']}, Kind={review['kind']}"
            found = f"{answer.get('apiVersion', '')}, Kind={answer.get('kind', '')}"
            raise WebhookFailure(f"{invalid}expected webhook response of {wanted}, got {found}")
    if not isinstance(response, dict):
        raise WebhookFailure(f"{invalid}webhook response was absent")
    if response.get("uid") != uid:
        raise WebhookFailure(f'{invalid}expected response.uid="{uid}", got "{response.get("uid", "")}"')
    for key, wanted_type in (
        ("warnings", list),
        ("status", dict),
        ("patch", str),
        ("patchType", str),
        ("allowed", bool),
    ):
        if response.get(key) is not None and not isinstance(response[key], wanted_type):
            raise WebhookFailure(f"{invalid}response.{key} has the wrong type")
    kind = response.get("patchType")
    if response.get("patch") and not kind:
        raise WebhookFailure(f"{invalid}webhook returned response.patch but not response.patchType")
    if kind and not response.get("patch"):
        raise WebhookFailure(f"{invalid}webhook returned response.patchType but not response.patch")
    if kind and kind != "JSONPatch":
        raise WebhookFailure(f'{invalid}invalid webhook response patchType, expected: "JSONPatch", got: "{kind}"')
    return response


def refusal(name: str, given: Any) -> StatusError:
    """The error that a webhook's refusal is: its status, in upstream's words, never a success."""
    status: Object = dict(given) if isinstance(given, dict) else {}
    denied = f'admission webhook "{name}" denied the request'
    if status.get("message"):
        text = f"{denied}: {status['message']}"
    elif status.get("reason"):
        text = f"{denied}: {status['reason']}"
    else:
        text = f"{denied} without explanation"
    code = status.get("code")
    code = code if isinstance(code, int) and 400 <= code <= 599 else 400
    details = status.get("details")
    return StatusError(code, str(status.get("reason") or ""), text, details if isinstance(details, dict) else {})
