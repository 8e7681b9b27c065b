"""What every part of Heeler may ask of an API server: the `Client` protocol.

`heeler.client.https` speaks to any Kubernetes over HTTPS, `heeler.client.in_process` to an API server in the same
process. Both skip nothing of authentication, authorisation and admission. Objects that a client gives are the caller's
to read; whoever wants to change one makes a copy first (in-process they may be shared).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeAlias

from heeler.objects.value import GroupVersionResource, Object

PatchType = Literal[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
]

#: What a patch request carries: an object, or the operations of a JSON patch.
Patch: TypeAlias = Object | list[Object]


class WatchEvent(NamedTuple):
    """`type` is ADDED, MODIFIED, DELETED or BOOKMARK. Errors are raised as StatusError (410: list again)."""

    type: str
    object: Object


@dataclass(frozen=True, slots=True)
class Listing:
    """What a list gives: the objects (each with kind and apiVersion), the revision, and where to go on."""

    items: list[Object]
    resource_version: str
    continue_token: str = ""


class Client(Protocol):
    """Every method raises StatusError for a refusal and OSError when the server can't be reached."""

    async def get(self, resource: GroupVersionResource, name: str, namespace: str | None = None) -> Object: ...

    async def list(
        self,
        resource: GroupVersionResource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        limit: int = 0,
        continue_token: str = "",
    ) -> Listing: ...

    def watch(
        self,
        resource: GroupVersionResource,
        namespace: str | None = None,
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 0,
    ) -> AsyncIterator[WatchEvent]:
        """An async generator; close it (`aclose`) to end the watch. Bookmarks are asked for and given."""
        ...

    async def create(
        self,
        resource: GroupVersionResource,
        obj: Object,
        namespace: str | None = None,
        *,
        name: str | None = None,
        subresource: str | None = None,
        field_manager: str = "",
    ) -> Object:
        """`name` and `subresource` for e.g. pods/NAME/binding, pods/NAME/eviction, serviceaccounts/NAME/token."""
        ...

    async def update(
        self, resource: GroupVersionResource, obj: Object, *, subresource: str | None = None, field_manager: str = ""
    ) -> Object:
        """Replace; name, namespace and resourceVersion are the object's own."""
        ...

    async def patch(
        self,
        resource: GroupVersionResource,
        name: str,
        patch: Patch,
        namespace: str | None = None,
        *,
        type: PatchType = "application/merge-patch+json",
        subresource: str | None = None,
        field_manager: str = "",
        force: bool = False,
    ) -> Object: ...

    async def delete(
        self,
        resource: GroupVersionResource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: str = "",
        grace_seconds: int | None = None,
    ) -> Object: ...

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Any other request: the status and body of the answer; doesn't raise for a status."""
        ...
