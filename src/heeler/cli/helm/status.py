"""`helm status`: what a release is in."""

from __future__ import annotations

from heeler.cli.helm.frame import Call
from heeler.cli.helm.printing import as_map, status_text, structured
from heeler.cli.helm.releases import find


def status(call: Call) -> int:
    release = find(call, call.arguments[0], call.flags.number("revision"))
    if not structured(call, as_map(release, with_chart=False)):
        call.write(status_text(release))
    return 0
