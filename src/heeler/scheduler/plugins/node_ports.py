"""Host ports that a pod wants must be free on its node."""

from __future__ import annotations

from heeler.objects.value import Object
from heeler.scheduler.events import ADD, DELETE, NODE, POD, Hints
from heeler.scheduler.plugins.plugin import Check, Refusal, looped
from heeler.scheduler.pod import PodInfo
from heeler.scheduler.table import Table
from heeler.workloads import resources

REFUSAL = Refusal(("node(s) didn't have free ports for the requested pod ports",))
ANY = "0.0.0.0"


def _conflicts(left: tuple[str, str, int], right: tuple[str, str, int]) -> bool:
    protocol, address, port = left
    return (protocol, port) == (right[0], right[2]) and (address == right[1] or ANY in (address, right[1]))


def _freed(pod: PodInfo, old: Object | None, new: Object | None) -> bool:
    """A pod that goes helps if it had a port that is wanted."""
    return old is not None and any(
        _conflicts(wanted, taken) for wanted in pod.template.ports for taken in resources.host_ports(old)
    )


class NodePorts:
    name = "NodePorts"
    hints: Hints = {(POD, DELETE): _freed, (NODE, ADD): None}

    def prepare(self, pod: PodInfo, table: Table) -> Check | None:
        wanted = pod.template.ports
        if not wanted:
            return None

        def check(row: int) -> Refusal | None:
            for protocol, address, port in wanted:
                taken = table.ports.get((protocol, port), {}).get(row)
                if taken and (address == ANY or ANY in taken or address in taken):
                    return REFUSAL
            return None

        return looped(check)
