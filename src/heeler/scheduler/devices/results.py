"""A claim's allocation, as its status has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from heeler.objects.value import Object
from heeler.scheduler.devices.allocator import Chosen, covers

FINALIZER = "resource.kubernetes.io/delete-protection"


def allocation(
    claim: Object,
    chosen: Sequence[Chosen],
    classes: Mapping[str, Object],
    node: str,
    now: str,
    new_id: Callable[[], str],
) -> Object:
    """The devices that were chosen for one claim. `now` is the time, `new_id` makes ids of shares."""
    devices: Object = {"results": [_result(one, new_id) for one in chosen]}
    config = _config(claim, chosen, classes)
    if config:
        devices["config"] = config
    out: Object = {"devices": devices, "allocationTimestamp": now}
    selector = _node_selector(chosen, node)
    if selector is not None:
        out["nodeSelector"] = selector
    return out


def _result(one: Chosen, new_id: Callable[[], str]) -> Object:
    driver, pool, device = one.device.id
    out: Object = {"request": one.request, "driver": driver, "pool": pool, "device": device}
    if one.wish.get("adminAccess"):
        out["adminAccess"] = True
    if one.wish.get("tolerations"):
        out["tolerations"] = one.wish["tolerations"]
    for field in ("bindingConditions", "bindingFailureConditions"):
        if one.device.spec.get(field):
            out[field] = one.device.spec[field]
    if one.consumed is not None:
        out["shareID"] = new_id()
        if one.consumed:
            out["consumedCapacity"] = {name: str(amount) for name, amount in one.consumed.items()}
    return out


def _config(claim: Object, chosen: Sequence[Chosen], classes: Mapping[str, Object]) -> list[Object]:
    """Configuration of classes for their requests, then the claim's own."""
    out: list[Object] = []
    names = {one.request: one.wish for one in chosen}
    for name, wish in names.items():
        found = classes.get(wish.get("deviceClassName", "")) or {"spec": {}}
        out += [{"source": "FromClass", "requests": [name], **given} for given in found["spec"].get("config") or ()]
    for given in (claim["spec"].get("devices") or {}).get("config") or ():
        if any(covers(given.get("requests") or (), name) for name in names):
            out.append({"source": "FromClaim", **given})
    return out


def _node_selector(chosen: Sequence[Chosen], node: str) -> Object | None:
    """Where all of the devices can be used; None for everywhere."""
    term: Object = {}
    for one in chosen:
        place = one.device.place
        if place.get("nodeName") or one.device.spec.get("bindsToNode"):
            field = {"key": "metadata.name", "operator": "In", "values": [node]}
            return {"nodeSelectorTerms": [{"matchFields": [field]}]}
        for given in (place.get("nodeSelector") or {}).get("nodeSelectorTerms") or ():
            for key in ("matchExpressions", "matchFields"):
                known = term.setdefault(key, [])
                known += [item for item in given.get(key) or () if item not in known]
    term = {key: value for key, value in term.items() if value}
    return {"nodeSelectorTerms": [term]} if term else None
