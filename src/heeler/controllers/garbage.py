"""The garbage collector: what nobody owns any more is deleted, in the background or before its owner.

It keeps a graph of all objects by uid from informers on everything that can be deleted, and asks the server again
before it deletes. https://kubernetes.io/docs/concepts/architecture/garbage-collection/
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from heeler.base.tasks import later
from heeler.client.discovery import Discovery, Resource, discover
from heeler.client.informer import Handler, Informer
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object, meta
from heeler.workloads import owners, pods

log = logging.getLogger(__name__)

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
#: Discovery is asked again so soon while it lacks a kind that has been defined.
MISSING_SECONDS = 1.0
CRDS = GroupVersionResource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
#: Not worth watching: nobody owns them and they own nothing.
IGNORED = {("", "events"), ("events.k8s.io", "events")}


@dataclass(slots=True)
class Node:
    """One object. `resource` is None while only an owner reference tells of it."""

    uid: str
    resource: GroupVersionResource | None
    kind: str
    api_version: str
    namespace: str
    name: str
    owners: dict[str, Object] = field(default_factory=dict)
    dependents: dict[str, None] = field(default_factory=dict)
    deleting: bool = False
    finalizers: tuple[str, ...] = ()

    @property
    def waits_for_dependents(self) -> bool:
        return self.deleting and FOREGROUND in self.finalizers


def is_missing(definition: Object, known: Discovery) -> bool:
    """Does a definition serve a kind that discovery doesn't tell of yet?"""
    if not pods.has_condition(definition, "Established") or "deletionTimestamp" in definition["metadata"]:
        return False
    spec = definition["spec"]
    versions = [version["name"] for version in spec["versions"] if version.get("served")]
    kind = spec["names"]["kind"]
    return any(known.of_kind(f"{spec['group']}/{version}", kind) is None for version in versions)


