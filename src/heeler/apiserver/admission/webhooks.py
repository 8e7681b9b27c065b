"""MutatingAdmissionWebhook and ValidatingAdmissionWebhook: programs elsewhere that may change a write or refuse it.

Mutating ones are asked one after the other, in the order of their configurations' names, each chosen by what the object is
then; validating ones all at once. Subresources with objects of their own (scale, binding, eviction, token, connections) are
shown by these. Source:
https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/ and recorded answers.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from heeler.apiserver.admission import policies, requests
from heeler.apiserver.admission.rounds import Rounds
from heeler.apiserver.body import Unparsable, parse_json
from heeler.apiserver.extensions.webhook_client import WebhookFailure
from heeler.objects import go_text, json_patch
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
#: What the audit log is told of webhooks that failed and may.
_FAILED_OPEN = "failed-open.{}.webhook.admission.k8s.io"


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
    key: tuple[str, ...]
    version: str
    review: str

    @property
    def name(self) -> str:
        return str(self.webhook["name"])

    @property
    def closed(self) -> bool:
        return bool(self.webhook.get("failurePolicy", "Fail") == "Fail")


async def mutate(write: Write, rounds: Rounds, *, again: bool = False) -> None:
    """Ask the mutating webhooks. `again`: the second round, in which nobody is asked for the first time. Raises StatusError."""
    if again:
        rounds.begin_again(write.new)
    shown, asked = write.new, None
    for at, (configuration, webhook) in enumerate(_configured(write, MUTATING)):
        if asked is None or shown is not write.new:
            shown, asked = write.new, _asked(write)
        hook = await _taken(write, asked, configuration, webhook)
        if hook is None or (again and hook.key not in rounds.again):
            continue
        place = f"round_{int(again)}_index_{at}"
        if await _change(write, hook, configuration, place):
            rounds.changed()
        if webhook.get("reinvocationPolicy") == "IfNeeded":
            rounds.acted[hook.key] = None
    rounds.end(write.new)


async def check(write: Write) -> None:
    """Ask the validating webhooks, all at once; the first refusal in their order is raised as StatusError."""
    configured = _configured(write, VALIDATING)
    if not configured:
        return
    asked = _asked(write)
    taken = [await _taken(write, asked, *one) for one in configured]
    hooks = [(at, hook) for at, hook in enumerate(taken) if hook is not None]
    found = await asyncio.gather(*(_ask(write, hook, mutating=False) for _, hook in hooks), return_exceptions=True)
    for (at, hook), one in zip(hooks, found):
        if one is None:
            write.call.annotate(f"{_FAILED_OPEN.format('validating')}/round_0_index_{at}", hook.name)
    for one in found:
        if isinstance(one, BaseException):
            raise one


def _configured(write: Write, plural: str) -> list[tuple[Object, Object]]:
    """All webhooks with their configurations, in order; none where the write is one of configurations themselves."""
    if write.kind.group == requests.GROUP and write.kind.plural in requests.EXEMPT:
        return []
    every = write.context.server.objects(requests.GROUP, plural)
    return [(one, webhook) for one in every for webhook in one.get("webhooks") or ()]


def _asked(write: Write) -> Asked:
    request = requests.request(write)
    return Asked(request, requests.objects(write), requests.namespace(write, request))


async def _taken(write: Write, asked: Asked, configuration: Object, webhook: Object) -> Hook | None:
    """The webhook, if it takes this request. Raises 403 where that can't be told."""
    for request, version in _forms(asked.request, webhook.get("matchPolicy", "Equivalent")):
        if _matches(asked, webhook, request):
            if not await _conditions_hold(write, asked, webhook):
                return None
            key = (configuration["metadata"]["uid"], webhook["name"])
            review = next((v for v in webhook.get("admissionReviewVersions", ()) if v in VERSIONS), "v1")
            return Hook(webhook, key, version, review)
    return None


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
            raise requests.refused(write, str(error)) from None
        return False


