"""`helm list`: the releases of a namespace."""

from __future__ import annotations

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.printing import chart_metadata, chart_name, go_time, rows, structured
from heeler.cli.helm.releases import session
from heeler.packages.releases.records import Release

#: Flags that ask for statuses.
_STATUSES = {
    "deployed": ("deployed",),
    "uninstalled": ("uninstalled",),
    "uninstalling": ("uninstalling",),
    "pending": ("pending-install", "pending-upgrade", "pending-rollback"),
    "failed": ("failed",),
    "superseded": ("superseded",),
}


def list_releases(call: Call) -> int:
    flags = call.flags
    with session(call, everywhere=flags.on("all-namespaces")) as kept:
        found = _wanted(call, kept.run(kept.storage.all()))
    _sort(call, found)
    first, most = flags.number("offset"), flags.number("max")
    found = found[first : first + most] if most else found[first:]
    if flags.on("short"):
        names = [release.name for release in found]
        if not structured(call, names):
            call.write("".join(f"{name}\n" for name in names))
        return 0
    elements = [_element(call, release) for release in found]
    if structured(call, elements):
        return 0
    head = ("NAME", "NAMESPACE", "REVISION", "UPDATED", "STATUS", "CHART", "APP VERSION")
    body = [tuple(element.values()) for element in elements]
    rows(call, head, body, headers=not flags.on("no-headers"))
    return 0


def _wanted(call: Call, releases: list[Release]) -> list[Release]:
    flags = call.flags
    statuses = {status for flag, names in _STATUSES.items() if flags.on(flag) for status in names}
    if not flags.on("superseded"):
        newest: dict[tuple[str, str], Release] = {}
        for release in releases:
            key = (release.namespace, release.name)
            if key not in newest or newest[key].version < release.version:
                newest[key] = release
        releases = list(newest.values())
    if statuses:
        releases = [release for release in releases if release.status in statuses]
    if text := flags.text("filter"):
        from heeler.packages.functions.regex import compiled
        from heeler.packages.template.values import GoError

        try:
            pattern = compiled(text)
        except GoError as error:
            raise HelmError(str(error)) from None
        releases = [release for release in releases if pattern.search(release.name.encode())]
    if text := flags.text("selector"):
        releases = _selected(text, releases)
    return releases


def _selected(text: str, releases: list[Release]) -> list[Release]:
    from heeler.objects.selectors import parse_labels

    try:
        selector = parse_labels(text)
    except ValueError as error:
        raise HelmError(str(error)) from None
    return [release for release in releases if selector.matches(dict(release.labels))]


def _sort(call: Call, releases: list[Release]) -> None:
    by_date = call.flags.on("date")
    releases.sort(key=lambda one: (one.last_deployed if by_date else one.name, one.version))
    if call.flags.on("reverse"):
        releases.reverse()


def _element(call: Call, release: Release) -> dict[str, str]:
    return {
        "name": release.name,
        "namespace": release.namespace,
        "revision": str(release.version),
        "updated": _updated(call, release.last_deployed),
        "status": release.status,
        "chart": chart_name(release),
        "app_version": chart_metadata(release, "appVersion"),
    }


def _updated(call: Call, moment: str) -> str:
    layout = call.flags.text("time-format")
    if not layout or not moment:
        return go_time(moment)
    from heeler.packages.functions.moments import LOCAL, formatted, parse

    return formatted(parse("2006-01-02T15:04:05Z07:00", moment, LOCAL), layout)
