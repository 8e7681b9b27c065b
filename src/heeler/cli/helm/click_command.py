"""`helm` as one of click's commands, so that it is listed, documented and completed with the others."""

from __future__ import annotations

import click

from heeler.cli.helm import main


@click.command(
    epilog="Example: heeler helm template my-release ./chart -f values.yaml",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def helm(arguments: tuple[str, ...]) -> None:
    """Helm's commands, flags, output and exit codes; `heeler helm --help` lists them.

    Heeler's own beside them: `heeler helm diff`, `heeler helm test-matrix`.
    """
    raise SystemExit(main(list(arguments)))
