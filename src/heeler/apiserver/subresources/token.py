"""serviceaccounts/token: a token for an account, perhaps bound to a pod, secret or node (TokenRequest).

Source: https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/ and recorded answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heeler.apiserver.admission.node_restriction import check_token
from heeler.apiserver.authenticate.service_accounts import ServiceAccountTokens
from heeler.apiserver.body import Unparsable, check_type_meta, parse
from heeler.apiserver.call import Call, Plain
from heeler.apiserver.options import write_options
from heeler.base.clock import rfc3339
from heeler.objects import faults
from heeler.objects.status import StatusError, bad_request, conflict, invalid, not_found, not_implemented
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.request import Context

GROUP = "authentication.k8s.io"
DEFAULT_SECONDS = 3600
MIN_SECONDS = 600
MAX_SECONDS = 2**32
#: Kubelets ask for this; a longer one (a year) is given so that old clients don't fall over.
BOUND_KINDS = {
    ("v1", "Pod"): ("pod", "pods"),
    ("v1", "Secret"): ("secret", "secrets"),
    ("v1", "Node"): ("node", "nodes"),
}


async def create(call: Call, context: Context) -> Plain:
    """POST of a TokenRequest."""
    options = write_options(call, "CreateOptions")
    tokens = context.server.service_accounts
    if not isinstance(tokens, ServiceAccountTokens):
        raise not_implemented("serviceaccounts/token without a signing key (--service-account-signing-key-file)")
    body = _read(call, context)
    spec = body.setdefault("spec", {})
    await check_token(context, spec)
    seconds = spec.setdefault("expirationSeconds", DEFAULT_SECONDS)
    _validate(spec, seconds)
    namespace, name = context.info.namespace, context.info.name
    account = await context.server.lookup_fresh("", "serviceaccounts", namespace, name)
    if account is None:
        raise not_found("serviceaccounts", "", name)
    bound, node = await _bound(context, spec.get("boundObjectRef") or {}, namespace, name)
    audiences = tuple(spec.get("audiences") or tokens.audiences)
    status: Object = {"token": "", "expirationTimestamp": None}
    if not options.dry_run:
        token, end = tokens.issue(account, audiences=audiences, seconds=seconds, bound=bound, node=node)
        status = {"token": token, "expirationTimestamp": rfc3339(end)}
    metadata: Object = {"name": name, "namespace": namespace, "creationTimestamp": rfc3339(context.server.clock.time())}
    return Plain(
        {
            "kind": "TokenRequest",
            "apiVersion": f"{GROUP}/v1",
            "metadata": metadata,
            "spec": {
                "audiences": list(audiences),
                "expirationSeconds": seconds,
                "boundObjectRef": spec.get("boundObjectRef"),
            },
            "status": status,
        },
        201,
    )


def _read(call: Call, context: Context) -> Object:
    if isinstance(call.object, dict):
        return dict(call.object)
    if not call.body:
        return {}
    try:
        value, _ = parse(call)
    except Unparsable as error:
        raise bad_request(str(error)) from None
    check_type_meta(value, "TokenRequest", GROUP, "v1", context.server.kinds, call.body)
    return value if isinstance(value, dict) else {}


def _validate(spec: Object, seconds: Any) -> None:
    path, found = "spec.expirationSeconds", []
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise bad_request(
            "json: cannot unmarshal string into Go struct field TokenRequestSpec.spec.expirationSeconds of type int64"
        )
    if seconds < MIN_SECONDS:
        found.append(faults.invalid(path, seconds, "may not specify a duration less than 10 minutes"))
    if seconds > MAX_SECONDS:
        found.append(faults.invalid(path, seconds, "may not specify a duration larger than 2^32 seconds"))
    if found:
        raise invalid("TokenRequest", GROUP, "", found)


async def _bound(
    context: Context, reference: Object, namespace: str, account: str
) -> tuple[tuple[str, Object] | None, Object | None]:
    """What the token falls with, and the node of a bound pod. Raises 400, 404, 409."""
    if not reference:
        return None, None
    found = BOUND_KINDS.get((reference.get("apiVersion", ""), reference.get("kind", "")))
    if found is None:
        kind = f"{reference.get('apiVersion', '')}, Kind={reference.get('kind', '')}"
        raise bad_request(f"cannot bind token to object of type {kind if '/' in kind else '/' + kind}")
    claim, plural = found
    name = reference.get("name", "")
    obj = await context.server.lookup_fresh("", plural, "" if plural == "nodes" else namespace, name)
    if obj is None:
        raise not_found(plural, "", name)
    uid = reference.get("uid")
    if uid and uid != obj["metadata"]["uid"]:
        why = (
            f"the UID in the bound object reference ({uid}) does not match the UID in record. "
            "The object might have been deleted and then recreated"
        )
        raise conflict(plural, "", name, why)
    node = None
    if claim == "pod":
        own = (obj.get("spec") or {}).get("serviceAccountName") or "default"
        if own != account:
            text = (
                f'cannot bind token for serviceaccount "{account}" to pod running with different serviceaccount name.'
            )
            raise StatusError(400, "BadRequest", text)
        if obj["spec"].get("nodeName"):
            node = context.server.lookup("", "nodes", "", obj["spec"]["nodeName"])
    return (claim, obj), node
