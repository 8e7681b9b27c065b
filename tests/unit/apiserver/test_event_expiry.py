"""How long ago an event was written, by what it says itself."""

from __future__ import annotations

from typing import Any

import pytest

from heeler.apiserver.loops.events import last_written


@pytest.mark.parametrize(
    ("event", "seconds"),
    [
        ({"lastTimestamp": "1970-01-01T00:00:10Z", "metadata": {"creationTimestamp": "1970-01-01T00:00:05Z"}}, 10),
        ({"eventTime": "1970-01-01T00:00:10.5Z"}, 10.5),
        ({"eventTime": None, "series": {"lastObservedTime": "1970-01-01T00:00:20.000000Z"}}, 20),
        ({"lastTimestamp": "nonsense", "metadata": {}}, None),
    ],
)
def test_the_latest_of_its_times_counts(event: dict[str, Any], seconds: float | None) -> None:
    assert last_written(event) == seconds
