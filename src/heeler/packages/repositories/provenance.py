"""Provenance: a chart's metadata and its archive's digest, signed in clear text with OpenPGP.

Source: https://helm.sh/docs/topics/provenance/ ; OpenPGP by Sequoia (https://gitlab.com/sequoia-pgp/sequoia).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_BEGIN = b"-----BEGIN PGP SIGNED MESSAGE-----"
#: Characters of a passphrase that is given over a pipe or in a file.
MAX_PASSPHRASE = 4096


class ProvenanceError(Exception):
    """It can't be signed, or isn't what was signed; in Helm's words."""


@dataclass(frozen=True, slots=True)
class Verification:
    """Who signed, the fingerprint of the key in capital hexadecimal digits, and the archive's digest (`sha256:…`)."""

    signers: tuple[str, ...]
    fingerprint: str
    digest: str


def digest(archive: bytes) -> str:
    return f"sha256:{hashlib.sha256(archive).hexdigest()}"


def message(metadata: str, name: str, archive: bytes) -> str:
    """What is signed: Chart.yaml's text, then the archive's digest."""
    return f"{metadata}\n...\nfiles:\n  {name}: {digest(archive)}\n"


def sign(text: str, keyring: bytes, name: str, passphrase: Callable[[str], str] | None = None) -> str:
    """The text with a signature in clear, by the key whose user's name holds `name`. Raises ProvenanceError.

    `passphrase` is asked, with the user's name, where the key is locked.
    """
    import pysequoia

    user, key = _secret_key(keyring, name)
    try:
        signer = key.signer()
    except RuntimeError as locked:
        if "encrypted" not in str(locked):
            raise ProvenanceError(_said(locked)) from None
        if passphrase is None:
            raise ProvenanceError("private key is locked: give its passphrase with --passphrase-file") from None
        try:
            signer = key.signer(passphrase(user)[:MAX_PASSPHRASE])
        except RuntimeError:
            raise ProvenanceError("openpgp: invalid data: private key checksum failure") from None
    signed = pysequoia.sign(signer, text.encode("utf-8", "surrogateescape"), mode=pysequoia.SignatureMode.CLEAR)
    return signed.decode("utf-8", "surrogateescape").rstrip("\n")


def verify(name: str, archive: bytes, provenance: bytes, keyring: bytes) -> Verification:
    """Who vouches for the archive. Raises ProvenanceError."""
    import pysequoia

    keys = _keys(keyring)
    if _BEGIN not in provenance:
        raise ProvenanceError("signature block not found")
    asked: list[str] = []

    def known(ids: list[str]) -> list[Any]:
        asked.extend(ids)
        return keys

    try:
        found = pysequoia.verify(provenance, store=known)
    except RuntimeError:
        if not _has_one_of(keyring, asked):
            raise ProvenanceError("openpgp: signature made by unknown entity") from None
        raise ProvenanceError("openpgp: invalid signature: RSA verification failure") from None
    signature = found.valid_sigs[0]
    expected = _digests(found.bytes or b"")
    if name not in expected:
        raise ProvenanceError(f'provenance does not contain a SHA for a file named "{name}"')
    own = digest(archive)
    if expected[name] != own:
        raise ProvenanceError(f'sha256 sum does not match for {name}: "{expected[name]}" != "{own}"')
    users = [str(user) for key in keys if key.fingerprint == signature.certificate for user in key.user_ids]
    return Verification(tuple(users), signature.certificate.upper(), own)


def _digests(text: bytes) -> dict[str, str]:
    """The digests of files by name, out of what was signed."""
    _, mark, files = text.decode("utf-8", "surrogateescape").partition("\n...\n")
    if not mark:
        raise ProvenanceError("message block must have at least two parts")
    return {name.strip("'\""): value for name, value in re.findall(r"^ +(\S+): (\S+)$", files, re.MULTILINE)}


def _keys(keyring: bytes) -> list[Any]:
    """The certificates of a keyring, in binary or armoured form."""
    import pysequoia

    try:
        found: list[Any] = pysequoia.Cert.split_bytes(keyring)
    except RuntimeError as error:
        raise ProvenanceError(f"failed to load keyring: {_said(error)}") from None
    if not found:
        raise ProvenanceError("failed to load keyring: openpgp: invalid data: tag byte does not have MSB set")
    return found


def _secret_key(keyring: bytes, name: str) -> tuple[str, Any]:
    """The user and the secret key whose user's whole name is `name`, else the one whose name holds it."""
    _keys(keyring)
    users = [(str(user), key) for key in _secret_keys(keyring) for user in key.extract_certificate().user_ids]
    if not users:
        raise ProvenanceError("provided key is not a private key. Try providing a keyring with secret keys")
    found = [one for one in users if one[0] == name] or [one for one in users if name and name in one[0]]
    if not found:
        raise ProvenanceError("private key not found")
    if len({key.extract_certificate().fingerprint for _, key in found}) > 1:
        raise ProvenanceError(f'more than one key contain the id "{name}"')
    return found[0]


def _secret_keys(keyring: bytes) -> list[Any]:
    """The secret keys of a keyring: each begins with a packet of its primary key."""
    from pysequoia import Tsk
    from pysequoia.packet import PacketPile, Tag

    groups: list[list[Any]] = []
    secret = False
    for packet in PacketPile.from_bytes(keyring):
        if packet.tag in (Tag.SecretKey, Tag.PublicKey):
            secret = packet.tag == Tag.SecretKey
            if secret:
                groups.append([])
        if secret:
            groups[-1].append(packet)
    return [Tsk.from_packets(group) for group in groups]


def _has_one_of(keyring: bytes, ids: list[str]) -> bool:
    """Is one of these fingerprints or key ids a key, or a subkey, of the keyring?"""
    from pysequoia.packet import PacketPile

    own = [str(packet.fingerprint) for packet in PacketPile.from_bytes(keyring) if packet.fingerprint]
    return any(fingerprint.endswith(wanted.lower()) for fingerprint in own for wanted in ids)


def _said(error: RuntimeError) -> str:
    """Sequoia's message without the trace of its code."""
    return str(error).partition("\n")[0]
