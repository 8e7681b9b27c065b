"""serviceaccounts/token: a token for an account, perhaps bound to a pod, secret or node (TokenRequest).

Source: https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/ and recorded answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heeler.apiserver.admission.node_restriction import check_token
from heeler.apiserver.authenticate.service_accounts import ServiceAccountTokens
from heeler.apiserver.body import read_body
from heeler.apiserver.call import Call, Plain
from heeler.apiserver.options import write_options
from heeler.apiserver.subresources.body import admitted
from heeler.base.clock import rfc3339
from heeler.kinds.bodies import TOKEN_REQUEST
from heeler.objects import apply, faults
from heeler.objects.status import StatusError, bad_request, conflict, invalid, not_found, not_implemented
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.request import Context

GROUP, VERSION = "authentication.k8s.io", "v1"
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
    body = await context.server.aside.run(
        call.weight, read_body, call, TOKEN_REQUEST, context.server.kinds, options.validation
    )
    spec = body.setdefault("spec", {})
    await check_token(context, spec)
    if spec.get("expirationSeconds") is None:
        spec["expirationSeconds"] = DEFAULT_SECONDS
    seconds = spec["expirationSeconds"]
    now = rfc3339(context.server.clock.time())
    managed = apply.track_update(
        None,
        body,
        TOKEN_REQUEST.type(VERSION),
        manager=options.manager,
        api_version=f"{GROUP}/v1",
        now=now,
        subresource="token",
    )
    _validate(seconds)
    namespace, name = context.info.namespace, context.info.name
    uid = context.server.random.uuid()
    metadata: Object = {"name": name, "namespace": namespace, "uid": uid, "creationTimestamp": now}
    metadata["managedFields"] = managed
    shown = {**spec, "audiences": spec.get("audiences") or list(tokens.audiences)}
    body = {**body, "metadata": metadata, "spec": shown}
    body = await admitted(call, context, body, TOKEN_REQUEST, dry_run=options.dry_run)
    spec = body["spec"]
    seconds = spec.setdefault("expirationSeconds", DEFAULT_SECONDS)
    account = await context.server.lookup_fresh("", "serviceaccounts", namespace, name)
    if account is None:
        raise not_found("serviceaccounts", "", name)
    bound, node = await _bound(context, spec.get("boundObjectRef"), namespace, name)
    audiences = tuple(spec.get("audiences") or tokens.audiences)
    status: Object = {"token": "", "expirationTimestamp": None}
    if not options.dry_run:
        token, end, identity = tokens.issue(account, audiences=audiences, seconds=seconds, bound=bound, node=node)
        call.annotate("authentication.kubernetes.io/issued-credential-id", identity)
        status = {"token": token, "expirationTimestamp": rfc3339(end)}
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


def _validate(seconds: int) -> None:
    path, found = "spec.expirationSeconds", []
    if seconds < MIN_SECONDS:
        found.append(faults.invalid(path, seconds, "may not specify a duration less than 10 minutes"))
    if seconds > MAX_SECONDS:
        found.append(faults.invalid(path, seconds, "may not specify a duration larger than 2^32 seconds"))
    if found:
        raise invalid("TokenRequest", GROUP, "", found)


async def _bound(
    context: Context, reference: Object | None, namespace: str, account: str
) -> tuple[tuple[str, Object] | None, Object | None]:
    """What the token falls with, and the node of a bound pod. Raises 400, 404, 409."""
    if reference is None:
        return None, None
    found = BOUND_KINDS.get((reference.get("apiVersion", ""), reference.get("kind", "")))
    if found is None:
        kind = f"{reference.get('apiVersion', '')}, Kind={reference.get('kind', '')}"
        raise bad_request(f"cannot bind token to object of type {kind if '/' in kind else '/' + kind}")
    (claim, plural), shown = found, reference["kind"]
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
        raise conflict(shown, "", name, why)
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
