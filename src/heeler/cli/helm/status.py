"""`helm status`: what a release is in, and what there is of its objects."""

from __future__ import annotations

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.printing import as_map, status_text, structured
from heeler.cli.helm.releases import find_in, session


def status(call: Call) -> int:
    with session(call) as found:
        release = find_in(found, call.arguments[0], call.flags.number("revision"))
        if structured(call, as_map(release, with_chart=False)):
            return 0
        there = None
        if not found.in_memory:
            from heeler.packages.releases.resources import resources

            try:
                there = found.run(resources(found.doing, release.manifest))
            except OSError as error:
                raise HelmError(str(error)) from None
        call.write(status_text(release, resources=there if there and there.heads else None))
    return 0
