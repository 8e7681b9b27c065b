"""https://kubernetes.io/docs/reference/instrumentation/metrics/"""

from heeler.scheduler.measures import Measures


class Gauges:
    def pending(self):
        return {"active": 1, "gated": 2}

    def unschedulable(self):
        return {("NodeResourcesFit", "default-scheduler"): 3}

    def cached(self):
        return {"nodes": 4}


def test_the_page_has_upstreams_names():
    measures = Measures()
    measures.attempted("default-scheduler", "scheduled", 0.003)
    measures.scheduled(16, 0.5)
    lines = measures.text(Gauges()).splitlines()
    for line in (
        "# TYPE scheduler_pending_pods gauge",
        'scheduler_pending_pods{queue="gated"} 2',
        'scheduler_cache_size{type="nodes"} 4',
        'scheduler_schedule_attempts_total{profile="default-scheduler",result="scheduled"} 1',
        'scheduler_scheduling_attempt_duration_seconds_bucket{profile="default-scheduler",result="scheduled",le="0.002"} 0',
        'scheduler_scheduling_attempt_duration_seconds_bucket{profile="default-scheduler",result="scheduled",le="0.004"} 1',
        'scheduler_pod_scheduling_attempts_bucket{le="16"} 1',
        'scheduler_pod_scheduling_sli_duration_seconds_count{attempts="15+"} 1',
        'scheduler_unschedulable_pods{plugin="NodeResourcesFit",profile="default-scheduler"} 3',
    ):
        assert line in lines
