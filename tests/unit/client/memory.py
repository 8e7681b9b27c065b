"""A little API server for the tests of client parts: objects in a dict, revisions, watches. No rules, no defaults."""

from __future__ import annotations

import asyncio
import copy

from heeler.client.client import Listing, WatchEvent
from heeler.objects import merge_patch, selectors, status
from heeler.objects.value import labels_of


class MemoryClient:
    def __init__(self):
        self.objects = {}
        self.revision = 0
        self.watches = []
        self.expire_watches = False
        self.log = []

    def _key(self, resource, namespace, name):
        return (resource, namespace or "", name)

    def _write(self, kind, key, obj):
        self.revision += 1
        obj = copy.deepcopy(obj)
        obj["metadata"]["resourceVersion"] = str(self.revision)
        if kind == "DELETED":
            self.objects.pop(key, None)
        else:
            self.objects[key] = obj
        self.log.append((key, WatchEvent(kind, obj)))
        for resource, namespace, selector, queue in self.watches:
            if key[0] == resource and namespace in (None, key[1]) and selector.matches(labels_of(obj)):
                queue.put_nowait(WatchEvent(kind, obj))
        return obj

    async def get(self, resource, name, namespace=None):
        try:
            return self.objects[self._key(resource, namespace, name)]
        except KeyError:
            raise status.not_found(resource.resource, resource.group, name) from None

    async def list(self, resource, namespace=None, *, label_selector="", limit=0, **_):
        selector = selectors.parse_labels(label_selector)
        items = [
            obj
            for key, obj in sorted(self.objects.items())
            if key[0] == resource and namespace in (None, key[1]) and selector.matches(labels_of(obj))
        ]
        return Listing(items, str(self.revision))

    async def watch(self, resource, namespace=None, *, resource_version="", label_selector="", **_):
        if self.expire_watches:
            self.expire_watches = False
            raise status.expired("too old")
        queue = asyncio.Queue()
        selector = selectors.parse_labels(label_selector)
        entry = (resource, namespace, selector, queue)
        for key, event in self.log[int(resource_version or self.revision) :]:
            if key[0] == resource and namespace in (None, key[1]) and selector.matches(labels_of(event.object)):
                queue.put_nowait(event)
        self.watches.append(entry)
        try:
            while True:
                event = await queue.get()
                if event is None:
                    return
                yield event
        finally:
            self.watches.remove(entry)

    def break_watches(self):
        for *_, queue in self.watches:
            queue.put_nowait(None)

    async def create(self, resource, obj, namespace=None, *, name=None, subresource=None, field_manager=""):
        key = self._key(resource, namespace, obj["metadata"]["name"])
        if key in self.objects:
            raise status.already_exists(resource.resource, resource.group, key[2])
        obj = {**obj, "metadata": {"uid": f"uid-{self.revision + 1}", **obj["metadata"]}}
        if namespace:
            obj["metadata"]["namespace"] = namespace
        return self._write("ADDED", key, obj)

    async def update(self, resource, obj, *, subresource=None, field_manager=""):
        meta = obj["metadata"]
        key = self._key(resource, meta.get("namespace"), meta["name"])
        if key not in self.objects:
            raise status.not_found(resource.resource, resource.group, meta["name"])
        wanted = meta.get("resourceVersion")
        if wanted and wanted != self.objects[key]["metadata"]["resourceVersion"]:
            raise status.modified(resource.resource, resource.group, meta["name"])
        return self._write("MODIFIED", key, obj)

    async def patch(self, resource, name, patch, namespace=None, **_):
        old = await self.get(resource, name, namespace)
        return self._write("MODIFIED", self._key(resource, namespace, name), merge_patch.apply(old, patch))

    async def delete(self, resource, name, namespace=None, **_):
        old = await self.get(resource, name, namespace)
        return self._write("DELETED", self._key(resource, namespace, name), old)

    async def request(self, method, path, **_):
        return 404, b""
