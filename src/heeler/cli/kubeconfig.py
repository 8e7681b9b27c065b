"""`heeler kubeconfig`: the access to a cluster, printed or merged into a file."""

from __future__ import annotations

import os
from pathlib import Path

import click

from heeler.cli.flags import fail
from heeler.client import kubeconfig as files
from heeler.local import certificates
from heeler.local.layout import DEFAULT_NAME, LocalError, existing, owner
from heeler.objects import yaml_text


@click.command(epilog="Example: heeler kubeconfig --name dev > dev.kubeconfig")
@click.option("--name", default=DEFAULT_NAME, show_default=True, help="The cluster's name.")
@click.option("--data-dir", type=click.Path(path_type=Path), default=None, help="Its folder.")
@click.option(
    "--merge", "target", type=click.Path(path_type=Path), default=None, help="Merge into this file instead of printing."
)
def kubeconfig(name: str, data_dir: Path | None, target: Path | None) -> None:
    """Print the administrator's kubeconfig of a cluster (it holds a private key), or merge it into a file."""
    try:
        layout, spec = existing(name, data_dir, owner(os.environ), os.environ)
        added = files.entry(spec.context, certificates.admin_access(layout, spec))
        if target is None:
            click.echo(yaml_text.dump(added), nl=False)
        else:
            files.merge_into(target, spec.context, added)
            click.echo(f'context "{spec.context}" in {target}')
    except (LocalError, files.KubeconfigError, OSError) as error:
        fail(str(error))
