"""Pods and views for tests."""

from __future__ import annotations

from typing import Any

from heeler.kubelet.pods.views import ContainerView, SandboxView, State, View
from heeler.objects.value import Object


def pod(*containers: Object, **spec: Any) -> Object:
    """A pod named web on node n1; containers default to one named app."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default", "uid": "u1", "generation": 1},
        "spec": {"nodeName": "n1", "containers": list(containers) or [container("app")], **spec},
    }


def container(name: str, **more: Any) -> Object:
    return {"name": name, "image": "app:1", **more}


def deleted(found: Object, grace: int = 30) -> Object:
    meta = {**found["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": grace}
    return {**found, "metadata": meta}


SANDBOX = SandboxView("s0", 0, True, 1.0, ("10.244.0.5",))


def seen(name: str, state: State = "running", **more: Any) -> ContainerView:
    values = {
        "id": f"{name}-{more.get('attempt', 0)}",
        "attempt": 0,
        "sandbox": "s0",
        "created_at": 2.0 + more.get("attempt", 0),
        "started_at": 3.0,
        "spec_image": "app:1",
        "image": "app:1",
    }
    return ContainerView(name=name, state=state, **{**values, **more})


def ended(name: str, code: int = 0, at: float = 10.0, **more: Any) -> ContainerView:
    return seen(name, "exited", exit_code=code, finished_at=at, **more)


def view(*containers: ContainerView, sandbox: SandboxView | None = SANDBOX) -> View:
    newest = tuple(sorted(containers, key=lambda c: c.created_at, reverse=True))
    return View((sandbox,) if sandbox is not None else (), newest)
