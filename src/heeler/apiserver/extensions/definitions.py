"""CustomResourceDefinitions at work: names are accepted, the kind is served, its objects go when it goes.

Driven by the definitions' own events in the cache: whatever server wrote them, each server serves the same. Source:
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from heeler.apiserver.cache import Item, encode, prefix_of
from heeler.apiserver.loops.follow import follow
from heeler.apiserver.status_writer import write_status
from heeler.base.clock import rfc3339
from heeler.kinds.apiextensions import approval
from heeler.kinds.apiextensions.customresourcedefinition import FINALIZER
from heeler.kinds.custom.kind import CustomKind
from heeler.objects.value import Object
from heeler.store.store import RevisionMismatch

if TYPE_CHECKING:
    from heeler.apiserver.server import ApiServer

GROUP, PLURAL = "apiextensions.k8s.io", "customresourcedefinitions"
#: Objects of a deleted definition that are removed at once.
AT_ONCE = 64


def condition(definition: Object, kind: str) -> Object | None:
    conditions = (definition.get("status") or {}).get("conditions") or ()
    return next((c for c in conditions if c["type"] == kind), None)


def is_established(definition: Object) -> bool:
    found = condition(definition, "Established")
    return found is not None and found["status"] == "True"


class Definitions:
    """Follows the definitions of one server. `run` until cancelled."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._cache = server.cache_of(GROUP, PLURAL)
        self._served: dict[str, CustomKind] = {}

    async def load(self) -> None:
        """Serve what is established already (at the start)."""
        for item in list(self._cache.items.values()):
            if is_established(item.object()):
                await self._serve(item.fresh())

    async def run(self) -> None:
        await follow(self._cache, self._reconcile, self._server.clock)

    async def _reconcile(self, key: str) -> None:
        item = self._cache.items.get(key)
        if item is None:
            self._forget(key.rsplit("/", 1)[1])
            return
        definition = item.fresh()
        if definition["metadata"].get("deletionTimestamp"):
            await self._clean_up(item, definition)
            return
        wanted = self._wanted(definition)
        if wanted != definition:
            definition = await write_status(self._server, item, wanted)
        if is_established(definition):
            await self._serve(definition)

    def _wanted(self, definition: Object) -> Object:
        """The definition with the status that it should have."""
        names = definition["spec"]["names"]
        clash = self._clash(definition)
        now = rfc3339(self._server.clock.time())
        if clash:
            conditions = [_condition("NamesAccepted", "False", clash[0], clash[1], now)]
            established = condition(definition, "Established")
            conditions.append(
                established or _condition("Established", "False", "NotAccepted", "not all names are accepted", now)
            )
            accepted = (definition.get("status") or {}).get("acceptedNames") or {"plural": "", "kind": ""}
        else:
            conditions = [
                _condition("NamesAccepted", "True", "NoConflicts", "no conflicts found", now),
                _condition("Established", "True", "InitialNamesAccepted", "the initial names have been accepted", now),
            ]
            accepted = names
        verdict = approval.verdict(definition)
        if verdict is not None:
            conditions.insert(0, _condition(approval.CONDITION, *verdict, now))
        status = dict(definition.get("status") or {})
        old = {c["type"]: c for c in status.get("conditions") or ()}
        merged = [_kept(old.get(c["type"]), c) for c in conditions]
        merged += [c for c in status.get("conditions") or () if c["type"] not in {m["type"] for m in merged}]
        status["conditions"] = merged
        status["acceptedNames"] = accepted
        status["storedVersions"] = status.get("storedVersions") or [
            v["name"] for v in definition["spec"]["versions"] if v.get("storage")
        ]
        return {**definition, "status": status}

    def _clash(self, definition: Object) -> tuple[str, str] | None:
        """Another definition of the group that has one of the names already: (reason, message)."""
        spec, own = definition["spec"], definition["metadata"]["name"]
        names = spec["names"]
        for item in self._cache.items.values():
            other = item.object()
            if other["metadata"]["name"] == own or other["spec"]["group"] != spec["group"] or not is_established(other):
                continue
            taken = (other.get("status") or {}).get("acceptedNames") or {}
            resources = {taken.get("plural"), taken.get("singular"), *(taken.get("shortNames") or ())}
            for what, reason in (("plural", "PluralConflict"), ("singular", "SingularConflict")):
                if names.get(what) and names[what] in resources:
                    return reason, f'"{names[what]}" is already in use'
            for short in names.get("shortNames") or ():
                if short in resources:
                    return "ShortNamesConflict", f'"{short}" is already in use'
            kinds = {taken.get("kind"), taken.get("listKind")}
            for what, reason in (("kind", "KindConflict"), ("listKind", "ListKindConflict")):
                if names.get(what) and names[what] in kinds:
                    return reason, f'"{names[what]}" is already in use'
        return None

    async def _serve(self, definition: Object) -> None:
        """Serve the kind, or what has become of it."""
        name = definition["metadata"]["name"]
        served = self._served.get(name)
        if served is not None and served.definition["spec"] == definition["spec"]:
            return
        if not any(v.get("served") for v in definition["spec"]["versions"]):
            self._forget(name)
            return
        kind = CustomKind(definition)
        server = self._server
        if kind in server.cache:
            server.cache.of(kind).kind = kind
            for item in server.cache.of(kind).items.values():
                item.change_kind(kind)
        else:
            cache = server.cache.add(kind)
            page = await server.store.list(prefix_of(kind))
            cache.load(page.entries)
        server.kinds.add(kind)
        server.served_changed()
        self._served[name] = kind

    def _forget(self, name: str) -> None:
        kind = self._served.pop(name, None)
        if kind is not None:
            self._server.kinds.remove(kind.group, kind.plural)
            self._server.cache.remove(kind)
            self._server.served_changed()

    async def _clean_up(self, item: Item, definition: Object) -> None:
        """Delete the objects, then let the definition go."""
        finalizers = definition["metadata"].get("finalizers") or []
        if FINALIZER not in finalizers:
            return
        name = definition["metadata"]["name"]
        kind = self._served.get(name)
        store = self._server.store
        if kind is not None:
            items = list(self._server.cache.of(kind).items.values())
            held = [i for i in items if i.raw()["metadata"].get("finalizers")]
            for start in range(0, len(items), AT_ONCE):
                await asyncio.gather(
                    *(store.delete(i.key, i.revision) for i in items[start : start + AT_ONCE] if i not in held),
                    return_exceptions=True,
                )
            if held:
                await self._mark(held)
                await self._server.clock.sleep(0.5)
                raise RevisionMismatch(None)  # looked at again until their finalizers are gone
        definition["metadata"]["finalizers"] = [f for f in finalizers if f != FINALIZER]
        if definition["metadata"]["finalizers"]:
            await store.update(item.key, encode(definition), item.revision)
        else:
            await store.delete(item.key, item.revision)

    async def _mark(self, items: list[Item]) -> None:
        """Objects with finalizers are marked as being deleted; whoever holds them lets them go."""
        now = rfc3339(self._server.clock.time())
        for item in items:
            obj = item.raw()
            if not obj["metadata"].get("deletionTimestamp"):
                obj["metadata"] |= {"deletionTimestamp": now, "deletionGracePeriodSeconds": 0}
                await self._server.store.update(item.key, encode(obj), item.revision)


def _condition(kind: str, status: str, reason: str, message: str, now: str) -> Object:
    return {"type": kind, "status": status, "lastTransitionTime": now, "reason": reason, "message": message}


def _kept(old: Object | None, new: Object) -> Object:
    """A condition that says the same keeps its time."""
    if old is not None and all(old.get(k) == new[k] for k in ("status", "reason", "message")):
        return old
    return new
