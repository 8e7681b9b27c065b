"""When what nobody knows is certain to be nobody's."""

from __future__ import annotations

from heeler.kubelet.strays import PATIENCE, Sighting, Stray, judge

SHIM = Stray("shim", "12")


def test_what_is_seen_for_the_first_time_is_only_remembered() -> None:
    assert judge({}, [SHIM], Sighting(5.0, 3), []) == ({SHIM: Sighting(5.0, 3)}, [])


def test_after_a_while_it_is_certain_and_until_then_it_is_not() -> None:
    seen = {SHIM: Sighting(5.0, 3)}
    assert judge(seen, [SHIM], Sighting(5.0 + PATIENCE - 1, 9), []) == (seen, [])
    assert judge(seen, [SHIM], Sighting(5.0 + PATIENCE, 9), []) == (seen, [SHIM])


def test_what_went_and_came_again_begins_anew() -> None:
    seen, _ = judge({SHIM: Sighting(5.0, 3)}, [], Sighting(10.0, 3), [])
    assert judge(seen, [SHIM], Sighting(100.0, 3), []) == ({SHIM: Sighting(100.0, 3)}, [])


def test_a_start_under_way_that_began_before_it_was_seen_may_be_its_own() -> None:
    seen = {SHIM: Sighting(5.0, 3)}  # the starts 0, 1 and 2 had begun
    now = Sighting(500.0, 9)
    assert judge(seen, [SHIM], now, [2, 7])[1] == []
    assert judge(seen, [SHIM], now, [3, 7])[1] == [SHIM]
