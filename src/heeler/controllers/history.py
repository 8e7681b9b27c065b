"""Keeps the ControllerRevisions of a StatefulSet or DaemonSet: makes, renumbers and removes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from heeler.client.client import Client
from heeler.client.informer import Informer
from heeler.controllers.pod_control import OwnerKind, claim, dependents_of
from heeler.controllers.resources import CONTROLLER_REVISIONS
from heeler.objects import selectors
from heeler.objects.status import StatusError
from heeler.objects.value import Object, labels_of, name_of
from heeler.workloads import owners, revisions


class Collision(Exception):
    """A revision of that name says something else: the next hash must count one more collision."""


class History:
    """`hash_label` is the label under which the kind writes a revision's hash."""

    def __init__(self, client: Client, informer: Informer, kind: OwnerKind, hash_label: str) -> None:
        self._client, self._informer, self._kind, self._hash_label = client, informer, kind, hash_label

    async def claimed(self, owner: Object) -> list[Object]:
        """The owner's revisions, oldest first, after taking over free ones that match.

        An owner that is being deleted takes over none, but those that it has let go are known to it still: it makes no
        second one of the same template beside them.
        """
        selector = selectors.of_object(owner["spec"].get("selector"))
        candidates = dependents_of(self._informer, owner)
        found = await claim(self._client, self._kind, owner, selector, self._informer, candidates, lambda _: True)
        known = dict.fromkeys(name_of(revision) for revision in found)
        free = [r for r in candidates if owners.controller_of(r) is None and selector.matches(labels_of(r))]
        return revisions.ordered([*found, *(revision for revision in free if name_of(revision) not in known)])

    async def current(self, owner: Object, found: Sequence[Object], collisions: int) -> Object:
        """The revision of the present template: a known one (made the newest), or a new one. Raises Collision."""
        number = revisions.next_number(found)
        wanted = revisions.new(owner, number, collisions, self._hash_label, self._kind.reference(owner))
        equal = [revision for revision in found if revisions.same(revision, wanted)]
        if equal and equal[-1] is found[-1]:
            return equal[-1]
        if equal:
            done = await self._client.update(CONTROLLER_REVISIONS, {**equal[-1], "revision": number})
            self._informer.assume(done)
            return done
        namespace = owner["metadata"]["namespace"]
        try:
            made = await self._client.create(CONTROLLER_REVISIONS, wanted, namespace)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                raise
            made = await self._client.get(CONTROLLER_REVISIONS, name_of(wanted), namespace)
            if not revisions.same(made, wanted):  # whose ever it is, one that says the same will do
                raise Collision from error
        self._informer.assume(made)
        return made

    async def truncate(self, owner: Object, found: Sequence[Object], live: Iterable[str]) -> None:
        """Remove what the history limit leaves no room for."""
        limit = owner["spec"].get("revisionHistoryLimit")
        for revision in revisions.excess(found, live, 10 if limit is None else int(limit)):
            try:
                await self._client.delete(CONTROLLER_REVISIONS, name_of(revision), owner["metadata"]["namespace"])
            except StatusError as error:
                if error.code != 404:
                    raise
            self._informer.assume_deleted(revision)
