"""What a node tells of itself."""

from __future__ import annotations

from heeler.kubelet.registration import turned


def test_events_tell_of_conditions_that_have_turned() -> None:
    def condition(kind: str, status: str, reason: str) -> dict[str, str]:
        return {"type": kind, "status": status, "reason": reason}

    fresh = {
        "conditions": [
            condition("MemoryPressure", "True", "KubeletHasInsufficientMemory"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
            condition("Ready", "False", "KubeletNotReady"),
        ]
    }
    old = {"conditions": [condition("DiskPressure", "False", ""), condition("Ready", "True", "")]}
    assert turned(old, fresh) == ["NodeHasInsufficientMemory", "NodeNotReady"]
    assert turned(fresh, fresh) == []
