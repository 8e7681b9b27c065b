"""`helm status`: what a release is in, and what there is of its objects."""

from __future__ import annotations

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.printing import as_map, status_text, structured
from heeler.cli.helm.releases import find_in, session


def status(call: Call) -> int:
    from heeler.packages.releases import resources

    with session(call) as found:
        release = find_in(found, call.arguments[0], call.flags.number("revision"))
        there = None
        try:
            if call.flags.text("output") in ("json", "yaml"):
                objects = {} if found.in_memory else found.run(resources.objects(found.doing, release.manifest))
                structured(call, as_map(release, with_chart=False, resources=objects))
                return 0
            if not found.in_memory:
                there = found.run(resources.resources(found.doing, release.manifest))
        except OSError as error:
            raise HelmError(str(error)) from None
        call.write(status_text(release, resources=there if there and there.heads else None))
    return 0
