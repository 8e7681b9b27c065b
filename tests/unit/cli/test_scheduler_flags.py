"""`heeler scheduler --config`: what is wrong with a file is told before anything starts."""

from pathlib import Path

from click.testing import CliRunner

from heeler.cli.scheduler import scheduler

HEAD = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(scheduler, list(words))
    return done.exit_code, done.output


def test_a_mistake_is_told_in_upstreams_words(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.yaml"
    file.write_text(HEAD + "parallelism: 0\n")
    code, output = run("--config", str(file))
    assert code == 1
    assert "parallelism: Invalid value: 0: should be an integer value greater than zero" in output


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    code, output = run("--config", str(tmp_path / "none.yaml"))
    assert (code, output) == (1, f"heeler: open {tmp_path}/none.yaml: no such file or directory\n")


def test_access_to_a_cluster_is_needed_somewhere(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.yaml"
    file.write_text(HEAD)
    assert run("--config", str(file)) == (2, "heeler: --kubeconfig is needed, or a --config that names one\n")
