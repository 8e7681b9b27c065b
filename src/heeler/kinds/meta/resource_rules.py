"""What is checked of resource names and quantities. https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

from heeler.kinds.meta.objectmeta import each
from heeler.objects import names
from heeler.objects.faults import Fault, forbidden, invalid, not_found, required
from heeler.objects.quantities import parse
from heeler.objects.value import Object

HUGE_PAGES = "hugepages-"
NATIVE_PREFIX = "kubernetes.io/"

STANDARD_FOR_CONTAINERS = frozenset({"cpu", "memory", "ephemeral-storage"})
STANDARD = frozenset(
    {
        *("cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage"),
        *("limits.cpu", "limits.memory", "limits.ephemeral-storage", "pods", "resourcequotas", "services"),
        *("replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims", "storage", "requests.storage"),
        *("services.nodeports", "services.loadbalancers"),
    }
)
_INTEGERS = frozenset(
    {
        *("pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps"),
        *("persistentvolumeclaims", "services.nodeports", "services.loadbalancers"),
    }
)


def is_huge_pages(name: str) -> bool:
    return name.startswith(HUGE_PAGES)


def is_native(name: str) -> bool:
    return "/" not in name or NATIVE_PREFIX in name


def is_extended(name: str) -> bool:
    return not is_native(name) and not name.startswith("requests.") and not names.qualified(f"requests.{name}")


def overcommit_allowed(name: str) -> bool:
    return is_native(name) and not is_huge_pages(name)


def is_integer(name: str) -> bool:
    return name in _INTEGERS or is_extended(name)


def resource_name(name: str, path: str) -> Iterator[Fault]:
    return each(path, name, _name_words(name))


@lru_cache(maxsize=1024)
def _name_words(name: str) -> tuple[str, ...]:
    wrong = names.qualified(name)
    if not wrong and "/" not in name and name not in STANDARD and not is_huge_pages(name):
        return ("must be a standard resource type or fully qualified",)
    return tuple(wrong)


def container_resource_name(name: str, path: str) -> Iterator[Fault]:
    return each(path, name, _container_name_words(name))


@lru_cache(maxsize=1024)
def _container_name_words(name: str) -> tuple[str, ...]:
    wrong = _name_words(name)
    if "/" not in name:
        if name not in STANDARD_FOR_CONTAINERS and not is_huge_pages(name):
            return (*wrong, "must be a standard resource for containers")
    elif not is_native(name) and not is_extended(name):
        return (*wrong, "doesn't follow extended resource name standard")
    return wrong


def quantity(name: str, text: str, path: str) -> Iterator[Fault]:
    """A quantity of a resource is not negative, and whole where the resource is counted."""
    return each(path, text, _quantity_words(name, text))


@lru_cache(maxsize=4096)
def _quantity_words(name: str, text: str) -> tuple[str, ...]:
    amount = parse(text)
    out: tuple[str, ...] = ()
    if amount.nano < 0:
        out = ("must be greater than or equal to 0",)
    if is_integer(name) and amount.milli % 1000:
        out = (*out, "must be an integer")
    return out


def _amount_faults(name: str, text: str, path: str, names_of: NameRule) -> Iterator[Fault]:
    """Both of a container's amount, asked often: nothing is built while all is well."""
    if names_of is not container_resource_name or _container_name_words(name):
        yield from names_of(name, path)
    if _quantity_words(name, text):
        yield from quantity(name, text, path)


NameRule = Callable[[str, str], Iterator[Fault]]


def requirements(
    resources: Object, claims: tuple[str, ...], path: str, names_of: NameRule = container_resource_name
) -> Iterator[Fault]:
    """Limits, requests and claims of a container (or, with other names, of a pod)."""
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for name, text in sorted(limits.items()):
        yield from _amount_faults(name, text, f"{path}.limits[{name}]", names_of)
        yield from _whole_pages(name, text, f"{path}.limits[{name}]")
    for name, text in sorted(requests.items()):
        yield from _amount_faults(name, text, f"{path}.requests[{name}]", names_of)
        yield from _against_limit(name, text, limits.get(name), path)
        yield from _whole_pages(name, text, f"{path}.requests[{name}]")
    asked = {*limits, *requests}
    if asked and not asked & {"cpu", "memory"} and any(is_huge_pages(name) for name in asked):
        yield forbidden(path, "HugePages require cpu or memory")
    yield from claim_names(resources.get("claims") or [], claims, f"{path}.claims")


def _whole_pages(name: str, text: str, path: str) -> Iterator[Fault]:
    if not is_huge_pages(name):
        return
    try:
        size = parse(name.removeprefix(HUGE_PAGES))
    except ValueError:
        size = parse("0")
    if size.nano <= 0 or size.milli % 1000 or parse(text).milli // 1000 % (size.milli // 1000):
        yield invalid(path, text, f"{text} is not positive integer multiple of {name}")


def _against_limit(name: str, text: str, limit: str | None, path: str) -> Iterator[Fault]:
    if limit is not None:
        wanted, most = parse(text).nano, parse(limit).nano
        if not overcommit_allowed(name) and wanted != most:
            yield invalid(f"{path}.requests", text, f"must be equal to {name} limit of {limit}")
        elif wanted > most:
            yield invalid(f"{path}.requests", text, f"must be less than or equal to {name} limit of {limit}")
    elif not overcommit_allowed(name):
        yield required(f"{path}.limits", "Limit must be set for non overcommitable resources")


def claim_names(rows: list[Object], known: tuple[str, ...], path: str) -> Iterator[Fault]:
    for at, row in enumerate(rows):
        name = row.get("name", "")
        if not name:
            yield required(f"{path}[{at}]")
        elif name not in known:
            detail = "must be one of the names in pod.spec.resourceClaims"
            if not known:
                detail += " which is empty"
            fault = not_found(f"{path}[{at}]", name)
            yield Fault(fault.reason, f"{fault.message}: {detail}", fault.field)
