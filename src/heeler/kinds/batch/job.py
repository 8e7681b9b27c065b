"""Job. https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/job-v1/"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.base.clock import parse_rfc3339
from heeler.kinds.apps.replicas import selector_cell
from heeler.kinds.batch import job_rules as rules
from heeler.kinds.core.pod_warnings import long_name, of_workload
from heeler.kinds.core.podspec import default_template
from heeler.kinds.kind import Column, Own, SubresourceOwn, status_only
from heeler.kinds.printing import AGE, NAME, cell, container_columns, human_duration
from heeler.objects.value import Object

UID_LABEL = "batch.kubernetes.io/controller-uid"
NAME_LABEL = "batch.kubernetes.io/job-name"
OLD_UID_LABEL = "controller-uid"
OLD_NAME_LABEL = "job-name"
MAX_INT32 = 2**31 - 1


def default_job_spec(spec: Object) -> None:
    """Fill in a job's spec."""
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = spec["parallelism"] = 1
    spec.setdefault("parallelism", 1)
    if "backoffLimit" not in spec:
        spec["backoffLimit"] = MAX_INT32 if spec.get("backoffLimitPerIndex") is not None else 6
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    policy = spec.get("podFailurePolicy")
    if policy is not None:
        for rule in policy.get("rules") or ():
            for pattern in rule.get("onPodConditions") or ():
                if not pattern.get("status"):
                    pattern["status"] = "True"
    spec.setdefault("podReplacementPolicy", "Failed" if policy is not None else "TerminatingOrFailed")
    spec.setdefault("manualSelector", False)


def _default(job: Object, version: str) -> None:
    spec = job["spec"]
    default_template(spec["template"])
    default_job_spec(spec)
    _labels_of_template(job)


def _prepare_create(job: Object) -> None:
    job["status"] = {}
    if not job["spec"].get("manualSelector"):
        _generate_selector(job)


def _generate_selector(job: Object) -> None:
    """A job's pods are found by its uid, unless somebody manages the selector by hand."""
    uid, name = job["metadata"].get("uid", ""), job["metadata"].get("name", "")
    spec = job["spec"]
    meta = spec["template"]["metadata"]
    if not spec.get("selector"):
        spec["selector"] = {}
    labels = {OLD_NAME_LABEL: name, NAME_LABEL: name, OLD_UID_LABEL: uid, UID_LABEL: uid}
    shared = meta.get("labels") is not None and job["metadata"].get("labels") is meta["labels"]
    meta["labels"] = {**(meta.get("labels") or {}), **labels}
    if shared:
        job["metadata"]["labels"] = dict(meta["labels"])
    selector = spec["selector"]
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), UID_LABEL: uid}


def _labels_of_template(job: Object) -> None:
    """A job without labels takes its template's: the very same ones, so that it gets those that are generated too."""
    labels = job["spec"]["template"]["metadata"].get("labels")
    if labels and not job["metadata"].get("labels"):
        job["metadata"]["labels"] = labels


def _prepare_update(new: Object, old: Object) -> None:
    new["status"] = old.get("status", {})


def _condition(job: Object, kind: str) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == kind and c.get("status") == "True" for c in conditions)


def _status(job: Object) -> str:
    if _condition(job, "Complete"):
        return "Complete"
    if _condition(job, "Failed"):
        return "Failed"
    if job["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for kind in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if _condition(job, kind):
            return kind
    return "Running"


def _completions(job: Object) -> str:
    done = (job.get("status") or {}).get("succeeded", 0)
    if job["spec"].get("completions") is not None:
        return f"{done}/{job['spec']['completions']}"
    parallelism = job["spec"].get("parallelism") or 0
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def _duration(job: Object, now: float) -> str:
    status = job.get("status") or {}
    start, end = status.get("startTime"), status.get("completionTime")
    if not start:
        return ""
    if not end:
        return human_duration(now - parse_rfc3339(start))
    return human_duration(parse_rfc3339(end) - parse_rfc3339(start))


#: Above both, an Indexed job is warned of.
MANY_COMPLETIONS, MANY_AT_ONCE = 100_000, 10_000

COLUMNS = (
    NAME,
    Column("Status", cell(_status), about="=Status of the job."),
    Column("Completions", cell(_completions), about="batch.v1.JobStatus.succeeded"),
    Column("Duration", _duration, about="=Time required to complete the job."),
    AGE,
    *container_columns("spec.template.spec"),
    Column("Selector", selector_cell, priority=1, about="batch.v1.JobSpec.selector"),
)


def _warnings(new: Object, old: Object | None) -> Iterator[str]:
    yield from warnings_of(new, old, "spec")


def warnings_of(new: Object, old: Object | None, *steps: str) -> Iterator[str]:
    """Warnings for a job, or for what makes jobs; the job's spec is at `steps`."""
    if old is None:
        yield from long_name(new, "Pod names and hostnames")
    elif old["metadata"].get("generation") == new["metadata"].get("generation"):
        return
    spec = new
    for step in steps:
        spec = spec[step]
    many = spec.get("completions") or 0, spec.get("parallelism") or 0
    if spec.get("completionMode") == "Indexed" and many[0] > MANY_COMPLETIONS and many[1] > MANY_AT_ONCE:
        yield (
            f"{'.'.join(steps)}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher "
            "than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
        )
    yield from of_workload(new, old, *steps, "template", named=False)


OWN = Own(
    "batch",
    "Job",
    pod_spec=("spec", "template", "spec"),
    default=_default,
    status=True,
    generation=True,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    settle=_labels_of_template,
    deletion_warning="child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to "
    "remove them or set propagationPolicy=Orphan to suppress this warning",
    rules=rules.job,
    update_rules=rules.job_update,
    warnings=_warnings,
    columns=COLUMNS,
    selectable={"status.successful": lambda obj: str((obj.get("status") or {}).get("succeeded", 0))},
    unsupported_label='field label "{label}" not supported for Job',
    subresources={"status": SubresourceOwn(status_only, rules.job_status)},
)
