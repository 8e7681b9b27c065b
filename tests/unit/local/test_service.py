"""systemd units."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from heeler.local import service as units
from heeler.local.layout import LocalError, Owner
from heeler.local.service import Service, install, state, uninstall, unit_text

ROOT = Service("dev", ("/opt/heeler/bin/heeler",), None, Owner(0, 0, Path("/root")), "root")


def test_the_unit_starts_supervises_and_stops_the_cluster() -> None:
    lines = unit_text(ROOT).splitlines()
    assert "ExecStart=/opt/heeler/bin/heeler up --foreground --name dev" in lines
    assert "ExecStop=/opt/heeler/bin/heeler down --name dev" in lines
    assert "KillMode=process" in lines, "containers outlive a restart"
    assert "WantedBy=multi-user.target" in lines


def test_a_person_keeps_what_is_theirs() -> None:
    other = replace(ROOT, who=Owner(1234, 1000, Path("/home/ann")), login="ann", data_dir=Path("/srv/my data"))
    text = unit_text(other)
    assert "Environment=SUDO_UID=1234" in text
    assert '--data-dir "/srv/my data"' in text
    assert "WantedBy=default.target" in unit_text(replace(other, user=True))


def test_signs_that_systemd_would_read_are_escaped() -> None:
    text = unit_text(replace(ROOT, data_dir=Path("/srv/100%/$HOME")))
    assert "--data-dir /srv/100%%/$$HOME" in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd isn't here")
def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    path = tmp_path / ROOT.unit
    path.write_text(unit_text(replace(ROOT, program=("/bin/true",))))
    done = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_without_systemd_the_unit_is_written_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "BOOTED", tmp_path / "none")
    mine = replace(ROOT, who=Owner(0, 0, tmp_path), user=True)
    with pytest.raises(LocalError, match="is written, but systemd doesn't run this machine"):
        install(mine)
    assert state(mine)["installed"] is True
    assert uninstall(mine) is True
    assert uninstall(mine) is False
