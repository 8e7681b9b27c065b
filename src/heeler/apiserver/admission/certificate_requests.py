"""Certificate signing requests: who asked is noted by the server; who approves or signs must have the right for the signer.

Upstream's CertificateApproval, CertificateSigning and CertificateSubjectRestriction. Source:
https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, NamedTuple

from heeler.apiserver.authorize.rbac import Attributes
from heeler.apiserver.user import MASTERS
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write

GROUP, PLURAL = "certificates.k8s.io", "certificatesigningrequests"
CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"
_BUNDLES = "clustertrustbundles"


class Subject(NamedTuple):
    """Whom a certificate is asked for."""

    common_name: str
    organizations: tuple[str, ...]


def subject(spec: Object) -> Subject:
    """Read out of a request's PEM. Raises ValueError."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        pem = base64.b64decode(spec.get("request") or "", validate=True)
    except binascii.Error as error:
        raise ValueError(f"the request is not base64: {error}") from None
    name = x509.load_pem_x509_csr(pem).subject
    names = [str(a.value) for a in name.get_attributes_for_oid(NameOID.COMMON_NAME)]
    groups = tuple(str(a.value) for a in name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME))
    return Subject(names[-1] if names else "", groups)


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
    if (write.kind.group, write.kind.plural) == (GROUP, _BUNDLES):
        await _check_bundle(write)
    if (write.kind.group, write.kind.plural) != (GROUP, PLURAL) or write.new is None:
        return
    if write.operation == "CREATE" and not write.subresource:
        _check_subject(write, write.new)
    if write.old is None or write.subresource not in ("approval", "status"):
        return
    if write.subresource == "status" and not _signed(write.old, write.new):
        return
    signer = write.old["spec"].get("signerName", "")
    verb = "approve" if write.subresource == "approval" else "sign"
    if not await _may(write, verb, signer):
        raise write.refused(f'user not permitted to {verb} requests with signerName "{signer}"')


def _check_subject(write: Write, request: Object) -> None:
    """Nobody becomes an administrator by way of a certificate."""
    spec = request.get("spec") or {}
    if spec.get("signerName") != CLIENT_SIGNER:
        return
    try:
        groups = subject(spec).organizations
    except ValueError:
        return  # the rules of the kind have refused it
    if MASTERS in groups:
        why = f"use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed"
        raise write.refused(why)


def _signed(old: Object, new: Object) -> bool:
    """Does a status change what a signer has to say: the certificate, or that there is none?"""
    before, after = old.get("status") or {}, new.get("status") or {}
    return any((before.get(part) or []) != (after.get(part) or []) for part in ("certificate", "conditions"))


async def _check_bundle(write: Write) -> None:
    """A bundle in a signer's name needs the right to attest for the signer (ClusterTrustBundleAttest)."""
    if write.new is None or write.subresource:
        return
    signer = (write.new.get("spec") or {}).get("signerName") or ""
    if signer and not await _may(write, "attest", signer):
        raise write.refused(f'user not permitted to attest for signerName "{signer}"')


async def _may(write: Write, verb: str, signer: str) -> bool:
    """The right for this signer, or for all of its domain."""
    domain = signer.partition("/")[0]
    for name in (signer, f"{domain}/*"):
        asked = Attributes(verb, GROUP, "v1", "signers", "", "", name)
        if await write.context.server.authorizer.allows(write.context.user, asked) is not None:
            return True
    return False
