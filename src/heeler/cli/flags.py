"""What commands share: how they fail, log and print."""

from __future__ import annotations

import logging
import sys
from typing import NoReturn

import click


def fail(message: str, *, code: int = 1) -> NoReturn:
    """Say what is wrong and what to do, and end."""
    click.echo(f"heeler: {message}", err=True)
    sys.exit(code)


def set_up_logging(verbose: int) -> None:
    """Logs go to standard error, one line each."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, format="%(asctime)s %(levelname).1s %(name)s: %(message)s", stream=sys.stderr)
