"""What is checked of projected volumes. https://kubernetes.io/docs/concepts/storage/projected-volumes/"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from heeler.kinds.certificates.rules import signer_name
from heeler.kinds.core.volume_file_rules import downward_file, file_items, file_mode
from heeler.kinds.internal_form import internal, selector
from heeler.kinds.meta.checks import needed, numbered, unreserved_path
from heeler.kinds.meta.objectmeta import each
from heeler.kinds.meta.selector_rules import label_selector
from heeler.kinds.types import type_named
from heeler.objects import names
from heeler.objects.faults import Fault, forbidden, invalid, not_supported, required
from heeler.objects.value import Object

Rule = Callable[[Object, str], Iterator[Fault]]

HOUR = 3600
#: How long certificates of Kubernetes' own signers may last, and those of others.
_OWN_SIGNERS, _MAX_OWN, _MAX_OTHERS = "kubernetes.io/", 24 * HOUR, 91 * 24 * HOUR
KEY_TYPES = ("RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519")


def projected(value: Object, path: str) -> Iterator[Fault]:
    yield from file_mode(value.get("defaultMode"), f"{path}.defaultMode")
    taken: set[str] = set()
    for at, part in numbered(value.get("sources")):
        here = f"{path}.sources[{at}]"
        given = [key for key in _PROJECTIONS if key in part]
        for key in given:
            yield from _PROJECTIONS[key](part[key], f"{here}.{key}")
            if key == "serviceAccountToken":  # upstream tells the volume's path of it
                yield from _path(part[key], path)
            for file, shown in _files(key, part[key]):
                if file in taken:
                    yield invalid(path, shown, "conflicting duplicate paths")
                taken.add(file)
        if len(given) > 1:
            yield forbidden(here, "may not specify more than 1 volume type per source")


def _files(key: str, value: Object) -> Iterator[tuple[str, str]]:
    """`(path, what a message shows)` of the files that a source makes. (Tokens are not compared upstream.)"""
    if key in ("secret", "configMap"):
        for row in value.get("items") or ():
            if row.get("path"):
                yield row["path"], value.get("name", "")
        return
    paths: list[str | None] = []
    if key == "downwardAPI":
        paths = [row.get("path") for row in value.get("items") or ()]
    elif key == "clusterTrustBundle":
        paths = [value.get("path")]
    elif key == "podCertificate":
        paths = [value.get(name) for name in _CERTIFICATE_FILES]
    yield from ((path, path) for path in paths if path)


def _named(value: Object, path: str) -> Iterator[Fault]:
    yield from needed(value.get("name"), f"{path}.name")
    yield from file_items(value.get("items"), f"{path}.items")


def _downward(value: Object, path: str) -> Iterator[Fault]:
    for _, row in numbered(value.get("items")):
        yield from downward_file(row, path)


def _token(value: Object, path: str) -> Iterator[Fault]:
    seconds = value.get("expirationSeconds", HOUR)
    here = f"{path}.expirationSeconds"
    if seconds < 600:
        yield invalid(here, seconds, "may not specify a duration less than 10 minutes")
    if seconds > 1 << 32:
        yield invalid(here, seconds, "may not specify a duration larger than 2^32 seconds")


def _path(value: Object, path: str) -> Iterator[Fault]:
    yield from needed(value.get("path"), f"{path}.path")
    yield from unreserved_path(value.get("path", ""), f"{path}.path")


def _trust_bundle(value: Object, path: str) -> Iterator[Fault]:
    name, signer, labels = value.get("name"), value.get("signerName"), value.get("labelSelector")
    if name is not None and signer is not None:
        shown = internal(value, type_named("io.k8s.api.core.v1.ClusterTrustBundleProjection"))
        yield invalid(path, shown, "only one of name and signerName may be used")
    elif name is not None:
        if not name:
            yield required(f"{path}.name", "must be a valid object name")
        for words in names.subdomain(name):
            yield invalid(f"{path}.name", name, f"not a valid clustertrustbundlename: {words}")
        if labels is not None:
            yield invalid(f"{path}.labelSelector", selector(labels), "labelSelector must be unset if name is specified")
    elif signer is not None:
        if not signer:
            yield required(f"{path}.signerName", "must be a valid signer name")
        yield from signer_name(signer, f"{path}.signerName")
        yield from label_selector(labels, f"{path}.labelSelector")
    else:
        yield required(path, "either name or signerName must be specified")
    yield from _path(value, path)


_CERTIFICATE_FILES = ("credentialBundlePath", "keyPath", "certificateChainPath")


def _pod_certificate(value: Object, path: str) -> Iterator[Fault]:
    signer = value.get("signerName", "")
    yield from signer_name(signer, f"{path}.signerName")
    for key in sorted(value.get("userAnnotations") or {}):
        yield from each(f"{path}.userAnnotations", key, names.qualified(key))
    if value.get("keyType") not in KEY_TYPES:
        yield not_supported(f"{path}.keyType", value.get("keyType", ""), KEY_TYPES)
    seconds = value.get("maxExpirationSeconds")
    most = _MAX_OWN if signer.startswith(_OWN_SIGNERS) else _MAX_OTHERS
    if seconds is not None and seconds < HOUR:
        yield invalid(f"{path}.maxExpirationSeconds", seconds, f"if provided, maxExpirationSeconds must be >= {HOUR}")
    if seconds is not None and seconds > most:
        yield invalid(f"{path}.maxExpirationSeconds", seconds, f"if provided, maxExpirationSeconds must be <= {most}")
    given = [(key, value[key]) for key in _CERTIFICATE_FILES if value.get(key)]
    if not given:
        yield required(path, "specify at least one of credentialBundlePath, keyPath, and certificateChainPath")
    for key, file in given:
        yield from unreserved_path(file, f"{path}.{key}")


_PROJECTIONS: dict[str, Rule] = {
    "secret": _named,
    "configMap": _named,
    "downwardAPI": _downward,
    "serviceAccountToken": _token,
    "clusterTrustBundle": _trust_bundle,
    "podCertificate": _pod_certificate,
}
