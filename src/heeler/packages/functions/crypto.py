"""sprig's randomness, keys, certificates, passwords and AES.

Keys and certificates are made by `cryptography`, bcrypt by `bcrypt`; both are loaded at the first use. Nothing here is
repeatable: a chart that wants to keep what it made has to look it up (`lookup`) on its next upgrade.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from heeler.base.clock import SystemClock
from heeler.base.random import SystemRandom
from heeler.packages.functions.convert import data, undata
from heeler.packages.functions.encoding import from_base64_bytes
from heeler.packages.functions.strings import MOST_BYTES
from heeler.packages.template.formatting import quote, text
from heeler.packages.template.values import Function, GoError, GoPanic, Struct, go

# ---- randomness ------------------------------------------------------------------------------------------------------

_NUMBERS: Final = "0123456789"
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PRINTABLE: Final = "".join(map(chr, range(32, 127)))


def _random_text(signs: str) -> Any:
    def draw(count: int) -> str:
        if count > MOST_BYTES:
            raise GoPanic("runtime error: makeslice: len out of range")
        source = SystemRandom()
        return "".join([signs[source.below(len(signs))] for _ in range(count)])

    return draw


def random_bytes(count: int) -> str:
    """So many random bytes, in base64."""
    if not 0 <= count <= MOST_BYTES:
        raise GoPanic("runtime error: makeslice: len out of range")
    return base64.b64encode(SystemRandom().bytes(count)).decode()


def shuffled(value: str) -> str:
    signs = list(value)
    source = SystemRandom()
    for last in range(len(signs) - 1, 0, -1):
        other = source.below(last + 1)
        signs[last], signs[other] = signs[other], signs[last]
    return "".join(signs)


# ---- passwords -------------------------------------------------------------------------------------------------------

BCRYPT_COST: Final = 10
BCRYPT_BYTES: Final = 72


def bcrypted(password: str) -> str:
    """The password's bcrypt hash, or what is wrong with it."""
    if len(data(password)) > BCRYPT_BYTES:
        return f"failed to encrypt string with bcrypt: bcrypt: password length exceeds {BCRYPT_BYTES} bytes"
    try:
        import bcrypt
    except ImportError:
        raise GoError("bcrypt needs the Python package bcrypt, which isn't installed") from None
    return str(bcrypt.hashpw(data(password), bcrypt.gensalt(BCRYPT_COST, prefix=b"2a")).decode())


def htpasswd(user: str, password: str) -> str:
    return f"invalid username: {user}" if ":" in user else f"{user}:{bcrypted(password)}"


#: Master Password (version 3): what a letter of a template stands for, and the templates of each type of password.
#: Source: https://masterpassword.app/masterpassword-algorithm.pdf
_TEMPLATE_SIGNS: Final = {
    "V": "AEIOU",
    "C": "BCDFGHJKLMNPQRSTVWXYZ",
    "v": "aeiou",
    "c": "bcdfghjklmnpqrstvwxyz",
    "A": "AEIOUBCDFGHJKLMNPQRSTVWXYZ",
    "a": "AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
    "n": _NUMBERS,
    "o": "@&%?,=[]_:-+*$#!'^~;()/.",
    "x": "AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
}
_TEMPLATES: Final = {
    "maximum": ("anoxxxxxxxxxxxxxxxxx", "axxxxxxxxxxxxxxxxxno"),
    "long": tuple(
        "CvcvnoCvcvCvcv CvcvCvcvnoCvcv CvcvCvcvCvcvno CvccnoCvcvCvcv CvccCvcvnoCvcv CvccCvcvCvcvno CvcvnoCvccCvcv "
        "CvcvCvccnoCvcv CvcvCvccCvcvno CvcvnoCvcvCvcc CvcvCvcvnoCvcc CvcvCvcvCvccno CvccnoCvccCvcv CvccCvccnoCvcv "
        "CvccCvccCvcvno CvcvnoCvccCvcc CvcvCvccnoCvcc CvcvCvccCvccno CvccnoCvcvCvcc CvccCvcvnoCvcc CvccCvcvCvccno".split()
    ),
    "medium": ("CvcnoCvc", "CvcCvcno"),
    "short": ("Cvcn",),
    "basic": ("aaanaaan", "aannaaan", "aaannaaa"),
    "pin": ("nnnn",),
}
_MASTER: Final = b"com.lyndir.masterpassword"


