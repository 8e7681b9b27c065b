"""What is checked of the kinds of resource.k8s.io, but for their CEL expressions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import orjson

from heeler.kinds.cel.admission import device_faults
from heeler.kinds.internal_form import internal
from heeler.kinds.meta.checks import IMMUTABLE, Declared, as_declared, numbered, written_first
from heeler.kinds.meta.objectmeta import annotation_rules, each, label_rules
from heeler.kinds.types import type_named
from heeler.objects import names
from heeler.objects.faults import Fault, duplicate, invalid, not_supported, required, too_long, too_many
from heeler.objects.value import Object

#: Rules of which some are declared at the fields; `written_first` puts them in order.
Mixed = Iterator[Fault | Declared]

MAX_ITEMS, MAX_ALTERNATIVES = 32, 8
MAX_EXPRESSION, MAX_PARAMETERS = 10 << 10, 10 << 10
MAX_DRIVER, MAX_DOMAIN, MAX_IDENTIFIER = 63, 63, 32
REQUEST_WORDS = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
EFFECTS = ("NoExecute", "NoSchedule", "None")


def driver_name(name: str, path: str) -> Iterator[Fault]:
    """A DNS subdomain in which capitals pass."""
    if not name:
        yield required(path)
    elif len(name) > MAX_DRIVER:
        yield too_long(path, MAX_DRIVER, "characters")
    else:
        yield from each(path, name, names.caseless_subdomain(name))


def fits(rows: object, path: str, limit: int) -> Iterator[Fault]:
    """Lists that are too long aren't looked at any further."""
    if isinstance(rows, (list, dict)) and len(rows) > limit:
        yield too_many(path, len(rows), limit)


def _selectors(rows: list[Object] | None, path: str) -> Iterator[Fault]:
    too_large = list(fits(rows, path, MAX_ITEMS))
    yield from too_large
    for at, row in numbered(rows) if not too_large else ():
        here = f"{path}[{at}]"
        cel = row.get("cel")
        if cel is None:
            yield required(f"{here}.cel")
            continue
        expression = cel.get("expression", "")
        if len(expression.encode()) > MAX_EXPRESSION:
            yield too_long(f"{here}.cel.expression", MAX_EXPRESSION)
        else:
            yield from device_faults(expression, f"{here}.cel.expression")


def claim(obj: Object) -> Iterator[Fault]:
    yield from written_first(_claim_spec(obj["spec"], "spec"))


def _claim_spec(spec: Object, path: str) -> Mixed:
    devices = spec.get("devices") or {}
    here = f"{path}.devices"
    known: set[str] = set()
    yield from _requests(devices.get("requests") or [], known, f"{here}.requests")
    for key, check in (("constraints", _constraint), ("config", _config)):
        rows = devices.get(key) or []
        too_large = list(fits(rows, f"{here}.{key}", MAX_ITEMS))
        yield from as_declared(too_large)
        for at, row in enumerate(rows if not too_large else ()):
            yield from check(row, known, f"{here}.{key}[{at}]")


def _requests(rows: list[Object], known: set[str], path: str) -> Mixed:
    for row in rows:
        name = row.get("name", "")
        known |= {name, *(f"{name}/{sub.get('name', '')}" for sub in row.get("firstAvailable") or ())}
    too_large = list(fits(rows, path, MAX_ITEMS))
    yield from as_declared(too_large)
    if not too_large:
        yield from as_declared(distinct(rows, "name", path))
        for at, row in enumerate(rows):
            yield from _request(row, f"{path}[{at}]")


def distinct(rows: list[Object], key: str, path: str) -> Iterator[Fault]:
    """Lists of which each item has a name of its own, in the field `key`."""
    seen: set[str] = set()
    for at, row in enumerate(rows):
        name = row.get(key, "")
        if name in seen:
            yield duplicate(f"{path}[{at}]", row)
        seen.add(name)


def _request(row: Object, path: str) -> Mixed:
    name = row.get("name", "")
    yield from each(f"{path}.name", name, names.label(name))
    exactly, first = row.get("exactly"), row.get("firstAvailable")
    if exactly is None and not first:
        yield required(path, "exactly one of `exactly` or `firstAvailable` is required")
    elif exactly is not None and first:
        yield invalid(
            path, None, "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set"
        )
    elif exactly is not None:
        yield from _class_name(exactly, f"{path}.exactly")
        yield from _devices(exactly, f"{path}.exactly")
    here = f"{path}.firstAvailable"
    too_large = list(fits(first, here, MAX_ALTERNATIVES))
    yield from as_declared(too_large)
    if not too_large:
        yield from as_declared(distinct(first or [], "name", here))
        for at, sub in numbered(first):
            sub_name = sub.get("name", "")
            yield from each(f"{here}[{at}].name", sub_name, names.label(sub_name))
            yield from as_declared(_class_name(sub, f"{here}[{at}]"))
            yield from _devices(sub, f"{here}[{at}]")


