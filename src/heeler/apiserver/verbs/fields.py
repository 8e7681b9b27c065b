"""What managed fields need to know of a kind: fields that a way of writing never comes to manage, and other versions."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from heeler.objects import typed
from heeler.objects.apply import Convert
from heeler.objects.fieldsets import FieldSet

if TYPE_CHECKING:
    from heeler.kinds.kind import Kind
    from heeler.objects.schema import Type
    from heeler.objects.value import Object


def ignored_fields(kind: Kind, subresource: str) -> FieldSet:
    """`reset_fields` of the kind as `{"f:status": {}}`."""
    return _set_of(kind.reset_fields(subresource))


@lru_cache(maxsize=1024)
def _set_of(paths: tuple[tuple[str, ...], ...]) -> FieldSet:
    """Kept by the paths: by kinds, those that are no longer served would be kept with it."""
    out: FieldSet = {}
    for path in paths:
        node = out
        for step in path:
            node = node.setdefault(f"f:{step}", {})
    return out


def other_versions(kind: Kind, version: str) -> Convert | None:
    """How an object of `version` is seen in others; None where there are none, or only a webhook could tell."""
    if len(kind.versions) < 2 or kind.webhook is not None:
        return None

    def convert(obj: Object, api_version: str) -> tuple[Object, Type] | None:
        target = api_version.rpartition("/")[2]
        if kind.api_version(target) != api_version or target not in kind.versions:
            return None
        type = kind.type(target)
        if not kind.custom:
            return kind.convert(obj, kind.api_version(version), api_version), type
        renamed = {**obj, "apiVersion": api_version}
        typed.check(renamed, type)
        return renamed, type

    return convert
