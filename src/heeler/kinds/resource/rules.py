"""What is checked of the kinds of resource.k8s.io, but for their CEL expressions."""

from __future__ import annotations

from collections.abc import Iterator

from heeler.kinds.cel.admission import device_faults
from heeler.kinds.internal_form import internal
from heeler.kinds.meta.checks import IMMUTABLE, numbered
from heeler.kinds.meta.objectmeta import annotation_rules, each, label_rules
from heeler.kinds.types import type_named
from heeler.objects import names
from heeler.objects.faults import Fault, duplicate, invalid, not_supported, required, too_long, too_many
from heeler.objects.value import Object

MAX_REQUESTS = 32
REQUEST_WORDS = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
EFFECTS = ("NoExecute", "NoSchedule", "None")


def driver_name(name: str, path: str) -> Iterator[Fault]:
    if not name:
        yield required(path)
        return
    if len(name) > 63:
        yield too_long(path, 63)
    yield from each(path, name, names.subdomain(name))


def _selectors(rows: list[Object] | None, path: str) -> Iterator[Fault]:
    if len(rows or ()) > 32:
        yield too_many(path, len(rows or ()), 32)
    for at, row in numbered(rows):
        here = f"{path}[{at}]"
        cel = row.get("cel")
        if cel is None:
            yield required(f"{here}.cel")
        else:
            yield from device_faults(cel.get("expression", ""), f"{here}.cel.expression")


def claim(obj: Object) -> Iterator[Fault]:
    yield from claim_spec(obj["spec"], "spec")


def claim_spec(spec: Object, path: str) -> Iterator[Fault]:
    devices = spec.get("devices") or {}
    here = f"{path}.devices"
    known: list[str] = []
    rows = devices.get("requests") or []
    if len(rows) > MAX_REQUESTS:
        yield too_many(f"{here}.requests", len(rows), MAX_REQUESTS)
    for at, row in enumerate(rows):
        yield from _request(row, known, f"{here}.requests[{at}]")
    for at, row in numbered(devices.get("constraints")):
        yield from _constraint(row, known, f"{here}.constraints[{at}]")
    for at, row in numbered(devices.get("config")):
        yield from _config(row, known, f"{here}.config[{at}]")


def _request(row: Object, known: list[str], path: str) -> Iterator[Fault]:
    name = row.get("name", "")
    yield from each(f"{path}.name", name, names.label(name))
    if name:
        if name in known:
            yield duplicate(f"{path}.name", name)
        known.append(name)
    exactly, first = row.get("exactly"), row.get("firstAvailable")
    if exactly is None and not first:
        yield required(path, "exactly one of `exactly` or `firstAvailable` is required")
    elif exactly is not None and first:
        yield invalid(
            path, None, "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set"
        )
    elif exactly is not None:
        yield from _devices(exactly, f"{path}.exactly")
    for at, sub in numbered(first):
        here, sub_name = f"{path}.firstAvailable[{at}]", sub.get("name", "")
        yield from each(f"{here}.name", sub_name, names.label(sub_name))
        if sub_name:
            known.append(f"{name}/{sub_name}")
        yield from _devices(sub, here)


def _devices(row: Object, path: str) -> Iterator[Fault]:
    class_name = row.get("deviceClassName", "")
    if not class_name:
        yield required(f"{path}.deviceClassName")
    else:
        yield from each(f"{path}.deviceClassName", class_name, names.subdomain(class_name))
    yield from _selectors(row.get("selectors"), f"{path}.selectors")
    mode, count = row.get("allocationMode", ""), row.get("count", 0)
    if mode == "All":
        if count:
            yield invalid(f"{path}.count", count, "must not be specified when allocationMode is 'All'")
    elif mode == "ExactCount":
        if count <= 0:
            yield invalid(f"{path}.count", count, "must be greater than zero")
    else:
        yield not_supported(f"{path}.allocationMode", mode, ("All", "ExactCount"))
    for at, toleration in numbered(row.get("tolerations")):
        yield from _toleration(toleration, f"{path}.tolerations[{at}]")


def _toleration(row: Object, path: str) -> Iterator[Fault]:
    key, operator, value = row.get("key", ""), row.get("operator", ""), row.get("value", "")
    if key:
        yield from each(f"{path}.key", key, names.qualified(key))
    if operator == "Exists":
        if value:
            yield invalid(f"{path}.value", value, "must be empty for operator `Exists`")
    elif operator == "Equal":
        if not key:
            yield required(f"{path}.key")
        yield from each(f"{path}.value", value, names.label_value(value))
    elif not operator:
        yield required(f"{path}.operator")
    else:
        yield not_supported(f"{path}.operator", operator, ("Equal", "Exists"))
    if row.get("effect") and row["effect"] not in EFFECTS:
        yield not_supported(f"{path}.effect", row["effect"], EFFECTS)


