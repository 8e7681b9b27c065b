"""LimitRanges: what is filled in, and what is out of bounds."""

from __future__ import annotations

from typing import Any

import pytest

from heeler.workloads.limits import ANNOTATION, claim_faults, fill_in, pod_faults

RANGE = {
    "spec": {
        "limits": [
            {
                "type": "Container",
                "default": {"cpu": "1", "memory": "1Gi"},
                "defaultRequest": {"cpu": "500m", "memory": "1Gi"},
                "min": {"cpu": "100m"},
                "max": {"cpu": "2"},
                "maxLimitRequestRatio": {"cpu": "4"},
            }
        ]
    }
}


def pod(**resources: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c0", "resources": resources}]}}


def faults(limits: dict[str, Any], *resources: dict[str, Any]) -> list[str]:
    containers = [{"name": f"c{n}", "resources": r} for n, r in enumerate(resources)]
    return list(pod_faults({"spec": {"containers": containers}}, {"spec": {"limits": [limits]}}))


def test_what_is_missing_is_filled_in_and_told():
    found = pod(requests={"cpu": "300m"})
    fill_in(found, [RANGE])
    assert found["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "300m", "memory": "1Gi"},
        "limits": {"cpu": "1", "memory": "1Gi"},
    }
    assert found["metadata"]["annotations"][ANNOTATION] == (
        "LimitRanger plugin set: memory request for container c0; cpu, memory limit for container c0"
    )
    again = fill_in(found, [RANGE])
    assert again is None
    assert list(pod_faults(found, RANGE)) == []


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ({"limits": {"cpu": "3"}, "requests": {"cpu": "1"}}, "maximum cpu usage per Container is 2, but limit is 3"),
        (
            {"limits": {"cpu": "100m"}, "requests": {"cpu": "50m"}},
            "minimum cpu usage per Container is 100m, but request is 50m",
        ),
        (
            {"limits": {"cpu": "1"}, "requests": {"cpu": "200m"}},
            "cpu max limit to request ratio per Container is 4, but provided ratio is 5.000000",
        ),
    ],
)
def test_what_is_out_of_bounds_is_said(resources, said):
    assert list(pod_faults(pod(**resources), RANGE)) == [said]


def test_a_pods_containers_count_together():
    limits = {"type": "Pod", "max": {"memory": "1Gi"}}
    half = {"limits": {"memory": "600Mi"}}
    assert faults(limits, half) == []
    assert faults(limits, half, half) == ["maximum memory usage per Pod is 1Gi, but limit is 1200Mi"]
    assert faults(limits, {}) == ["maximum memory usage per Pod is 1Gi.  No limit is specified"]


def test_claims_have_bounds():
    limits = {
        "spec": {"limits": [{"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}}]}
    }

    def claim(size: str) -> dict[str, Any]:
        return {"spec": {"resources": {"requests": {"storage": size}}}}

    assert list(claim_faults(claim("1Gi"), limits)) == []
    assert list(claim_faults(claim("1Mi"), limits)) == [
        "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi"
    ]
    assert list(claim_faults(claim("3Gi"), limits)) == [
        "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"
    ]
