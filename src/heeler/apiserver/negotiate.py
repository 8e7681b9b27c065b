"""Content negotiation: what the Accept header asks for, as kube-apiserver understands it.

It is asked twice: the router takes what names one of the media types that a path is said to produce, bare and exactly; then
the encoding and the shape are chosen, where parameters and wildcards count. Each refuses in words of its own. Custom
resources and some documents have no route. Source: https://kubernetes.io/docs/reference/using-api/api-concepts/ (alternate
representations, tables), recorded and tried answers; RFC 9110 section 12.5.1 for the header itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from heeler.objects.status import StatusError, not_acceptable

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"

OBJECTS = (JSON, YAML, PROTOBUF)
#: What a stream may be.
STREAMS = ("application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch")
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
    media: str
    parameters: tuple[tuple[str, str], ...]
    quality: float


def route(accept: str, produces: tuple[str, ...] = OBJECTS) -> None:
    """The router's question: is one of a path's media types named? Raises 406."""
    if not _routed(accept.strip(), produces):
        raise not_acceptable(f"406: Not Acceptable\n\nAvailable representations: {', '.join(produces)}")


@lru_cache(maxsize=512)
def _routed(accept: str, produces: tuple[str, ...]) -> bool:
    named = [text.partition(";")[0].strip() for text in accept.split(",")]
    return not accept or any(media == "*/*" or media in produces for media in named)


def negotiate(accept: str, *, transform: bool = True, protobuf: bool = True) -> Format:
    """The format of an answer. Raises 406.

    `transform`: other shapes than the object's own may be asked for. `protobuf`: the object has a protobuf message (its
    metadata always have).
    """
    found = _negotiate(accept.strip(), transform, protobuf)
    if found is None:
        raise _only(OBJECTS)
    return found


def stream_format(format: Format) -> Format:
    """The format of a watch. Raises 406 for what has no frames."""
    if format.media == YAML:
        raise _only(STREAMS)
    return format


def _only(media: tuple[str, ...]) -> StatusError:
    return StatusError(406, "NotAcceptable", f"only the following media types are accepted: {', '.join(media)}")


def error_media(accept: str) -> str:
    """In what an error is written: what is asked for first; JSON where that can't be."""
    found = _negotiate(accept.strip(), False, True)
    return found.media if found is not None else JSON


@lru_cache(maxsize=512)
def _negotiate(accept: str, transform: bool, protobuf: bool) -> Format | None:
    """The first clause that can be met."""
    if not accept:
        return Format()
    for clause in _parse(accept):
        media = JSON if clause.media in ("*/*", "application/*") else clause.media
        if media not in OBJECTS:
            continue
        parameters = dict(clause.parameters)
        shape, version = parameters.get("as", ""), parameters.get("v", "")
        if shape:
            if not transform or not _known_shape(media, shape, version, parameters.get("g", "")):
                continue
        elif media == PROTOBUF and not protobuf:
            continue
        stream = parameters.get("stream", "")
        if stream and stream != "watch":
            continue
        return Format(media, shape, version, parameters.get("pretty") == "1", bool(stream))
    return None


def _known_shape(media: str, shape: str, version: str, group: str) -> bool:
    if group != "meta.k8s.io" or version not in ("v1", "v1beta1"):
        return False
    return shape in _METADATA or (shape == "Table" and media != PROTOBUF)


def _parse(accept: str) -> list[_Clause]:
    """The clauses, best first; malformed ones are left out."""
    out = []
    for text in accept.split(","):
        media, *rest = (part.strip() for part in text.split(";"))
        kind, slash, subtype = media.partition("/")
        if not slash:
            if kind != "*":
                continue
            subtype = "*"
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
        out.append(_Clause(f"{kind.strip()}/{subtype.strip()}", tuple(parameters), quality))
    # Python's sort is stable: of equals the first one wins; a concrete type beats a wildcard
    out.sort(key=lambda c: (-c.quality, c.media.startswith("*/"), c.media.endswith("/*")))
    return out
