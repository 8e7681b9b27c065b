"""CertificateSigningRequest, PodCertificateRequest, ClusterTrustBundle.

https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/certificate-signing-request-v1/
"""

from __future__ import annotations

from heeler.kinds.certificates import rules
from heeler.kinds.kind import Column, Own, SubresourceOwn, status_only
from heeler.kinds.printing import AGE, NAME, NONE, cell, human_duration, text_at
from heeler.objects.value import Object

GROUP = "certificates.k8s.io"


def _prepare_request(request: Object) -> None:
    request["status"] = {}


def _keep_spec(new: Object, old: Object) -> None:
    """What was asked for stays; who asked for it too."""
    new["spec"] = old["spec"]


def _stamp(new: Object, old: Object, now: str) -> None:
    """Conditions without times get them: when they were last written, and when they last changed."""
    before = {c.get("type"): c for c in (old.get("status") or {}).get("conditions") or ()}
    for condition in (new.get("status") or {}).get("conditions") or ():
        if not condition.get("lastUpdateTime"):
            condition["lastUpdateTime"] = now
        if not condition.get("lastTransitionTime"):
            was = before.get(condition.get("type"), {})
            same = was.get("status") == condition.get("status") and was.get("lastTransitionTime")
            condition["lastTransitionTime"] = same or now


def _prepare_approval(new: Object, old: Object) -> None:
    """Approval changes the conditions alone."""
    conditions = (new.get("status") or {}).get("conditions")
    new["spec"] = old["spec"]
    new["status"] = {k: v for k, v in old.get("status", {}).items() if k != "conditions"}
    if conditions:
        new["status"]["conditions"] = conditions


def _condition(request: Object) -> str:
    status = request.get("status") or {}
    kinds = [c.get("type") for c in status.get("conditions") or ()]
    out = "Denied" if "Denied" in kinds else "Approved" if "Approved" in kinds else "Pending"
    if "Failed" in kinds:
        out += ",Failed"
    return f"{out},Issued" if status.get("certificate") else out


def _duration(request: Object) -> str:
    seconds = request["spec"].get("expirationSeconds")
    return NONE if seconds is None else human_duration(seconds)


SIGNING_REQUEST = Own(
    GROUP,
    "CertificateSigningRequest",
    name_form="path",
    rules=rules.signing_request,
    prepare_update=_keep_spec,
    reset_fields=(("spec",), ("status",)),
    update_rules=rules.request_update,
    status=True,
    prepare_create=_prepare_request,
    columns=(
        NAME,
        AGE,
        Column(
            "SignerName", text_at("spec.signerName", NONE), about="certificates.v1.CertificateSigningRequest#signer"
        ),
        Column("Requestor", text_at("spec.username"), about="=Base64-encoded PKCS#10 CSR data"),
        Column(
            "RequestedDuration",
            cell(_duration),
            about="certificates.v1.CertificateSigningRequestSpec.expirationSeconds",
        ),
        Column("Condition", cell(_condition), about="=Conditions applied to the request, such as approval or denial."),
    ),
    selectable={"spec.signerName": lambda obj: str(obj["spec"].get("signerName", ""))},
    unsupported_label="field label not supported: {label}",
    subresources={
        "status": SubresourceOwn(status_only, rules.request_status, stamp=_stamp),
        "approval": SubresourceOwn(_prepare_approval, rules.request_approval, stamp=_stamp),
    },
)


def _default_pod_request(request: Object, version: str) -> None:
    request["spec"].setdefault("maxExpirationSeconds", 86400)


def _state(request: Object) -> str:
    for condition in (request.get("status") or {}).get("conditions") or ():
        if condition.get("type") in ("Issued", "Denied", "Failed"):
            return str(condition["type"])
    return "Pending"


_POD_SPEC = "certificates.v1.PodCertificateRequestSpec"

POD_REQUEST = Own(
    GROUP,
    "PodCertificateRequest",
    rules=rules.pod_request,
    default=_default_pod_request,
    status=True,
    prepare_create=_prepare_request,
    columns=(
        NAME,
        Column("PodName", text_at("spec.podName"), about=f"{_POD_SPEC}.podName"),
        Column("ServiceAccountName", text_at("spec.serviceAccountName"), about=f"{_POD_SPEC}.serviceAccountName"),
        Column("NodeName", text_at("spec.nodeName"), about=f"{_POD_SPEC}.nodeName"),
        Column("SignerName", text_at("spec.signerName"), about=f"{_POD_SPEC}.signerName"),
        Column("State", cell(_state), about="=Is the request Pending, Issued, Denied, or Failed?"),
        Column(
            "UnverifiedUserAnnotations",
            cell(lambda obj: len(obj["spec"].get("unverifiedUserAnnotations") or ())),
            about=f"{_POD_SPEC}.unverifiedUserAnnotations",
        ),
    ),
    selectable={
        key: (lambda name: lambda obj: str(obj["spec"].get(name, "")))(key.partition(".")[2])
        for key in ("spec.signerName", "spec.podName", "spec.nodeName")
    },
    unsupported_label="field label not supported: {label}",
    subresources={"status": SubresourceOwn(status_only)},
)

CLUSTER_TRUST_BUNDLE = Own(
    GROUP,
    "ClusterTrustBundle",
    name_form="any",
    rules=rules.trust_bundle,
    columns=(
        NAME,
        Column("SignerName", text_at("spec.signerName"), about="certificates.v1.ClusterTrustBundleSpec.signerName"),
    ),
    selectable={"spec.signerName": lambda obj: str((obj.get("spec") or {}).get("signerName", ""))},
    unsupported_label="field label not supported: {label}",
)
