"""Content negotiation: what the Accept header asks for, as kube-apiserver understands it.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/ (alternate representations, tables) and recorded
answers; RFC 9110 section 12.5.1 for the header itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from heeler.objects.status import StatusError, not_acceptable

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"

_OBJECTS = (JSON, YAML, PROTOBUF)
_LISTS = ("application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch")
_METADATA = ("PartialObjectMetadata", "PartialObjectMetadataList")


@dataclass(frozen=True, slots=True)
class Format:
    """`media`: the encoding. `shape`: "", "Table", "PartialObjectMetadata" or "PartialObjectMetadataList".

    `version` is the meta.k8s.io version of that shape.
    """

    media: str = JSON
    shape: str = ""
    version: str = ""
    pretty: bool = False
    stream: bool = False


@dataclass(frozen=True, slots=True)
class _Clause:
    kind: str
    subtype: str
    parameters: tuple[tuple[str, str], ...]
    quality: float


def negotiate(accept: str, *, collection: bool = False, transform: bool = True) -> Format:
    """The format of an answer; `collection`: the resource can be listed and watched. Raises 406."""
    found = _negotiate(accept.strip(), collection, transform)
    if isinstance(found, str):
        if found:
            raise StatusError(406, "NotAcceptable", found)
        available = ", ".join(_OBJECTS + (_LISTS if collection else ()))
        raise not_acceptable(f"406: Not Acceptable\n\nAvailable representations: {available}")
    return found


@lru_cache(maxsize=512)
def _negotiate(accept: str, collection: bool, transform: bool) -> Format | str:
    """A format, "" for a media type that isn't there, or the message for a shape that isn't."""
    if not accept:
        return Format()
    clauses = _parse(accept)
    refused_shape = False
    for clause in clauses:
        media = _media(clause)
        if media is None:
            continue
        parameters = dict(clause.parameters)
        shape = parameters.get("as", "")
        if shape:
            if not transform or not _known_shape(shape, parameters.get("v", ""), parameters.get("g", "")):
                refused_shape = True
                continue
        stream = parameters.get("stream", "")
        if stream and stream != "watch":
            continue
        if media == PROTOBUF:  # its encoder isn't there yet: whoever takes something else too gets that
            continue
        return Format(media, shape, parameters.get("v", ""), parameters.get("pretty") == "1", bool(stream))
    if refused_shape:
        return f"only the following media types are accepted: {', '.join(_OBJECTS)}"
    return ""


def _known_shape(shape: str, version: str, group: str) -> bool:
    if group != "meta.k8s.io" or version not in ("v1", "v1beta1"):
        return False
    return shape == "Table" or shape in _METADATA


def _media(clause: _Clause) -> str | None:
    if clause.kind == "*" and clause.subtype == "*":
        return JSON
    media = f"{clause.kind}/{clause.subtype}"
    return media if media in _OBJECTS else None


def _parse(accept: str) -> list[_Clause]:
    """The clauses, best first; malformed ones are left out."""
    out = []
    for text in accept.split(","):
        media, *rest = (part.strip() for part in text.split(";"))
        kind, slash, subtype = media.partition("/")
        if not slash:
            if kind == "*":
                subtype = "*"
            else:
                continue
        quality, parameters = 1.0, []
        for part in rest:
            name, _, value = part.partition("=")
            if name.strip() == "q":
                try:
                    quality = float(value)
                except ValueError:
                    quality = 1.0
            else:
                parameters.append((name.strip(), value.strip().strip('"')))
        out.append(_Clause(kind.strip(), subtype.strip(), tuple(parameters), quality))
    # Python's sort is stable: of equals the first one wins; a concrete type beats a wildcard
    out.sort(key=lambda c: (-c.quality, c.kind == "*", c.subtype == "*"))
    return out


def error_media(accept: str) -> str:
    """In what an error is written: YAML for whoever takes nothing else, JSON for everybody else."""
    found = _negotiate(accept.strip(), True, False)
    return found.media if isinstance(found, Format) else JSON
