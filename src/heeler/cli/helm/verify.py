"""`helm verify`: an archive against its provenance file."""

from __future__ import annotations

from pathlib import Path

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.packages.repositories.provenance import ProvenanceError, Verification
from heeler.packages.repositories.provenance import verify as check


def verify(call: Call) -> int:
    made = verify_archive(call, call.arguments[0])
    call.write("".join(f"Signed by: {name}\n" for name in made.signers))
    call.write(f"Using Key With Fingerprint: {made.fingerprint}\nChart Hash Verified: {made.digest}\n")
    return 0


def verify_archive(call: Call, given: str) -> Verification:
    """Who vouches for the archive that is called `given`. Raises `HelmError`."""
    path = call.path(given)
    if not path.exists():
        raise HelmError(f"stat {given}: no such file or directory")
    if path.is_dir():
        raise HelmError("unpacked charts cannot be verified")
    if not given.endswith((".tgz", ".tar.gz")):
        raise HelmError("chart must be a tgz file")
    provenance = Path(f"{path}.prov")
    if not provenance.exists():
        raise HelmError(f"could not load provenance file {given}.prov: stat {given}.prov: no such file or directory")
    keyring = call.path(call.flags.text("keyring").replace("<HOME>", call.environment.get("HOME", "")))
    try:
        keys = keyring.read_bytes()
    except OSError as error:
        raise HelmError(f"failed to load keyring: open {keyring}: {(error.strerror or '').lower()}") from None
    try:
        return check(path.name, path.read_bytes(), provenance.read_bytes(), keys)
    except ProvenanceError as error:
        raise HelmError(str(error)) from None
