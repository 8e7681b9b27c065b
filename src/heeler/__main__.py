"""`python -m heeler`: the same as the command `heeler`."""

from heeler.cli.main import main

main()
