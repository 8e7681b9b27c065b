"""The API server's state, put together: store, cache, kinds, users, rights. `start` makes it ready to serve.

No transport here: `request.serve` answers HTTP with it, `request.handle` calls from the same process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from heeler.apiserver.aggregation.aggregator import Aggregator
from heeler.apiserver.aggregation.trust import Trust, publish
from heeler.apiserver.audit.record import Audit
from heeler.apiserver.authorize.authorizer import Authorizer, CachedPods, CachedRoles
from heeler.apiserver.authorize.node import NodeAuthorizer
from heeler.apiserver.authorize.rbac import Rbac
from heeler.apiserver.cache import ROOT, Cache, Item, ResourceCache, key_of
from heeler.apiserver.extensions.conversion import Conversions
from heeler.apiserver.extensions.reach import Reach
from heeler.apiserver.extensions.webhook_client import WebhookClient
from heeler.apiserver.flow_control import Seats
from heeler.apiserver.loops.legacy_tokens import LegacyTokens
from heeler.apiserver.user import User
from heeler.base.aside import Aside
from heeler.base.clock import Clock
from heeler.base.random import Random
from heeler.kinds.core.security_rules import POLICY
from heeler.kinds.kind import Kind
from heeler.kinds.registry import Kinds, built_in
from heeler.objects.value import Object, Revision
from heeler.store.store import Change, Entry, Store, StoreError

log = logging.getLogger(__name__)


class TokenSource(Protocol):
    """Something that knows whose a bearer token is."""

    def user(self, token: str) -> User | None: ...


class Hooks(Protocol):
    """What a kind's storage does besides storing (Services: addresses and ports)."""

    async def before_create(self, server: ApiServer, obj: Object, dry_run: bool) -> Release | None: ...

    async def before_update(self, server: ApiServer, new: Object, old: Object, dry_run: bool) -> None: ...

    async def after_update(self, server: ApiServer, new: Object, old: Object, *, deleted: bool) -> None: ...

    async def after_delete(self, server: ApiServer, old: Object) -> None: ...


class Release(Protocol):
    """Gives back what was taken for an object that then wasn't stored."""

    async def release(self) -> None: ...


