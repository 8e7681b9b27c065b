"""`helm verify`: an archive against its provenance file."""

from __future__ import annotations

from pathlib import Path

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.packages.repositories.provenance import ProvenanceError, Verification
from heeler.packages.repositories.provenance import verify as check


def verify(call: Call) -> int:
    from heeler.cli.helm.fetching import keyring

    given = call.arguments[0]
    call.write(shown(verify_path(call.path(given), given, keyring(call))))
    return 0


def shown(made: Verification, what: str = "Chart") -> str:
    """What is printed of who vouches for an archive."""
    signers = "".join(f"Signed by: {name}\n" for name in made.signers)
    return f"{signers}Using Key With Fingerprint: {made.fingerprint}\n{what} Hash Verified: {made.digest}\n"


def verify_path(path: Path, given: str, keyring: Path) -> Verification:
    """Who vouches for the archive at `path`, which messages call `given`. Raises `HelmError`."""
    if not path.exists():
        raise HelmError(f"stat {given}: no such file or directory")
    if path.is_dir():
        raise HelmError("unpacked charts cannot be verified")
    if not given.endswith((".tgz", ".tar.gz")):
        raise HelmError("chart must be a tgz file")
    provenance = Path(f"{path}.prov")
    if not provenance.exists():
        raise HelmError(f"could not load provenance file {given}.prov: stat {given}.prov: no such file or directory")
    try:
        keys = keyring.read_bytes()
    except OSError as error:
        raise HelmError(f"failed to load keyring: open {keyring}: {(error.strerror or '').lower()}") from None
    try:
        return check(path.name, path.read_bytes(), provenance.read_bytes(), keys)
    except ProvenanceError as error:
        raise HelmError(str(error)) from None
