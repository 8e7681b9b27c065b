"""The end of a namespace: its pods are deleted, when none is left all the rest, then its finalizer goes.

https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/ — the conditions tell what is left.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from heeler.base.clock import parse_rfc3339, rfc3339
from heeler.client.discovery import Discovery, Resource, discover
from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.resources import NAMESPACES, PODS
from heeler.objects.status import StatusError
from heeler.objects.value import Object, meta, name_of
from heeler.workloads import pods

FINALIZER = "kubernetes"
#: What is left with finalizers is looked at again after this many seconds at the latest.
FINALIZER_ESTIMATE = 15
FIRST_LOOK_SECONDS = 0.25


@dataclass(slots=True)
class Remains:
    """What deleting a namespace's content left."""

    instances: dict[str, int] = field(default_factory=dict)
    finalizers: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    discovery_error: str = ""
    estimate: int = 0

    @property
    def nothing(self) -> bool:
        return not self.instances and not self.errors and not self.discovery_error and not self.estimate


class NamespaceController:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue(max_delay=60.0)
        self._context, self._client = context, context.client
        self._namespaces = context.informers.get(NAMESPACES)
        self._namespaces.add_handler(self._changed)
        self._looks: dict[str, int] = {}

    def _changed(self, _: Object | None, new: Object | None) -> None:
        if new is not None and "deletionTimestamp" in new["metadata"]:
            self.queue.add(key_of(new))

    async def reconcile(self, key: str) -> None:
        namespace = self._namespaces.get(key)
        if namespace is None or "deletionTimestamp" not in namespace["metadata"]:
            self._looks.pop(key, None)
            return
        finalizers = (namespace.get("spec") or {}).get("finalizers") or []
        if FINALIZER not in finalizers:
            return
        remains = await self._delete_content(namespace)
        namespace = await self._report(namespace, remains)
        if remains.nothing:
            self._looks.pop(key, None)
            rest = [one for one in finalizers if one != FINALIZER]
            spec = {**(namespace.get("spec") or {}), "finalizers": rest}
            await self._client.update(NAMESPACES, {**namespace, "spec": spec}, subresource="finalize")
            return
        # Content mostly goes at once: look again soon, then more seldom.
        looks = self._looks[key] = self._looks.get(key, 0) + 1
        limit = remains.estimate / 2 + 1 if remains.estimate else float(FINALIZER_ESTIMATE)
        self.queue.add_after(key, min(FIRST_LOOK_SECONDS * 2 ** min(looks - 1, 10), limit))

    async def _delete_content(self, namespace: Object) -> Remains:
        remains = Remains()
        try:
            found = await discover(self._client)
        except (StatusError, OSError) as error:
            remains.discovery_error = str(error)
            return remains
        if found.stale:
            remains.discovery_error = f"unable to retrieve the complete list of server APIs: {', '.join(found.stale)}"
        for resource in _deletable(found):
            left = await self._delete_collection(namespace, resource, remains)
            if left and resource.name == PODS:
                # What protects a pod stays for as long as it may run. The conditions don't say that it is waited for.
                remains.instances, remains.finalizers = {}, {}
                break
        return remains

    async def _delete_collection(self, namespace: Object, resource: Resource, remains: Remains) -> int:
        """How many are left."""
        name = name_of(namespace)
        try:
            items = await self._items(resource, name)
            if not items:
                return 0
            for item in items:
                if "deletionTimestamp" not in meta(item):
                    await self._delete(resource, item)
            items = await self._items(resource, name)
        except (StatusError, OSError) as error:
            remains.errors.append(str(error))
            return 0
        if not items:
            return 0
        estimate = self._grace(namespace, items) if resource.name.resource == "pods" and not resource.name.group else 0
        label = f"{resource.name.resource}.{resource.name.group}"
        held: dict[str, int] = {}
        for item in items:
            for one in meta(item).get("finalizers") or ():
                held[one] = held.get(one, 0) + 1
        if not held and not estimate:
            group_version = f"{resource.name.group}/{resource.name.version}"
            remains.errors.append(
                f"unexpected items still remain in namespace: {name} for gvr: "
                f"{group_version}, Resource={resource.name.resource}"
            )
            return len(items)
        remains.estimate = max(remains.estimate, estimate or FINALIZER_ESTIMATE)
        remains.instances[label] = len(items)
        for one, count in held.items():
            remains.finalizers[one] = remains.finalizers.get(one, 0) + count
        return len(items)

    async def _items(self, resource: Resource, namespace: str) -> list[Object]:
        return (await self._client.list(resource.name, namespace)).items

    async def _delete(self, resource: Resource, item: Object) -> None:
        try:
            await self._client.delete(
                resource.name, name_of(item), item["metadata"]["namespace"], propagation="Background"
            )
        except StatusError as error:
            if error.code not in (404, 409):
                raise

    def _grace(self, namespace: Object, items: list[Object]) -> int:
        """Seconds that the pods may still take; 0 once the longest of them has had its time."""
        longest = max(
            (
                int((pod.get("spec") or {}).get("terminationGracePeriodSeconds") or 0)
                for pod in items
                if not pods.is_finished(pod)
            ),
            default=0,
        )
        since = self._context.clock.time() - parse_rfc3339(namespace["metadata"]["deletionTimestamp"])
        return longest if since < longest else 0

    async def _report(self, namespace: Object, remains: Remains) -> Object:
        status = {**(namespace.get("status") or {}), "phase": "Terminating"}
        now = rfc3339(self._context.clock.time())
        known = {c.get("type"): c for c in status.get("conditions") or ()}
        conditions = [c for c in status.get("conditions") or () if c.get("type") not in {t[0] for t in told(remains)}]
        fresh = []
        for type, value, reason, message in told(remains):
            old = known.get(type)
            if old is not None and (old.get("status"), old.get("reason"), old.get("message")) == (
                value,
                reason,
                message,
            ):
                fresh.append(old)
                continue
            since = old["lastTransitionTime"] if old is not None and old.get("status") == value else now
            fresh.append(
                {"type": type, "status": value, "lastTransitionTime": since, "reason": reason, "message": message}
            )
        status["conditions"] = conditions + fresh
        if status == (namespace.get("status") or {}) or (remains.nothing and not known):
            return namespace
        done = await self._client.update(NAMESPACES, {**namespace, "status": status}, subresource="status")
        self._namespaces.assume(done)
        return done