def _class_name(row: Object, path: str) -> Iterator[Fault]:
    class_name = row.get("deviceClassName", "")
    if not class_name:
        yield required(f"{path}.deviceClassName")
    else:
        yield from each(f"{path}.deviceClassName", class_name, names.subdomain(class_name))


def _devices(row: Object, path: str) -> Mixed:
    yield from _selectors(row.get("selectors"), f"{path}.selectors")
    mode, count = row.get("allocationMode", ""), row.get("count", 0)
    if mode == "All":
        if count:
            yield invalid(f"{path}.count", count, "must not be specified when allocationMode is 'All'")
    elif mode == "ExactCount":
        if count <= 0:
            yield invalid(f"{path}.count", count, "must be greater than zero")
    else:
        yield Declared(not_supported(f"{path}.allocationMode", mode, ("All", "ExactCount")))
    for at, toleration in numbered(row.get("tolerations")):
        yield from _toleration(toleration, f"{path}.tolerations[{at}]")


def _toleration(row: Object, path: str) -> Mixed:
    key, operator, value = row.get("key", ""), row.get("operator", ""), row.get("value", "")
    if key:
        yield from as_declared(each(f"{path}.key", key, names.qualified(key)))
    if operator == "Exists":
        if value:
            yield invalid(f"{path}.value", value, "must be empty for operator `Exists`")
    elif operator == "Equal":
        yield from each(f"{path}.value", value, names.label_value(value))
    elif not operator:
        yield Declared(required(f"{path}.operator"))
    else:
        yield Declared(not_supported(f"{path}.operator", operator, ("Equal", "Exists")))
    if row.get("effect") and row["effect"] not in EFFECTS:
        yield Declared(not_supported(f"{path}.effect", row["effect"], EFFECTS))


def _constraint(row: Object, known: set[str], path: str) -> Mixed:
    yield from _request_names(row.get("requests"), known, f"{path}.requests")
    if row.get("matchAttribute") is None and row.get("distinctAttribute") is None:
        words = 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'
        yield required(path, words)
    for key in ("matchAttribute", "distinctAttribute"):
        if row.get(key) is not None:
            yield from as_declared(_attribute(row[key], f"{path}.{key}"))


def _attribute(text: str, path: str) -> Iterator[Fault]:
    """A name with its domain: `example.com/model`."""
    domain, slash, name = text.rpartition("/")
    if slash:
        if not domain:
            yield invalid(path, "", "prefix must not be empty")
        elif len(domain.encode()) > MAX_DOMAIN:
            yield too_long(path, MAX_DOMAIN)
        else:
            yield from each(path, domain, [f"prefix: {words}" for words in names.subdomain(domain)])
    if slash and not name:
        yield invalid(path, "", "name must not be empty")
    elif len(name.encode()) > MAX_IDENTIFIER:
        yield too_long(path, MAX_IDENTIFIER)
    else:
        yield from each(path, name, names.c_identifier(name))
    if not slash:
        yield invalid(path, text, "a fully qualified name must be a domain and a name separated by a slash")


def _request_names(rows: list[str] | None, known: set[str], path: str) -> Mixed:
    too_large = list(fits(rows, path, MAX_ITEMS))
    yield from as_declared(too_large)
    if too_large:
        return
    seen: set[str] = set()
    for at, name in numbered(rows):
        if name not in known:
            yield invalid(f"{path}[{at}]", name, REQUEST_WORDS)
        if name in seen:
            yield Declared(duplicate(f"{path}[{at}]", name))
        seen.add(name)


def _config(row: Object, known: set[str], path: str) -> Mixed:
    yield from _request_names(row.get("requests"), known, f"{path}.requests")
    opaque = row.get("opaque")
    if opaque is None:
        yield required(f"{path}.opaque")
        return
    yield from _opaque(opaque, f"{path}.opaque")


