"""The cache of what was downloaded, as Helm keeps it: `ab/abcd….chart` and `.prov` by the archive's SHA-256."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from heeler.base.files import write_atomic

CHART, PROVENANCE = ".chart", ".prov"
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


def sha256(archive: bytes) -> str:
    return hashlib.sha256(archive).hexdigest()


@dataclass(frozen=True, slots=True)
class ContentCache:
    """A folder of files that are called by what they hold; what doesn't hold what it is called by isn't there."""

    folder: Path

    def path(self, digest: str, kind: str = CHART) -> Path:
        return self.folder / digest[:2] / f"{digest}{kind}"

    def archive(self, digest: str) -> bytes | None:
        """The archive of this digest, if it is kept and whole."""
        data = self._read(digest, CHART)
        return data if data is not None and sha256(data) == digest else None

    def provenance(self, digest: str) -> bytes | None:
        """The provenance of the archive of this digest; whoever uses it checks its signature."""
        return self._read(digest, PROVENANCE)

    def _read(self, digest: str, kind: str) -> bytes | None:
        if not _DIGEST.match(digest):
            return None
        try:
            return self.path(digest, kind).read_bytes()
        except OSError:
            return None

    def keep(self, archive: bytes, provenance: bytes = b"") -> Path:
        """Keep an archive and its provenance; where the archive lies. Raises OSError."""
        digest = sha256(archive)
        path = self.path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, archive, 0o644)
        if provenance:
            write_atomic(self.path(digest, PROVENANCE), provenance, 0o644)
        return path