def _deletable(found: Discovery) -> list[Resource]:
    """Namespaced resources that can be listed and deleted: pods first, events last, so that deletions may still tell theirs."""
    out = [r for r in found.preferred() if r.namespaced and "delete" in r.verbs and "list" in r.verbs]
    # The same events are served by two groups; one is enough.
    out = [r for r in out if (r.name.group, r.name.resource) != ("events.k8s.io", "events")]
    return sorted(out, key=lambda r: (r.name != PODS, r.name.resource == "events"))


def told(remains: Remains) -> list[tuple[str, str, str, str]]:
    """The conditions (type, status, reason, message), in upstream's order."""
    out = []
    if remains.discovery_error:
        message = f"Discovery failed for some groups, 1 failing: {remains.discovery_error}"
        out.append(("NamespaceDeletionDiscoveryFailure", "True", "DiscoveryFailed", message))
    else:
        said = ("False", "ResourcesDiscovered", "All resources successfully discovered")
        out.append(("NamespaceDeletionDiscoveryFailure", *said))
    parsed = ("False", "ParsedGroupVersions", "All legacy kube types successfully parsed")
    out.append(("NamespaceDeletionGroupVersionParsingFailure", *parsed))
    if remains.errors:
        texts = remains.errors
        message = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        message = f"Failed to delete all resource types, {len(texts)} remaining: {message}"
        out.append(("NamespaceDeletionContentFailure", "True", "ContentDeletionFailed", message))
    else:
        message = "All content successfully deleted, may be waiting on finalization"
        out.append(("NamespaceDeletionContentFailure", "False", "ContentDeleted", message))
    if remains.instances:
        texts = [f"{name} has {count} resource instances" for name, count in sorted(remains.instances.items())]
        message = f"Some resources are remaining: {', '.join(texts)}"
        out.append(("NamespaceContentRemaining", "True", "SomeResourcesRemain", message))
    else:
        out.append(("NamespaceContentRemaining", "False", "ContentRemoved", "All content successfully removed"))
    if remains.finalizers:
        texts = [f"{name} in {count} resource instances" for name, count in sorted(remains.finalizers.items())]
        message = f"Some content in the namespace has finalizers remaining: {', '.join(texts)}"
        out.append(("NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain", message))
    else:
        message = "All content-preserving finalizers finished"
        out.append(("NamespaceFinalizersRemaining", "False", "ContentHasNoFinalizers", message))
    return out