class GarbageCollector:
    """Keys are uids."""

    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._context, self._client = context, context.client
        self._events = context.recorder("garbage-collector-controller")
        self._nodes: dict[str, Node] = {}
        self._watched: dict[tuple[str, str], Informer] = {}
        self._known = Discovery([], [])
        self._refresh = asyncio.Event()

    async def run(self) -> None:
        """Follow what the server serves: new kinds are watched too."""
        crds = self._context.informers.get(CRDS)
        crds.add_handler(lambda old, new: self._refresh.set())
        watched: Discovery | None = None  # a reconcile may ask discovery too
        while True:
            self._refresh.clear()
            try:
                self._known = await discover(self._client, self._known)
            except (StatusError, OSError) as error:
                log.warning("discovery failed: %s", error)
            if self._known is not watched:
                watched = self._known
                self._watch_all()
            missing = any(is_missing(definition, self._known) for definition in crds)
            pause = MISSING_SECONDS if missing else self._context.settings.gc_resync_period
            timer = later(pause, self._refresh.set)
            try:
                await self._refresh.wait()
                await self._context.clock.sleep(0.2)  # let a burst of new kinds settle
            finally:
                timer.cancel()

    def _watch_all(self) -> None:
        served = {(one.name.group, one.name.resource) for one in self._known.preferred()}
        unknown = {group_version.rpartition("/")[0] for group_version in self._known.stale}
        for name in [name for name in self._watched if name not in served and name[0] not in unknown]:
            self._context.informers.drop(self._watched.pop(name))  # the definition is gone, its objects went before
        for resource in self._known.preferred():
            name = (resource.name.group, resource.name.resource)
            if name in self._watched or name in IGNORED:
                continue
            if not {"list", "watch", "delete"} <= set(resource.verbs):
                continue
            informer = self._context.informers.get(resource.name)
            self._watched[name] = informer
            informer.add_handler(self._handler(resource))

    def _handler(self, resource: Resource) -> Handler:
        def changed(old: Object | None, new: Object | None) -> None:
            if new is None and old is not None:
                self._gone(meta(old).get("uid", ""))
            elif new is not None:
                if old is not None and meta(old).get("uid") != meta(new).get("uid"):
                    self._gone(meta(old).get("uid", ""))
                self._seen(resource, new)

        return changed

    # the graph

    def _seen(self, resource: Resource, obj: Object) -> None:
        metadata = obj["metadata"]
        uid = metadata.get("uid", "")
        if not uid:
            return
        node = self._nodes.get(uid)
        if node is None:
            node = self._nodes[uid] = Node(uid, None, "", "", "", "")
        first = node.resource is None
        node.resource, node.kind, node.api_version = resource.name, resource.kind, resource.name.api_version
        node.namespace, node.name = metadata.get("namespace", ""), metadata["name"]
        was_waiting, was_orphaning = node.waits_for_dependents, node.deleting and ORPHAN in node.finalizers
        node.deleting = "deletionTimestamp" in metadata
        node.finalizers = tuple(metadata.get("finalizers") or ())
        self._link(node, {ref["uid"]: ref for ref in metadata.get("ownerReferences") or ()})
        if node.waits_for_dependents and not was_waiting:
            self.queue.add(uid)
            for dependent in node.dependents:
                self.queue.add(dependent)
        if node.deleting and ORPHAN in node.finalizers and not was_orphaning:
            self.queue.add(uid)
        if first:
            for dependent in list(node.dependents):
                self._check_place(self._nodes[dependent], node)

    def _link(self, node: Node, wanted: dict[str, Object]) -> None:
        before, node.owners = node.owners, wanted
        for uid in [uid for uid in before if uid not in wanted]:
            owner = self._nodes.get(uid)
            if owner is not None:
                owner.dependents.pop(node.uid, None)
                if owner.waits_for_dependents:
                    self.queue.add(uid)
                self._forget_virtual(owner)
        changed = False
        for uid, ref in wanted.items():
            if before.get(uid) == ref:
                continue
            changed = True
            owner = self._nodes.get(uid)
            if owner is None:
                owner = self._nodes[uid] = Node(uid, None, ref["kind"], ref["apiVersion"], node.namespace, ref["name"])
            owner.dependents[node.uid] = None
            if owner.resource is None:
                self.queue.add(node.uid)  # nobody saw the owner yet: ask for it
            else:
                self._check_place(node, owner)
            if owner.waits_for_dependents:
                self.queue.add(node.uid)
                self.queue.add(uid)
        if changed and node.deleting:
            self.queue.add(node.uid)

    def _check_place(self, node: Node, owner: Node) -> None:
        """An owner in another namespace, or of another kind than the reference says, is no owner."""
        ref = node.owners.get(owner.uid)
        if ref is None:
            return
        if owner.namespace and owner.namespace != node.namespace:
            self.queue.add(node.uid)
            where = f"namespace: {node.namespace}, " if node.namespace else ""
            text = f"ownerRef [{ref['apiVersion']}/{ref['kind']}, {where}name: {ref['name']}, uid: {owner.uid}]"
            about = {
                "kind": node.kind,
                "apiVersion": node.api_version,
                "metadata": {"name": node.name, "namespace": node.namespace, "uid": node.uid},
            }
            message = f'{text} does not exist in namespace "{node.namespace}"'
            if node.namespace:
                self._events.record(about, "Warning", "OwnerRefInvalidNamespace", message)
        elif (ref["kind"], ref["name"]) != (owner.kind, owner.name):
            self.queue.add(node.uid)

    def _gone(self, uid: str) -> None:
        node = self._nodes.pop(uid, None)
        if node is None:
            return
        for owner_uid in node.owners:
            owner = self._nodes.get(owner_uid)
            if owner is not None:
                owner.dependents.pop(uid, None)
                if owner.waits_for_dependents:
                    self.queue.add(owner_uid)
                self._forget_virtual(owner)
        if node.dependents:
            # Dependents still name it: keep the place, so that they are found when it must be told again.
            left = Node(uid, None, node.kind, node.api_version, node.namespace, node.name)
            left.dependents = node.dependents
            self._nodes[uid] = left
            for dependent in node.dependents:
                self.queue.add(dependent)

    def _forget_virtual(self, node: Node) -> None:
        if node.resource is None and not node.dependents:
            self._nodes.pop(node.uid, None)

    # decisions

    async def reconcile(self, key: str) -> None:
        node = self._nodes.get(key)
        if node is None or node.resource is None:
            return
        live = await self._get(node)
        if live is None:
            self._gone(key)
            return
        finalizers = meta(live).get("finalizers") or []
        if "deletionTimestamp" in live["metadata"]:
            if ORPHAN in finalizers:
                await self._orphan(node, live)
            elif FOREGROUND in finalizers:
                await self._finish_foreground(node, live)
            return
        refs = owners.references(live)
        if refs:
            await self._judge(node, live, refs)

    async def _judge(self, node: Node, live: Object, refs: list[Object]) -> None:
        solid, dangling, waiting = 0, [], []
        for ref in refs:
            state = await self._state_of(node, ref)
            if state == "absent":
                dangling.append(ref["uid"])
            elif state == "waiting":
                waiting.append(ref["uid"])
            else:
                solid += 1
        if solid:
            if dangling or waiting:
                await self._drop_references(node, live, [*dangling, *waiting])
            return
        if waiting and node.dependents:
            # Its own dependents go first; a circle of waiting objects is broken here.
            if any(self._nodes[uid].waits_for_dependents for uid in node.dependents):
                changed = [{**ref, "blockOwnerDeletion": False} for ref in refs]
                await self._patch(node, {"metadata": {"ownerReferences": changed, "uid": node.uid}})
            await self._delete(node, live, "Foreground")
            return
        finalizers = meta(live).get("finalizers") or []
        policy = "Orphan" if ORPHAN in finalizers else "Foreground" if FOREGROUND in finalizers else "Background"
        await self._delete(node, live, policy)

    async def _state_of(self, node: Node, ref: Object) -> str:
        """Whether an owner is there ("solid"), is there but waits for its dependents, or is "absent"."""
        known = self._nodes.get(ref["uid"])
        if known is not None and known.resource is not None and self._same(node, known, ref):
            return "waiting" if known.waits_for_dependents else "solid"
        resource = self._known.of_kind(ref["apiVersion"], ref["kind"])
        if resource is None:
            self._known = await discover(self._client)
            resource = self._known.of_kind(ref["apiVersion"], ref["kind"])
            if resource is None:
                return "solid"  # a kind that isn't served: leave the object alone
        if resource.namespaced and not node.namespace:
            return "solid"
        try:
            found = await self._client.get(resource.name, ref["name"], node.namespace if resource.namespaced else None)
        except StatusError as error:
            if error.code == 404:
                return "absent"
            raise
        if found["metadata"]["uid"] != ref["uid"]:
            return "absent"
        going = "deletionTimestamp" in found["metadata"] and FOREGROUND in (meta(found).get("finalizers") or ())
        return "waiting" if going else "solid"

    @staticmethod
    def _same(node: Node, owner: Node, ref: Object) -> bool:
        place = not owner.namespace or owner.namespace == node.namespace
        return place and (ref["kind"], ref["name"]) == (owner.kind, owner.name)

    async def _finish_foreground(self, node: Node, live: Object) -> None:
        blocking = [
            self._nodes[uid]
            for uid in node.dependents
            if uid in self._nodes and self._nodes[uid].owners.get(node.uid, {}).get("blockOwnerDeletion")
        ]
        if not blocking:
            await self._remove_finalizer(node, live, FOREGROUND)
            return
        for dependent in blocking:
            if not dependent.waits_for_dependents:
                self.queue.add(dependent.uid)

    async def _orphan(self, node: Node, live: Object) -> None:
        for uid in list(node.dependents):
            dependent = self._nodes.get(uid)
            if dependent is not None and dependent.resource is not None:
                current = await self._get(dependent)
                if current is not None:
                    await self._drop_references(dependent, current, [node.uid])
        await self._remove_finalizer(node, live, ORPHAN)

    # writes

    async def _get(self, node: Node) -> Object | None:
        assert node.resource is not None
        try:
            found = await self._client.get(node.resource, node.name, node.namespace or None)
        except StatusError as error:
            if error.code == 404:
                return None
            raise
        return found if found["metadata"]["uid"] == node.uid else None

    async def _drop_references(self, node: Node, live: Object, uids: list[str]) -> None:
        rest = [ref for ref in owners.references(live) if ref["uid"] not in uids]
        if len(rest) == len(owners.references(live)):
            return
        metadata = {
            "ownerReferences": rest or None,
            "uid": node.uid,
            "resourceVersion": live["metadata"]["resourceVersion"],
        }
        await self._patch(node, {"metadata": metadata})

    async def _remove_finalizer(self, node: Node, live: Object, finalizer: str) -> None:
        rest = [one for one in meta(live).get("finalizers") or () if one != finalizer]
        version = live["metadata"]["resourceVersion"]
        await self._patch(node, {"metadata": {"finalizers": rest or None, "resourceVersion": version}})

    async def _patch(self, node: Node, patch: Object) -> None:
        assert node.resource is not None
        try:
            await self._client.patch(
                node.resource, node.name, patch, node.namespace or None, type="application/merge-patch+json"
            )
        except StatusError as error:
            if error.code != 404:
                raise

    async def _delete(self, node: Node, live: Object, policy: str) -> None:
        assert node.resource is not None
        try:
            await self._client.delete(
                node.resource,
                node.name,
                node.namespace or None,
                uid=node.uid,
                resource_version=live["metadata"]["resourceVersion"],
                propagation=policy,
            )
        except StatusError as error:
            if error.code != 404:
                raise
