"""What a simulated pod uses, and how it is shown."""

from __future__ import annotations

from heeler.objects.value import Object
from heeler.workloads import usage
from heeler.workloads.usage import Usage


def pod(annotation: str = "", phase: str = "Running") -> Object:
    state = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    return {
        "metadata": {
            "name": "p",
            "namespace": "n",
            "labels": {"a": "b"},
            "annotations": {usage.ANNOTATION: annotation},
        },
        "spec": {
            "containers": [
                {"name": "web", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}},
                {"name": "log"},
            ]
        },
        "status": {"phase": phase, "containerStatuses": [{"name": n, "state": state} for n in ("web", "log")]},
    }


def figures(annotation: str) -> dict[str, tuple[int, int]]:
    return {name: (u.cpu // 1_000_000, u.memory >> 20) for name, u in usage.simulated(pod(annotation), 0.0).items()}


def test_a_simulated_pod_uses_its_requests_or_what_its_annotation_says() -> None:
    assert figures("") == {"web": (100, 64), "log": (1, 8)}
    assert figures("cpu=1, web/memory=1Gi") == {"web": (1000, 1024), "log": (1000, 8)}
    assert figures("web/cpu=250m,nonsense,cpu=x,disk=1") == {"web": (250, 64), "log": (1, 8)}
    assert usage.simulated(pod(phase="Pending"), 0.0) == {}


def test_the_oldest_figure_gives_time_and_window() -> None:
    made = usage.pod_metrics(pod(), {"web": Usage(5, 2048, 60.0, 9.5), "log": Usage(7, 1024, 61.0, 8.0)}, 62.0)
    assert made is not None
    assert (made["timestamp"], made["window"]) == ("1970-01-01T00:01:00Z", "9.5s")
    assert made["containers"][0] == {"name": "web", "usage": {"cpu": "5n", "memory": "2Ki"}}
    assert made["metadata"] == {
        "name": "p",
        "namespace": "n",
        "creationTimestamp": "1970-01-01T00:01:02Z",
        "labels": {"a": "b"},
    }
    assert usage.pod_metrics(pod(), {}, 62.0) is None
