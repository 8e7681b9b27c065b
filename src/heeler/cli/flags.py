"""What commands share: how they fail, log and print."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click


def fail(message: str, *, code: int = 1) -> NoReturn:
    """Say what is wrong and what to do, and end."""
    click.echo(f"heeler: {message}", err=True)
    sys.exit(code)


def verbosity(command: Callable[..., Any]) -> Callable[..., Any]:
    """-v, and --v=N as upstream's programs have it; the command gets one `verbose` (0, 1 or 2)."""

    @functools.wraps(command)
    def with_verbosity(verbose: int, level: int, **given: Any) -> Any:
        return command(verbose=max(verbose, min(level // 2, 2)), **given)

    called: Callable[..., Any] = with_verbosity
    called = click.option("--v", "level", type=click.IntRange(0), default=0, help="As upstream: 2 is -v, 4 is -vv.")(
        called
    )
    return click.option("-v", "--verbose", count=True, help="Log more; -vv everything.")(called)


def set_up_logging(verbose: int) -> None:
    """Logs go to standard error, one line each."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, format="%(asctime)s %(levelname).1s %(name)s: %(message)s", stream=sys.stderr)


def duration(text: str) -> float:
    """Seconds out of a duration as Go writes it: 300ms, 20s, 1m30s, 2h (https://pkg.go.dev/time#ParseDuration)."""
    from heeler.objects import go_duration

    try:
        return go_duration.parse(text) / 1e9
    except ValueError:
        raise click.BadParameter(f'"{text}" is not a duration: write for example "40s" or "1m30s"') from None


def switch(name: str, *, default: bool = False, help: str) -> Callable[[Any], Any]:
    """A flag of a component as upstream's programs take it: --name, --name=true, --name=false."""
    return click.option(name, type=bool, is_flag=False, flag_value=True, default=default, show_default=True, help=help)
