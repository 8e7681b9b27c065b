"""What a pod's status may say of its claims of devices: those that were made for it, and who uses them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from heeler.kinds.meta.checks import numbered
from heeler.kinds.meta.objectmeta import each
from heeler.objects import names
from heeler.objects.faults import Fault, duplicate, invalid, required
from heeler.objects.value import Object

NO_CLAIM = "must match the name of an entry in `spec.resourceClaims`"
NO_CONTAINER = "must match the name of an entry in spec.initContainers.name or spec.containers.name"
NO_RESOURCE = (
    "must match the extended resource name of an entry in "
    "spec.initContainers.resources.requests or spec.containers.resources.requests"
)


def claim_statuses(rows: Sequence[Object] | None, pod: Object, path: str) -> Iterator[Fault]:
    claims = [claim.get("name") for claim in pod["spec"].get("resourceClaims") or ()]
    seen: list[str] = []
    for at, row in numbered(rows):
        name = row.get("name", "")
        if name not in claims:
            yield invalid(f"{path}[{at}].name", name, NO_CLAIM)
        if name in seen:
            yield duplicate(f"{path}[{at}].name", name)
        seen.append(name)
        claim = row.get("resourceClaimName")
        if claim is not None:
            yield from each(f"{path}[{at}].resourceClaimName", claim, names.subdomain(claim))


def extended_claim_status(status: Object, pod: Object, path: str) -> Iterator[Fault]:
    spec = pod["spec"]
    containers = {one["name"]: one for key in ("initContainers", "containers") for one in spec.get(key) or ()}
    if not status.get("requestMappings"):
        yield required(f"{path}.requestMappings", "at least one request mapping is required")
    seen: list[tuple[str, ...]] = []
    for at, row in numbered(status.get("requestMappings")):
        here = f"{path}.requestMappings[{at}]"
        given = {key: row.get(key, "") for key in ("containerName", "resourceName", "requestName")}
        container = containers.get(given["containerName"])
        if container is None:
            yield invalid(f"{here}.containerName", given["containerName"], NO_CONTAINER)
        elif given["resourceName"] not in ((container.get("resources") or {}).get("requests") or {}):
            yield invalid(f"{here}.resourceName", given["resourceName"], NO_RESOURCE)
        # told without the place in the list
        yield from each(f"{path}.requestName", given["requestName"], names.label(given["requestName"]))
        if tuple(given.values()) in seen:
            yield from (duplicate(f"{here}.{key}", value) for key, value in given.items())
        seen.append(tuple(given.values()))
    claim = status.get("resourceClaimName") or ""
    if not claim:
        yield required(f"{path}.resourceClaimName")
    else:
        yield from each(f"{path}.resourceClaimName", claim, names.subdomain(claim))
