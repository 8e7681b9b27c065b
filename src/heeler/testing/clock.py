"""A fresh cluster's clock, as its tests turn it."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from heeler.base.stepped import SteppedClock

#: Seconds, a timedelta, or words: "90s", "5m", "1h30m", "3 days", "2 weeks 1 hour".
Duration: TypeAlias = "float | datetime.timedelta | str"

_UNITS = {
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 0.001),
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604800.0),
}
#: So far at once: object times must be dates, and somebody waits.
MAX_SECONDS = 10 * 366 * 86400.0
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*,?")


def seconds_of(duration: Duration) -> float:
    """A duration in seconds. Raises ValueError for a negative one and for words that say none."""
    if isinstance(duration, datetime.timedelta):
        found = duration.total_seconds()
    elif isinstance(duration, str):
        found, end, text = 0.0, 0, duration.strip().lower()
        while end < len(text):
            part = _PART.match(text, end)
            if part is None or part[2] not in _UNITS:
                raise ValueError(f'"{duration}" is no duration: write it like "90s", "1h30m" or "3 days"')
            found, end = found + float(part[1]) * _UNITS[part[2]], part.end()
        if not text:
            raise ValueError('"" is no duration: write it like "90s", "1h30m" or "3 days"')
    else:
        found = float(duration)
    if not 0 <= found <= MAX_SECONDS:
        raise ValueError(f"time goes forward only, and ten years at once at most: {duration!r}")
    return found


class TestClock:
    """Time as the cluster's parts see it: it flows like the real one, and a test moves it forward.

    Object times, leases, schedules, back-offs and grace periods follow it. TLS, tokens, and the deadlines of requests and
    watches are real.
    """

    __test__ = False  # pytest: no test class

    def __init__(
        self, clock: SteppedClock, run: Callable[[Coroutine[Any, Any, None]], None], advance: Callable[..., Any]
    ) -> None:
        self._clock, self._run, self._advance = clock, run, advance

    def now(self) -> datetime.datetime:
        """The cluster's time (UTC)."""
        return datetime.datetime.fromtimestamp(self._clock.time(), datetime.UTC)

    def advance(self, duration: Duration) -> None:
        """Let so much time pass, each timer on the way at its moment; returns once nothing is left to be done.

        Raises ValueError for what is no duration, TimeoutError when somebody keeps the cluster busy.
        """
        self._run(self._advance(seconds_of(duration)))

    def advance_to(self, moment: datetime.datetime) -> None:
        """Let time pass until a moment (one without a time zone is UTC). Raises ValueError if it has passed."""
        aware = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
        left = aware.timestamp() - self._clock.time()
        if left < 0:
            raise ValueError(f"{aware.isoformat()} has passed: it is {self.now().isoformat()}")
        self._run(self._advance(left))

    def __repr__(self) -> str:
        return f"<TestClock {self.now().isoformat(timespec='seconds')}>"
