"""Which devices the CEL expressions of classes and requests select.

https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/resource-claim-v1/ — `device.driver`,
`device.attributes["domain"].name`, `device.capacity["domain"].name`. A domain that a device doesn't have is empty.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from heeler.kinds.cel.admission import compile_device, device_variables
from heeler.kinds.cel.expressions import CompileError, Expression
from heeler.kinds.cel.library import semver
from heeler.kinds.cel.values import EvaluationError
from heeler.objects.quantities import parse
from heeler.objects.value import Object
from heeler.scheduler.devices.pools import Device

#: Compiled expressions that are remembered.
MAX_COMPILED = 256


class SelectorError(ValueError):
    """An expression can't be compiled or evaluated for a device."""


class _Domains(dict[str, Any]):
    """Attributes by domain; what isn't there is empty."""

    def __missing__(self, key: str) -> dict[str, Any]:
        return {}


class Selecting:
    """Compiles expressions once."""

    def __init__(self) -> None:
        self._compiled: OrderedDict[str, Expression] = OrderedDict()

    def matches(self, selectors: list[Object], device: Device) -> bool:
        """Do all expressions select the device? Raises SelectorError."""
        if not selectors:
            return True
        variables = device_variables(shown(device))
        for at, selector in enumerate(selectors):
            text = (selector.get("cel") or {}).get("expression") or ""
            try:
                if self._expression(text).evaluate(variables) is not True:
                    return False
            except CompileError as error:
                raise SelectorError(f"selector #{at}: CEL compile error: {error}") from error
            except EvaluationError as error:
                raise SelectorError(f"selector #{at}: CEL runtime error: {error}") from error
        return True

    def _expression(self, text: str) -> Expression:
        found = self._compiled.get(text)
        if found is None:
            found = self._compiled[text] = compile_device(text)
            if len(self._compiled) > MAX_COMPILED:
                self._compiled.popitem(last=False)
        else:
            self._compiled.move_to_end(text)
        return found


def shown(device: Device) -> Object:
    """A device as expressions see it."""
    spec, driver = device.spec, device.id.driver
    attributes, capacity = _Domains(), _Domains()
    for name, value in (spec.get("attributes") or {}).items():
        domain, own = split(name, driver)
        attributes.setdefault(domain, {})[own] = attribute(value)
    for name, value in (spec.get("capacity") or {}).items():
        domain, own = split(name, driver)
        capacity.setdefault(domain, {})[own] = parse(str(value["value"]))
    return {
        "driver": driver,
        "attributes": attributes,
        "capacity": capacity,
        "allowMultipleAllocations": device.shared,
    }


def split(name: str, driver: str) -> tuple[str, str]:
    """(domain, name): names without a domain are the driver's."""
    domain, slash, own = name.partition("/")
    return (domain, own) if slash else (driver, name)


def attribute(value: Object) -> Any:
    """An attribute's value; versions compare as versions."""
    if "version" in value:
        return semver(value["version"])
    for kind in ("int", "bool", "string", "ints", "bools", "strings"):
        if kind in value:
            return value[kind]
    return [semver(one) for one in value.get("versions") or ()]
