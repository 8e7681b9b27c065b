"""Certificate signing requests: who asked is noted by the server; who approves or signs must have the right for the signer.

Upstream's CertificateApproval, CertificateSigning and CertificateSubjectRestriction. Source:
https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heeler.apiserver.authorize.rbac import Attributes
from heeler.objects.status import forbidden

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write

GROUP, PLURAL = "certificates.k8s.io", "certificatesigningrequests"


async def admit(write: Write) -> None:
    """Note the requester, whatever the request says of it."""
    if write.operation != "CREATE" or not write.of(GROUP, PLURAL) or write.new is None:
        return
    user, spec = write.context.user, write.new.setdefault("spec", {})
    for key in ("username", "uid", "groups", "extra"):
        spec.pop(key, None)
    if user.name:
        spec["username"] = user.name
    if user.uid:
        spec["uid"] = user.uid
    if user.groups:
        spec["groups"] = list(user.groups)
    if user.extra:
        spec["extra"] = {k: list(v) for k, v in user.extra.items()}


async def check(write: Write) -> None:
    if (write.kind.group, write.kind.plural) != (GROUP, PLURAL) or write.operation != "UPDATE":
        return
    if write.old is None or write.new is None or write.subresource not in ("approval", "status"):
        return
    signer = write.old["spec"].get("signerName", "")
    verb, does = ("approve", "approve") if write.subresource == "approval" else ("sign", "sign")
    if write.subresource == "status" and (write.old.get("status") or {}).get("certificate") == (
        write.new.get("status") or {}
    ).get("certificate"):
        return
    if not await _may(write, verb, signer):
        name = write.new["metadata"]["name"]
        why = f'user not permitted to {does} requests with signerName "{signer}"'
        raise forbidden(PLURAL, GROUP, name, why)


async def _may(write: Write, verb: str, signer: str) -> bool:
    """The right for this signer, or for all of its domain."""
    domain = signer.partition("/")[0]
    for name in (signer, f"{domain}/*"):
        asked = Attributes(verb, GROUP, "v1", "signers", "", "", name)
        if await write.context.server.authorizer.allows(write.context.user, asked) is not None:
            return True
    return False
