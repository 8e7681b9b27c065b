"""What is checked of Job and CronJob. https://kubernetes.io/docs/concepts/workloads/controllers/job/"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterator

from heeler.kinds.batch import schedule
from heeler.kinds.core.podspec_rules import template_rules
from heeler.kinds.internal_form import internal, mapped
from heeler.kinds.internal_form import selector as selector_form
from heeler.kinds.meta.checks import IMMUTABLE, not_negative, numbered, one_of
from heeler.kinds.meta.objectmeta import each
from heeler.kinds.meta.selector_rules import is_empty, label_selector, matches, valid
from heeler.kinds.types import type_named
from heeler.objects import names
from heeler.objects.faults import Fault, duplicate, invalid, not_supported, quote, required, too_long, too_many
from heeler.objects.value import Object

MISMATCH = "`selector` does not match template `labels`"
ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
BATCH = "io.k8s.api.batch.v1"
MAX_PARALLEL_INDEXED = 100_000
#: Characters of a list of indexes.
MAX_PATTERNS = 20
MAX_INDEXES = 64 * 1024


def job(obj: Object) -> Iterator[Fault]:
    yield from _generated_selector(obj)
    spec = obj["spec"]
    yield from job_spec(spec, "spec")
    if spec.get("completionMode") == "Indexed" and (spec.get("completions") or 0) > 0:
        last = f"{obj['metadata'].get('name', '')}-{spec['completions'] - 1}"
        if names.label(last):
            yield invalid(
                "metadata.name",
                obj["metadata"].get("name", ""),
                f"will not able to create pod with invalid DNS label: {last}",
            )


def _generated_selector(obj: Object) -> Iterator[Fault]:
    """Without `manualSelector` the selector is the server's."""
    spec = obj["spec"]
    selector = spec.get("selector")
    if spec.get("manualSelector") or selector is None:
        return
    wanted = {"matchLabels": {"batch.kubernetes.io/controller-uid": obj["metadata"].get("uid", "")}}
    if selector != wanted:
        yield invalid("spec.selector", selector_form(selector), "`selector` not auto-generated")


def job_spec(spec: Object, path: str) -> Iterator[Fault]:
    """A job's spec with its selector."""
    yield from spec_without_selector(spec, path)
    selector = spec.get("selector")
    if selector is None:
        yield required(f"{path}.selector")
    else:
        yield from label_selector(selector, f"{path}.selector")
    labels = (spec["template"].get("metadata") or {}).get("labels")
    if selector is None or (valid(selector) and not is_empty(selector) and not matches(selector, labels)):
        yield invalid(f"{path}.template.metadata.labels", mapped(labels), MISMATCH)


def spec_without_selector(spec: Object, path: str) -> Iterator[Fault]:
    for key in (
        *("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"),
        *("backoffLimitPerIndex", "maxFailedIndexes"),
    ):
        yield from not_negative(spec.get(key), f"{path}.{key}")
    yield from _indexes(spec, path)
    manager = spec.get("managedBy")
    if manager is not None:
        yield from _domain_prefixed(manager, f"{path}.managedBy")
        if len(manager) > 63:
            yield too_long(f"{path}.managedBy", 63)
    mode = spec.get("completionMode")
    if mode is not None and mode not in ("NonIndexed", "Indexed"):
        yield not_supported(f"{path}.completionMode", mode, ("NonIndexed", "Indexed"))
    if mode == "Indexed":
        if spec.get("completions") is None:
            yield required(f"{path}.completions", "when completion mode is Indexed")
        if (spec.get("parallelism") or 0) > MAX_PARALLEL_INDEXED:
            yield invalid(
                f"{path}.parallelism",
                spec["parallelism"],
                f"must be less than or equal to {MAX_PARALLEL_INDEXED} when completion mode is Indexed",
            )
    policy = spec.get("podFailurePolicy")
    if policy is not None:
        yield from _failure_policy(spec, policy, f"{path}.podFailurePolicy")
    success = spec.get("successPolicy")
    if success is not None:
        if mode != "Indexed":
            shown = internal(success, type_named(f"{BATCH}.SuccessPolicy"))
            yield invalid(f"{path}.successPolicy", shown, "requires indexed completion mode")
        else:
            yield from _success_policy(spec, success, f"{path}.successPolicy")
    yield from _replacement(spec, path)
    yield from template_rules(spec.get("template"), f"{path}.template")
    yield from _restart_policy(spec, path)


