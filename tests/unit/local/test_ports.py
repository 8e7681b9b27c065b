"""Which port a new cluster gets."""

from __future__ import annotations

from pathlib import Path

from heeler.local.layout import PORTS, Layout, Spec, free_port, ports_of_others


def test_a_cluster_that_is_down_keeps_its_port(tmp_path: Path) -> None:
    for name, port in (("down", PORTS[0]), ("broken", 0), ("mine", PORTS[1])):
        (tmp_path / name).mkdir()
        Layout(tmp_path / name).save(Spec(name=name, port=port))
    (tmp_path / "broken" / "cluster.json").write_text("{")
    taken = ports_of_others(Layout(tmp_path / "mine"))
    assert taken == {PORTS[0]} and free_port(taken) != PORTS[0]
