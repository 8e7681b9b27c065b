"""What every controller does with pods of its own: claim, make, delete, and say so in events.

https://kubernetes.io/docs/concepts/workloads/controllers/ — a pod belongs to the one owner that controls it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

from heeler.base.tasks import together
from heeler.client.client import Client, PatchType
from heeler.client.events import Recorder
from heeler.client.informer import Informer
from heeler.controllers.resources import PODS
from heeler.objects.selectors import LabelSelector
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object, labels_of, meta, name_of
from heeler.workloads import owners

#: What one write gives: the object, or why there is none.
Outcome: TypeAlias = "Object | StatusError | OSError"
STRATEGIC: PatchType = "application/strategic-merge-patch+json"


class OwnerKind(NamedTuple):
    """A kind that owns pods."""

    resource: GroupVersionResource
    kind: str

    def reference(self, owner: Object) -> Object:
        return owners.reference(owner, self.resource.api_version, self.kind)

    def about(self, owner: Object) -> Object:
        """The owner as events name it."""
        return {**owner, "kind": self.kind, "apiVersion": self.resource.api_version}


async def claim(
    client: Client,
    kind: OwnerKind,
    owner: Object,
    selector: LabelSelector,
    informer: Informer,
    candidates: Iterable[Object],
    may_adopt: Callable[[Object], bool],
    finalizers: Sequence[str] = (),
) -> list[Object]:
    """The owner's objects of a collection, after adopting those that fit and letting go those that don't any more.

    Adopted ones get `finalizers`.
    """
    claims = owners.claim(owner, selector, candidates, may_adopt)
    namespace, uid = owner["metadata"]["namespace"], owner["metadata"]["uid"]
    kept = list(claims.owned)
    if claims.adopt:
        fresh = await client.get(kind.resource, name_of(owner), namespace)
        if fresh["metadata"]["uid"] == uid and "deletionTimestamp" not in fresh["metadata"]:
            for obj in claims.adopt:
                patch = owners.adoption(obj, kind.reference(owner))
                if finalizers:
                    patch["metadata"]["finalizers"] = list(finalizers)
                adopted = await _patch(client, informer, obj, patch)
                if adopted is not None:
                    kept.append(adopted)
    for obj in claims.release:
        await _patch(client, informer, obj, owners.letting_go(obj, owner))
    return kept


async def _patch(client: Client, informer: Informer, obj: Object, patch: Object) -> Object | None:
    """None: it is gone, or another one has its name."""
    try:
        found = await client.patch(informer.resource, name_of(obj), patch, obj["metadata"]["namespace"], type=STRATEGIC)
    except StatusError as error:
        if error.code not in (404, 422):
            raise
        return None
    informer.assume(found)
    return found


def watch_dependents(
    dependents: Informer,
    owning: Informer,
    kind: str,
    selector: Callable[[Object], LabelSelector],
    add: Callable[[str], None],
) -> None:
    """Call `add` with the keys of the owners that a change of a dependent concerns; of a free one, all that match."""
    dependents.add_index("controller", lambda obj: [owners.controller_uid(obj)])
    dependents.add_index("namespace", lambda obj: [meta(obj).get("namespace", "")])
    owning.add_index("namespace", lambda obj: [meta(obj).get("namespace", "")])

    def changed(old: Object | None, new: Object | None) -> None:
        for obj in (old, new):
            ref = owners.controller_of(obj) if obj is not None else None
            if obj is not None and ref is not None and ref.get("kind") == kind:
                add(f"{obj['metadata']['namespace']}/{ref['name']}")
        if new is not None and owners.controller_of(new) is None:
            for owner in owning.by_index("namespace", new["metadata"]["namespace"]):
                if selector(owner).matches(labels_of(new)):
                    add(f"{owner['metadata']['namespace']}/{owner['metadata']['name']}")

    dependents.add_handler(changed)


def dependents_of(informer: Informer, owner: Object) -> list[Object]:
    """What an owner controls, and what nobody controls in its namespace."""
    namespace = owner["metadata"]["namespace"]
    free = [obj for obj in informer.by_index("controller", "") if obj["metadata"].get("namespace") == namespace]
    return [*informer.by_index("controller", owner["metadata"]["uid"]), *free]


class PodControl:
    """Pods of one kind of owner."""

    def __init__(self, client: Client, pods: Informer, events: Recorder, kind: OwnerKind) -> None:
        self._client, self._pods, self._events, self._kind = client, pods, events, kind

    async def create(self, owner: Object, pod: Object) -> Outcome:
        about, namespace = self._kind.about(owner), owner["metadata"]["namespace"]
        try:
            made = await self._client.create(PODS, pod, namespace)
        except StatusError as error:
            if not namespace_is_terminating(error):
                self._events.record(about, "Warning", "FailedCreate", f"Error creating: {error}")
            return error
        except OSError as error:
            return error
        self._pods.assume(made)
        self._events.record(about, "Normal", "SuccessfulCreate", f"Created pod: {name_of(made)}")
        return made

    async def delete(self, owner: Object, pod: Object) -> StatusError | OSError | None:
        about, name = self._kind.about(owner), name_of(pod)
        try:
            gone = await self._client.delete(PODS, name, pod["metadata"]["namespace"], uid=pod["metadata"]["uid"])
        except StatusError as error:
            if error.code in (404, 409):
                return None
            self._events.record(about, "Warning", "FailedDelete", f"Error deleting: {error}")
            return error
        except OSError as error:
            return error
        if gone.get("kind") == "Pod" and "deletionTimestamp" in gone["metadata"]:
            self._pods.assume(gone)
        self._events.record(about, "Normal", "SuccessfulDelete", f"Deleted pod: {name}")
        return None

    async def delete_all(self, owner: Object, victims: Sequence[Object]) -> StatusError | OSError | None:
        """Delete pods side by side; the first failure."""
        results = await together(*(self.delete(owner, pod) for pod in victims))
        return next((result for result in results if result is not None), None)


async def in_growing_batches(
    work: Sequence[Callable[[], Awaitable[Outcome | None]]],
) -> tuple[list[Object], StatusError | OSError | None]:
    """Do things side by side: one, then two, then four, so that what fails always fails seldom. (made, first failure)."""
    made: list[Object] = []
    done, size = 0, 1
    while done < len(work):
        results = await together(*(start() for start in work[done : done + size]))
        made += [result for result in results if isinstance(result, dict)]
        failed = [result for result in results if isinstance(result, (StatusError, OSError))]
        if failed:
            return made, failed[0]
        done += size
        size *= 2
    return made, None


def namespace_is_terminating(error: StatusError) -> bool:
    """Refused since the namespace is going away."""
    causes = (error.details or {}).get("causes") or ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)


def from_template(template: Object, name: str, reference: Object) -> Object:
    """A pod of a template, to be named by the server after its owner."""
    given = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{name}-",
            "ownerReferences": [reference],
            **{key: given[key] for key in ("labels", "annotations", "finalizers") if given.get(key)},
        },
        "spec": template.get("spec") or {},
    }