def _opaque(opaque: Object, path: str) -> Mixed:
    yield from as_declared(driver_name(opaque.get("driver", ""), f"{path}.driver"))
    parameters = opaque.get("parameters")
    if parameters is None:
        yield required(f"{path}.parameters")
    elif len(orjson.dumps(parameters)) > MAX_PARAMETERS:
        yield too_long(f"{path}.parameters", MAX_PARAMETERS)
    elif not isinstance(parameters, dict):
        yield invalid(f"{path}.parameters", "<value omitted>", "must be a valid JSON object")


def claim_update(new: Object, old: Object) -> Iterator[Fault]:
    changed = [invalid("spec", None, IMMUTABLE)] if new["spec"] != old["spec"] else []
    yield from written_first(chain(_claim_spec(new["spec"], "spec"), changed))


def template(obj: Object) -> Iterator[Fault]:
    yield from written_first(_template(obj))


def _template(obj: Object) -> Mixed:
    meta = obj["spec"].get("metadata") or {}
    yield from label_rules(meta.get("labels"), "spec.metadata.labels")
    yield from annotation_rules(meta.get("annotations"), "spec.metadata.annotations")
    yield from _claim_spec(obj["spec"]["spec"], "spec.spec")


def template_update(new: Object, old: Object) -> Iterator[Fault]:
    changed = []
    if new["spec"] != old["spec"]:
        shown = internal(new["spec"], type_named("io.k8s.api.resource.v1.ResourceClaimTemplateSpec"))
        changed.append(invalid("spec", shown, IMMUTABLE))
    yield from written_first(chain(_template(new), changed))


def device_class(obj: Object) -> Iterator[Fault]:
    yield from written_first(_device_class(obj.get("spec") or {}))


def _device_class(spec: Object) -> Mixed:
    yield from _selectors(spec.get("selectors"), "spec.selectors")
    rows = spec.get("config")
    too_large = list(fits(rows, "spec.config", MAX_ITEMS))
    yield from as_declared(too_large)
    for at, row in numbered(rows) if not too_large else ():
        if row.get("opaque") is None:
            yield required(f"spec.config[{at}].opaque")
        else:
            yield from _opaque(row["opaque"], f"spec.config[{at}].opaque")
    if spec.get("extendedResourceName") is not None:
        path, name = "spec.extendedResourceName", spec["extendedResourceName"]
        yield from as_declared(each(path, name, _extended_resource(name)))


def _extended_resource(name: str) -> list[str]:
    """What is wrong with the name of a resource that isn't Kubernetes' own."""
    out = []
    if "/" not in name:
        out.append("a name must be a domain-prefixed path, such as 'example.com/my-prop'")
    if "kubernetes.io/" in name:
        out.append('must not have "kubernetes.io/" domain')
    if name.startswith("requests."):
        out.append('must not have "requests." prefix')
    if not name or name.startswith("/"):  # an empty part is told as one that isn't well formed
        words = names.subdomain("") if name else []
        out += [f"prefix part {text}" for text in words]
        name = name.removeprefix("/")
    return out + [text for text in names.qualified(name) if text != "name part must be non-empty"]


def taint_rule(obj: Object) -> Iterator[Fault]:
    spec = obj["spec"]
    selector = spec.get("deviceSelector")
    if selector is not None:
        if selector.get("driver") is not None:
            yield from each("spec.deviceSelector.driver", selector["driver"], names.subdomain(selector["driver"]))
        if selector.get("pool") is not None:
            yield from pool_name(selector["pool"], "spec.deviceSelector.pool")
        if selector.get("device") is not None:
            yield from each("spec.deviceSelector.device", selector["device"], names.label(selector["device"]))
    yield from written_first(taint_rules(spec.get("taint") or {}, "spec.taint"))


def taint_rules(taint: Object, path: str) -> Mixed:
    key, effect = taint.get("key", ""), taint.get("effect", "")
    yield from each(f"{path}.key", key, names.qualified(key))
    if taint.get("value"):
        yield from each(f"{path}.value", taint["value"], names.label_value(taint["value"]))
    if not effect:
        yield Declared(required(f"{path}.effect"))
    elif effect not in EFFECTS:
        yield Declared(not_supported(f"{path}.effect", effect, EFFECTS))


def pool_name(name: str, path: str) -> Iterator[Fault]:
    if not name:
        yield required(path)
        return
    if len(name) > 253:
        yield too_long(path, 253)
    for part in name.split("/"):
        yield from each(path, part, names.subdomain(part))
