"""`heeler service`: a cluster that starts with the machine."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
import orjson

from heeler.cli.flags import fail
from heeler.local import service as units
from heeler.local.layout import DEFAULT_NAME, LocalError, layout_of, owner


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog="Example: sudo heeler service install")
def service() -> None:
    """Run a cluster as a systemd service."""


Function = TypeVar("Function", bound=Callable[..., None])


def _options(command: Function) -> Function:
    for option in (
        click.option("--user", is_flag=True, help="A unit of your own systemd: no root, simulated nodes only."),
        click.option("--data-dir", type=click.Path(path_type=Path), default=None, help="The cluster's folder."),
        click.option("--name", default=DEFAULT_NAME, show_default=True, help="The cluster's name."),
    ):
        command = option(command)
    return command


def _service(name: str, data_dir: Path | None, user: bool) -> units.Service:
    who = owner(os.environ)
    layout_of(name, data_dir, who, os.environ)  # is the name one?
    try:
        login = pwd.getpwuid(who.uid).pw_name
    except KeyError:
        login = str(who.uid)
    found = shutil.which("heeler") or ""
    program = (found,) if found else (sys.executable, "-m", "heeler.cli.main")
    return units.Service(name, program, data_dir and data_dir.absolute(), who, login, user)


@service.command(epilog="Example: sudo heeler service install --name staging")
@_options
@click.option("--print", "show", is_flag=True, help="Only print the unit.")
def install(name: str, data_dir: Path | None, user: bool, show: bool) -> None:
    """Start the cluster now, with the machine, and again whenever a part of it ends."""
    try:
        wanted = _service(name, data_dir, user)
        spec = layout_of(name, data_dir, owner(os.environ), os.environ).load()
        if user and spec is not None and spec.nodes:
            raise LocalError(f'the cluster "{name}" has real nodes, which need root: install it without --user')
        if show:
            click.echo(units.unit_text(wanted), nl=False)
            return
        path = units.install(wanted)
    except LocalError as error:
        fail(str(error))
    scope = "--user " if user else ""
    click.echo(f"{path}\nTry:  systemctl {scope}status {wanted.unit}\n      journalctl {scope}-u {wanted.unit}")


@service.command(epilog="Example: sudo heeler service uninstall")
@_options
def uninstall(name: str, data_dir: Path | None, user: bool) -> None:
    """Stop the cluster and remove the unit; the cluster's data stays."""
    try:
        wanted = _service(name, data_dir, user)
        if not units.uninstall(wanted):
            fail(f"{wanted.folder / wanted.unit} isn't there: nothing to remove")
    except LocalError as error:
        fail(str(error))
    click.echo(f"removed {wanted.unit}")


@service.command(epilog="Example: heeler service status -o json")
@_options
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print.")
def status(name: str, data_dir: Path | None, user: bool, output: str) -> None:
    """Is the unit installed, enabled, active? Exit code 3 if it isn't installed."""
    try:
        found = units.state(_service(name, data_dir, user))
    except LocalError as error:
        fail(str(error))
    if output == "json":
        click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
    else:
        click.echo("  ".join(f"{key}: {value}" for key, value in found.items()))
    if not found["installed"]:
        raise SystemExit(3)
