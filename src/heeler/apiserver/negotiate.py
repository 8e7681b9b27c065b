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


#: What a stream may be.
_STREAMS = ", ".join(_LISTS)


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


def negotiate(
    accept: str, *, collection: bool = False, transform: bool = True, protobuf: bool = True, custom: bool = False
) -> Format:
    """The format of an answer. Raises 406.

    `collection`: the resource can be listed and watched. `transform`: other shapes than the object's own may be asked for.
    `protobuf`: the object has a protobuf message (its metadata always have). `custom`: of a custom kind, of which nothing
    is said to whoever takes none of what there is but the encodings.
    """
    found = _negotiate(accept.strip(), transform, protobuf, custom)
    if isinstance(found, str):
        if found:
            raise StatusError(406, "NotAcceptable", found)
        available = ", ".join(_OBJECTS + (_LISTS if collection else ()))
        raise not_acceptable(f"406: Not Acceptable\n\nAvailable representations: {available}")
    return found


@lru_cache(maxsize=512)
def _negotiate(accept: str, transform: bool, protobuf: bool, custom: bool) -> Format | str:
    """A format, "" for a media type that isn't there, or the message for a shape that isn't."""
    if not accept:
        return Format()
    clauses = _parse(accept)
    refused_shape = custom
    for clause in clauses:
        media = _media(clause, custom)
        if media is None:
            continue
        parameters = dict(clause.parameters)
        shape = parameters.get("as", "")
        if shape:
            if not transform or not _known_shape(media, shape, parameters.get("v", ""), parameters.get("g", "")):
                refused_shape = True
                continue
        elif media == PROTOBUF and not protobuf:
            refused_shape = True
            continue
        stream = parameters.get("stream", "")
        if stream and stream != "watch":
            continue
        return Format(media, shape, parameters.get("v", ""), parameters.get("pretty") == "1", bool(stream))
    if refused_shape:
        return f"only the following media types are accepted: {', '.join(_OBJECTS)}"
    return ""


def _known_shape(media: str, shape: str, version: str, group: str) -> bool:
    if group != "meta.k8s.io" or version not in ("v1", "v1beta1"):
        return False
    return shape in _METADATA or (shape == "Table" and media != PROTOBUF)


def _media(clause: _Clause, custom: bool) -> str | None:
    if clause.subtype == "*" and (clause.kind == "*" or (custom and clause.kind == "application")):
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


def stream_format(format: Format) -> Format:
    """The format of a watch. Raises 406 for what has no frames."""
    if format.media == YAML:
        raise StatusError(406, "NotAcceptable", f"only the following media types are accepted: {_STREAMS}")
    return format


def error_media(accept: str) -> str:
    """In what an error is written: what is asked for first; JSON where that can't be."""
    found = _negotiate(accept.strip(), False, True, True)
    return found.media if isinstance(found, Format) else JSON
