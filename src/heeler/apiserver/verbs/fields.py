"""The fields that a way of writing a kind never comes to manage, as a field set."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from heeler.objects.fieldsets import FieldSet

if TYPE_CHECKING:
    from heeler.kinds.kind import Kind


@lru_cache(maxsize=1024)
def ignored_fields(kind: Kind, subresource: str) -> FieldSet:
    """`reset_fields` of the kind as `{"f:status": {}}`."""
    out: FieldSet = {}
    for path in kind.reset_fields(subresource):
        node = out
        for step in path:
            node = node.setdefault(f"f:{step}", {})
    return out
