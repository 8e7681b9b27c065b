"""Admission: what may change a draft on its way (`admit`, before it is prepared) and what may refuse it (`check`).

Each plugin is a function in a file of its own under upstream's name; the order, and which kinds each one is asked about,
are the tables here. Source: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from heeler.apiserver.admission import (
    admin_access,
    certificate_requests,
    default_ingress_class,
    default_storage_class,
    default_toleration_seconds,
    limit_ranger,
    mutating_admission_policy,
    namespace_lifecycle,
    node_declared_features,
    node_restriction,
    not_enforced,
    persistent_volume_claim_resize,
    pod_resize,
    pod_security,
    pod_topology_labels,
    priority,
    rbac_escalation,
    resource_quota,
    runtime_class,
    service_account,
    storage_object_in_use_protection,
    taint_nodes,
    validating_admission_policy,
    webhooks,
)
from heeler.apiserver.admission.rounds import Rounds
from heeler.apiserver.call import Call
from heeler.objects.status import StatusError, bad_request, forbidden
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.request import Context
    from heeler.kinds.kind import Kind


@dataclass(slots=True)
class Write:
    """One write on its way. Objects are in the stored form; `new` is None for a delete, `old` for a create.

    `body`: the kind of what is written to a subresource that has objects of its own (Scale, Binding, PodExecOptions): `new`
    and `old` are of that kind then, `kind` is the resource's.
    """

    operation: Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]
    kind: Kind
    context: Context
    new: Object | None
    old: Object | None
    dry_run: bool
    call: Call
    body: Kind | None = None
    #: The DeleteOptions of a deletion, as far as they were given.
    options: Object = field(default_factory=dict)

    @property
    def form(self) -> Kind:
        """The kind that `new` and `old` are of."""
        return self.body or self.kind

    @property
    def subresource(self) -> str:
        return self.context.subresource

    @property
    def name(self) -> str:
        """The name that the request asks about, "" for a collection and for a draft that has none yet."""
        return self.context.info.name or str(((self.new or {}).get("metadata") or {}).get("name") or "")

    def refused(self, why: str) -> StatusError:
        """403 for what a plugin finds wrong with the object: a draft without a name goes by what its name will begin with."""
        name = self.name or ((self.new or {}).get("metadata") or {}).get("generateName") or "Unknown"
        return forbidden(self.kind.plural, self.kind.group, name, why)

    def of(self, group: str, plural: str) -> bool:
        """Is it a write of such an object itself (not of a subresource)?"""
        return (self.kind.group, self.kind.plural) == (group, plural) and not self.subresource


Plugin = Callable[[Write], Awaitable[None]]
#: Kinds by group and plural, as far as a plugin has anything to do with them.
Kinds = tuple[tuple[str, str], ...]

ALL: Kinds = ()
PODS: Kinds = (("", "pods"),)
CLAIMS: Kinds = (("", "persistentvolumeclaims"),)
CERTIFICATES = "certificates.k8s.io"
RBAC = "rbac.authorization.k8s.io"
DEVICES = "resource.k8s.io"

MUTATING: tuple[tuple[Plugin, Kinds], ...] = (
    (namespace_lifecycle.admit, ALL),
    (limit_ranger.admit, PODS),
    (pod_topology_labels.admit, PODS),
    (taint_nodes.admit, (("", "nodes"),)),
    (service_account.admit, PODS),
    (node_restriction.admit, ALL),
    (priority.admit, PODS),
    (default_toleration_seconds.admit, PODS),
    (default_ingress_class.admit, (("networking.k8s.io", "ingresses"),)),
    (default_storage_class.admit, CLAIMS),
    (storage_object_in_use_protection.admit, tuple(storage_object_in_use_protection.FINALIZERS)),
    (runtime_class.admit, PODS),
    (certificate_requests.admit, ((CERTIFICATES, "certificatesigningrequests"),)),
)
VALIDATING: tuple[tuple[Plugin, Kinds], ...] = (
    (limit_ranger.check, PODS + CLAIMS),
    (service_account.check, PODS),
    (priority.check, (("scheduling.k8s.io", "priorityclasses"),)),
    (
        rbac_escalation.check,
        ((RBAC, "roles"), (RBAC, "clusterroles"), (RBAC, "rolebindings"), (RBAC, "clusterrolebindings")),
    ),
    (pod_security.check, ALL),
    (persistent_volume_claim_resize.check, CLAIMS),
    (runtime_class.check, PODS),
    (certificate_requests.check, ((CERTIFICATES, "certificatesigningrequests"), (CERTIFICATES, "clustertrustbundles"))),
    (node_declared_features.check, PODS),
    (pod_resize.check, PODS),
    (admin_access.check, ((DEVICES, "resourceclaims"), (DEVICES, "resourceclaimtemplates"))),
    (validating_admission_policy.check, ALL),
    (webhooks.check, ALL),
    (not_enforced.check, tuple(not_enforced.NOT_ENFORCED)),
    (resource_quota.check, ALL),
)

#: Those that look at what subresources with objects of their own are sent; policies and webhooks do, too.
OF_BODIES: tuple[Plugin, ...] = (namespace_lifecycle.admit, node_restriction.admit)
CHECKS_OF_BODIES: tuple[Plugin, ...] = (validating_admission_policy.check, webhooks.check)


def _by_kind(table: tuple[tuple[Plugin, Kinds], ...]) -> Callable[[str, str], tuple[Plugin, ...]]:
    """Which plugins of a table are asked about a kind, by its group and plural."""

    @lru_cache(maxsize=1024)
    def chosen(group: str, plural: str) -> tuple[Plugin, ...]:
        return tuple(plugin for plugin, kinds in table if not kinds or (group, plural) in kinds)

    return chosen


_mutating, _validating = _by_kind(MUTATING), _by_kind(VALIDATING)


async def admit(write: Write) -> Object:
    """Run the plugins that may change the draft, in order, then policies and webhooks; the draft afterwards.

    What these changed goes through the plugins once more, and before those policies and webhooks that asked for it.
    """
    namespace = ((write.new or {}).get("metadata") or {}).get("namespace", "")
    plugins = _mutating(write.kind.group, write.kind.plural) if write.body is None else OF_BODIES
    for plugin in plugins:
        await plugin(write)
    before, of_policies, of_webhooks = write.new, Rounds(), Rounds()
    await mutating_admission_policy.mutate(write, of_policies)
    await webhooks.mutate(write, of_webhooks)
    if write.new is not before:
        for plugin in plugins:
            await plugin(write)
        await mutating_admission_policy.mutate(write, of_policies, again=True)
        await webhooks.mutate(write, of_webhooks, again=True)
    if write.new is None:
        return {}
    if write.body is None and write.kind.namespaced and write.new.get("metadata", {}).get("namespace", "") != namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    return write.new


async def check(write: Write) -> None:
    """Run the plugins that may refuse it, in order. Raises StatusError."""
    kind = write.kind
    for plugin in _validating(kind.group, kind.plural) if write.body is None else CHECKS_OF_BODIES:
        await plugin(write)
