"""What may be read of a pod and its resources by environment variables and volumes (the downward API).

https://kubernetes.io/docs/concepts/workloads/pods/downward-api/
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from heeler.kinds.meta.objectmeta import each
from heeler.objects import names
from heeler.objects.faults import Fault, invalid, not_supported, required
from heeler.objects.quantities import parse
from heeler.objects.value import Object

ENV_FIELDS = (
    *("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName"),
    *("status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"),
)
VOLUME_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
_KNOWN = frozenset(
    {
        *ENV_FIELDS,
        *VOLUME_FIELDS,
        *("spec.restartPolicy", "spec.schedulerName", "status.phase", "spec.host"),
    }
)
RESOURCES = (
    *("limits.cpu", "limits.ephemeral-storage", "limits.memory"),
    *("requests.cpu", "requests.ephemeral-storage", "requests.memory"),
)
_SUBSCRIPT = re.compile(r"(metadata\.(?:annotations|labels))\['(.*)'\]\Z", re.DOTALL)
_SIZES = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")


def field_selector(selector: Object, allowed: tuple[str, ...], path: str) -> Iterator[Fault]:
    """A field of the pod by its path."""
    version, field = selector.get("apiVersion", ""), selector.get("fieldPath", "")
    if not version:
        yield required(f"{path}.apiVersion")
        return
    if not field:
        yield required(f"{path}.fieldPath")
        return
    subscript = _SUBSCRIPT.match(field)
    if version != "v1":
        yield invalid(f"{path}.fieldPath", field, f"error converting fieldPath: unsupported pod version: {version}")
    elif subscript:
        key = subscript.group(2)
        check = names.qualified(key.lower() if subscript.group(1) == "metadata.annotations" else key)
        yield from each(path, key, check)
    elif field not in _KNOWN:
        yield invalid(f"{path}.fieldPath", field, f"error converting fieldPath: field label not supported: {field}")
    elif field not in allowed:
        yield not_supported(f"{path}.fieldPath", field, tuple(sorted(allowed)))


def resource_selector(selector: Object, path: str, of_volume: bool) -> Iterator[Fault]:
    """A limit or request of a container."""
    resource = selector.get("resource", "")
    if of_volume and not selector.get("containerName"):
        yield required(f"{path}.containerName")
    elif not resource:
        yield required(f"{path}.resource")
    elif resource not in RESOURCES and not resource.startswith(("limits.hugepages-", "requests.hugepages-")):
        yield not_supported(f"{path}.resource", resource, RESOURCES)
    yield from _divisor(resource, selector.get("divisor", "0"), path)


def _divisor(resource: str, divisor: str, path: str) -> Iterator[Fault]:
    value = parse(divisor).nano
    if value == 0:
        return
    short = resource.partition(".")[2]
    allowed: tuple[str, ...]
    if short == "cpu":
        allowed, words = ("1m", "1"), "1m and 1 are supported with the cpu resource"
    elif short in ("memory", "ephemeral-storage") or short.startswith("hugepages-"):
        kind = {"memory": "memory", "ephemeral-storage": "local ephemeral storage"}.get(short, "hugepages")
        allowed, words = _SIZES, f"{', '.join(_SIZES)} are supported with the {kind} resource"
    else:
        return
    if value not in [parse(text).nano for text in allowed]:
        yield invalid(f"{path}.divisor", resource, f"only divisor's values {words}")
