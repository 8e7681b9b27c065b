"""`helm test`: the tests that a chart brings along."""

from __future__ import annotations

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.options import waiting
from heeler.cli.helm.printing import status_text
from heeler.cli.helm.releases import is_name, session
from heeler.packages.releases import hooks
from heeler.packages.releases import test as action
from heeler.packages.releases.doing import SSA, Applying
from heeler.packages.releases.records import Hook


def test(call: Call) -> int:
    name, filters = call.arguments[0], _filters(call)
    with session(call) as found:
        if not is_name(name):
            raise HelmError(f"releaseTest: Release name is invalid: {name}")
        last = found.run(found.storage.last(name))
        asked = waiting(call)
        applying = Applying(last.apply_method == SSA)
        over: list[Hook] = []
        release, failure = found.run(action.test(found.doing, name, asked, filters, applying=applying, later=over))
        call.write(status_text(release, notes=False))
        failures = [] if failure is None else [str(failure)]
        if call.flags.on("logs"):
            call.write("\n")
            try:
                call.write(found.run(action.logs(found.doing, release, filters)))
            except HelmError as error:
                failures.append(str(error))
        found.run(hooks.clean(found.doing, over, asked))
    if failures:
        raise HelmError("\n".join(failures))
    return 0


def _filters(call: Call) -> dict[str, list[str]]:
    """`name=a`, `!name=b` as (attribute, names)."""
    out: dict[str, list[str]] = {}
    for text in call.flags.many("filter"):
        attribute, mark, name = text.partition("=")
        if mark:
            out.setdefault(attribute, []).append(name)
    return out
