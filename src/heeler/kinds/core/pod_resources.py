"""Resources that a pod asks for as a whole: what is filled in, and what is checked.

https://kubernetes.io/docs/tasks/configure-pod-container/assign-pod-level-resources/
"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.kinds.meta.checks import numbered
from heeler.kinds.meta.resource_rules import HUGE_PAGES, is_huge_pages, requirements, resource_name
from heeler.objects.faults import Fault, forbidden, invalid, not_supported
from heeler.objects.quantities import Quantity, parse
from heeler.objects.value import Object

ALLOWED = ("cpu", HUGE_PAGES, "memory")


def default_pod_resources(spec: Object) -> None:
    """In place, of a new pod that says something of them: the rest follows from its containers, and from each other."""
    resources = spec.get("resources") or {}
    limits, requests = dict(resources.get("limits") or {}), dict(resources.get("requests") or {})
    if not limits and not requests:
        return
    for name in _named(spec, "limits"):
        if is_huge_pages(name) and name not in requests:
            limits.setdefault(name, str(_together(spec, "limits", name)))
    for name in _named(spec, "requests"):
        if name in ("cpu", "memory"):
            requests.setdefault(name, str(_together(spec, "requests", name)))
    for name in limits:
        if _allowed(name):
            requests.setdefault(name, limits[name])
    for name in [name for name in requests if _allowed(name) and name not in limits]:
        if _all_limited(spec, name):
            asked, most = parse(requests[name]), _together(spec, "limits", name) or Quantity(0)
            limits[name] = str(max(asked, most))
    resources.update({key: value for key, value in (("limits", limits), ("requests", requests)) if value})


def _allowed(name: str) -> bool:
    return name in ALLOWED or is_huge_pages(name)


def _named(spec: Object, part: str) -> list[str]:
    containers = (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
    return sorted({name for c in containers for name in (c.get("resources") or {}).get(part) or {}})


def _all_limited(spec: Object, name: str) -> bool:
    containers = (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
    return all(name in ((c.get("resources") or {}).get("limits") or {}) for c in containers)


def pod_resources(spec: Object, path: str) -> Iterator[Fault]:
    resources = spec["resources"]
    if (spec.get("os") or {}).get("name") == "windows":
        yield forbidden(path, "may not be set for a windows pod")
        return
    if resources.get("claims") is not None:
        yield forbidden(f"{path}.claims", "claims may not be set for Resources at pod-level")
    yield from requirements(resources, (), path, _name)
    for name, text in sorted((resources.get("requests") or {}).items()):
        asked = _together(spec, "requests", name)
        if asked is not None and asked.nano > parse(text).nano:
            words = f"must be greater than or equal to aggregate container requests of {asked}"
            yield invalid(f"{path}.requests[{name}]", text, words)
    limits = resources.get("limits") or {}
    for name, text in sorted(limits.items()):
        most = _together(spec, "limits", name) if is_huge_pages(name) else None
        if most is not None and most.nano > parse(text).nano:
            words = f"must be greater than or equal to aggregate container limits of {most}"
            yield invalid(f"{path}.limits[{name}]", text, words)
    for at, container in numbered(spec.get("containers")):
        for name, text in sorted(((container.get("resources") or {}).get("limits") or {}).items()):
            if name in limits and parse(text).nano > parse(limits[name]).nano:
                # Upstream's path, whose parts stand in this order.
                here = f"{path}.containers[{at}][{name}].limits"
                yield invalid(here, text, f"must be less than or equal to pod limits of {limits[name]}")


def _name(name: str, path: str) -> Iterator[Fault]:
    faults = list(resource_name(name, path))
    yield from faults
    if not faults and not _allowed(name):
        yield not_supported(path, name, ALLOWED)


def _together(spec: Object, part: str, name: str) -> Quantity | None:
    """What the containers ask for at the same time, at most; None if none asks."""

    def of(container: Object) -> Quantity | None:
        text = ((container.get("resources") or {}).get(part) or {}).get(name)
        return None if text is None else parse(text)

    zero = Quantity(0)
    seen = [amount for c in spec.get("containers") or () if (amount := of(c)) is not None]
    always, most = sum(seen, zero), zero
    sidecars, found = zero, bool(seen)
    for container in spec.get("initContainers") or ():
        amount = of(container)
        found = found or amount is not None
        if container.get("restartPolicy") == "Always":
            sidecars = sidecars + (amount or zero)
            always = always + (amount or zero)
            most = max(most, sidecars)
        else:
            most = max(most, (amount or zero) + sidecars)
    return max(always, most) if found else None
