"""An API server in memory, as far as a node needs one: objects, patches of status, watches, deletion, tokens."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Mapping
from typing import Any

from heeler.client.client import Listing, PatchType, WatchEvent
from heeler.objects import status
from heeler.objects.value import GroupVersionResource, Object

#: Lists that are merged by a key in a strategic merge patch.
MERGE_KEYS = {"conditions": "type", "podIPs": "ip", "hostIPs": "ip"}


def merge(old: Any, new: Any, name: str = "") -> Any:
    """A strategic merge, enough for pods' and nodes' status."""
    if isinstance(old, dict) and isinstance(new, dict):
        out = dict(old)
        for key, value in new.items():
            if value is None:
                out.pop(key, None)
            else:
                out[key] = merge(out.get(key), value, key)
        return out
    if isinstance(new, dict):
        return merge({}, new)
    if isinstance(new, list) and name in MERGE_KEYS:
        key = MERGE_KEYS[name]
        items = {item[key]: item for item in old or []}
        for item in new:
            if item.get("$patch") == "delete":
                items.pop(item[key], None)
            else:
                items[item[key]] = merge(items.get(item[key]), item)
        return list(items.values())
    return new


class FakeApi:
    """Satisfies `heeler.client.client.Client`."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.revision = 0
        self.history: list[tuple[int, str, str, Object]] = []
        self._moved = asyncio.Event()
        self.reachable = True

    def cut(self) -> None:
        """Nobody reaches it any more, open watches end."""
        self.reachable = False
        self._moved.set()

    def _reach(self) -> None:
        if not self.reachable:
            raise ConnectionRefusedError(111, "Connection refused")

    def put(self, resource: str, obj: Object, event: str = "") -> Object:
        self.revision += 1
        obj = copy.deepcopy(obj)
        meta = obj.setdefault("metadata", {})
        key = (resource, meta.get("namespace", ""), meta["name"])
        old = self.objects.get(key)
        meta.setdefault("uid", f"uid-{resource}-{meta['name']}-{self.revision}")
        meta["resourceVersion"] = str(self.revision)
        if event == "DELETED":
            self.objects.pop(key, None)
        else:
            self.objects[key] = obj
        self.history.append((self.revision, event or ("MODIFIED" if old else "ADDED"), resource, obj))
        self._moved.set()
        return copy.deepcopy(obj)

    def find(self, resource: str, name: str, namespace: str | None) -> Object:
        found = self.objects.get((resource, namespace or "", name))
        if found is None:
            raise status.not_found(resource, "", name)
        return copy.deepcopy(found)

    def all(self, resource: str) -> list[Object]:
        return [copy.deepcopy(o) for (kind, _, _), o in self.objects.items() if kind == resource]

    async def get(self, resource: GroupVersionResource, name: str, namespace: str | None = None) -> Object:
        self._reach()
        return self.find(resource.resource, name, namespace)

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
    ) -> Listing:
        self._reach()
        found = self.all(resource.resource)
        return Listing([o for o in found if chosen(o, field_selector, label_selector)], str(self.revision))

    async def watch(
        self,
        resource: GroupVersionResource,
        namespace: str | None = None,
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 0,
    ) -> AsyncIterator[WatchEvent]:
        seen = int(resource_version or 0)
        while True:
            self._reach()
            for revision, event, kind, obj in list(self.history):
                if revision > seen and kind == resource.resource:
                    seen = revision
                    if chosen(obj, field_selector, label_selector):
                        yield WatchEvent(event, copy.deepcopy(obj))
            seen = max(seen, self.revision)
            moved = self._moved
            await moved.wait()
            if self._moved is moved:
                self._moved = asyncio.Event()

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
        self._reach()
        if subresource == "token":
            return {"status": {"token": f"token-of-{name}", "expirationTimestamp": "2999-01-01T00:00:00Z"}}
        obj = copy.deepcopy(obj)
        if namespace:
            obj["metadata"]["namespace"] = namespace
        if (resource.resource, namespace or "", obj["metadata"]["name"]) in self.objects:
            raise status.already_exists(resource.resource, resource.group, obj["metadata"]["name"])
        return self.put(resource.resource, obj)

    async def update(
        self, resource: GroupVersionResource, obj: Object, *, subresource: str | None = None, field_manager: str = ""
    ) -> Object:
        self._reach()
        return self.put(resource.resource, obj)

    async def patch(
        self,
        resource: GroupVersionResource,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        type: PatchType = "application/merge-patch+json",
        subresource: str | None = None,
        field_manager: str = "",
        force: bool = False,
    ) -> Object:
        self._reach()
        old = self.find(resource.resource, name, namespace)
        uid = (patch.get("metadata") or {}).get("uid")
        if uid and uid != old["metadata"]["uid"]:
            raise status.conflict(resource.resource, "", name, "Precondition failed: UID in precondition")
        merged = merge(old, patch)
        if subresource == "status":
            merged = {**old, "status": merged.get("status", {})}
        return self.put(resource.resource, merged)

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
    ) -> Object:
        self._reach()
        old = self.find(resource.resource, name, namespace)
        if resource.resource == "pods" and grace_seconds != 0:
            grace = grace_seconds if grace_seconds is not None else old["spec"].get("terminationGracePeriodSeconds", 30)
            old["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": grace}
            return self.put(resource.resource, old)
        return self.put(resource.resource, old, "DELETED")

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        raise NotImplementedError(path)


def chosen(obj: Object, field_selector: str, label_selector: str = "") -> bool:
    """Of fields only spec.nodeName=NAME is known, of labels one that is to be equal."""
    if label_selector:
        label, _, value = label_selector.partition("=")
        if (obj["metadata"].get("labels") or {}).get(label) != value:
            return False
    if not field_selector:
        return True
    path, _, value = field_selector.partition("=")
    assert path == "spec.nodeName", path
    return (obj.get("spec") or {}).get("nodeName") == value
