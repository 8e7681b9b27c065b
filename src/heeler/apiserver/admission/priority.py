"""Priority: a pod's priority is that of its class; only one class is the default; the system's classes stay.

Source: https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/ and recorded answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write
    from heeler.apiserver.server import ApiServer

GROUP = "scheduling.k8s.io"
SYSTEM = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


async def admit(write: Write) -> None:
    if write.operation == "UPDATE" and write.of("", "pods") and write.new is not None and write.old is not None:
        # a writer who leaves them out keeps what was decided when the pod was made
        for key in ("priority", "preemptionPolicy"):
            if key in write.old.get("spec", {}):
                write.new.setdefault("spec", {}).setdefault(key, write.old["spec"][key])
        return
    if write.operation != "CREATE" or not write.of("", "pods") or write.new is None:
        return
    spec = write.new.setdefault("spec", {})
    name = spec.get("priorityClassName", "")
    found = await _class(write.context.server, name) if name else _default(write.context.server)
    if name and found is None:
        raise write.refused(f"no PriorityClass with name {name} was found")
    value = found["value"] if found else 0
    policy = (found or {}).get("preemptionPolicy") or "PreemptLowerPriority"
    if found and not name:
        spec["priorityClassName"] = found["metadata"]["name"]
    given = spec.get("priority")
    if given is not None and given != value:
        why = (
            f"the integer value of priority ({given}) must not be provided in pod spec; "
            f"priority admission controller computed {value} from the given PriorityClass name"
        )
        raise write.refused(why)
    spec["priority"] = value
    given_policy = spec.get("preemptionPolicy")
    if given_policy is not None and given_policy != policy:
        why = (
            f"the string value of PreemptionPolicy ({given_policy}) must not be provided in pod spec; "
            f"priority admission controller computed {policy} from the given PriorityClass name"
        )
        raise write.refused(why)
    spec["preemptionPolicy"] = policy


async def check(write: Write) -> None:
    if not write.of(GROUP, "priorityclasses"):
        return
    if write.operation == "DELETE" and write.old is not None:
        name = write.old["metadata"]["name"]
        if name in SYSTEM:
            why = "this is a system priority class and cannot be deleted"
            raise write.refused(why)
        return
    if write.new is not None and write.new.get("globalDefault"):
        name = write.new["metadata"]["name"]
        other = _default(write.context.server)
        if other is not None and other["metadata"]["name"] != name:
            why = f"PriorityClass {other['metadata']['name']} is already marked as default. Only one default can exist"
            raise write.refused(why)


async def _class(server: ApiServer, name: str) -> Object | None:
    return await server.lookup_fresh(GROUP, "priorityclasses", "", name)


def _default(server: ApiServer) -> Object | None:
    """The default class; of several (made before this check was there) the lowest."""
    found = [c for c in server.objects(GROUP, "priorityclasses") if c.get("globalDefault")]
    return min(found, key=lambda c: (c["value"], c["metadata"]["name"]), default=None)
