"""The two completion scripts, of heeler and of heeler helm, in one shell."""

from __future__ import annotations

import itertools
import shutil
import subprocess

import pytest
from click.testing import CliRunner

from heeler.cli.completion import completion
from heeler.cli.helm.completion import _BASH


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
@pytest.mark.parametrize("order", list(itertools.permutations(("heeler", "helm"))), ids="-then-".join)
def test_whatever_comes_first_helm_s_commands_and_heeler_s_are_both_completed(order: tuple[str, ...]) -> None:
    scripts = {"heeler": CliRunner().invoke(completion, ["bash"]).output, "helm": _BASH}
    said = subprocess.run(
        [
            "bash",
            "-c",
            "\n".join([*(scripts[name] for name in order), "complete -p heeler; declare -F _heeler_completion"]),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split() == [
        "complete",
        "-o",
        "default",
        "-F",
        "__heeler_helm_complete",
        "heeler",
        "_heeler_completion",
    ]
