"""What the strategies of Deployment, DaemonSet and StatefulSet have in common."""

from __future__ import annotations

from heeler.objects.value import Object


def zero_numbers(strategy: Object, *names: str) -> None:
    """A `rollingUpdate` that is given has these numbers, 0 if they aren't, whatever the strategy's type: upstream's own form
    can't be without them. To be called after the defaults of the type."""
    rolling = strategy.get("rollingUpdate")
    if isinstance(rolling, dict):
        for name in names:
            rolling.setdefault(name, 0)
