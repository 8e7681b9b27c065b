"""Admission: what may change a draft on its way (`admit`, before it is prepared) and what may refuse it (`check`).

Each plugin is a function in a file of its own under upstream's name; the order is the tuple here. Source: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from heeler.apiserver.admission import (
    certificate_requests,
    default_ingress_class,
    default_storage_class,
    default_toleration_seconds,
    limit_ranger,
    mutating_admission_policy,
    namespace_lifecycle,
    node_restriction,
    not_enforced,
    persistent_volume_claim_resize,
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
from heeler.apiserver.call import Call
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.request import Context
    from heeler.kinds.kind import Kind


@dataclass(slots=True)
class Write:
    """One write on its way. Objects are in the stored form; `new` is None for a delete, `old` for a create."""

    operation: Literal["CREATE", "UPDATE", "DELETE"]
    kind: Kind
    context: Context
    new: Object | None
    old: Object | None
    dry_run: bool
    call: Call

    @property
    def subresource(self) -> str:
        return self.context.subresource

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
    validating_admission_policy.check,
    webhooks.check,
    not_enforced.check,
    resource_quota.check,
)


async def admit(write: Write) -> Object:
    """Run the plugins that may change the draft, in order, then policies and webhooks; the draft afterwards.

    What these changed goes through the plugins once more, and before those policies and webhooks that asked for it.
    """
    for plugin in MUTATING:
        await plugin(write)
    before, rounds = write.new, mutating_admission_policy.Rounds()
    await mutating_admission_policy.mutate(write, rounds)
    again = await webhooks.mutate(write)
    if write.new is not before:
        for plugin in MUTATING:
            await plugin(write)
        await mutating_admission_policy.mutate(write, rounds, again=True)
        if again:
            await webhooks.mutate(write, again=again)
    return write.new if write.new is not None else {}


async def check(write: Write) -> None:
    """Run the plugins that may refuse it, in order. Raises StatusError."""
    for plugin in VALIDATING:
        await plugin(write)
