"""Which DeviceClasses stand for which extended resources, and the claims that are made for those.

https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/#extended-resource
"""

from __future__ import annotations

from collections.abc import Iterable

from heeler.objects.value import Object, name_of

#: Every class stands for a resource of its own name.
CLASS_PREFIX = "deviceclass.resource.kubernetes.io/"
ANNOTATION = "resource.kubernetes.io/extended-resource-claim"


def by_resource(classes: Iterable[Object]) -> dict[str, Object]:
    """The classes that name a resource; of several with one name the newest, then the first by name."""
    found: dict[str, Object] = {}
    for one in sorted(classes, key=name_of):
        name = one["spec"].get("extendedResourceName")
        if name and (name not in found or _made(one) > _made(found[name])):
            found[name] = one
    return found


def _made(one: Object) -> str:
    return str(one["metadata"].get("creationTimestamp") or "")


def is_special(claim: Object) -> bool:
    """Was a claim made by a scheduler for extended resources?"""
    return (claim["metadata"].get("annotations") or {}).get(ANNOTATION) == "true"
