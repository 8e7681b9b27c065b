"""`heeler`'s commands: found by name in a table and imported when they are called."""

from __future__ import annotations

import importlib

import click

#: command -> (module, attribute, what it does)
COMMANDS: dict[str, tuple[str, str, str]] = {
    "up": ("heeler.cli.up", "up", "Start a cluster, or bring it to what the flags say."),
    "down": ("heeler.cli.up", "down", "Stop a cluster; its data stays."),
    "delete": ("heeler.cli.up", "delete", "Delete a cluster and all that belongs to it."),
    "status": ("heeler.cli.status", "status", "Show what runs."),
    "kubeconfig": ("heeler.cli.kubeconfig", "kubeconfig", "Print or merge a cluster's kubeconfig."),
    "logs": ("heeler.cli.status", "logs", "Show the log of a component."),
    "expose": ("heeler.cli.expose", "expose", "Expose a Service's or pod's port on this machine, and remember it."),
    "image": ("heeler.cli.image", "image", "Load, build and list images of a cluster's nodes."),
    "service": ("heeler.cli.service", "service", "Run a cluster as a systemd service."),
    "doctor": ("heeler.cli.help", "doctor", "Say what is wrong with the machine or a cluster, and what to do."),
    "export": ("heeler.cli.help", "export", "Write state and logs into an archive, without secrets."),
    "helm": ("heeler.cli.helm.click_command", "helm", "Helm charts, releases and repositories: `heeler helm --help`."),
    "simulate": ("heeler.cli.simulate", "simulate", "Simulate a cluster: your manifests, so many days, these faults."),
    "completion": ("heeler.cli.completion", "completion", "Print a shell's completion script."),
    "apiserver": ("heeler.cli.apiserver", "apiserver", "Run an API server alone."),
    "controller-manager": ("heeler.cli.controller_manager", "controller_manager", "Run the controllers alone."),
    "scheduler": ("heeler.cli.scheduler", "scheduler", "Run the scheduler alone."),
    "node": ("heeler.cli.node", "node", "Run a node's agent."),
    "control-plane": ("heeler.cli.up", "control_plane", ""),
    "revive": ("heeler.cli.up", "revive", ""),
    "node-remove": ("heeler.cli.node", "node_remove", ""),
    "version": ("heeler.cli.status", "version", "Print the version."),
}


class Lazy(click.Group):
    """Imports a command's module only when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, entry in COMMANDS.items() if entry[2]]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = COMMANDS.get(cmd_name)
        if found is None:
            return None
        command: click.Command = getattr(importlib.import_module(found[0]), found[1])
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry[2]) for name, entry in COMMANDS.items() if entry[2]])


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        from heeler.cli.status import version

        ctx.invoke(version)
        ctx.exit()


@click.command(
    cls=Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Example: heeler up && kubectl get nodes",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
def cli() -> None:
    """Kubernetes from the laptop to production, in one program."""
