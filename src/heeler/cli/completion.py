"""`heeler completion`: what a shell needs to complete heeler's commands and flags."""

from __future__ import annotations

import click

_WHERE = {
    "bash": 'eval "$(heeler completion bash)"    # in ~/.bashrc',
    "zsh": 'eval "$(heeler completion zsh)"     # in ~/.zshrc',
    "fish": "heeler completion fish | source    # in ~/.config/fish/config.fish",
}
#: `heeler helm completion` hands on what isn't helm's: where its script came first it stays in charge.
_AND_HELM = {
    "bash": "declare -F __heeler_helm_complete >/dev/null && complete -o default -F __heeler_helm_complete heeler || true",
    "zsh": "(( ${+functions[__heeler_helm_complete]} )) && compdef __heeler_helm_complete heeler || true",
}


@click.command(epilog='Example: eval "$(heeler completion bash)"')
@click.argument("shell", type=click.Choice(list(_WHERE)))
def completion(shell: str) -> None:
    """Print the completion script of a shell; each script says at its top where it belongs."""
    from click.shell_completion import get_completion_class

    from heeler.cli.commands import cli

    made = get_completion_class(shell)
    assert made is not None
    click.echo(f"# {_WHERE[shell]}")
    click.echo(made(cli, {}, "heeler", "_HEELER_COMPLETE").source())
    if shell in _AND_HELM:
        click.echo(_AND_HELM[shell])
