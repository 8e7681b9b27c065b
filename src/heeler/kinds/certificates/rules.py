"""What is checked of the kinds of certificates.k8s.io."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

from heeler.kinds.meta.objectmeta import each
from heeler.objects import names
from heeler.objects.faults import Fault, duplicate, forbidden, invalid, not_supported, quote, required
from heeler.objects.value import Object

USAGES = (
    *("any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment"),
    *("decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel"),
    *("ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing"),
    *("s/mime", "server auth", "signing", "timestamping"),
)
_PEM = re.compile(rb"-----BEGIN ([^-]+)-----\s.*?-----END \1-----", re.DOTALL)
LEGACY = "kubernetes.io/legacy-unknown"
MIN_SECONDS = 600


def signing_request(obj: Object) -> Iterator[Fault]:
    spec = obj["spec"]
    yield from _request(spec.get("request"), "spec.request")
    usages = spec.get("usages") or []
    if not usages:
        yield required("spec.usages")
    seen: set[str] = set()
    for at, usage in enumerate(usages):
        if usage not in USAGES:
            yield not_supported(f"spec.usages[{at}]", usage, USAGES)
        if usage in seen:
            yield duplicate(f"spec.usages[{at}]", usage)
        seen.add(usage)
    if spec.get("signerName") == LEGACY:
        yield invalid("spec.signerName", LEGACY, "the legacy signerName is not allowed via this API version")
    else:
        yield from signer_name(spec.get("signerName", ""), "spec.signerName")
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < MIN_SECONDS:
        yield invalid(
            "spec.expirationSeconds",
            seconds,
            f"may not specify a duration less than {MIN_SECONDS} seconds ({MIN_SECONDS // 60} minutes)",
        )


def _request(encoded: str | None, path: str) -> Iterator[Fault]:
    found = _PEM.search(base64.b64decode(encoded or ""))
    if found is None or found.group(1) != b"CERTIFICATE REQUEST":
        yield invalid(path, encoded, "PEM block type must be CERTIFICATE REQUEST")


def signer_name(name: str, path: str) -> Iterator[Fault]:
    if not name:
        yield required(path)
        return
    domain, slash, rest = name.partition("/")
    if not slash or "/" in rest:
        yield invalid(path, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'")
        return
    for words in names.subdomain(domain):
        yield invalid(path, domain, f"validating label {quote(domain)}: {words}")
    if len(domain.split(".")) < 2:
        yield invalid(path, domain, "should be a domain with at least two segments separated by dots")
    for words in names.subdomain(rest):
        yield invalid(path, rest, f"validating label {quote(rest)}: {words}")


def _conditions(new: Object, old: Object, fixed: tuple[str, ...]) -> Iterator[Fault]:
    """Decisions are not taken back; some may not be added here."""
    here = "status.conditions"
    now = [c.get("type") for c in (new.get("status") or {}).get("conditions") or ()]
    before = [c.get("type") for c in (old.get("status") or {}).get("conditions") or ()]
    for kind in ("Approved", "Denied", "Failed"):
        if kind in before and kind not in now:
            yield forbidden(here, f"updates may not remove a condition of type {quote(kind)}")
    for kind in fixed:
        if kind in now and kind not in before:
            yield forbidden(here, f"updates may not add a condition of type {quote(kind)}")
    if "Approved" in now and "Denied" in now:
        both = ['conditions[{"type": "Approved"}]', 'conditions[{"type": "Denied"}]']
        words = "must specify at most one of: " + ", ".join(f"`{one}`" for one in both)
        yield invalid(here, f"{{{', '.join(both)}}}", words)


def _each_condition(request: Object) -> Iterator[Fault]:
    seen: list[str] = []
    for at, condition in enumerate((request.get("status") or {}).get("conditions") or ()):
        here, kind, status = f"status.conditions[{at}]", condition.get("type", ""), condition.get("status", "")
        if not kind:
            yield required(f"{here}.type")
        if not status:
            yield required(f"{here}.status")
        elif kind in ("Approved", "Denied", "Failed") and status != "True":
            yield not_supported(f"{here}.status", status, ("True",))
        elif status not in ("True", "False", "Unknown"):
            yield not_supported(f"{here}.status", status, ("True", "False", "Unknown"))
        if kind in seen:
            yield duplicate(f"{here}.type", kind)
        seen.append(kind)


def request_update(new: Object, old: Object) -> Iterator[Fault]:
    yield from _conditions(new, old, ("Approved", "Denied"))


def request_status(new: Object, old: Object) -> Iterator[Fault]:
    certificate = (new.get("status") or {}).get("certificate")
    if certificate:
        blocks = _PEM.findall(base64.b64decode(certificate))
        if b"CERTIFICATE" not in blocks:
            yield invalid("status.certificate", "<certificate data>", "must contain at least one CERTIFICATE PEM block")
    yield from _each_condition(new)
    yield from _conditions(new, old, ("Approved", "Denied"))


def request_approval(new: Object, old: Object) -> Iterator[Fault]:
    yield from _each_condition(new)
    yield from _conditions(new, old, ())


def trust_bundle(obj: Object) -> Iterator[Fault]:
    spec = obj.get("spec") or {}
    name, signer = obj["metadata"].get("name", ""), spec.get("signerName", "")
    prefix = signer.replace("/", ":") + ":" if signer else ""
    if signer:
        yield from signer_name(signer, "spec.signerName")
        if not name.startswith(prefix):
            yield invalid(
                "metadata.name", name, f"ClusterTrustBundle for signerName {signer} must be named with prefix {prefix}"
            )
    elif ":" in name:
        yield invalid("metadata.name", name, 'ClusterTrustBundle without signer name must not have ":" in its name')
    bundle = spec.get("trustBundle", "")
    if "-----BEGIN CERTIFICATE-----" not in bundle:
        yield invalid("spec.trustBundle", "<value omitted>", "at least one trust anchor must be provided")


def pod_request(obj: Object) -> Iterator[Fault]:
    spec = obj["spec"]
    yield from signer_name(spec.get("signerName", ""), "spec.signerName")
    for key, check in (
        ("podName", names.subdomain),
        ("serviceAccountName", names.subdomain),
        ("nodeName", names.subdomain),
    ):
        value = spec.get(key, "")
        yield from each(f"spec.{key}", value, check(value))
    for key in ("podUID", "serviceAccountUID", "nodeUID"):
        if not spec.get(key):
            yield required(f"spec.{key}")
    seconds = spec.get("maxExpirationSeconds")
    if seconds is None:
        yield required("spec.maxExpirationSeconds", "must be set")
    elif seconds < 3600:
        yield invalid("spec.maxExpirationSeconds", seconds, "must be in the range [3600, 7862400]")
