"""Cluster roles with an aggregation rule have the rules of all cluster roles that its selectors match.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles
"""

from __future__ import annotations

from collections.abc import Iterable

from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.objects import selectors
from heeler.objects.value import GroupVersionResource, Object, labels_of, name_of

CLUSTER_ROLES = GroupVersionResource("rbac.authorization.k8s.io", "v1", "clusterroles")


def is_aggregated(role: Object) -> bool:
    return bool((role.get("aggregationRule") or {}).get("clusterRoleSelectors"))


def plan(role: Object, roles: Iterable[Object]) -> list[Object]:
    """The rules that an aggregated role is to have: those of what matches, by name, each once."""
    wanted = [selectors.of_object(s) for s in role["aggregationRule"]["clusterRoleSelectors"]]
    out: list[Object] = []
    for selector in wanted:
        for other in sorted(roles, key=name_of):
            if name_of(other) == name_of(role) or not selector.matches(labels_of(other)):
                continue
            out += [rule for rule in other.get("rules") or () if rule not in out]
    return out


class ClusterRoleAggregationController:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._client = context.client
        self._roles = context.informers.get(CLUSTER_ROLES)
        self._roles.add_handler(self._changed)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        """Any role may be a part of any aggregated one; there are few of those."""
        if old is not None and new is not None and not is_aggregated(new):
            same = old.get("rules") == new.get("rules") and labels_of(old) == labels_of(new)
            if same:
                return
        for role in self._roles:
            if is_aggregated(role):
                self.queue.add(key_of(role))
        if new is not None and is_aggregated(new):
            self.queue.add(key_of(new))

    async def reconcile(self, key: str) -> None:
        role = self._roles.get(key)
        if role is None or not is_aggregated(role):
            return
        rules = plan(role, list(self._roles))
        if rules == (role.get("rules") or []):
            return
        self._roles.assume(await self._client.update(CLUSTER_ROLES, {**role, "rules": rules}))
