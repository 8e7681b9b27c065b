"""`heeler up --scheduler-config`: a mistake is told before anything starts, and the cluster keeps what the file says."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from heeler.cli.up import _scheduler_config, _with_config, up
from heeler.local.layout import Layout

HEAD = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEAD + "parallelism: 0\n", "scheduler.yaml: parallelism: Invalid value: 0: should be an integer value"),
        ("", "scheduler.yaml: Object 'Kind' is missing in the configuration"),
        (None, "scheduler.yaml: No such file or directory"),
    ],
)
def test_a_mistake_is_told_before_anything_starts(tmp_path: Path, text: str | None, told: str) -> None:
    file, folder = tmp_path / "scheduler.yaml", tmp_path / "cluster"
    if text is not None:
        file.write_text(text)
    done = CliRunner().invoke(up, ["--data-dir", str(folder), "--nodes", "0", "--scheduler-config", str(file)])
    assert done.exit_code == 1
    assert told in done.output
    assert Layout(folder).load() is None


def test_a_config_file_may_name_it(tmp_path: Path) -> None:
    (tmp_path / "scheduler.yaml").write_text(HEAD)
    (tmp_path / "up.yaml").write_text(f"schedulerConfig: {tmp_path / 'scheduler.yaml'}\n")
    names = ("nodes", "simulated_nodes", "port", "uplink", "data_dir", "kubeconfig_file", "scheduler_config")
    flags = dict.fromkeys((*names, "ingress_http_port", "ingress_https_port"))
    found = _with_config({**flags, "name": "heeler", "config_file": tmp_path / "up.yaml"})
    assert _scheduler_config(found) == HEAD
    assert _scheduler_config(flags) is None
