"""The authorisation modes of a server, asked in order: the first that allows wins.

Source: https://kubernetes.io/docs/reference/access-authn-authz/authorization/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from heeler.apiserver.authorize.node import NodeAuthorizer
from heeler.apiserver.authorize.rbac import GROUP, Attributes, Rbac
from heeler.apiserver.user import MASTERS, User
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.cache import ResourceCache
    from heeler.apiserver.server import ApiServer

MODES = ("RBAC", "Node", "AlwaysAllow", "AlwaysDeny")


class Authorizer:
    """Members of system:masters may do everything, before any mode is asked."""

    def __init__(self, modes: tuple[str, ...], rbac: Rbac | None, node: NodeAuthorizer) -> None:
        """Raises ValueError for a mode that isn't there."""
        unknown = [m for m in modes if m not in MODES]
        if unknown:
            raise ValueError(f"unknown authorization mode {unknown[0]}: choose of {', '.join(MODES)}")
        self._modes = modes
        self._rbac = rbac
        self._node = node

    async def allows(self, user: User, asked: Attributes) -> str | None:
        """The reason why it is allowed, or None."""
        if MASTERS in user.groups:
            return ""
        for mode in self._modes:
            if mode == "AlwaysAllow":
                return ""
            if mode == "AlwaysDeny":
                return None
            if mode == "RBAC" and self._rbac is not None:
                why = self._rbac.allows(user, asked)
            elif mode == "Node":
                found = self._node.opinion(user, asked)
                why = found.why if found.allowed else None
            else:
                why = None
            if why is not None:
                return why
        return None

    def reason(self, user: User, asked: Attributes) -> str:
        """What a refusal says besides what was refused, mode by mode; often nothing."""
        found = []
        if "Node" in self._modes:
            found.append(("node", self._node.opinion(user, asked).why))
        if "RBAC" in self._modes and self._rbac is not None:
            found.append(("rbac", self._rbac.trouble(user, asked.namespace)))
        return "\n".join(f"{mode}: {why}" for mode, why in found if why)


class CachedRoles:
    """Roles and bindings out of the server's cache."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        #: those of built-in kinds stay for the server's life.
        self._caches: list[ResourceCache] = []
        self._bindings: list[Object] = []
        self._bindings_at = -1

    def revision(self) -> int:
        if not self._caches:
            self._caches = [self._server.cache_of(GROUP, plural) for plural in _PLURALS]
        roles, role_bindings, cluster_roles, cluster_role_bindings = self._caches
        return max(roles.changed, role_bindings.changed, cluster_roles.changed, cluster_role_bindings.changed)

    def cluster_role_bindings(self) -> Iterator[Object]:
        revision = self.revision()
        if self._bindings_at != revision:
            self._bindings = [i.fresh() for i in self._server.cache_of(GROUP, "clusterrolebindings").items.values()]
            self._bindings_at = revision
        return iter(self._bindings)

    def role_bindings(self, namespace: str) -> Iterator[Object]:
        cache = self._server.cache_of(GROUP, "rolebindings")
        return (i.object() for i in cache.range(f"{cache.prefix}{namespace}/"))

    def rules(self, kind: str, namespace: str, name: str) -> list[Object] | None:
        if kind == "ClusterRole":
            found = self._server.lookup(GROUP, "clusterroles", "", name)
        else:
            found = self._server.lookup(GROUP, "roles", namespace, name)
        return None if found is None else list(found.get("rules") or ())


_PLURALS = ("roles", "rolebindings", "clusterroles", "clusterrolebindings")


class CachedPods:
    """Pods by node out of the server's cache."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._by_node: dict[str, list[Object]] = {}
        self._at = -1

    def pods_on(self, node: str) -> list[Object]:
        cache = self._server.cache_of("", "pods")
        if self._at != cache.changed:
            self._by_node = {}
            self._at = int(cache.changed)
        if node not in self._by_node:
            # whole objects are dropped at the next change of any pod
            mark = f'"nodeName":"{node}"'.encode()
            self._by_node[node] = [
                obj
                for item in cache.items.values()
                if mark in item.value and ((obj := item.fresh()).get("spec") or {}).get("nodeName") == node
            ]
        return self._by_node[node]

    def find(self, group: str, plural: str, namespace: str, name: str) -> Object | None:
        return self._server.lookup(group, plural, namespace, name)