def _constraint(row: Object, known: list[str], path: str) -> Iterator[Fault]:
    yield from _request_names(row.get("requests"), known, f"{path}.requests")
    if row.get("matchAttribute") is None and row.get("distinctAttribute") is None:
        yield required(path, "exactly one of `matchAttribute` or `distinctAttribute` is required")
    for key in ("matchAttribute", "distinctAttribute"):
        if row.get(key) is not None:
            yield from _attribute(row[key], f"{path}.{key}")


def _attribute(name: str, path: str) -> Iterator[Fault]:
    domain, slash, rest = name.partition("/")
    if not name:
        yield required(path)
    elif not slash:
        yield invalid(path, name, "must include a domain")
    else:
        yield from each(path, domain, names.subdomain(domain))
        if not rest:
            yield invalid(path, name, "the name must not be empty")


def _request_names(rows: list[str] | None, known: list[str], path: str) -> Iterator[Fault]:
    seen: set[str] = set()
    for at, name in numbered(rows):
        if name not in known:
            yield invalid(f"{path}[{at}]", name, REQUEST_WORDS)
        if name in seen:
            yield duplicate(f"{path}[{at}]", name)
        seen.add(name)


def _config(row: Object, known: list[str], path: str) -> Iterator[Fault]:
    yield from _request_names(row.get("requests"), known, f"{path}.requests")
    opaque = row.get("opaque")
    if opaque is None:
        yield required(f"{path}.opaque")
        return
    yield from _opaque(opaque, f"{path}.opaque")


def _opaque(opaque: Object, path: str) -> Iterator[Fault]:
    yield from driver_name(opaque.get("driver", ""), f"{path}.driver")
    if opaque.get("parameters") is None:
        yield required(f"{path}.parameters")
    elif not isinstance(opaque["parameters"], dict):
        yield invalid(f"{path}.parameters", "<value omitted>", "must be a valid JSON object")


def claim_update(new: Object, old: Object) -> Iterator[Fault]:
    yield from claim(new)
    if new["spec"] != old["spec"]:
        yield invalid("spec", None, IMMUTABLE)


def template(obj: Object) -> Iterator[Fault]:
    meta = obj["spec"].get("metadata") or {}
    yield from label_rules(meta.get("labels"), "spec.metadata.labels")
    yield from annotation_rules(meta.get("annotations"), "spec.metadata.annotations")
    yield from claim_spec(obj["spec"]["spec"], "spec.spec")


def template_update(new: Object, old: Object) -> Iterator[Fault]:
    yield from template(new)
    if new["spec"] != old["spec"]:
        shown = internal(new["spec"], type_named("io.k8s.api.resource.v1.ResourceClaimTemplateSpec"))
        yield invalid("spec", shown, IMMUTABLE)


def device_class(obj: Object) -> Iterator[Fault]:
    spec = obj.get("spec") or {}
    yield from _selectors(spec.get("selectors"), "spec.selectors")
    for at, row in numbered(spec.get("config")):
        if row.get("opaque") is None:
            yield required(f"spec.config[{at}].opaque")
        else:
            yield from _opaque(row["opaque"], f"spec.config[{at}].opaque")


def taint_rule(obj: Object) -> Iterator[Fault]:
    spec = obj["spec"]
    selector = spec.get("deviceSelector")
    if selector is not None:
        for key, check in (("driver", names.subdomain), ("device", names.label)):
            if selector.get(key) is not None:
                yield from each(f"spec.deviceSelector.{key}", selector[key], check(selector[key]))
        if selector.get("pool") is not None:
            yield from pool_name(selector["pool"], "spec.deviceSelector.pool")
    yield from taint_rules(spec.get("taint") or {}, "spec.taint")


def taint_rules(taint: Object, path: str) -> Iterator[Fault]:
    key, effect = taint.get("key", ""), taint.get("effect", "")
    yield from each(f"{path}.key", key, names.qualified(key))
    if taint.get("value"):
        yield from each(f"{path}.value", taint["value"], names.label_value(taint["value"]))
    if not effect:
        yield required(f"{path}.effect")
    elif effect not in EFFECTS:
        yield not_supported(f"{path}.effect", effect, EFFECTS)


def pool_name(name: str, path: str) -> Iterator[Fault]:
    if not name:
        yield required(path)
        return
    if len(name) > 253:
        yield too_long(path, 253)
    for part in name.split("/"):
        yield from each(path, part, names.subdomain(part))
