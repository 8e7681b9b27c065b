"""Rates out of looks, and control groups out of files."""

from __future__ import annotations

from pathlib import Path

from heeler.kubelet import figures
from heeler.kubelet.figures import Look, Looks, Rate, Reading


def look(time: float, cpu: int) -> Look:
    return Look(time, {"c": Reading(cpu, 0, 0)})


def test_a_rate_is_taken_over_a_good_window_where_there_is_one() -> None:
    looks = [look(0, 0), look(90, 1_000_000_000), look(98, 5_000_000_000), look(99, 6_000_000_000)]
    assert figures.rate(looks, "c") == Rate(555_555_555, 9)
    assert figures.rate(looks[-2:], "c") == Rate(1_000_000_000, 1)
    assert figures.rate(looks[-1:], "c") is None


def test_what_began_anew_has_no_rate_and_looks_from_long_ago_do_not_count() -> None:
    assert figures.rate([look(0, 9), look(5, 3)], "c") is None
    assert figures.rate([look(0, 0), look(1000, 9)], "c") is None


def test_a_clock_that_is_set_back_makes_older_looks_worthless() -> None:
    looks = Looks()
    for time in (100, 101, 50):
        looks.add(look(time, 0))
    assert [kept.time for kept in looks.kept] == [50]
    assert not looks.fresh(50.1)


def test_a_control_group_is_read_in_both_versions(tmp_path: Path) -> None:
    files = {
        "g/cpu.stat": "usage_usec 5\nuser_usec 1\n",
        "g/memory.stat": "anon 40\ninactive_file 30\npgfault 2\npgmajfault 1\n",
        "g/memory.current": "100\n",
        "g/pids.current": "3\n",
        "cpuacct/h/cpuacct.usage": "7000\n",
        "memory/h/memory.usage_in_bytes": "200\n",
        "memory/h/memory.stat": "total_inactive_file 50\ntotal_rss 60\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert figures.group(tmp_path, "/g", True) == Reading(5000, 100, 70, 40, 2, 1, 3)
    assert figures.group(tmp_path, "/h", False) == Reading(7000, 200, 150, 60)
    assert figures.group(tmp_path, "/none", False) is None


def test_a_folder_is_counted_without_what_is_mounted_or_linked(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"x" * 10_000)
    (tmp_path / "l").symlink_to("/")
    size, inodes = figures.folder_size(tmp_path)
    assert 10_000 <= size < 100_000 and inodes == 3
