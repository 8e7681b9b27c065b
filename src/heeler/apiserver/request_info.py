"""What a request is about, read off its method, path and query.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/ (resource URIs, verbs).
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from heeler.objects import selectors

#: Paths below these name resources.
_PREFIXES = ("api", "apis")
#: Sub-resources of a namespace; anything else below one is a resource in it.
_OF_NAMESPACE = ("status", "finalize")
_VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(slots=True)
class RequestInfo:
    """`verb` is what authorisation asks about: get, list, watch, create, …; for other paths the method in lower case."""

    is_resource: bool
    path: str
    verb: str
    prefix: str = ""
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    #: what follows the subresource (pods/x/proxy/a/b).
    rest: tuple[str, ...] = ()
    #: an old path with /watch/ in it.
    watch_path: bool = False
    #: upstream can't tell what the path is about.
    broken: bool = False
    #: the name comes from a field selector of a list or watch.
    by_field: bool = False
    #: (field, value) that the field selector of a list, watch or deletecollection demands.
    fields: frozenset[tuple[str, str]] = frozenset()
    #: Likewise (label, value) of the label selector.
    labels: frozenset[tuple[str, str]] = frozenset()


def request_info(method: str, path: str, query: dict[str, list[str]]) -> RequestInfo:
    """Never fails: what doesn't name a resource is a plain path."""
    parts = path.strip("/").split("/")
    if len(parts) < (4 if parts[0] == "apis" else 3) or parts[0] not in _PREFIXES:
        return RequestInfo(False, path, method.lower())
    if parts[0] == "apis":
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        group, version, rest = "", parts[1], parts[2:]
    info = RequestInfo(True, path, _VERBS.get(method, ""), parts[0], group, version)
    if rest[0] in ("watch", "proxy"):
        if len(rest) < 2:
            info.broken = True
            return info
        info.watch_path = rest[0] == "watch"
        info.verb = rest[0] if rest[0] == "watch" else info.verb
        rest = rest[1:]
    if rest[0] == "namespaces" and len(rest) > 1:
        info.namespace = rest[1]
        if len(rest) > 2 and rest[2] not in _OF_NAMESPACE:
            rest = rest[2:]
    info.resource = rest[0]
    if len(rest) > 1:
        info.name = unquote(rest[1])
    if len(rest) > 2:
        info.subresource = rest[2]
        info.rest = tuple(rest[3:])
    if not info.name and info.verb in ("get", "delete"):
        info.verb = _collection_verb(info.verb, query)
        info.fields = demanded((query.get("fieldSelector") or [""])[0])
        info.labels = demanded_labels((query.get("labelSelector") or [""])[0])
        if info.verb != "deletecollection":
            info.name = _selected_name(info.fields)
            info.by_field = bool(info.name)
    return info


def _collection_verb(verb: str, query: dict[str, list[str]]) -> str:
    if verb == "delete":
        return "deletecollection"
    return "watch" if _true(query.get("watch")) else "list"


def demanded(selector: str) -> frozenset[tuple[str, str]]:
    """What a field selector demands, read as the list itself will read it; one that can't be read demands nothing."""
    try:
        terms = selectors.parse_fields(selector).terms
    except ValueError:
        return frozenset()
    return frozenset((t.field, t.value) for t in terms if t.operator != "!=")


def demanded_labels(selector: str) -> frozenset[tuple[str, str]]:
    """What a label selector demands to be equal."""
    if not selector:
        return frozenset()
    try:
        found = selectors.parse_labels(selector).requirements
    except ValueError:
        return frozenset()
    return frozenset((r.key, r.values[0]) for r in found if r.operator in ("=", "==", "in") and len(r.values) == 1)


def _selected_name(fields: frozenset[tuple[str, str]]) -> str:
    """The one name that a field selector asks for; authorisation may be for that name alone."""
    for field, name in sorted(fields):
        if field == "metadata.name":
            return name if name not in ("", ".", "..") and "/" not in name and "%" not in name else ""
    return ""


def _true(values: list[str] | None) -> bool:
    """A boolean parameter: present and not false (Go's ParseBool, where anything else but an empty value is true)."""
    return bool(values) and values[0].lower() not in ("", "0", "f", "false")  # type: ignore[index]
