"""Folders of older versions."""

from dataclasses import replace
from pathlib import Path

import pytest

from heeler.local.layout import LAYOUT, Layout, LocalError, Owner, Spec
from heeler.local.migrate import Step, migrate, needed


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    found = Layout(tmp_path / "cluster")
    found.prepare(Owner(0, 0, tmp_path))
    (found.pki / "ca.key").write_text("key")
    (found.store / "store.db").write_text("data")
    (found.root / "images").mkdir()
    (found.root / "images" / "big.tar").write_text("large")
    found.save(Spec(layout=1, port=6443))
    return found


def rename(layout: Layout, spec: Spec) -> Spec:
    (layout.store / "store.db").rename(layout.store / "renamed.db")
    return spec


def test_steps_run_in_order_and_a_copy_is_kept(layout: Layout) -> None:
    steps = [Step(2, "renames", rename), Step(3, "another port", lambda _, spec: replace(spec, port=7000))]
    spec, copy = migrate(layout, Spec(layout=1, port=6443), steps, newest=3)
    assert (spec.layout, spec.port) == (3, 7000)
    assert layout.spec_file.read_text().find('"layout": 3') > 0
    assert (layout.store / "renamed.db").read_text() == "data"
    assert (copy / "store" / "store.db").read_text() == "data"
    assert (copy / "pki" / "ca.key").read_text() == "key"
    assert '"layout": 1' in (copy / "cluster.json").read_text()
    assert not (copy / "images").exists()


def test_an_interrupted_step_begins_anew_and_the_first_copy_stays(layout: Layout) -> None:
    def broken(_: Layout, __: Spec) -> Spec:
        (layout.store / "store.db").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        migrate(layout, Spec(layout=1), [Step(2, "breaks", broken)], newest=2)
    assert '"layout": 1' in layout.spec_file.read_text()
    spec, copy = migrate(layout, Spec(layout=1), [Step(2, "works", lambda _, spec: spec)], newest=2)
    assert spec.layout == 2
    assert (copy / "store" / "store.db").read_text() == "data"


def test_without_a_way_nothing_is_touched(layout: Layout) -> None:
    with pytest.raises(LocalError, match="knows no way from there to 3: use the Heeler that made it"):
        migrate(layout, Spec(layout=1), [Step(3, "skips one", rename)], newest=3)
    assert (layout.store / "store.db").exists()


def test_the_present_layout_needs_nothing_and_a_newer_one_is_refused(layout: Layout) -> None:
    assert not needed(Spec())
    layout.save(Spec(layout=LAYOUT + 1))
    with pytest.raises(LocalError, match="was made by a newer Heeler"):
        layout.load()
