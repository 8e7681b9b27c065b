"""What is checked of PodDisruptionBudget, PriorityClass, RuntimeClass, APIService, ControllerRevision, PodTemplate."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from heeler.kinds.core.podspec_rules import template_rules, tolerations
from heeler.kinds.internal_form import external, internal
from heeler.kinds.meta.checks import (
    IMMUTABLE,
    count_or_percent,
    not_negative,
    not_over_100_percent,
    one_of,
    optional_one_of,
)
from heeler.kinds.meta.objectmeta import each, label_rules
from heeler.kinds.meta.resource_rules import requirements
from heeler.kinds.meta.selector_rules import label_selector
from heeler.kinds.types import type_named
from heeler.objects import names
from heeler.objects.faults import Fault, duplicate, forbidden, invalid, required
from heeler.objects.value import Object

MAX_USER_PRIORITY = 1_000_000_000
SYSTEM_CLASSES = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}


def budget(obj: Object) -> Iterator[Fault]:
    spec = obj.get("spec") or {}
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if least is not None and most is not None:
        shown = external(spec, type_named("io.k8s.api.policy.v1.PodDisruptionBudgetSpec"))
        yield invalid("spec", shown, "minAvailable and maxUnavailable cannot be both set")
    for key, value in (("minAvailable", least), ("maxUnavailable", most)):
        if value is not None:
            yield from count_or_percent(value, f"spec.{key}")
            yield from not_over_100_percent(value, f"spec.{key}")
    yield from label_selector(spec.get("selector"), "spec.selector")
    yield from optional_one_of(
        spec.get("unhealthyPodEvictionPolicy"), ("AlwaysAllow", "IfHealthyBudget"), "spec.unhealthyPodEvictionPolicy"
    )


def budget_status(new: Object, old: Object) -> Iterator[Fault]:
    status = new.get("status") or {}
    for key in ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"):
        yield from not_negative(status.get(key), f"status.{key}")


def priority_class(obj: Object) -> Iterator[Fault]:
    name, value = obj["metadata"].get("name", ""), obj.get("value", 0)
    if name.startswith("system-"):
        words = None
        if name not in SYSTEM_CLASSES:
            words = f"{name} is not a known system priority class"
        elif value != SYSTEM_CLASSES[name]:
            words = f"value of {name} PriorityClass must be {SYSTEM_CLASSES[name]}"
        elif obj.get("globalDefault"):
            words = f"globalDefault of {name} PriorityClass must be false"
        if words:
            yield forbidden(
                "metadata.name",
                f"priority class names with 'system-' prefix are reserved for system use only. error: {words}",
            )
    elif value > MAX_USER_PRIORITY:
        yield forbidden("value", f"maximum allowed value of a user defined priority is {MAX_USER_PRIORITY}")
    if obj.get("preemptionPolicy") is not None:
        yield from one_of(obj["preemptionPolicy"], ("PreemptLowerPriority", "Never"), "preemptionPolicy")


def priority_class_update(new: Object, old: Object) -> Iterator[Fault]:
    if new.get("value", 0) != old.get("value", 0):
        yield forbidden("value", "may not be changed in an update.")
    if new.get("preemptionPolicy") != old.get("preemptionPolicy"):
        yield invalid("preemptionPolicy", new.get("preemptionPolicy"), IMMUTABLE)


def runtime_class(obj: Object) -> Iterator[Fault]:
    """A new class: the handler's length is told in bytes, as upstream does where its types declare the rule."""
    for fault in _runtime_class(obj):
        yield dataclasses.replace(fault, message=fault.message.replace("63 characters", "63 bytes"))


def _runtime_class(obj: Object) -> Iterator[Fault]:
    handler = obj.get("handler", "")
    if not handler:
        yield required("handler")
    else:
        yield from each("handler", handler, names.label(handler))
    # the overhead is checked as the limits of a container
    yield from requirements({"limits": (obj.get("overhead") or {}).get("podFixed")}, (), "overhead")
    scheduling = obj.get("scheduling")
    if scheduling is not None:
        yield from label_rules(scheduling.get("nodeSelector"), "scheduling.nodeSelector")
        rows = scheduling.get("tolerations") or []
        yield from tolerations(rows, "scheduling.tolerations")
        kind = type_named("io.k8s.api.core.v1.Toleration")
        for at, row in enumerate(rows):
            if row in rows[:at]:
                yield duplicate(f"scheduling.tolerations[{at}]", internal(row, kind))


def runtime_class_update(new: Object, old: Object) -> Iterator[Fault]:
    faults = list(_runtime_class(new))
    yield from (fault for fault in faults if fault.reason != "FieldValueRequired")
    if new.get("handler") != old.get("handler"):
        yield invalid("handler", None, IMMUTABLE)
    yield from (fault for fault in faults if fault.reason == "FieldValueRequired")


def api_service(obj: Object) -> Iterator[Fault]:
    spec, name = obj.get("spec") or {}, obj["metadata"].get("name", "")
    group, version = spec.get("group", ""), spec.get("version", "")
    wanted = f"{version}.{group}"
    if name != wanted:
        yield invalid("metadata.name", name, f'must be `spec.version+"."+spec.group`: "{wanted}"')
    if group:
        yield from each("spec.group", group, names.subdomain(group))
    elif version != "v1":
        yield required("spec.group", "only v1 may have an empty group and it better be legacy kube")
    yield from each("spec.version", version, names.label_1035(version))
    for key, most in (("groupPriorityMinimum", 20000), ("versionPriority", 1000)):
        value = spec.get(key, 0)
        if value <= 0 or value > most:
            yield invalid(f"spec.{key}", value, f"must be positive and less than {most}")
    service = spec.get("service")
    if service is None:
        if spec.get("caBundle"):
            yield invalid(
                "spec.caBundle", f"{len(spec['caBundle'])} bytes", "local APIServices may not have a caBundle"
            )
        if spec.get("insecureSkipTLSVerify"):
            yield invalid("spec.insecureSkipTLSVerify", True, "local APIServices may not have insecureSkipTLSVerify")
        return
    for key in ("namespace", "name"):
        if not service.get(key):
            yield required(f"spec.service.{key}")
    yield from each("spec.service.port", service.get("port", 443), _port_words(service.get("port", 443)))
    if spec.get("insecureSkipTLSVerify") and spec.get("caBundle"):
        yield invalid("spec.insecureSkipTLSVerify", True, "may not be true if caBundle is present")


def _port_words(port: int) -> list[str]:
    return [f"port is not valid: {names.PORT}"] if names.port(port) else []


def revision(obj: Object) -> Iterator[Fault]:
    if obj.get("data") is None:
        yield required("data", "data is mandatory")
    elif not isinstance(obj["data"], dict):
        yield required("data", "data must be a valid JSON object")
    yield from not_negative(obj.get("revision"), "revision")


def revision_update(new: Object, old: Object) -> Iterator[Fault]:
    yield from not_negative(new.get("revision"), "revision")
    if new.get("data") != old.get("data"):
        yield invalid("data", new.get("data"), IMMUTABLE)


def pod_template(obj: Object) -> Iterator[Fault]:
    yield from template_rules(obj.get("template"), "template")