def _indexes(spec: Object, path: str) -> Iterator[Fault]:
    per_index = spec.get("backoffLimitPerIndex")
    if spec.get("completionMode", "NonIndexed") == "NonIndexed" and per_index is not None:
        yield invalid(f"{path}.backoffLimitPerIndex", per_index, "requires indexed completion mode")
    if spec.get("maxFailedIndexes") is not None:
        if per_index is None:
            yield required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
        if spec.get("completions") is not None and spec["maxFailedIndexes"] > spec["completions"]:
            yield invalid(
                f"{path}.maxFailedIndexes", spec["maxFailedIndexes"], "must be less than or equal to completions"
            )
        if spec["maxFailedIndexes"] > MAX_PARALLEL_INDEXED:
            words = f"must be less than or equal to {MAX_PARALLEL_INDEXED}"
            yield invalid(f"{path}.maxFailedIndexes", spec["maxFailedIndexes"], words)


def _domain_prefixed(text: str, path: str) -> Iterator[Fault]:
    """ "example.com/name"."""
    domain, slash, name = text.partition("/")
    if not text:
        yield required(path)
    elif not slash or not domain or not name:
        yield invalid(path, text, 'must be a domain-prefixed path (such as "acme.io/foo")')
    else:
        yield from each(path, domain, names.subdomain(domain))
        if not re.match(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+\Z", name):
            yield invalid(path, name, "Invalid path")


def _failure_policy(spec: Object, policy: Object, path: str) -> Iterator[Fault]:
    rules = policy.get("rules") or []
    if len(rules) > 20:
        yield too_many(f"{path}.rules", len(rules), 20)
    containers = [
        c.get("name") for key in ("containers", "initContainers") for c in spec["template"]["spec"].get(key) or ()
    ]
    for at, rule in numbered(rules):
        here = f"{path}.rules[{at}]"
        action = rule.get("action", "")
        if action not in ACTIONS:
            words = f"valid values: [{' '.join(quote(known) for known in ACTIONS)}]"
            yield required(f"{here}.action", words) if not action else not_supported(f"{here}.action", action, ACTIONS)
        elif action == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            yield invalid(f"{here}.action", action, "requires the backoffLimitPerIndex to be set")
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions") or ()
        if codes is not None:
            yield from _exit_codes(codes, containers, f"{here}.onExitCodes")
        if len(conditions) > MAX_PATTERNS:
            yield too_many(f"{here}.onPodConditions", len(conditions), MAX_PATTERNS)
        for index, pattern in numbered(conditions) if len(conditions) <= MAX_PATTERNS else ():
            yield from _pattern(pattern, f"{here}.onPodConditions[{index}]")
        if codes is not None and conditions:
            yield _plain(here, "specifying both OnExitCodes and OnPodConditions is not supported")
        if codes is None and not conditions:
            yield _plain(here, "specifying one of OnExitCodes and OnPodConditions is required")


def _plain(path: str, words: str) -> Fault:
    """An "Invalid value" that names no value."""
    return Fault("FieldValueInvalid", f"Invalid value: {words}", path)


def _pattern(pattern: Object, path: str) -> Iterator[Fault]:
    yield from each(f"{path}.type", pattern.get("type", ""), names.qualified(pattern.get("type", "")))
    status = pattern.get("status")
    if not status:
        yield required(f"{path}.status")
    elif status not in ("True", "False", "Unknown"):
        yield not_supported(f"{path}.status", status, ("False", "True", "Unknown"))


def _exit_codes(codes: Object, containers: list[str | None], path: str) -> Iterator[Fault]:
    operator, values = codes.get("operator", ""), codes.get("values") or []
    if operator not in ("In", "NotIn"):
        yield (
            required(f"{path}.operator", 'valid values: ["In" "NotIn"]')
            if not operator
            else not_supported(f"{path}.operator", operator, ("In", "NotIn"))
        )
    name = codes.get("containerName")
    if name is not None and name not in containers:
        yield invalid(
            f"{path}.containerName", name, "must be one of the container or initContainer names in the pod template"
        )
    if not values:
        yield invalid(f"{path}.values", codes.get("values"), "at least one value is required")
    elif len(values) > 255:
        yield too_many(f"{path}.values", len(values), 255)
    for at, value in enumerate(values):
        if value == 0 and operator == "In":
            yield invalid(f"{path}.values[{at}]", value, "must not be 0 for the In operator")
    seen: set[int] = set()
    for at, value in enumerate(values):
        if value in seen:
            yield duplicate(f"{path}.values[{at}]", value)
        seen.add(value)
    if values != sorted(values):
        yield invalid(f"{path}.values", values, "must be ordered")


def _success_policy(spec: Object, policy: Object, path: str) -> Iterator[Fault]:
    rules = policy.get("rules") or []
    if not rules:
        yield required(f"{path}.rules", "at least one rules must be specified when the successPolicy is specified")
    if len(rules) > 20:
        yield too_many(f"{path}.rules", len(rules), 20)
    for at, rule in numbered(rules):
        here = f"{path}.rules[{at}]"
        count, indexes = rule.get("succeededCount"), rule.get("succeededIndexes")
        if count is None and indexes is None:
            yield required(here, "at least one of succeededCount or succeededIndexes must be specified")
        completions, total = spec.get("completions") or 0, 0
        if indexes is not None:
            if len(indexes) > MAX_INDEXES:
                yield too_long(f"{here}.succeededIndexes", MAX_INDEXES)
            try:
                total = _count_indexes(indexes, completions)
            except ValueError as error:
                yield invalid(f"{here}.succeededIndexes", indexes, f"error parsing succeededIndexes: {error}")
        if count is not None:
            path_ = f"{here}.succeededCount"
            yield from not_negative(count, path_)
            if count > completions:
                words = f"must be less than or equal to {completions} (the number of specified completions)"
                yield invalid(path_, count, words)
            if indexes is not None and count > total:
                words = f"must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
                yield invalid(path_, count, words)


def _count_indexes(text: str, completions: int) -> int:
    """How many indexes "0,2-4" names. Raises ValueError with the words for what is no such list."""
    total, last = 0, -1
    for part in text.split(",") if text else ():
        ends = part.split("-")
        if len(ends) > 2:
            rule = "violates the requirement that an index interval can have at most two parts separated by '-'"
            raise ValueError(f"the fragment {quote(part)} {rule}")
        numbers = [_index(end, completions) for end in ends]
        first, end = numbers[0], numbers[-1]
        if len(numbers) == 2 and first >= end:
            raise ValueError(f"non-increasing order, previous: {first}, current: {end}")
        if last >= first:
            raise ValueError(f"non-increasing order, previous: {last}, current: {first}")
        total, last = total + end - first + 1, end
    return total


def _index(text: str, completions: int) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise ValueError(f"cannot convert string to integer for index: {quote(text)}")
    if int(text) >= completions:
        raise ValueError(f"too large index: {quote(text)}")
    return int(text)


def _replacement(spec: Object, path: str) -> Iterator[Fault]:
    policy = spec.get("podReplacementPolicy")
    if policy is None:
        return
    if spec.get("podFailurePolicy") is not None:
        if policy != "Failed":
            yield not_supported(f"{path}.podReplacementPolicy", policy, ("Failed",))
    elif policy not in ("Failed", "TerminatingOrFailed"):
        yield not_supported(f"{path}.podReplacementPolicy", policy, ("Failed", "TerminatingOrFailed"))


def _restart_policy(spec: Object, path: str) -> Iterator[Fault]:
    policy = (spec["template"].get("spec") or {}).get("restartPolicy", "")
    here = f"{path}.template.spec.restartPolicy"
    if policy in ("", "Always"):
        yield required(here, 'valid values: "OnFailure", "Never"')
    elif policy not in ("OnFailure", "Never"):
        yield not_supported(here, policy, ("OnFailure", "Never"))
    elif spec.get("podFailurePolicy") is not None and policy != "Never":
        yield invalid(here, policy, 'only "Never" is supported when podFailurePolicy is specified')


def job_update(new: Object, old: Object) -> Iterator[Fault]:
    spec, was = new["spec"], old["spec"]
    yield from job_spec(spec, "spec")
    elastic = spec.get("completionMode") == "Indexed" and spec.get("completions") == spec.get("parallelism")
    if spec.get("completions") != was.get("completions") and not elastic:
        yield invalid("spec.completions", spec.get("completions"), IMMUTABLE)
    if (spec.get("selector") or None) != (was.get("selector") or None):
        yield invalid("spec.selector", selector_form(spec.get("selector")), IMMUTABLE)
    yield from _template_update(spec, was, old)
    for key in ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"):
        if spec.get(key) != was.get(key):
            shown = spec.get(key)
            if key in _POLICIES and shown is not None:
                shown = internal(shown, type_named(f"{BATCH}.{_POLICIES[key]}"))
            yield invalid(f"spec.{key}", shown, IMMUTABLE)


_POLICIES = {"podFailurePolicy": "PodFailurePolicy", "successPolicy": "SuccessPolicy"}
_SUSPENDED_MAY_CHANGE = ("nodeSelector", "affinity", "tolerations", "schedulingGates")


def _template_update(spec: Object, was: Object, old: Object) -> Iterator[Fault]:
    """The template is fixed; of a suspended job that isn't running, where its pods go and what they need may change."""
    template, before = spec["template"], was["template"]
    if _may_be_placed_anew(was, old.get("status") or {}):
        if _without_placement(template) != _without_placement(before):
            yield invalid(
                "spec.template.spec", internal(template["spec"], type_named("io.k8s.api.core.v1.PodSpec")), IMMUTABLE
            )
    elif template != before:
        shown = internal(spec["template"], type_named("io.k8s.api.core.v1.PodTemplateSpec"))
        yield invalid("spec.template", shown, IMMUTABLE)


def _may_be_placed_anew(spec: Object, status: Object) -> bool:
    """A suspended job may be that has not started, or of which the pods are gone."""
    stopped = any(c.get("type") == "Suspended" and c.get("status") == "True" for c in status.get("conditions") or ())
    return bool(spec.get("suspend")) and (stopped or not status.get("startTime"))


def _without_placement(template: Object) -> Object:
    """A template's pod but for where it may run and what its containers need."""
    pod = {k: v for k, v in (template.get("spec") or {}).items() if k not in _SUSPENDED_MAY_CHANGE}
    for key in ("initContainers", "containers"):
        if pod.get(key):
            pod[key] = [{k: v for k, v in container.items() if k != "resources"} for container in pod[key]]
    return pod


def job_status(new: Object, old: Object) -> Iterator[Fault]:
    status = new.get("status") or {}
    for key in ("active", "succeeded", "failed"):
        yield from not_negative(status.get(key), f"status.{key}")
    conditions = {c.get("type"): c.get("status") for c in status.get("conditions") or ()}
    complete, failed = conditions.get("Complete") == "True", conditions.get("Failed") == "True"
    if complete and failed:
        yield _plain("status.conditions", "cannot set Complete=True and Failed=true conditions")
    if complete and not status.get("completionTime"):
        yield required("status.completionTime", "completionTime is required for Complete jobs")
    before = {c.get("type"): c.get("status") for c in (old.get("status") or {}).get("conditions") or ()}
    for end, sign in (("Failed", "FailureTarget"), ("Complete", "SuccessCriteriaMet")):
        fresh = conditions.get(end) == "True" and before.get(end) != "True"
        if fresh and conditions.get(sign) != "True":
            yield _plain("status.conditions", f"cannot set {end}=True condition without the {sign}=true condition")
    if (complete or failed) and not status.get("startTime"):
        yield required("status.startTime", "startTime is required for finished job")


# CronJob.


def cronjob(obj: Object) -> Iterator[Fault]:
    yield from cronjob_spec(obj["spec"], None)
    name = obj["metadata"].get("name", "")
    if len(name) > 52:
        yield invalid("metadata.name", name, "must be no more than 52 characters")


def cronjob_update(new: Object, old: Object) -> Iterator[Fault]:
    yield from cronjob_spec(new["spec"], old["spec"])


def cronjob_spec(spec: Object, old: Object | None) -> Iterator[Fault]:
    path = "spec"
    if spec.get("schedule"):
        yield from _schedule(spec["schedule"], f"{path}.schedule")
    yield from not_negative(spec.get("startingDeadlineSeconds"), f"{path}.startingDeadlineSeconds")
    if old is None or old.get("timeZone") != spec.get("timeZone"):
        yield from _time_zone(spec.get("timeZone"), f"{path}.timeZone")
    yield from one_of(spec.get("concurrencyPolicy"), ("Allow", "Forbid", "Replace"), f"{path}.concurrencyPolicy")
    yield from _job_template(spec["jobTemplate"], f"{path}.jobTemplate")
    for key in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        yield from not_negative(spec.get(key), f"{path}.{key}")
    if not spec.get("schedule"):
        yield required(f"{path}.schedule")


def _schedule(text: str, path: str) -> Iterator[Fault]:
    if "TZ" in text:
        yield invalid(path, text, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
        return
    try:
        schedule.parse(text)
    except schedule.ScheduleError as error:
        yield invalid(path, text, str(error))


def _time_zone(zone: str | None, path: str) -> Iterator[Fault]:
    if zone is None:
        return
    if not zone:
        yield invalid(path, zone, "timeZone must be nil or non-empty string")
        return
    if zone.lower() == "local":
        yield invalid(
            path, zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        )
        return
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        yield invalid(path, zone, f"unknown time zone {zone}")


def _job_template(template: Object, path: str) -> Iterator[Fault]:
    spec = template["spec"]
    if spec.get("selector") is not None:
        yield invalid(f"{path}.spec.selector", selector_form(spec["selector"]), "`selector` will be auto-generated")
    if spec.get("manualSelector"):
        yield not_supported(f"{path}.spec.manualSelector", True, ("nil", "false"))
    yield from spec_without_selector(spec, f"{path}.spec")
