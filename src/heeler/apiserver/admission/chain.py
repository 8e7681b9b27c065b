"""Admission: what may change a draft on its way (`admit`, before it is prepared) and what may refuse it (`check`).

Each plugin is a function in a file of its own under upstream's name; the order is the tuple here. Source: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
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

MUTATING: tuple[Plugin, ...] = (
    namespace_lifecycle.admit,
    limit_ranger.admit,
    pod_topology_labels.admit,
    taint_nodes.admit,
    service_account.admit,
    node_restriction.admit,
    priority.admit,
    default_toleration_seconds.admit,
    default_ingress_class.admit,
    default_storage_class.admit,
    storage_object_in_use_protection.admit,
    runtime_class.admit,
    certificate_requests.admit,
)
VALIDATING: tuple[Plugin, ...] = (
    namespace_lifecycle.check,
    limit_ranger.check,
    service_account.check,
    priority.check,
    rbac_escalation.check,
    pod_security.check,
    persistent_volume_claim_resize.check,
    runtime_class.check,
    certificate_requests.check,
    node_declared_features.check,
    pod_resize.check,
    admin_access.check,
    validating_admission_policy.check,
    webhooks.check,
    not_enforced.check,
    resource_quota.check,
)


#: Those that look at what subresources with objects of their own are sent; policies and webhooks do, too.
OF_BODIES: tuple[Plugin, ...] = (namespace_lifecycle.admit, node_restriction.admit)
CHECKS_OF_BODIES: tuple[Plugin, ...] = (validating_admission_policy.check, webhooks.check)


async def admit(write: Write) -> Object:
    """Run the plugins that may change the draft, in order, then policies and webhooks; the draft afterwards.

    What these changed goes through the plugins once more, and before those policies and webhooks that asked for it.
    """
    namespace = ((write.new or {}).get("metadata") or {}).get("namespace", "")
    plugins = MUTATING if write.body is None else OF_BODIES
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
    for plugin in VALIDATING if write.body is None else CHECKS_OF_BODIES:
        await plugin(write)
