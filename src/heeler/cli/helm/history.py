"""`helm history`: a release's revisions."""

from __future__ import annotations

from typing import Any

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.printing import ansic, chart_metadata, chart_name, rows, structured
from heeler.cli.helm.releases import is_name, session
from heeler.packages.releases.records import Release


def history(call: Call) -> int:
    name = call.arguments[0]
    with session(call) as found:
        if not is_name(name):
            raise HelmError(f"release name is invalid: {name}")
        releases = found.run(found.storage.history(name))[: call.flags.number("max")]
    releases.reverse()
    if structured(call, [_entry(release) for release in releases]):
        return 0
    head = ("REVISION", "UPDATED", "STATUS", "CHART", "APP VERSION", "DESCRIPTION")
    body = [
        (
            release.version,
            ansic(release.last_deployed),
            release.status,
            chart_name(release),
            chart_metadata(release, "appVersion"),
            release.description,
        )
        for release in releases
    ]
    rows(call, head, body)
    return 0


def _entry(release: Release) -> dict[str, Any]:
    return {
        "revision": release.version,
        "updated": release.last_deployed,
        "status": release.status,
        "chart": chart_name(release),
        "app_version": chart_metadata(release, "appVersion"),
        "description": release.description,
        **({"rollback_revision": release.rollback_revision} if release.rollback_revision else {}),
    }