class NodeConnections(Protocol):
    """How the server reaches a node's agent (logs, exec, attach, port-forward)."""

    async def forward(self, node: Object, path: str, request: object) -> object: ...

    def renew(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server is told at its start."""

    service_cluster_ip_range: str = "10.0.0.0/24"
    service_node_port_range: tuple[int, int] = (30000, 32767)
    service_account_issuer: str = "https://kubernetes.default.svc"
    service_account_jwks_uri: str = ""
    authorization_modes: tuple[str, ...] = ("RBAC",)
    advertise_address: str = "127.0.0.1"
    advertise_port: int = 6443
    #: Warn whoever creates something that this version stores but doesn't act upon.
    warn_not_enforced: bool = False
    #: Pods may have privileged containers (upstream's --allow-privileged).
    allow_privileged: bool = True
    #: Serve metrics.k8s.io with what the nodes' agents say.
    resource_metrics: bool = False
    #: Make the StorageClass and the rights of the local provisioner.
    local_path: bool = False
    #: Seconds after which events go; 0: never.
    event_ttl: float = 3600.0
    #: Which node agents may be reached at all (None: none).
    version: Object = field(default_factory=dict)


class ApiServer:
    """One API server. `start` before use."""

    def __init__(self, store: Store, *, clock: Clock, random: Random, settings: Settings | None = None) -> None:
        self.store = store
        self.clock = clock
        self.random = random
        self.settings = settings or Settings()
        POLICY.allow_privileged = self.settings.allow_privileged
        self.kinds: Kinds = Kinds(list(built_in()))
        self.cache = Cache()
        self.seats = Seats()
        self.aside = Aside()
        self.token_sources: list[TokenSource] = []
        self.service_accounts: object | None = None
        self.legacy_tokens = LegacyTokens(self)
        self.nodes: NodeConnections | None = None
        self.reach = Reach(self)
        self.webhooks = WebhookClient(self.reach)
        self.conversions = Conversions(self)
        self.aggregator = Aggregator(self)
        #: Whom other API servers are told to believe.
        self.trust = Trust()
        self.figures: object | None = None
        #: Writes down who asked what, if it is asked to.
        self.audit: Audit | None = None
        self.hooks: dict[tuple[str, str], Hooks] = {}
        self.roles = CachedRoles(self)
        self.rbac = Rbac(self.roles)
        self.authorizer = Authorizer(self.settings.authorization_modes, self.rbac, NodeAuthorizer(CachedPods(self)))
        self.ready = False
        self.openapi_documents: dict[str, bytes] = {}
        #: /api and /apis in the aggregated form: (ETag, JSON).
        self.discovery_documents: dict[str, tuple[str, bytes]] = {}
        self._groups: frozenset[str] = frozenset()
        self._feed: asyncio.Task[None] | None = None
        self._loops: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Load the cache from the store and follow it."""
        for kind in self.kinds:
            if "list" in kind.verbs and not kind.stored_elsewhere:
                self.cache.add(kind)
        await self._load()
        from heeler.apiserver.bootstrap.bootstrap import bootstrap
        from heeler.apiserver.extensions.definitions import Definitions
        from heeler.apiserver.loops import events, flow_schemas
        from heeler.apiserver.services import ServiceHooks

        self.hooks["", "services"] = ServiceHooks(self)
        await bootstrap(self)
        if self.settings.resource_metrics:
            from heeler.apiserver.extensions import metrics

            await metrics.serve(self)
        definitions = Definitions(self)
        await definitions.load()
        loop = asyncio.get_running_loop()
        keeping = (
            definitions.run(),
            flow_schemas.keep(self),
            events.expire_for_ever(self, self.settings.event_ttl),
            self.legacy_tokens.run(),
        )
        self._loops = [loop.create_task(part) for part in keeping]
        await publish(self, self.trust)
        await self.aggregator.start()
        self.ready = True

    async def _load(self) -> None:
        page = await self.store.list(ROOT)
        entries: dict[str, list[Entry]] = {}
        for entry in page.entries:
            end = entry.key.find("/", entry.key.find("/", len(ROOT)) + 1)
            entries.setdefault(entry.key[: end + 1], []).append(entry)
        self.cache.revision = page.revision
        for cache in self.cache:
            cache.oldest = page.revision
            cache.load(entries.get(cache.prefix, []))
        history = getattr(self.store, "history", None)
        if history is not None:
            self._remember(history.since(history.oldest), history.oldest)
            history.listen(self.cache.apply)
        else:
            self._feed = asyncio.get_running_loop().create_task(self._follow(page.revision))

    def _remember(self, changes: list[Change], oldest: Revision) -> None:
        """The recent past, so that watches may go on over a restart."""
        for cache in self.cache:
            cache.oldest = oldest
        self.cache.replay(changes)

    async def _follow(self, revision: int) -> None:
        """Feed the cache from a store that is somewhere else."""
        store: Any = self.store
        store.progress = self.cache.advance
        position = Revision(revision)
        while True:
            try:
                async for change in self.store.watch(ROOT, position):
                    position = change.revision
                    self.cache.apply([change])
            except StoreError as error:
                # nothing can be served rightly without the events between: the process starts anew
                self.ready = False
                log.error("the store's watch ended, the cache is lost: %s", error)
                raise

    async def close(self) -> None:
        self.ready = False
        self.aside.close()
        self.reach.close()
        await self.aggregator.close()
        await self.webhooks.close()
        for task in (*self._loops, self._feed):
            if task is not None:
                task.cancel()

    async def freshen(self) -> None:
        """Until the cache has all that is committed when this is called."""
        revision = self.store.revision
        if self._feed is not None:
            revision = await self.store.current_revision()
            if self.cache.revision < revision:
                asking: Any = self.store
                asking.ask_progress()
        if self.cache.revision < revision:
            await self.cache.wait(revision)

    def served_changed(self) -> None:
        """Kinds were added or removed: what was made of the old set is made again."""
        self._groups = frozenset()
        self.openapi_documents.clear()
        self.discovery_documents.clear()
        self.aggregator.kinds_changed()

    def groups(self) -> frozenset[str]:
        """The groups that are served."""
        if not self._groups:
            self._groups = frozenset(kind.group for kind in self.kinds)
        return self._groups

    def kind(self, group: str, plural: str) -> Kind:
        """A built-in kind by group and plural. Raises KeyError."""
        for kind in self.kinds:
            if (kind.group, kind.plural) == (group, plural):
                return kind
        raise KeyError(f"{plural}.{group}")

    def cache_of(self, group: str, plural: str) -> ResourceCache:
        return self.cache.of_prefix(f"{ROOT}{group or 'core'}/{plural}/")

    def item(self, group: str, plural: str, namespace: str, name: str) -> Item | None:
        cache = self.cache_of(group, plural)
        return cache.items.get(key_of(cache.kind, namespace, name))

    def lookup(self, group: str, plural: str, namespace: str, name: str) -> Object | None:
        """An object out of the cache (stored form), or None. Never change it."""
        item = self.item(group, plural, namespace, name)
        return None if item is None else item.object()

    async def lookup_fresh(self, group: str, plural: str, namespace: str, name: str) -> Object | None:
        """The same, but asks the store where the cache doesn't know it (it may lag)."""
        found = self.lookup(group, plural, namespace, name)
        if found is None and self._feed is not None:
            await self.freshen()
            found = self.lookup(group, plural, namespace, name)
        return found

    def objects(self, group: str, plural: str, namespace: str = "") -> Iterator[Object]:
        """All objects of a kind (stored form), in the order of their keys. Never change them."""
        cache = self.cache_of(group, plural)
        prefix = f"{cache.prefix}{namespace}/" if namespace else cache.prefix
        return (item.object() for item in cache.range(prefix))
