"""One API server's aggregation layer: who serves which group version, kept in step with the APIServices.

What is served is read off the cache when it has changed, so that a request never waits for a loop. `run` does the rest: it
keeps the APIServices of our own groups, and watches over each server that is somewhere else (a keeper for each).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from heeler.apiserver.aggregation import availability, documents, registration, services
from heeler.apiserver.aggregation.availability import Finding
from heeler.apiserver.aggregation.documents import UNKNOWN, Documents
from heeler.apiserver.aggregation.priorities import CUSTOM, Priority, built_in
from heeler.apiserver.aggregation.services import GROUP, PLURAL, GroupVersion, Remote
from heeler.apiserver.aggregation.transport import Transport
from heeler.apiserver.cache import Watcher
from heeler.apiserver.status_writer import write_status
from heeler.base.clock import rfc3339
from heeler.base.tasks import later
from heeler.objects.value import Object, labels_of
from heeler.store.store import KeyExists, KeyNotFound, RevisionMismatch, StoreError
from heeler.workloads.endpoints import SERVICE_NAME

if TYPE_CHECKING:
    from heeler.apiserver.server import ApiServer

log = logging.getLogger(__name__)

#: Seconds between two looks at a server that is there, and the longest between two at one that isn't.
RESYNC = 30.0
#: Seconds after the first failure; it doubles with each.
FIRST_RETRY = 0.005
#: Seconds that discovery documents are good for.
REFRESH = 60.0
#: Servers that are watched over; APIServices beyond are not looked at.
MAX_KEEPERS = 1_000


@dataclass(eq=False, slots=True)
class _Keeper:
    """Watches over one APIService."""

    poked: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class _Known:
    """What was made of the APIServices and of our own kinds, and of which state of theirs."""

    state: tuple[int, int] = (-1, -1)
    remotes: dict[GroupVersion, Remote] = field(default_factory=dict)
    groups: list[tuple[str, list[str]]] = field(default_factory=list)


class Aggregator:
    """`transport` leads to the others. `start`, `close`."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self.transport = Transport(server.reach)
        self._known = _Known()
        #: Grows when kinds are added or removed.
        self._kinds = 0
        self._documents: dict[str, Documents] = {}
        self._asked: dict[str, float] = {}
        self._keepers: dict[str, _Keeper] = {}
        self._watcher = Watcher(None)
        #: The APIServices are to be looked at.
        self._look = False
        self._run: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Make the APIServices of built-in groups, and begin to follow."""
        await registration.at_start(self._server)
        self._run = asyncio.get_running_loop().create_task(self.run())

    async def close(self) -> None:
        tasks = [self._run, *(keeper.task for keeper in self._keepers.values())]
        for task in tasks:
            if task is not None:
                task.cancel()
        self._keepers.clear()
        await self.transport.close()

    def kinds_changed(self) -> None:
        """Kinds were added or removed: their APIServices follow."""
        self._kinds += 1
        self._look = True
        self._watcher.wake()

    # what is served

    def _current(self) -> _Known:
        cache = self._server.cache_of(GROUP, PLURAL)
        state = (int(cache.changed), self._kinds)
        if self._known.state != state:
            objects = [item.object() for item in cache.items.values()]
            found = [one for one in map(services.remote, objects) if one is not None]
            # APIServices themselves are always ours: what gives them away could not be taken back
            remotes = {(one.group, one.version): one for one in found if one.group != GROUP}
            wanted = {**self._own(), **services.priorities(objects)}
            self._known = _Known(state, remotes, services.ordered(wanted))
        return self._known

    def _own(self) -> dict[GroupVersion, Priority]:
        return {
            (kind.group, version): CUSTOM if kind.custom else built_in(kind.group, version)
            for kind in self._server.kinds
            for version in kind.versions
        }

    def groups(self) -> list[tuple[str, list[str]]]:
        """All groups with their versions, ours and others', in discovery's order."""
        return self._current().groups

    def remote(self, group: str, version: str) -> Remote | None:
        """Who serves a group version, if it is somebody else."""
        return self._current().remotes.get((group, version))

    def remote_of(self, path: str) -> Remote | None:
        """Who answers a path, if it is somebody else."""
        remotes = self._current().remotes
        if not remotes:
            return None
        parts = path.split("/", 4)  # "", "apis", group, version, rest
        if len(parts) > 3 and parts[1] == "apis":
            return remotes.get((parts[2], parts[3]))
        return remotes.get(("", "v1")) if len(parts) > 1 and parts[1] == "api" else None

    def documents(self, remote: Remote) -> Documents:
        return self._documents.get(remote.name, UNKNOWN)

    def swagger(self) -> list[Object]:
        """The parts of the OpenAPI v2 document that others bring."""
        known = (self.documents(remote).swagger for remote in self._current().remotes.values())
        return [one for one in known if one]

    def base(self, remote: Remote) -> str:
        """The URL of another server, as it is shown (connections go to its endpoints)."""
        service = self._server.lookup("", "services", remote.namespace, remote.service) or {}
        spec = service.get("spec") or {}
        address = spec.get("externalName") if spec.get("type") == "ExternalName" else spec.get("clusterIP")
        host = str(address) if address and address != "None" else remote.server_name
        return f"https://{f'[{host}]' if ':' in host else host}:{remote.port}"

    # following

    async def run(self) -> None:
        """Until cancelled."""
        server, watcher = self._server, self._watcher
        places = ((GROUP, PLURAL), ("", "services"), ("discovery.k8s.io", "endpointslices"))
        caches = [server.cache_of(group, plural) for group, plural in places]
        for cache in caches:
            cache.watchers[watcher] = None
        try:
            while True:
                try:
                    await registration.keep(server)
                except (RevisionMismatch, KeyNotFound, KeyExists):
                    self._look = True  # somebody else wrote it: again
                except StoreError as error:
                    log.warning("APIServices are not kept: %s", error)
                    self._look = True
                    await server.clock.sleep(1.0)
                self._watch_over()
                while not self._take_in():
                    await watcher.wait()
        finally:
            for cache in caches:
                cache.watchers.pop(watcher, None)

    def _take_in(self) -> bool:
        """Tell the keepers what concerns theirs; whether the APIServices are to be looked at."""
        watcher = self._watcher
        look, self._look = self._look or watcher.overflown, False
        touched: dict[tuple[str, str], None] = {}
        for name in self._keepers if watcher.overflown else ():
            self._poke(name)
        watcher.overflown = False
        while watcher.queue:
            event = watcher.queue.popleft()
            item, before = event.item, event.previous
            if item.kind.plural == PLURAL:
                look = True
                if before is None or before.object()["spec"] != item.object()["spec"]:
                    self._poke(item.name)
            elif self._keepers:
                slice = item.kind.plural != "services"
                name = labels_of(item.object()).get(SERVICE_NAME, "") if slice else item.name
                touched[item.namespace, name] = None
        for remote in self._current().remotes.values() if touched else ():
            if (remote.namespace, remote.service) in touched:
                self._poke(remote.name)
        if look:
            self._server.discovery_documents.clear()
        return look

    def _poke(self, name: str) -> None:
        keeper = self._keepers.get(name)
        if keeper is not None:
            keeper.poked.set()

    def _watch_over(self) -> None:
        """A keeper for each other server, and none for those that are gone."""
        wanted = [remote.name for remote in self._current().remotes.values()][:MAX_KEEPERS]
        for name in [name for name in self._keepers if name not in wanted]:
            task = self._keepers.pop(name).task
            if task is not None:
                task.cancel()
            self._documents.pop(name, None)
            self._asked.pop(name, None)
            self._server.openapi_documents.pop("v2", None)
            self._server.openapi_documents.pop("v2-protobuf", None)
        for name in wanted:
            if name not in self._keepers:
                keeper = self._keepers[name] = _Keeper()
                keeper.task = asyncio.get_running_loop().create_task(self._keep(name, keeper))
        self.transport.forget(frozenset(wanted))

    async def _keep(self, name: str, keeper: _Keeper) -> None:
        """Look at one server again and again: when something of it changes, and now and then."""
        failures = 0
        while True:
            keeper.poked.clear()
            try:
                failures = 0 if await self._look_at(name) else failures + 1
            except (RevisionMismatch, KeyNotFound):
                failures = 1
            except StoreError as error:
                log.warning("APIService %s: %s", name, error)
                failures = 8
            except Exception:
                log.exception("APIService %s can't be looked at", name)
                failures = 16
            seconds = min(RESYNC, FIRST_RETRY * 2 ** min(failures, 16)) if failures else RESYNC
            timer = later(seconds, keeper.poked.set)
            try:
                await keeper.poked.wait()
            finally:
                timer.cancel()

    async def _look_at(self, name: str) -> bool:
        """Say in its status whether it is there; False if it is to be asked again soon. Raises StoreError."""
        server = self._server
        item = server.item(GROUP, PLURAL, "", name)
        remote = services.remote(item.object()) if item is not None else None
        if item is None or remote is None:
            return True
        service = server.lookup("", "services", remote.namespace, remote.service)
        slices = [
            one
            for one in server.objects("discovery.k8s.io", "endpointslices", remote.namespace)
            if labels_of(one).get(SERVICE_NAME) == remote.service
        ]
        finding = availability.of_service(remote, service, slices)
        asked = finding is None
        if finding is None:
            finding = await availability.of_discovery(remote, self.base(remote) + remote.path, self.transport)
        await self._read(remote, there=finding.status == "True")  # who sees that it is there finds its resources
        found = services.condition(item.object()) or {}
        if Finding(found.get("status", ""), found.get("reason", ""), found.get("message", "")) != finding:
            condition = services.new_condition(*finding, now=rfc3339(server.clock.time()))
            await write_status(server, item, services.with_condition(item.fresh(), condition))
        return finding.status == "True" or not asked

    async def _read(self, remote: Remote, *, there: bool) -> None:
        """Bring its discovery documents up to date."""
        known, now = self.documents(remote), self._server.clock.monotonic()
        if there and (not known.fresh or now - self._asked.get(remote.name, now) >= REFRESH):
            found = await documents.fetch(remote, self.base(remote), self.transport, known)
            self._asked[remote.name] = now
        else:
            found = known if there else replace(known, fresh=False)
        if found != known:
            self._documents[remote.name] = found
            self._server.discovery_documents.clear()
            for name in ("v2", "v2-protobuf") if found.swagger != known.swagger else ():
                self._server.openapi_documents.pop(name, None)
