"""Signatures of charts, against the real gpg: what it signed is verified here, what was signed here it verifies."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from heeler.base.processes import find_program
from heeler.packages.repositories.provenance import ProvenanceError, digest, message, sign, verify

ARCHIVE = b"the chart's archive"
METADATA = "apiVersion: v2\nname: app\nversion: 0.1.0\n"
TEXT = message(METADATA, "app-0.1.0.tgz", ARCHIVE)


class Gpg:
    """A home of gpg with the keys of Ann and of Eve, whose key is locked by "pw"."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(mode=0o700)
        for user, passphrase in (("Ann <ann@example.com>", ""), ("Eve <eve@example.com>", "pw")):
            self.run("--pinentry-mode", "loopback", "--passphrase", passphrase, "--quick-gen-key", user, "rsa2048")

    def run(self, *words: str, said: bytes = b"") -> bytes:
        program = find_program("gpg")
        assert program is not None
        call = [program, "--homedir", str(self.home), "--batch", "--yes", *words]
        return subprocess.run(call, input=said, capture_output=True, check=True, timeout=60).stdout

    def public(self, user: str) -> bytes:
        return self.run("--export", user)

    def secret(self, user: str, passphrase: str = "") -> bytes:
        return self.run("--pinentry-mode", "loopback", "--passphrase", passphrase, "--export-secret-keys", user)


@pytest.fixture(scope="module")
def gpg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gpg]:
    if find_program("gpg") is None:
        pytest.skip("needs gpg")
    found = Gpg(tmp_path_factory.mktemp("gpg") / "home")
    yield found
    subprocess.run(["gpgconf", "--homedir", str(found.home), "--kill", "all"], check=False, capture_output=True)


def test_gpg_verifies_what_is_signed_here(gpg: Gpg) -> None:
    signed = sign(TEXT, gpg.secret("Ann"), "Ann")
    assert signed.startswith("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\napiVersion: v2\n")
    # gpg ends what it shows with a line of its own
    assert gpg.run("--decrypt", said=signed.encode() + b"\n").decode() == TEXT + "\n"


def test_what_gpg_signed_is_verified(gpg: Gpg) -> None:
    signed = gpg.run("--local-user", "Ann", "--clearsign", said=TEXT.encode())
    found = verify("app-0.1.0.tgz", ARCHIVE, signed, gpg.public("Ann") + gpg.public("Eve"))
    assert found.signers == ("Ann <ann@example.com>",)
    assert found.digest == digest(ARCHIVE)
    listed = gpg.run("--with-colons", "--fingerprint", "Ann").decode()
    assert f":{found.fingerprint}:" in listed


def test_a_locked_key_wants_its_passphrase(gpg: Gpg) -> None:
    ring = gpg.secret("Eve", "pw")
    asked: list[str] = []
    signed = sign(TEXT, ring, "eve@", lambda user: asked.append(user) or "pw")  # type: ignore[func-returns-value]
    assert asked == ["Eve <eve@example.com>"]
    assert verify("app-0.1.0.tgz", ARCHIVE, signed.encode(), gpg.public("Eve")).signers
    with pytest.raises(ProvenanceError, match="private key checksum failure"):
        sign(TEXT, ring, "Eve", lambda _: "wrong")


def test_what_is_wrong_is_said(gpg: Gpg) -> None:
    signed = sign(TEXT, gpg.secret("Ann"), "Ann").encode()
    public = gpg.public("Ann")
    cases = {
        "openpgp: signature made by unknown entity": (ARCHIVE, signed, gpg.public("Eve")),
        "openpgp: invalid signature: RSA verification failure": (
            ARCHIVE,
            signed.replace(b"version: 0.1.0", b"version: 0.1.1"),
            public,
        ),
        f'sha256 sum does not match for app-0.1.0.tgz: "{digest(ARCHIVE)}" != "{digest(b"x")}"': (b"x", signed, public),
        "signature block not found": (ARCHIVE, b"version: 0.1.0", public),
        "failed to load keyring: openpgp: invalid data: tag byte does not have MSB set": (ARCHIVE, signed, b""),
    }
    for words, (archive, provenance, ring) in cases.items():
        with pytest.raises(ProvenanceError) as error:
            verify("app-0.1.0.tgz", archive, provenance, ring)
        assert str(error.value) == words
    with pytest.raises(ProvenanceError, match='does not contain a SHA for a file named "other'):
        verify("other.tgz", ARCHIVE, signed, public)
    with pytest.raises(ProvenanceError, match="private key not found"):
        sign(TEXT, gpg.secret("Ann"), "Nobody")
    with pytest.raises(ProvenanceError, match="provided key is not a private key"):
        sign(TEXT, public, "Ann")
