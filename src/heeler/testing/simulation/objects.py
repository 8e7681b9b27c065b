"""Small objects for stories and drawn workloads."""

from __future__ import annotations

from typing import Any

from heeler.objects.value import Object


def deployment(name: str, replicas: int, image: str = "app:1", **spec: object) -> Object:
    """A small Deployment."""
    return workload("Deployment", name, image, replicas=replicas, **spec)


def workload(kind: str, name: str, image: str = "app:1", **spec: Any) -> Object:
    """An object of apps or batch with a pod template of one container."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": image}]}}
    if kind == "Job":
        return {
            "apiVersion": "batch/v1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": {"template": template, **spec},
        }
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }
