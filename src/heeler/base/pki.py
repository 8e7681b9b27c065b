"""Keys and certificates: an authority, what it signs, and TLS contexts made of them.

Elliptic-curve keys (P-256) throughout, except where somebody needs RSA (service account tokens). `cryptography` is
imported at the first use. Source: RFC 5280; https://kubernetes.io/docs/setup/best-practices/certificates/.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heeler.base.files import write_atomic

#: Days that an authority, and a certificate signed by it, is good for.
AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 365
#: Certificates are good from so long before: clocks differ, and are set back after a certificate was made.
SKEW = datetime.timedelta(days=1)
#: What kube-controller-manager takes off the beginning of what it signs.
BACKDATE = datetime.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes

    def save(self, certificate: Path, key: Path) -> None:
        """Write both; the key is readable by its owner only."""
        write_atomic(key, self.key, 0o600)
        write_atomic(certificate, self.certificate, 0o644)

    @classmethod
    def load(cls, certificate: Path, key: Path) -> KeyPair:
        return cls(certificate.read_bytes(), key.read_bytes())


def new_authority(common_name: str, now: float) -> KeyPair:
    """A self-signed authority; `now` is in seconds since the epoch."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    key = _new_key()
    name = _name(common_name, ())
    start = datetime.datetime.fromtimestamp(now, datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - SKEW)
        .not_valid_after(start + datetime.timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pair(certificate, key)


def issue(
    authority: KeyPair,
    common_name: str,
    now: float,
    *,
    organizations: Sequence[str] = (),
    server_names: Sequence[str] = (),
    client: bool = False,
    days: int = CERTIFICATE_DAYS,
) -> KeyPair:
    """A certificate for a server (`server_names`: DNS names and addresses), a client, or both."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509.oid import ExtendedKeyUsageOID

    signer = x509.load_pem_x509_certificate(authority.certificate)
    signing_key: Any = serialization.load_pem_private_key(authority.key, None)
    key = _new_key()
    start = datetime.datetime.fromtimestamp(now, datetime.UTC)
    uses = [ExtendedKeyUsageOID.SERVER_AUTH] if server_names else []
    if client:
        uses.append(ExtendedKeyUsageOID.CLIENT_AUTH)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(common_name, organizations))
        .issuer_name(signer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - SKEW)
        .not_valid_after(min(start + datetime.timedelta(days=days), signer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False)
    )
    if server_names:
        builder = builder.add_extension(x509.SubjectAlternativeName(_alternatives(server_names)), critical=False)
    return _pair(builder.sign(signing_key, hashes.SHA256()), key)


def new_rsa_key() -> bytes:
    """A private RSA key of 2048 bits, PEM: what signs service account tokens (RS256)."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def expires_at(certificate: bytes) -> float:
    """The end of a PEM certificate's life in seconds since the epoch. Raises ValueError for anything else."""
    from cryptography import x509

    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc.timestamp()


def server_context(certificate: Path, key: Path, client_authority: Path | None) -> ssl.SSLContext:
    """TLS for a server that asks clients for a certificate (and goes on without one)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    if client_authority:
        context.load_verify_locations(client_authority)
        context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context


def client_context(
    authority: Path | bytes | None, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """TLS for a client that trusts `authority` alone (None: the system's), with its own certificate if given."""
    if isinstance(authority, bytes):
        context = ssl.create_default_context(cadata=authority.decode())
    else:
        context = ssl.create_default_context(cafile=str(authority) if authority else None)
    if certificate:
        context.load_cert_chain(certificate, key)
    return context


class Renewing:
    """A context whose certificate stands in files that are replaced before it ends: `look` takes up the new one.

    Connections that stand go on as they are."""

    def __init__(self, context: ssl.SSLContext, certificate: Path, key: Path) -> None:
        self._context, self._certificate, self._key = context, certificate, key
        self._stamp = self._when()

    def _when(self) -> float:
        return max(self._certificate.stat().st_mtime, self._key.stat().st_mtime)

    def look(self) -> bool:
        """Whether there was a new one. Raises OSError (ssl.SSLError for files that don't fit each other yet)."""
        stamp = self._when()
        if stamp == self._stamp:
            return False
        self._context.load_cert_chain(self._certificate, self._key)
        self._stamp = stamp
        return True


def _new_key() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _name(common_name: str, organizations: Sequence[str]) -> Any:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in organizations]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternatives(names: Sequence[str]) -> list[Any]:
    from cryptography import x509

    out: list[Any] = []
    for name in names:
        try:
            out.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            out.append(x509.DNSName(name))
    return out


def _usage(*, authority: bool) -> Any:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not authority,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _pair(certificate: Any, key: Any) -> KeyPair:
    from cryptography.hazmat.primitives import serialization

    return KeyPair(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


@dataclass(frozen=True, slots=True)
class Requested:
    """What a PKCS #10 request asks for: the subject, and other names by their kind."""

    common_name: str
    organizations: tuple[str, ...]
    dns: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()


def read_request(pem: bytes) -> Requested:
    """Read a certificate request. Raises ValueError, also for one that its own key didn't sign."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    found = x509.load_pem_x509_csr(pem)
    if not found.is_signature_valid:
        raise ValueError("the request is not signed by its own key")
    names: Any = ()
    with contextlib.suppress(x509.ExtensionNotFound):
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    def of(kind: Any) -> tuple[str, ...]:
        return tuple(str(name) for name in names.get_values_for_type(kind)) if names else ()

    def part(oid: Any) -> tuple[str, ...]:
        return tuple(str(one.value) for one in found.subject.get_attributes_for_oid(oid))

    return Requested(
        "".join(part(NameOID.COMMON_NAME)[:1]),
        part(NameOID.ORGANIZATION_NAME),
        of(x509.DNSName),
        of(x509.IPAddress),
        of(x509.RFC822Name),
        of(x509.UniformResourceIdentifier),
    )


def sign_request(authority: KeyPair, pem: bytes, usages: Sequence[str], seconds: float, now: float) -> bytes:
    """A certificate (PEM) for a request, with its subject and names; `usages` in Kubernetes' words. Raises ValueError.

    Source: https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509.oid import ExtendedKeyUsageOID

    extended = {
        "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
        "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
        "code signing": ExtendedKeyUsageOID.CODE_SIGNING,
        "email protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
        "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
        "ocsp signing": ExtendedKeyUsageOID.OCSP_SIGNING,
        "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    }
    found = x509.load_pem_x509_csr(pem)
    signer = x509.load_pem_x509_certificate(authority.certificate)
    key: Any = serialization.load_pem_private_key(authority.key, None)
    start = datetime.datetime.fromtimestamp(now, datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(found.subject)
        .issuer_name(signer.subject)
        .public_key(found.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - BACKDATE)
        .not_valid_after(min(start + datetime.timedelta(seconds=seconds), signer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    bits = {
        "digital_signature": "digital signature" in usages or "signing" in usages,
        "content_commitment": "content commitment" in usages,
        "key_encipherment": "key encipherment" in usages,
        "data_encipherment": "data encipherment" in usages,
        "key_agreement": "key agreement" in usages,
    }
    if any(bits.values()):  # RFC 5280 4.2.1.3: one at least, or no such extension
        no = dict.fromkeys(("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"), False)
        builder = builder.add_extension(x509.KeyUsage(**bits, **no), critical=True)
    purposes = [extended[usage] for usage in usages if usage in extended]
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    with contextlib.suppress(x509.ExtensionNotFound):
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        builder = builder.add_extension(names.value, critical=names.critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
