"""What a writer is warned of: files of one volume whose paths overlap, so that one hides another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from heeler.objects.faults import quote
from heeler.objects.value import Object


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    source: str = ""

    def __str__(self) -> str:
        return f"{quote(self.path)} ({self.source})" if self.source else quote(self.path)

    def overlaps(self, other: _File) -> bool:
        mine, its = f"{self.path}/", f"{other.path}/"
        return bool(self.path and other.path) and (mine.startswith(its) or its.startswith(mine))


def overlapping_paths(volumes: Iterable[Object]) -> Iterator[str]:
    for volume in volumes:
        name = quote(volume.get("name", ""))
        for key, word, named in (("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")):
            source = volume.get(key) or {}
            what = f"{word} {quote(source.get(named, ''))}"
            for text in _overlaps([_files(source)]):
                yield f"volume {name} ({what}): overlapping paths: {text}"
        for text in _overlaps([_files(volume.get("downwardAPI") or {})]):
            yield f"volume {name} (DownwardAPI): overlapping paths: {text}"
        rows = (volume.get("projected") or {}).get("sources") or ()
        for row in rows:
            if not row:
                yield f"volume {name} (Projected) has no sources provided"
        for text in _overlaps(_projected(row) for row in rows):
            yield f"volume {name} (Projected): overlapping paths: {text}"


def _files(source: Object, shown: str = "") -> list[_File]:
    return [_File(row.get("path", ""), shown) for row in source.get("items") or ()]


def _overlaps(sources: Iterable[list[_File]]) -> Iterator[str]:
    seen: list[_File] = []
    for files in sources:
        for file in files:
            file = _File(file.path.rstrip("/"), file.source)
            for other in seen:
                if file.overlaps(other):
                    yield f"{file} with {other}"
            seen.append(file)


def _projected(row: Object) -> list[_File]:
    for key, word in (("configMap", "ConfigMap"), ("secret", "Secret")):
        if (row.get(key) or {}).get("items"):
            return _files(row[key], f"{word} {quote(row[key].get('name', ''))}")
    if (row.get("downwardAPI") or {}).get("items"):
        return _files(row["downwardAPI"], "DownwardAPI")
    if "serviceAccountToken" in row:
        return [_File(row["serviceAccountToken"].get("path", ""), "ServiceAccountToken")]
    if "clusterTrustBundle" in row:
        source = row["clusterTrustBundle"]
        name = source["name"] if "name" in source else source.get("signerName", "")
        return [_File(source.get("path", ""), f"ClusterTrustBundle {quote(name)}")]
    source = row.get("podCertificate") or {}
    kinds = (
        ("certificateChainPath", "PodCertificate chain"),
        ("keyPath", "PodCertificate key"),
        ("credentialBundlePath", "PodCertificate credential bundle"),
    )
    return [_File(source[key], word) for key, word in kinds if source.get(key)]