async def _change(write: Write, hook: Hook, configuration: Object, place: str) -> bool:
    """Ask one mutating webhook; whether it changed the object. `place` is where it stands, for the audit log."""
    answer = await _ask(write, hook, mutating=True)
    changed = answer is not None and await _patch(write, hook, answer)
    if write.call.record is not None:
        _tell_of_change(write, hook, configuration["metadata"]["name"], answer, changed, place)
    return changed


def _tell_of_change(
    write: Write, hook: Hook, configuration: str, answer: _Answer | None, changed: bool, place: str
) -> None:
    told: Object = {"configuration": configuration, "webhook": hook.name}
    if answer is None:
        write.call.annotate(f"{_FAILED_OPEN.format('mutation')}/{place}", hook.name)
    mutated = orjson.dumps({**told, "mutated": changed}).decode()
    write.call.annotate(f"mutation.webhook.admission.k8s.io/{place}", mutated)
    if changed and answer is not None and write.call.record is not None and write.call.record.wants_request:
        told |= {"patch": answer.operations, "patchType": "JSONPatch"}
        write.call.annotate(f"patch.webhook.admission.k8s.io/{place}", orjson.dumps(told).decode())


async def _patch(write: Write, hook: Hook, answer: _Answer) -> bool:
    """Do what a webhook's patch says; whether that changed the object. Raises 500."""
    if not answer.operations:
        return False
    if write.new is None:
        what = "attempted to modify the object, which is not supported for this operation"
        raise internal_error(f'admission webhook "{hook.name}" {what}')
    before = write.new
    try:
        shown = await requests.converted(write, write.new, write.kind.api_version(hook.version))
        await requests.replace(write, json_patch.patched(shown, answer.operations), hook.version)
    except (ValueError, TypeError, DecodeError, StatusError, json_patch.Refused) as error:
        raise internal_error(str(error)) from None
    return write.new is not before


@dataclass(frozen=True, slots=True)
class _Answer:
    """A webhook's response that was understood; `operations`: its JSON patch."""

    response: Object
    operations: Any = None


async def _ask(write: Write, hook: Hook, *, mutating: bool) -> _Answer | None:
    """The webhook's answer, or None where it failed and may. Raises its refusal, and 500 where it may not fail."""
    if write.dry_run and hook.webhook.get("sideEffects") not in ("None", "NoneOnDryRun"):
        raise bad_request(f'admission webhook "{hook.name}" does not support dry run')
    uid = write.context.server.random.uuid()
    review = {
        "kind": "AdmissionReview",
        "apiVersion": f"admission.k8s.io/{hook.review}",
        "request": await requests.admission_request(write, uid, hook.version),
    }
    try:
        answer = await _call(write, hook, review)
        try:
            response = _response(answer, review, uid, mutating=mutating)
        except WebhookFailure as failure:
            raise WebhookFailure(f"received invalid webhook response: {failure}") from failure
        for warning in response.get("warnings") or ():
            write.call.warn(str(warning))
        for key, value in (response.get("auditAnnotations") or {}).items():
            write.call.annotate(f"{hook.name}/{key}", str(value))
        if not response.get("allowed"):
            raise refusal(hook.name, response.get("status"))
        return _Answer(response, _operations(response) if mutating else None)
    except WebhookFailure as failure:
        text = f'failed calling webhook "{hook.name}": {failure}'
        if hook.closed:
            raise internal_error(text) from None
        log.warning("%s; it may fail, the request goes on", text)
        return None


async def _call(write: Write, hook: Hook, review: Object) -> Object:
    """Raises WebhookFailure."""
    seconds = hook.webhook.get("timeoutSeconds") or DEFAULT_SECONDS
    try:
        answer = await write.context.server.webhooks.call(hook.webhook["clientConfig"], review, seconds)
        _check_types(answer)
        return answer
    except WebhookFailure as failure:
        raise WebhookFailure(f"failed to call webhook: {failure}") from failure


