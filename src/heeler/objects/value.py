"""Names for JSON values and the few shapes that every object shares."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, NewType, TypeAlias

#: An API object or a part of one: what `orjson.loads` gives.
Object: TypeAlias = dict[str, Any]
Value: TypeAlias = Any

#: The store's counter; a `resourceVersion` is its decimal text.
Revision = NewType("Revision", int)
Uid = NewType("Uid", str)


class GroupVersionResource(NamedTuple):
    """Names a collection, e.g. ("apps", "v1", "deployments"); the core group is ""."""

    group: str
    version: str
    resource: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The collection's or object's URL path; a name that can't be one (in a reference, say) is quoted."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if namespace:
            parts += ["namespaces", namespace]
        parts.append(self.resource)
        if name:
            parts.append(name if _PLAIN.match(name) else _quoted(name))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


_PLAIN = re.compile(r"[A-Za-z0-9:_-][A-Za-z0-9:._-]*\Z")


def _quoted(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="").replace(".", "%2E")


def meta(obj: Object) -> Object:
    """The object's metadata (an empty dict if it has none)."""
    return obj.get("metadata") or {}


def name_of(obj: Object) -> str:
    return str(meta(obj).get("name", ""))


def namespace_of(obj: Object) -> str:
    return str(meta(obj).get("namespace", ""))


def uid_of(obj: Object) -> Uid:
    return Uid(meta(obj).get("uid", ""))


def labels_of(obj: Object) -> dict[str, str]:
    return meta(obj).get("labels") or {}
