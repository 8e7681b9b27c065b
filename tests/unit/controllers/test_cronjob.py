"""When a schedule fires and what a CronJob does then: https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/"""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Any

import pytest

from heeler.base.clock import parse_rfc3339, rfc3339
from heeler.controllers import cronjob as rules
from heeler.controllers.cron_times import times
from heeler.kinds.batch.schedule import ScheduleError

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        ("*/20 * * * *", "2026-01-01T00:00:00+01:00", ["2026-01-01T00:20:00+01:00", "2026-01-01T00:40:00+01:00"]),
        # an hour that doesn't exist is left out, one that comes twice counts twice
        ("30 2 * * *", "2025-03-29T12:00:00+01:00", ["2025-03-31T02:30:00+02:00"]),
        ("30 2 * * *", "2025-10-26T00:00:00+02:00", ["2025-10-26T02:30:00+02:00", "2025-10-26T02:30:00+01:00"]),
        ("0 0 29 2 *", "2026-01-01T00:00:00+01:00", ["2028-02-29T00:00:00+01:00", "2032-02-29T00:00:00+01:00"]),
        # both days restricted: either will do; a step from * is a restriction
        ("0 12 13 * 5", "2026-02-01T00:00:00+01:00", ["2026-02-06T12:00:00+01:00", "2026-02-13T12:00:00+01:00"]),
        ("0 12 */10 * 1", "2026-02-01T13:00:00+01:00", ["2026-02-02T12:00:00+01:00", "2026-02-09T12:00:00+01:00"]),
        ("0 12 * * mon-tue", "2026-02-01T00:00:00+01:00", ["2026-02-02T12:00:00+01:00", "2026-02-03T12:00:00+01:00"]),
        ("@weekly", "2026-01-01T00:00:00+01:00", ["2026-01-04T00:00:00+01:00", "2026-01-11T00:00:00+01:00"]),
        ("@every 1h30m", "2026-01-01T00:00:00+01:00", ["2026-01-01T01:30:00+01:00", "2026-01-01T03:00:00+01:00"]),
    ],
)
def test_a_schedule_fires(schedule, after, expected):
    following = times(schedule, BERLIN)
    moment, found = datetime.datetime.fromisoformat(after).timestamp(), []
    for _ in expected:
        moment = following(moment)
        found.append(datetime.datetime.fromtimestamp(moment, BERLIN).isoformat())
    assert found == expected


def test_a_date_that_never_comes():
    assert times("0 0 31 2 *", datetime.UTC)(0) is None


@pytest.mark.parametrize("text", ["٣ * * * *", "@every 9999999h", "@every ", "@every 3 fortnights"])
def test_what_go_reads_as_no_schedule(text):
    with pytest.raises(ScheduleError):
        times(text, datetime.UTC)


def test_zones_with_odd_offsets():
    zone = zoneinfo.ZoneInfo("Asia/Kathmandu")
    moment = times("0 6 * * *", zone)(parse_rfc3339("2026-01-01T00:00:00Z"))
    assert rfc3339(moment) == "2026-01-01T00:15:00Z"


def cronjob(status: Any = None, **spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"template": {}}}
    metadata = {"name": "c", "namespace": "n", "uid": "u", "creationTimestamp": "2026-01-01T00:00:30Z"}
    base = {"schedule": "* * * * *", "concurrencyPolicy": "Allow", "jobTemplate": template}
    return {"metadata": metadata, "spec": {**base, **spec}, "status": status or {}}


def job(name: str, outcome: str = "", start: str = "2026-01-01T00:01:00Z") -> dict[str, Any]:
    status: dict[str, Any] = {"startTime": start}
    if outcome:
        status["conditions"] = [{"type": outcome, "status": "True"}]
        status["completionTime"] = start
    return {"metadata": {"name": name, "namespace": "n", "uid": name}, "status": status}


NOW = parse_rfc3339("2026-01-01T00:01:05Z")


def active(*jobs: dict[str, Any]) -> dict[str, Any]:
    return {"active": [rules.reference(one) for one in jobs]}


def test_a_job_is_named_after_its_minute_and_says_when_it_was_due():
    step = rules.plan(cronjob(timeZone="Europe/Berlin"), [], NOW)
    assert step.create["metadata"]["name"] == f"c-{int(NOW) // 60}"
    assert step.create["metadata"]["annotations"][rules.SCHEDULED] == "2026-01-01T01:01:00+01:00"
    assert step.again == pytest.approx(55.1)


def test_nothing_is_started_twice_for_a_moment_nor_while_suspended_nor_before_the_first():
    assert rules.plan(cronjob({"lastScheduleTime": "2026-01-01T00:01:00Z"}), [], NOW).create is None
    assert rules.plan(cronjob(suspend=True), [], NOW).create is None
    assert rules.plan(cronjob(), [], NOW - 10).create is None


@pytest.mark.parametrize(
    ("policy", "made", "replaced", "reason"),
    [("Allow", True, [], ""), ("Forbid", False, [], "JobAlreadyActive"), ("Replace", True, ["old"], "")],
)
def test_what_a_running_job_means_for_the_next(policy, made, replaced, reason):
    old = job("old")
    step = rules.plan(cronjob(active(old), concurrencyPolicy=policy), [old], NOW)
    assert (step.create is not None) == made
    assert [one["metadata"]["name"] for one in step.replace] == replaced
    assert [event[1] for event in step.events] == ([reason] if reason else [])


def test_a_start_that_is_too_late_is_missed_and_after_a_long_pause_only_the_last_is_made_up_for():
    step = rules.plan(cronjob(schedule="0 * * * *", startingDeadlineSeconds=100), [], NOW + 3700)
    assert step.create is None
    step = rules.plan(cronjob(), [], NOW + 86400)
    assert step.create["metadata"]["name"] == f"c-{int(NOW + 86400) // 60}"
    text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
    assert step.events == [("Warning", "TooManyMissedTimes", text)]


def test_a_period_keeps_its_grid_however_many_starts_were_missed():
    step = rules.plan(cronjob(schedule="@every 7m"), [], NOW + 86400)
    assert rfc3339(step.moment) == "2026-01-01T23:55:30Z"


def test_a_schedule_that_never_comes_is_told():
    step = rules.plan(cronjob(schedule="59 23 31 2 *"), [], NOW)
    text = "invalid schedule: 59 23 31 2 * : time difference between two schedules is less than 1 second"
    assert (step.events, step.create) == ([("Warning", "InvalidSchedule", text)], None)


def test_finished_jobs_leave_the_list_and_the_oldest_go():
    jobs = [job(f"j{n}", "Complete", f"2026-01-01T00:0{n}:00Z") for n in range(4)] + [job("bad", "Failed")]
    obj = cronjob(active(jobs[3], jobs[4]), successfulJobsHistoryLimit=2, failedJobsHistoryLimit=1, suspend=True)
    step = rules.plan(obj, jobs, NOW)
    assert [one["metadata"]["name"] for one in step.expire] == ["j0", "j1"]
    assert "active" not in step.status
    assert step.status["lastSuccessfulTime"] == "2026-01-01T00:03:00Z"
    assert [event[2] for event in step.events] == [
        "Saw completed job: j3, condition: Complete",
        "Saw completed job: bad, condition: Failed",
    ]


def test_an_unknown_zone_is_told():
    step = rules.plan(cronjob(timeZone="No/Where"), [], NOW)
    assert step.events[0][:2] == ("Warning", "UnknownTimeZone")
