"""How fast nodes are given up: https://kubernetes.io/docs/concepts/architecture/nodes/#rate-limits-on-eviction"""

import pytest

from heeler.controllers.node_zones import EXCLUDED, REGION, ZONE, Change, Counts, Rates, State, Zones, count, state_of


def node(name, ready=True, zone="a", **labels):
    conditions = [{"type": "Ready", "status": "True" if ready else "Unknown"}]
    return {
        "metadata": {"name": name, "labels": {REGION: "r", ZONE: zone, **labels}},
        "status": {"conditions": conditions},
    }


@pytest.mark.parametrize(
    ("ready", "dead", "state"),
    [
        (3, 0, State.NORMAL),
        (0, 0, State.NORMAL),
        (0, 1, State.FULL),
        (1, 2, State.NORMAL),  # too few to be sure
        (2, 3, State.PARTIAL),
        (3, 3, State.NORMAL),
    ],
)
def test_the_state_of_a_zone(ready, dead, state):
    assert state_of(Counts(ready, dead), 0.55) is state


def test_nodes_are_counted_by_zone():
    nodes = [node("1"), node("2", ready=False), node("3", zone="b"), node("4", ready=False, **{EXCLUDED: ""})]
    nodes.append({"metadata": {"name": "5"}})
    assert count(nodes) == {"r:a": (1, 1), "r:b": (1, 0), "": (0, 1)}


def test_one_node_at_once_and_then_one_in_ten_seconds():
    zones = Zones()
    assert zones.update({"a": Counts(8, 2)}, 0) is Change.NONE
    assert zones.seconds_left("a", 0) == 0
    zones.take("a")
    assert zones.seconds_left("a", 0) == pytest.approx(10)
    assert zones.seconds_left("a", 4) == pytest.approx(6)
    assert zones.seconds_left("a", 60) == 0
    zones.take("a")
    assert zones.seconds_left("a", 60) == pytest.approx(10)  # what wasn't used is not saved up
    assert zones.seconds_left("unknown", 60) is None


def test_a_zone_that_is_mostly_dead_is_slow_or_stands_still():
    zones = Zones(Rates(large_cluster_size_threshold=50))
    zones.update({"small": Counts(10, 20), "large": Counts(40, 60), "fine": Counts(1, 0)}, 0)
    assert zones.seconds_left("small", 0) is None
    zones.take("large")
    assert zones.seconds_left("large", 0) == pytest.approx(100)


def test_when_all_zones_are_dead_nobody_is_evicted():
    zones = Zones()
    zones.update({"a": Counts(2, 0), "b": Counts(1, 0)}, 0)
    assert zones.update({"a": Counts(0, 2), "b": Counts(1, 0)}, 1) is Change.NONE
    assert zones.seconds_left("a", 1) == 0  # one zone alone, wholly dead, is given up at the usual rate
    assert zones.update({"a": Counts(0, 2), "b": Counts(0, 1)}, 2) is Change.LOST
    assert zones.seconds_left("a", 100) is None
    assert zones.update({"a": Counts(0, 2), "b": Counts(0, 1)}, 3) is Change.NONE
    assert zones.update({"a": Counts(1, 1), "b": Counts(0, 1)}, 4) is Change.FOUND
    assert zones.seconds_left("b", 4) == 0
    assert zones.update({}, 5) is Change.NONE
