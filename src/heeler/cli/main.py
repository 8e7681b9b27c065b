"""`heeler`: where the command line begins. Helm's commands have a command line of their own and take no part in click's."""

from __future__ import annotations

import sys


def main() -> None:
    """Exit codes: 0 done, 1 it failed, 2 the call is wrong, 130 interrupted."""
    try:
        if sys.argv[1:2] == ["helm"]:
            from heeler.cli.helm import main as helm

            sys.exit(helm(sys.argv[2:]))
        from heeler.cli.commands import cli

        cli.main(prog_name="heeler", standalone_mode=True)
    except KeyboardInterrupt:
        sys.exit(130)


def helm() -> None:
    """`heeler-helm`: Helm's commands under a name of their own, for what expects one program."""
    sys.argv[1:1] = ["helm"]
    main()


if __name__ == "__main__":
    main()
