"""LimitRanger: containers get a namespace's default requests and limits; what is out of its bounds is refused.

Source: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#limitranger and recorded answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from heeler.objects.value import Object
from heeler.workloads import limits

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write


async def admit(write: Write) -> None:
    if write.operation == "CREATE" and write.of("", "pods") and write.new is not None:
        limits.fill_in(write.new, _ranges(write))


async def check(write: Write) -> None:
    if write.new is None:
        return
    find: Callable[[Object, Object], Iterator[str]]
    if _sets_resources(write):
        find = limits.pod_faults
    elif write.of("", "persistentvolumeclaims"):
        find = limits.claim_faults
    else:
        return
    for found in _ranges(write):
        faults = list(dict.fromkeys(find(write.new, found)))
        if faults:
            why = faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]"
            raise write.refused(why)


def _sets_resources(write: Write) -> bool:
    """A pod's resources are set when it is made, and by its subresource `resize`."""
    if (write.kind.group, write.kind.plural) != ("", "pods"):
        return False
    return (write.operation, write.subresource) in (("CREATE", ""), ("UPDATE", "resize"))


def _ranges(write: Write) -> list[Object]:
    found = write.context.server.objects("", "limitranges", write.context.info.namespace)
    return [one for one in found if not one["metadata"].get("deletionTimestamp")]