def _response(answer: Object, review: Object, uid: str, *, mutating: bool) -> Object:
    """What an AdmissionReview answers. Raises WebhookFailure for one that doesn't fit what was asked.

    Of v1beta1 less was asked: neither its kind nor its uid, nor what a patch is.
    """
    strict = review["apiVersion"] == "admission.k8s.io/v1"
    response = answer.get("response")
    for key in ("kind", "apiVersion"):
        if strict and answer.get(key) != review[key]:
            wanted = f"{review['apiVersion']}, Kind={review['kind']}"
            found = f"{answer.get('apiVersion', '')}, Kind={answer.get('kind', '')}"
            raise WebhookFailure(f"expected webhook response of {wanted}, got {found}")
    if not isinstance(response, dict):
        raise WebhookFailure("webhook response was absent")
    if strict and response.get("uid") != uid:
        raise WebhookFailure(f'expected response.uid="{uid}", got "{response.get("uid", "")}"')
    if strict:
        _check_patch(response, mutating)
    return response


#: The parts of a response: what they are in JSON and in Go.
_TYPES: dict[str, tuple[type, str]] = {
    "uid": (str, "types.UID"),
    "allowed": (bool, "bool"),
    "status": (dict, "v1.Status"),
    "patch": (str, "[]uint8"),
    "patchType": (str, "v1.PatchType"),
    "warnings": (list, "[]string"),
}


def _check_types(answer: Object) -> None:
    """What is of another type could not be decoded at all. Raises WebhookFailure."""
    response = answer.get("response")
    if response is not None and not isinstance(response, dict):
        what = go_text.json_kind(response)
        raise WebhookFailure(
            f"json: cannot unmarshal {what} into Go struct field AdmissionReview.response of type v1.AdmissionResponse"
        )
    for key, (wanted, shown) in _TYPES.items():
        value = (response or {}).get(key)
        if value is not None and not isinstance(value, wanted):
            what = go_text.json_kind(value)
            field = f"AdmissionResponse.response.{key}"
            raise WebhookFailure(f"json: cannot unmarshal {what} into Go struct field {field} of type {shown}")
    if response and response.get("patch"):
        _bytes(response["patch"])


_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")


def _bytes(text: str) -> bytes:
    """Raises WebhookFailure with Go's words for what is no base64."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        wrong = next((at for at, char in enumerate(text) if char not in _BASE64), len(text) // 4 * 4)
        raise WebhookFailure(f"illegal base64 data at input byte {wrong}") from None


def _check_patch(response: Object, mutating: bool) -> None:
    """A mutating webhook sends patch and type, or neither; a validating one neither. Raises WebhookFailure."""
    patch, kind = response.get("patch"), response.get("patchType")
    if not mutating:
        for key, value in (("patch", patch), ("patchType", kind)):
            if value or (key == "patchType" and value is not None):
                raise WebhookFailure(f"validating webhook may not return response.{key}")
        return
    if patch and kind is None:
        raise WebhookFailure("webhook returned response.patch but not response.patchType")
    if not patch and kind is not None:
        raise WebhookFailure("webhook returned response.patchType but not response.patch")
    if kind == "":
        raise WebhookFailure('webhook returned invalid response.patchType of ""')


def _operations(response: Object) -> Any:
    """The operations of a response's JSON patch. Raises WebhookFailure."""
    if not response.get("patch"):
        return None
    try:
        data = _bytes(response["patch"])
        parse_json(data)  # its words are Go's
        found = json_patch.decode(data)
    except (ValueError, Unparsable, StatusError) as error:
        raise WebhookFailure(f"received undecodable patch in webhook response: {error}") from None
    kind = response.get("patchType") or "JSONPatch"
    if found and kind != "JSONPatch":
        raise WebhookFailure(f'unsupported patch type "{kind}"')
    return found


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
    return StatusError(code, str(status.get("reason") or ""), text, details if isinstance(details, dict) else None)
