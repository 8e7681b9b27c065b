"""`helm repo`: the repositories that charts come from. What needs the network isn't here yet."""

from __future__ import annotations

import os

from heeler.base.clock import SystemClock
from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.printing import ordered_json, rows, structured
from heeler.cli.helm.repositories import load_file, save_file
from heeler.cli.helm.settings import place
from heeler.packages.charts.chart import ChartError

#: Repositories that are no longer there, and where their charts are.
_GONE = {
    "kubernetes-charts.storage.googleapis.com": "https://charts.helm.sh/stable",
    "kubernetes-charts-incubator.storage.googleapis.com": "https://charts.helm.sh/incubator",
}
_CONFIGURATION = {
    "username": "username",
    "password": "password",
    "ca-file": "caFile",
    "cert-file": "certFile",
    "key-file": "keyFile",
}


def list_repositories(call: Call) -> int:
    try:
        entries = load_file(call).repositories
    except HelmError:
        entries = []  # Helm takes a file that can't be read for none
    if structured(call, [{"name": entry.name, "url": entry.url} for entry in entries]):
        return 0
    if not entries:
        call.say("no repositories to show")
        return 0
    body = [(entry.name, entry.url) for entry in entries]
    rows(call, ("NAME", "URL"), body, headers=not call.flags.on("no-headers"))
    return 0


def remove(call: Call) -> int:
    try:
        content = load_file(call)
    except HelmError:
        content = None
    if content is None or not content.repositories:
        raise HelmError("no repositories configured")
    for name in call.arguments:
        entry = content.get(name)
        if entry is None:
            raise HelmError(f'no repo named "{name}" found')
        content.repositories.remove(entry)
        save_file(call, content)
        cache = place(call, "repository-cache")
        for file in (f"{cache}/{name}-index.yaml", f"{cache}/{name}-charts.txt"):
            call.path(file).unlink(missing_ok=True)
        call.write(f'"{name}" has been removed from your repositories\n')
    return 0


def add(call: Call) -> int:
    name, url = call.arguments
    flags = call.flags
    if not flags.on("allow-deprecated-repos"):
        for host, instead in _GONE.items():
            if host in url:
                raise HelmError(f'repo "{url}" is no longer available; try "{instead}" instead')
    content = load_file(call)
    if "/" in name:
        raise HelmError(f"repository name ({name}) contains '/', please specify a different name without '/'")
    entry = content.get(name)
    if entry is not None and not flags.on("force-update"):
        given = {key: flags.text(flag) for flag, key in _CONFIGURATION.items()}
        same = entry.url == url and all(str(entry.fields.get(key) or "") == value for key, value in given.items())
        if not same:
            raise HelmError(f"repository name ({name}) already exists, please specify a different name")
        call.write(f'"{name}" already exists with the same configuration, skipping\n')
        return 0
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme not in ("http", "https", "oci"):
        raise HelmError(f"could not find protocol handler for: {scheme}")
    raise HelmError(f"heeler adds no repositories that are on the network yet: {url}")


def update(call: Call) -> int:
    entries = load_file(call).repositories
    if not entries:
        raise HelmError("no repositories found. You must add one before updating")
    if missing := [name for name in call.arguments if name not in {entry.name for entry in entries}]:
        raise HelmError(f"no repositories found matching '{missing[0]}'.  Nothing will be updated")
    raise HelmError("heeler updates no repositories that are on the network yet")


def index(call: Call) -> int:
    from heeler.packages.releases.records import moment
    from heeler.packages.repositories.index import of_folder, parse
    from heeler.packages.yaml.write import dump

    flags = call.flags
    folder = call.path(call.arguments[0])
    target = folder / "index.yaml"
    now = moment(SystemClock().time())
    made = of_folder(folder, flags.text("url"), now)
    if merged := flags.text("merge"):
        file = call.path(merged)
        if file.exists():
            try:
                made.merge(parse(file.read_bytes()))
            except (ChartError, OSError) as error:
                raise HelmError(f"merge failed: error loading {merged}: {error}") from None
        else:
            file.write_text(dump({"apiVersion": "v1", "entries": {}, "generated": now}))
    made.sort()
    content = made.as_map()
    text = _indented(content) if flags.on("json") else dump(content)
    try:
        target.write_text(text, encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise HelmError(f"open {os.path.abspath(target)}: {(error.strerror or '').lower()}") from None
    return 0


def _indented(content: object) -> str:
    """JSON of the index, two spaces a level, in Go's order of fields."""
    import json

    return json.dumps(json.loads(ordered_json(content)), indent=2, ensure_ascii=False)
