"""Nodes as rows: growth, leaving, order, counts; and how many of them are looked at."""

import numpy as np
import pytest

from heeler.objects.selectors import of_map
from heeler.scheduler.cycle import Circumstances, find, nodes_to_find
from heeler.scheduler.pod import Term
from heeler.scheduler.table import FIRST_ROWS
from tests.unit.scheduler.setting import Setting, node, pod

ZONE = "topology.kubernetes.io/zone"


def names(setting):
    table = setting.cache.table
    return [table.names[row] for row in table.order]


def test_rows_grow_and_are_used_again():
    many = [node(f"n{at}") for at in range(FIRST_ROWS * 2 + 1)]
    there = Setting(*many, placed=[pod("p", cpu="1", node_name="n0")])
    table = there.cache.table
    assert (len(table), table.size) == (len(many), FIRST_ROWS * 4)
    assert int(table.free("cpu")[table.row_of["n0"]]) == 3000
    there.cache.drop_node("n1")
    there.cache.set_node(node("new", cpu="7"))
    assert table.size == FIRST_ROWS * 4
    assert int(table.free("cpu")[table.row_of["new"]]) == 7000


def test_a_node_that_is_gone_takes_no_pods_and_comes_back_with_those_that_it_has():
    there = Setting(node("a"), placed=[pod("p", cpu="1", node_name="a")])
    there.cache.drop_node("a")
    assert there.choose(pod()).message == "no nodes available to schedule pods"
    there.cache.set_node(node("a"))
    assert "Insufficient cpu" in there.choose(pod(cpu="3500m")).message
    there.cache.drop_node("a")
    there.cache.drop_pod("n/p")
    assert there.cache.table.row_of == {}


def test_a_pod_may_be_known_before_its_node():
    there = Setting(placed=[pod("p", cpu="1", node_name="a")])
    there.cache.set_node(node("a"))
    assert "Insufficient cpu" in there.choose(pod(cpu="3500m")).message


def test_zones_take_turns():
    zoned = [node(f"{zone}{at}", labels={ZONE: zone}) for zone in "xyz" for at in range(2)]
    assert names(Setting(*zoned)) == ["x0", "y0", "z0", "x1", "y1", "z1"]


@pytest.mark.parametrize(
    ("nodes", "percentage", "enough"),
    [
        (50, None, 50),
        (99, 5, 99),
        (1000, None, 420),
        (5000, None, 500),
        (6000, None, 300),
        (5000, 30, 1500),
        (500, 1, 100),
    ],
)
def test_of_a_large_cluster_a_share_is_enough(nodes, percentage, enough):
    assert nodes_to_find(nodes, percentage) == enough


def test_the_next_pod_starts_where_the_last_one_stopped():
    there = Setting(*(node(f"n{at:03}", unschedulable=at < 10) for at in range(300)))
    info, table = there.cache.info(pod()), there.cache.table
    first = find(info, table, there.profile)
    share = nodes_to_find(300, None)
    assert (len(first.rows), first.looked_at) == (share, share + 10)
    second = find(info, table, there.profile, Circumstances(start=first.looked_at))
    assert table.names[second.rows[0]] == f"n{share + 10:03}"
    assert len(second.rows) == share


def test_counts_follow_pods_and_their_labels():
    there = Setting(node("a"), node("b"))
    table = there.cache.table
    term = Term(of_map({"app": "x"}), "", ("n",), None)
    assert not table.count_terms(term).any()
    there.cache.set_pod(pod("p", node_name="a", labels={"app": "x"}))
    assert table.count_terms(term)[table.row_of["a"]] == 1
    there.cache.set_pod(pod("p", node_name="a", labels={"app": "y"}))
    assert not table.count_terms(term).any()
    there.cache.set_pod(pod("p", node_name="a", labels={"app": "x"}))
    there.cache.drop_pod("n/p")
    assert not np.any(table.count_terms(term))


def test_a_namespace_that_gets_a_label_is_looked_at_anew():
    there = Setting(node("a"), node("b"), placed=[pod("p", node_name="a", labels={"app": "x"})])
    wanted = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": {"app": "x"}},
        "namespaceSelector": {"matchLabels": {"team": "t"}},
    }
    near = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [wanted]}}
    assert there.choose(pod("new", affinity=near)).node == ""
    there.cache.set_namespace("n", {"team": "t"})
    assert there.choose(pod("new", affinity=near)).node == "a"
