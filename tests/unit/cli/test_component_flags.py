"""Flags of the components, in the forms that upstream's programs take."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from heeler.cli.flags import duration, switch


@click.command()
@switch("--elect", default=True, help="h")
@click.option("--period", type=duration)
def program(elect: bool, period: float | None) -> None:
    click.echo(f"{elect} {period}")


@pytest.mark.parametrize(
    ("words", "out"),
    [
        ([], "True None\n"),
        (["--elect"], "True None\n"),
        (["--elect=false"], "False None\n"),
        (["--elect", "--period=1m30s"], "True 90.0\n"),
        (["--period", "250ms"], "True 0.25\n"),
    ],
)
def test_switches_and_durations(words: list[str], out: str) -> None:
    assert CliRunner().invoke(program, words).output == out


def test_what_is_no_duration_says_what_would_be_one() -> None:
    found = CliRunner().invoke(program, ["--period=20"])
    assert found.exit_code == 2 and '"20" is not a duration: write for example "40s"' in found.output
