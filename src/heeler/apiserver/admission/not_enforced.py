"""What this version of Heeler stores but does not act upon yet: whoever creates it is told so."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write

_FLOW_CONTROL = "requests are not queued by flow schemas and priority levels in this version of Heeler"
#: (group, plural) -> what is missing. An entry goes when the capability comes.
NOT_ENFORCED = {
    ("flowcontrol.apiserver.k8s.io", "flowschemas"): _FLOW_CONTROL,
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"): _FLOW_CONTROL,
}


async def check(write: Write) -> None:
    if write.operation != "CREATE" or write.subresource or not write.context.server.settings.warn_not_enforced:
        return
    text = NOT_ENFORCED.get((write.kind.group, write.kind.plural))
    if text:
        write.call.warn(text)
