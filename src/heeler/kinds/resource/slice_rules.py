"""What is checked of ResourceSlices.

https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/resource-slice-v1/
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

from heeler.kinds.core.volume_rules import csi_driver_name
from heeler.kinds.internal_form import internal
from heeler.kinds.meta.checks import IMMUTABLE, Declared, as_declared, numbered, written_first
from heeler.kinds.meta.objectmeta import each, unique
from heeler.kinds.meta.selector_rules import node_selector
from heeler.kinds.resource.rules import Mixed, distinct, fits, pool_name, taint_rules
from heeler.kinds.types import type_named
from heeler.objects import names
from heeler.objects.faults import Fault, duplicate, forbidden, invalid, required, too_long
from heeler.objects.quantities import parse
from heeler.objects.value import Object

Faults = Generator[Fault, None, list[str]]

MAX_IDENTIFIER, MAX_TEXT, MAX_ATTRIBUTES = 32, 64, 32
#: What an attribute can hold; one of them.
_VALUES = ("int", "bool", "string", "version")
#: Lists of them belong to a feature that is off by default: they are dropped, and named in messages.
LISTS_OF_VALUES = ("ints", "bools", "strings", "versions")
MAX_DEVICES, MAX_RICH_DEVICES, MAX_TAINTS = 128, 64, 16
MAX_COUNTER_SETS, MAX_CONSUMED_SETS, MAX_COUNTERS, MAX_CONDITIONS, MAX_VALID_VALUES = 8, 2, 32, 4, 10
#: https://semver.org/#is-there-a-suggested-regular-expression-regex-to-check-a-semver-string
_NUMBER = r"(?:0|[1-9]\d*)"
_PART = rf"(?:{_NUMBER}|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
_SEMVER = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_PART}(?:\.{_PART})*)?(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?"
)


def resource_slice(obj: Object) -> Iterator[Fault]:
    yield from written_first(_slice(obj["spec"], obj["spec"]))


def warnings(new: Object, old: Object | None) -> Iterator[str]:
    driver = new["spec"].get("driver", "")
    if driver != driver.lower():
        yield f'spec.driver: driver names should be lowercase; "{driver}" contains uppercase characters'


def slice_update(new: Object, old: Object) -> Iterator[Fault]:
    yield from written_first(_slice(new["spec"], old["spec"]))


def _slice(spec: Object, was: Object) -> Mixed:
    yield from csi_driver_name(spec.get("driver", ""), "spec.driver")
    yield from _kept(spec.get("driver", ""), was.get("driver", ""), "spec.driver")
    pool, old_pool = spec.get("pool") or {}, was.get("pool") or {}
    yield from pool_name(pool.get("name", ""), "spec.pool.name")
    yield from _kept(pool.get("name", ""), old_pool.get("name", ""), "spec.pool.name")
    yield from _kept(spec.get("nodeName"), was.get("nodeName"), "spec.nodeName")
    if pool.get("resourceSliceCount", 0) <= 0:
        yield invalid("spec.pool.resourceSliceCount", pool.get("resourceSliceCount", 0), "must be greater than zero")
    if pool.get("generation", 0) < 0:
        yield invalid("spec.pool.generation", pool["generation"], "must be greater than or equal to zero")
    yield from _where(spec)
    devices, counters = spec.get("devices") or [], spec.get("sharedCounters") or []
    if devices and counters:
        yield invalid("spec", "", "only one of `sharedCounters` or `devices` is allowed")
    rich = any(device.get("taints") or device.get("consumesCounters") for device in devices)
    too_large = list(fits(devices, "spec.devices", MAX_RICH_DEVICES if rich else MAX_DEVICES))
    yield from too_large
    if not too_large:
        for at, device in enumerate(devices):
            yield from _device(device, spec, f"spec.devices[{at}]")
        yield from unique("spec.devices[{at}]", [device.get("name", "") for device in devices])
    yield from _shared_counters(counters, "spec.sharedCounters")


def _kept(value: object, was: object, path: str) -> Iterator[Fault]:
    if value != was:
        yield invalid(path, value, IMMUTABLE)


def _where(spec: Object) -> Iterator[Fault]:
    """A slice is for one node, for nodes by a selector, for all nodes, or its devices say."""
    given = yield from _places(spec, "spec", ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection"))
    one = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
    if not given:
        yield required("spec", one)
    elif len(given) > 1:
        yield invalid("spec", f"{{{', '.join(given)}}}", f"{one}, but multiple fields are set")


def _device_where(device: Object, spec: Object, path: str) -> Iterator[Fault]:
    """The same for one device, if the slice leaves it to the devices."""
    fields = ("nodeName", "nodeSelector", "allNodes")
    if not spec.get("perDeviceNodeSelection"):
        if any(device.get(key) is not None for key in fields):
            yield invalid(
                path,
                None,
                "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true "
                "in the ResourceSlice spec",
            )
        return
    given = yield from _places(device, path, fields)
    one = (
        "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to "
        "true in the ResourceSlice spec"
    )
    if not given:
        yield required(path, one)
    elif len(given) > 1:
        yield invalid(path, f"{{{', '.join(given)}}}", one)


def _places(holder: Object, path: str, fields: tuple[str, ...]) -> Faults:
    """The faults of the fields that say for which nodes; returns which are given, as messages name them."""
    given = []
    for key in fields:
        value, here = holder.get(key), f"{path}.{key}"
        if value is None:
            continue
        if key == "nodeName":
            if not value:
                yield invalid(here, "", "must be either unset or set to a non-empty string")
                continue
            yield from each(here, value, names.subdomain(value))
        elif key == "nodeSelector":
            yield from node_selector(value, here)
            terms = value.get("nodeSelectorTerms") or []
            if len(terms) != 1:
                kind = type_named("io.k8s.api.core.v1.NodeSelectorTerm")
                shown = [internal(term, kind) for term in terms]
                yield invalid(f"{here}.nodeSelectorTerms", shown, "must have exactly one node selector term")
        elif not value:
            yield invalid(here, False, "must be either unset or set to true")
            continue
        given.append(f"`{key}`")
    return given


def _device(device: Object, spec: Object, path: str) -> Mixed:
    name = device.get("name", "")
    yield from each(f"{path}.name", name, names.label(name))
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    if len(attributes) + len(capacity) > MAX_ATTRIBUTES:
        count = len(attributes) + len(capacity)
        yield invalid(path, count, f"the total number of attributes and capacities must not exceed {MAX_ATTRIBUTES}")
    for key, value in sorted(attributes.items()):
        yield from _qualified(key, f"{path}.attributes")
        yield from _attribute_value(value, f"{path}.attributes[{key}]")
    for key, value in sorted(capacity.items()):
        yield from _qualified(key, f"{path}.capacity")
        yield from _capacity(value, bool(device.get("allowMultipleAllocations")), f"{path}.capacity[{key}]")
    too_large = list(fits(device.get("taints"), f"{path}.taints", MAX_TAINTS))
    yield from as_declared(too_large)
    for at, taint in numbered(device.get("taints")) if not too_large else ():
        yield from taint_rules(taint, f"{path}.taints[{at}]")
    consumed = device.get("consumesCounters")
    too_large = list(fits(consumed, f"{path}.consumesCounters", MAX_CONSUMED_SETS))
    yield from as_declared(too_large)
    if not too_large:
        yield from as_declared(distinct(consumed or [], "counterSet", f"{path}.consumesCounters"))
    for at, row in numbered(consumed) if not too_large else ():
        here, counter_set = f"{path}.consumesCounters[{at}]", row.get("counterSet", "")
        if not counter_set:
            yield required(f"{here}.counterSet")
        else:
            yield from each(f"{here}.counterSet", counter_set, names.label(counter_set))
        yield from _counters(row.get("counters") or {}, f"{here}.counters")
    yield from _device_where(device, spec, path)
    yield from _binding(device, path)


def _qualified(name: str, path: str) -> Iterator[Fault]:
    """A name of an attribute or a capacity: `[domain/]identifier`."""
    domain, slash, own = name.partition("/")
    if not slash:
        own = name
    elif not domain:
        yield required(path, "the domain must not be empty")
    else:
        yield from each(path, domain, names.subdomain(domain))
    if slash and not own:
        yield required(path, "the name must not be empty")
    elif len(own) > MAX_IDENTIFIER:
        yield too_long(path, MAX_IDENTIFIER)
    elif not slash:
        yield from each(path, own, names.c_identifier(own))


def _attribute_value(value: Object, path: str) -> Mixed:
    given = [key for key in _VALUES if value.get(key) is not None]
    kinds = ", ".join(f"`{key}`" for key in (*_VALUES, *LISTS_OF_VALUES))
    if not given:
        yield Declared(invalid(path, "", f"must specify one of: {kinds}"))
    elif len(given) > 1:
        yield Declared(invalid(path, f"{{{', '.join(given)}}}", f"must specify exactly one of: {kinds}"))
    else:
        yield from _text(value[given[0]], f"{path}.{given[0]}", version=given[0] == "version")


def _text(value: object, path: str, *, version: bool) -> Iterator[Fault]:
    if not isinstance(value, str):
        return
    if version and not _SEMVER.fullmatch(value):
        yield invalid(path, value, "must be a string compatible with semver.org spec 2.0.0")
    if len(value.encode()) > MAX_TEXT:
        yield too_long(path, MAX_TEXT)


def _capacity(row: Object, shared: bool, path: str) -> Iterator[Fault]:
    policy = row.get("requestPolicy")
    if policy is None:
        return
    here, capacity = f"{path}.requestPolicy", str(row.get("value", "0"))
    if not shared:
        yield forbidden(here, "allowMultipleAllocations must be true")
        return
    values, limits, default = policy.get("validValues"), policy.get("validRange"), policy.get("default")
    if values and limits is not None:
        words = 'exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time'
        yield forbidden(here, words)
    elif values:
        yield from _choices(values, default, capacity, here)
    elif limits is not None:
        yield from _range(limits, default, capacity, here)


def _choices(values: list[str], default: str | None, capacity: str, path: str) -> Iterator[Fault]:
    """The amounts that may be asked for: sorted, none of them more than there is."""
    if default is None:
        yield required(f"{path}.default", "required when validValues is defined")
        return
    path = f"{path}.validValues"
    too_large = list(fits(values, path, MAX_VALID_VALUES))
    yield from too_large
    amounts = [parse(value).nano for value in values] if not too_large else []
    for at, amount in enumerate(amounts):
        if amount in amounts[:at]:
            yield duplicate(f"{path}[{at}]", values[at])
        elif at and amount < amounts[at - 1]:
            yield invalid(f"{path}[{at}]", values[at], "values must be sorted in ascending order")
        if amount > parse(capacity).nano:
            yield invalid(f"{path}[{at}]", values[at], f"option is larger than capacity value: {capacity}")
    if parse(default).nano not in amounts:
        yield invalid(path, default, "default value is not valid according to the requestPolicy")


def _range(limits: Object, default: str | None, capacity: str, path: str) -> Iterator[Fault]:
    least, most, step = limits.get("min"), limits.get("max"), limits.get("step")
    here, there = f"{path}.validRange", parse(capacity).nano
    if default is None:
        yield required(f"{path}.default", "required when validRange is defined")
    if least is None:
        yield required(f"{here}.min", "required when validRange is defined")
    if default is None or least is None:
        return
    usual, bottom = parse(default).nano, parse(least).nano
    if bottom > there:
        yield invalid(f"{here}.min", least, f"min is larger than capacity value: {capacity}")
    if usual < bottom:
        yield invalid(f"{here}.default", default, f"default is less than min: {least}")
    if most is not None:
        if parse(most).nano > there:
            yield invalid(f"{here}.max", most, f"max is larger than capacity value: {capacity}")
        if bottom > parse(most).nano:
            yield invalid(f"{here}.max", least, f"min is larger than max: {most}")
        if usual > parse(most).nano:
            yield invalid(f"{here}.default", default, f"default is more than max: {most}")
    if step is not None:
        yield from _steps(least, most, step, default, capacity, f"{here}.step")


def _steps(least: str, most: str | None, step: str, default: str, capacity: str, path: str) -> Iterator[Fault]:
    bottom, size = parse(least).nano, parse(step).nano
    if size <= 0:
        yield invalid(path, step, "must be greater than zero")
        return
    if bottom + size > parse(capacity).nano:
        one = parse(least) + parse(step)
        yield invalid(path, step, f"one step {one} is larger than capacity value: {capacity}")
    for text in (*((most,) if most is not None else ()), default):
        if (parse(text).nano - bottom) % size:
            yield invalid(path, text, f"value is not a multiple of a given step ({step}) from ({least})")


def _binding(device: Object, path: str) -> Mixed:
    """What must be true of a device before its pod is bound, and what makes that fail: both or none."""
    wanted, failing = device.get("bindingConditions") or [], device.get("bindingFailureConditions") or []
    for key, rows in (("bindingConditions", wanted), ("bindingFailureConditions", failing)):
        too_large = list(fits(rows, f"{path}.{key}", MAX_CONDITIONS))
        yield from as_declared(too_large)
        for at, name in enumerate(rows if not too_large else ()):
            yield from each(f"{path}.{key}[{at}]", name, names.qualified(name))
            if name in rows[:at]:
                yield duplicate(f"{path}.{key}[{at}]", name)
            if rows is failing and name in wanted:
                yield invalid(
                    f"{path}.{key}[{at}]", name, "bindingFailureConditions must not overlap with bindingConditions"
                )
    if wanted and not failing:
        words = "bindingFailureConditions are required to use bindingConditions"
        yield invalid(f"{path}.bindingFailureConditions", device.get("bindingFailureConditions"), words)
    if failing and not wanted:
        words = "bindingConditions are required to use bindingFailureConditions"
        yield invalid(f"{path}.bindingConditions", device.get("bindingConditions"), words)


def _shared_counters(rows: list[Object], path: str) -> Mixed:
    too_large = list(fits(rows, path, MAX_COUNTER_SETS))
    yield from as_declared(too_large)
    if too_large:
        return
    yield from distinct(rows, "name", path)
    for at, row in enumerate(rows):
        name = row.get("name", "")
        if not name:
            yield required(f"{path}[{at}].name")
        else:
            yield from each(f"{path}[{at}].name", name, names.label(name))
        yield from _counters(row.get("counters") or {}, f"{path}[{at}].counters")


def _counters(counters: Object, path: str) -> Iterator[Fault]:
    if not counters:
        yield required(path)
    yield from fits(counters, path, MAX_COUNTERS)
    for name in sorted(counters):
        yield from each(path, name, names.label(name))
