"""CronJob. https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/cron-job-v1/"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.kinds.batch import job_rules as rules
from heeler.kinds.batch.job import warnings_of
from heeler.kinds.core.podspec import default_template
from heeler.kinds.kind import Column, Own, SubresourceOwn, status_only
from heeler.kinds.printing import AGE, NAME, NONE, cell, container_columns, count_at, selector_text, since, text_at
from heeler.objects.value import Object


def _default(cronjob: Object, version: str) -> None:
    spec = cronjob["spec"]
    default_template(spec["jobTemplate"]["spec"]["template"])
    if not spec.get("concurrencyPolicy"):
        spec["concurrencyPolicy"] = "Allow"
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)


def _prepare_create(cronjob: Object) -> None:
    cronjob["status"] = {}


def _last(cronjob: Object, now: float) -> str:
    moment = (cronjob.get("status") or {}).get("lastScheduleTime")
    return since(moment, now) if moment else NONE


def _suspend(cronjob: Object) -> str:
    return "True" if cronjob["spec"].get("suspend") else "False"


def _selector(cronjob: Object) -> str:
    return selector_text(cronjob["spec"]["jobTemplate"]["spec"].get("selector"))


COLUMNS = (
    NAME,
    Column("Schedule", text_at("spec.schedule"), about="batch.v1.CronJobSpec.schedule"),
    Column("Timezone", text_at("spec.timeZone", NONE), about="batch.v1.CronJobSpec.timeZone"),
    Column("Suspend", cell(_suspend), "boolean", about="batch.v1.CronJobSpec.suspend"),
    Column("Active", count_at("status.active"), "integer", about="batch.v1.CronJobStatus.active"),
    Column("Last Schedule", _last, about="batch.v1.CronJobStatus.lastScheduleTime"),
    AGE,
    *container_columns("spec.jobTemplate.spec.template.spec"),
    Column("Selector", cell(_selector), priority=1, about="batch.v1.JobSpec.selector"),
)


def _warnings(new: Object, old: Object | None) -> Iterator[str]:
    yield from warnings_of(new, old, "spec", "jobTemplate", "spec")


OWN = Own(
    "batch",
    "CronJob",
    pod_spec=("spec", "jobTemplate", "spec", "template", "spec"),
    default=_default,
    status=True,
    generation=True,
    prepare_create=_prepare_create,
    rules=rules.cronjob,
    update_rules=rules.cronjob_update,
    warnings=_warnings,
    columns=COLUMNS,
    subresources={"status": SubresourceOwn(status_only)},
)
