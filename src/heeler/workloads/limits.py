"""LimitRanges: what they fill in for a pod's containers, and what they forbid.

Source: https://kubernetes.io/docs/concepts/policy/limit-range/ and recorded answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from heeler.objects.quantities import Quantity, of, parse, total
from heeler.objects.value import Object

Amounts = dict[str, Quantity]
ANNOTATION = "kubernetes.io/limit-ranger"


def fill_in(pod: Object, ranges: Iterable[Object]) -> None:
    """Give the containers, in place, the requests and limits that the ranges have for them; the pod is told so."""
    limits: dict[str, str] = {}
    requests: dict[str, str] = {}
    for limit_range in ranges:
        for item in limit_range["spec"].get("limits") or ():
            if item["type"] == "Container":
                limits |= item.get("default") or {}
                requests |= item.get("defaultRequest") or {}
    said = []
    for what, key in (("container", "containers"), ("init container", "initContainers")):
        for container in pod["spec"].get(key) or ():
            for name, wanted in (("request", requests), ("limit", limits)):
                added = _merge(container, f"{name}s", wanted)
                if added:
                    said.append(f"{', '.join(added)} {name} for {what} {container['name']}")
    if said:
        annotations = dict(pod["metadata"].get("annotations") or {})
        annotations[ANNOTATION] = f"LimitRanger plugin set: {'; '.join(said)}"
        pod["metadata"]["annotations"] = annotations


def _merge(container: Object, key: str, wanted: dict[str, str]) -> list[str]:
    """The names that were missing, sorted."""
    resources = container.get("resources") or {}
    given = resources.get(key) or {}
    missing = sorted(name for name in wanted if name not in given)
    if missing:
        container["resources"] = {**resources, key: {**given, **{name: wanted[name] for name in missing}}}
    return missing


def pod_faults(pod: Object, limit_range: Object) -> Iterator[str]:
    """What of the pod the range forbids."""
    spec = pod["spec"]
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    for item in limit_range["spec"].get("limits") or ():
        if item["type"] == "Container":
            for container in containers:
                resources = container.get("resources") or {}
                yield from _faults(item, parsed(resources.get("requests")), parsed(resources.get("limits")))
        elif item["type"] == "Pod":
            yield from _faults(item, amounts_of_pod(spec, "requests"), amounts_of_pod(spec, "limits"))


def claim_faults(claim: Object, limit_range: Object) -> Iterator[str]:
    """What of a PersistentVolumeClaim the range forbids."""
    asked = parsed((claim["spec"].get("resources") or {}).get("requests"))
    for item in limit_range["spec"].get("limits") or ():
        if item["type"] != "PersistentVolumeClaim":
            continue
        for name, least in sorted(parsed(item.get("min")).items()):
            if name in asked and asked[name] < least:
                yield _under(item, name, least, f"request is {asked[name]}")
        for name, most in sorted(parsed(item.get("max")).items()):
            if name in asked and most < asked[name]:
                yield _over(item, name, most, f"request is {asked[name]}")


def parsed(amounts: dict[str, str] | None) -> Amounts:
    """A resource list as quantities."""
    return {name: parse(text) for name, text in (amounts or {}).items()}


def amounts_of_pod(spec: Object, key: str) -> Amounts:
    """The pod's requests or limits: its containers together, or the init container that has more.

    Sidecars count with the containers; what the pod itself says goes before both.
    """
    own = (spec.get("resources") or {}).get(key) or {}
    together: dict[str, list[str]] = {}
    alone: Amounts = {}
    for container in spec.get("initContainers") or ():
        given = (container.get("resources") or {}).get(key) or {}
        for name, text in given.items():
            if container.get("restartPolicy") == "Always":
                together.setdefault(name, []).append(text)
            elif name not in alone or alone[name] < parse(text):
                alone[name] = parse(text)
    for container in spec.get("containers") or ():
        for name, text in ((container.get("resources") or {}).get(key) or {}).items():
            together.setdefault(name, []).append(text)
    out = {name: total(texts) for name, texts in together.items()}
    for name, amount in alone.items():
        if name not in out or out[name] < amount:
            out[name] = amount
    return {**out, **parsed(own)}


def _under(item: Object, name: str, least: Quantity, why: str) -> str:
    return f"minimum {name} usage per {item['type']} is {least}, but {why}"


def _over(item: Object, name: str, most: Quantity, why: str) -> str:
    return f"maximum {name} usage per {item['type']} is {most}, but {why}"


def _faults(item: Object, requests: Amounts, limits: Amounts) -> Iterator[str]:
    kind = item["type"]
    for name, least in sorted(parsed(item.get("min")).items()):
        if name not in requests:
            yield f"minimum {name} usage per {kind} is {least}.  No request is specified"
        elif requests[name] < least:
            yield _under(item, name, least, f"request is {requests[name]}")
        elif name in limits and limits[name] < least:
            yield _under(item, name, least, f"limit is {limits[name]}")
    for name, most in sorted(parsed(item.get("max")).items()):
        if name not in limits:
            yield f"maximum {name} usage per {kind} is {most}.  No limit is specified"
        elif most < limits[name]:
            yield _over(item, name, most, f"limit is {limits[name]}")
        elif name in requests and most < requests[name]:
            yield _over(item, name, most, f"request is {requests[name]}")
    for name, ratio in sorted(parsed(item.get("maxLimitRequestRatio")).items()):
        text = f"{name} max limit to request ratio per {kind} is {ratio}, but"
        request, limit = requests.get(name, of(0)), limits.get(name, of(0))
        if not request.value:
            yield f"{text} no request is specified or request is 0"
        elif not limit.value:
            yield f"{text} no limit is specified or limit is 0"
        elif limit.value / request.value > ratio.value:
            yield f"{text} provided ratio is {float(limit.value / request.value):f}"