def derived_password(counter: int, kind: str, password: str, user: str, site: str) -> str:
    """The password of a site out of a master password."""
    templates = _TEMPLATES.get(kind)
    if templates is None:
        return f"cannot find password template {kind}"
    import hashlib
    import hmac

    name, place = data(user), data(site)
    salt = _MASTER + len(name).to_bytes(4, "big") + name
    key = hashlib.scrypt(data(password), salt=salt, n=32_768, r=8, p=2, maxmem=128 << 20, dklen=64)
    message = _MASTER + len(place).to_bytes(4, "big") + place + counter.to_bytes(4, "big")
    seed = hmac.digest(key, message, "sha256")
    template = templates[seed[0] % len(templates)]
    signs = [_TEMPLATE_SIGNS[letter] for letter in template]
    return "".join([choice[seed[at + 1] % len(choice)] for at, choice in enumerate(signs)])


# ---- AES -------------------------------------------------------------------------------------------------------------

_BLOCK: Final = 16


def _cipher(password: str, vector: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    return Cipher(algorithms.AES(data(password)[:32].ljust(32, b"\0")), modes.CBC(vector))


def encrypted(password: str, value: str) -> str:
    """AES-256-CBC in base64, with the initial vector in front. The password is the key, cut or filled with zeros."""
    if not value:
        return ""
    raw = data(value)
    padding = _BLOCK - len(raw) % _BLOCK
    vector = SystemRandom().bytes(_BLOCK)
    encryptor = _cipher(password, vector).encryptor()
    return base64.b64encode(vector + encryptor.update(raw + bytes([padding]) * padding) + encryptor.finalize()).decode()


def decrypted(password: str, value: str) -> str:
    if not value:
        return ""
    raw = from_base64_bytes(value)
    if len(raw) < _BLOCK:
        capacity = len(value) // 4 * 3
        raise GoPanic(f"runtime error: slice bounds out of range [:{_BLOCK}] with capacity {capacity}")
    if len(raw) % _BLOCK:
        raise GoPanic("crypto/cipher: input not full blocks")
    if len(raw) == _BLOCK:
        raise GoPanic("runtime error: index out of range [-1]")
    decryptor = _cipher(password, raw[:_BLOCK]).decryptor()
    plain = decryptor.update(raw[_BLOCK:]) + decryptor.finalize()
    end = len(plain) - plain[-1]
    if end < 0:
        raise GoPanic(f"runtime error: slice bounds out of range [:{end}]")
    return undata(plain[:end])


# ---- keys ------------------------------------------------------------------------------------------------------------


def _pem(key: Any) -> str:
    """A private key in PEM, in the form that is its kind's own; Ed25519 has PKCS #8 only."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    own = serialization.PrivateFormat.TraditionalOpenSSL
    form = serialization.PrivateFormat.PKCS8 if isinstance(key, ed25519.Ed25519PrivateKey) else own
    return str(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode())


def _rsa_key(bits: int) -> Any:
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(65537, bits)


def private_key(kind: str) -> str:
    match kind:
        case "" | "rsa":
            return _pem(_rsa_key(4096))
        case "dsa":
            from cryptography.hazmat.primitives.asymmetric import dsa

            return _pem(dsa.generate_private_key(2048))
        case "ecdsa":
            from cryptography.hazmat.primitives.asymmetric import ec

            return _pem(ec.generate_private_key(ec.SECP256R1()))
        case "ed25519":
            from cryptography.hazmat.primitives.asymmetric import ed25519

            return _pem(ed25519.Ed25519PrivateKey.generate())
    return f"Unknown type {kind}"


def _read_key(pem: str) -> Any:
    from cryptography.hazmat.primitives import serialization

    if "-----BEGIN " not in pem:
        raise GoError("no PEM data in input")
    try:
        return serialization.load_pem_private_key(data(pem), None)
    except (ValueError, TypeError) as error:
        raise GoError(f"invalid private key: {error}") from None


# ---- certificates ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Certificate(Struct):
    """A certificate and its key, both PEM."""

    certificate: str
    key: str

    go_type: ClassVar[str] = "sprig.certificate"
    go_fields: ClassVar[Mapping[str, str]] = {"Cert": "certificate", "Key": "key"}


def _texts(values: Any, fault: str) -> list[str]:
    found = []
    for value in values or ():
        if not isinstance(value, str):
            raise GoError(f"{fault}: {text(value)} is not a string")
        found.append(value)
    return found


def _dns_name(name: str) -> Any:
    from cryptography import x509

    if not name.isascii():
        raise GoError(f"error creating certificate: x509: {quote(name)} cannot be encoded as an IA5String")
    return x509.DNSName(name)


def _addresses(values: Any) -> list[Any]:
    found = []
    for value in values or ():
        if not isinstance(value, str):
            raise GoError(f"error parsing ip: {text(value)} is not a string")
        try:
            found.append(ipaddress.ip_address(value))
        except ValueError:
            raise GoError(f"error parsing ip: {value}") from None
    return found


@dataclass(frozen=True, slots=True)
class _Authority:
    """Who signs: the name that stands for it, its key and its certificate."""

    name: Any
    key: Any
    certificate: Any


def _signed(
    name: str,
    addresses: Any,
    names: Any,
    days: int,
    key: Any,
    *,
    authority: _Authority | None = None,
    is_ca: bool = False,
) -> Certificate:
    """A certificate for servers and clients, signed by the authority or by its own key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import dsa, ed25519
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    hosts: list[x509.GeneralName] = [x509.IPAddress(address) for address in _addresses(addresses)]
    hosts = [*map(_dns_name, _texts(names, "error processing alternate dns name")), *hosts]
    with warnings.catch_warnings():
        # names of Services are often longer than X.509's 64 characters; Go doesn't mind
        warnings.simplefilter("ignore", UserWarning)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name, _validate=False)] if name else [])
    start = datetime.datetime.fromtimestamp(int(SystemClock().time()), datetime.UTC)
    try:
        end = start + datetime.timedelta(days=days)
    except OverflowError:
        raise GoError("error creating certificate: x509: validity ends behind the year 9999") from None
    signer = authority.key if authority else key
    if isinstance(signer, dsa.DSAPrivateKey):
        raise GoError("error creating certificate: x509: certificate private key does not implement crypto.Signer")
    usage = x509.KeyUsage(True, False, True, False, False, is_ca, False, False, False)
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    builder = (
        x509.CertificateBuilder(
            issuer_name=authority.name if authority else subject,
            subject_name=subject,
            public_key=key.public_key(),
            serial_number=int.from_bytes(SystemRandom().bytes(16), "big") >> 1 or 1,
        )
        .not_valid_before(min(start, end))
        .not_valid_after(max(start, end))
        .add_extension(usage, critical=True)
        .add_extension(purposes, critical=False)
        .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
    )
    if is_ca:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    if authority is not None:
        identifier = _authority_identifier(authority.certificate)
        if identifier is not None:
            builder = builder.add_extension(identifier, critical=False)
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=not name)
    made = builder.sign(signer, None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    return Certificate(made.public_bytes(serialization.Encoding.PEM).decode(), _pem(key))


def _authority_identifier(certificate: Any) -> Any:
    from cryptography import x509

    try:
        own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return None
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _authority(given: Certificate) -> _Authority:
    from cryptography import x509

    if "-----BEGIN " not in given.certificate:
        raise GoError("unable to decode certificate")
    try:
        certificate = x509.load_pem_x509_certificate(data(given.certificate))
    except ValueError as error:
        raise GoError(f"error parsing certificate: decodedSignerCert.Bytes: {error}") from None
    try:
        key = _read_key(given.key)
    except GoError as error:
        raise GoError(f"error parsing private key: {error}") from None
    return _Authority(certificate.subject, key, certificate)


def _given_key(pem: str) -> Any:
    try:
        return _read_key(pem)
    except GoError as error:
        raise GoError(f"parsing private key: {error}") from None


def authority(name: str, days: int) -> Certificate:
    return _signed(name, (), (), days, _rsa_key(2048), is_ca=True)


def authority_with_key(name: str, days: int, pem: str) -> Certificate:
    return _signed(name, (), (), days, _given_key(pem), is_ca=True)


def self_signed(name: str, addresses: Any, names: Any, days: int) -> Certificate:
    return _signed(name, addresses, names, days, _rsa_key(2048))


def self_signed_with_key(name: str, addresses: Any, names: Any, days: int, pem: str) -> Certificate:
    return _signed(name, addresses, names, days, _given_key(pem))


def signed(name: str, addresses: Any, names: Any, days: int, by: Certificate) -> Certificate:
    return _signed(name, addresses, names, days, _rsa_key(2048), authority=_authority(by))


def signed_with_key(name: str, addresses: Any, names: Any, days: int, by: Certificate, pem: str) -> Certificate:
    return _signed(name, addresses, names, days, _given_key(pem), authority=_authority(by))


def custom(certificate: str, key: str) -> Certificate:
    """A certificate and a key that are there already, both PEM in base64."""
    from cryptography import x509

    try:
        shown = undata(from_base64_bytes(certificate))
    except GoError:
        raise GoError("unable to decode base64 certificate") from None
    try:
        secret = undata(from_base64_bytes(key))
    except GoError:
        raise GoError("unable to decode base64 private key") from None
    if "-----BEGIN " not in shown:
        raise GoError("unable to decode certificate")
    try:
        x509.load_pem_x509_certificate(data(shown))
    except ValueError as error:
        raise GoError(f"error parsing certificate: decodedCert.Bytes: {error}") from None
    try:
        _read_key(secret)
    except GoError as error:
        raise GoError(f"error parsing private key: {error}") from None
    return Certificate(shown, secret)


_NAMES: Final = "[]interface {}"

FUNCTIONS: Final[list[Function]] = [
    go("randAlphaNum(int) string")(_random_text(_NUMBERS + _LETTERS)),
    go("randAlpha(int) string")(_random_text(_LETTERS)),
    go("randAscii(int) string")(_random_text(_PRINTABLE)),
    go("randNumeric(int) string")(_random_text(_NUMBERS)),
    go("randBytes(int) string")(random_bytes),
    go("shuffle(string) string")(shuffled),
    go("uuidv4() string")(lambda: SystemRandom().uuid()),
    go("bcrypt(string) string")(bcrypted),
    go("htpasswd(string, string) string")(htpasswd),
    go("derivePassword(uint32, string, string, string, string) string")(derived_password),
    go("encryptAES(string, string) string")(encrypted),
    go("decryptAES(string, string) string")(decrypted),
    go("genPrivateKey(string) string")(private_key),
    go("buildCustomCert(string, string) sprig.certificate")(custom),
    go("genCA(string, int) sprig.certificate")(authority),
    go("genCAWithKey(string, int, string) sprig.certificate")(authority_with_key),
    go(f"genSelfSignedCert(string, {_NAMES}, {_NAMES}, int) sprig.certificate")(self_signed),
    go(f"genSelfSignedCertWithKey(string, {_NAMES}, {_NAMES}, int, string) sprig.certificate")(self_signed_with_key),
    go(f"genSignedCert(string, {_NAMES}, {_NAMES}, int, sprig.certificate) sprig.certificate")(signed),
    go(f"genSignedCertWithKey(string, {_NAMES}, {_NAMES}, int, sprig.certificate, string) sprig.certificate")(
        signed_with_key
    ),
]
