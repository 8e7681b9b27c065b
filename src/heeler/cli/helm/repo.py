"""`helm repo`: the repositories that charts come from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from heeler.base.clock import SystemClock
from heeler.cli.helm.fetching import said
from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.printing import ordered_json, rows, structured
from heeler.cli.helm.repositories import Repository, keep_index, load_file, locked_file, read_file, save_file
from heeler.cli.helm.settings import place
from heeler.packages.charts.chart import ChartError
from heeler.packages.repositories.fetch import FAULTS, BadUrl, fetch_index, unreachable
from heeler.packages.repositories.index import Index
from heeler.packages.repositories.web import TIMEOUT_SECONDS, Web

#: Repositories that are asked at the same time.
AT_ONCE = 8
HANG_TIGHT = "Hang tight while we grab the latest from your chart repositories...\n"
UPDATED = "Update Complete. ⎈Happy Helming!⎈\n"

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
    with locked_file(call):
        for name in call.arguments:
            content = load_file(call)
            entry = content.get(name)
            if entry is None:
                raise HelmError(f'no repo named "{name}" found')
            content.repositories.remove(entry)
            save_file(call, content)
            cache = place(call, "repository-cache")
            for file in ("index.yaml", "charts.txt", "index.json"):
                call.path(f"{cache}/{name}-{file}").unlink(missing_ok=True)
            call.write(f'"{name}" has been removed from your repositories\n')
    return 0


def add(call: Call) -> int:
    name, url = call.arguments
    flags = call.flags
    if not flags.on("allow-deprecated-repos"):
        for host, instead in _GONE.items():
            if host in url:
                raise HelmError(f'repo "{url}" is no longer available; try "{instead}" instead')
    with locked_file(call):
        _add(call, name, url)
    return 0


def _add(call: Call, name: str, url: str) -> None:
    content = load_file(call)
    entry = Repository(name, url, _fields(call, name, url))
    if "/" in name:
        raise HelmError(f"repository name ({name}) contains '/', please specify a different name without '/'")
    old = content.get(name)
    if old is not None and not call.flags.on("force-update"):
        if any((old.fields.get(key) or "") != (value or "") for key, value in entry.fields.items()):
            raise HelmError(f"repository name ({name}) already exists, please specify a different name")
        call.write(f'"{name}" already exists with the same configuration, skipping\n')
        return
    try:
        found, data = _index(call, entry)
    except FAULTS as error:
        text = said(call, error)
        raise HelmError(text if isinstance(error, BadUrl) else unreachable(url, text)) from None
    keep_index(call, name, found, data)
    if old is None:
        content.repositories.append(entry)
    else:
        content.repositories[content.repositories.index(old)] = entry
    save_file(call, content)
    call.write(f'"{name}" has been added to your repositories\n')


def _fields(call: Call, name: str, url: str) -> dict[str, object]:
    """What the repository file says of a repository, by the call's flags; a password that lacks is asked for."""
    from heeler.cli.helm.fetching import secret

    flags = call.flags
    fields: dict[str, object] = {key: flags.text(flag) for flag, key in _CONFIGURATION.items()}
    if flags.text("username") and not flags.text("password"):
        if flags.on("password-stdin"):
            fields["password"] = call.stdin().decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")
        else:
            fields["password"] = secret(call, "Password: ")
    fields |= {"name": name, "url": url}
    fields["insecure_skip_tls_verify"] = flags.on("insecure-skip-tls-verify")
    fields["pass_credentials_all"] = flags.on("pass-credentials")
    return fields


def _index(call: Call, entry: Repository) -> tuple[Index, bytes]:
    """A repository's index as it is there now. Raises one of `FAULTS`."""
    source = entry.source(call)
    seconds = call.flags.number("timeout") / 1e9 if call.flags.changed("timeout") else TIMEOUT_SECONDS
    return fetch_index(source, Web(source.tls, seconds), call.log, kept=read_file(call, entry.name))


def update(call: Call) -> int:
    entries = load_file(call).repositories
    if not entries:
        raise HelmError("no repositories found. You must add one before updating")
    known = {entry.name for entry in entries}
    if missing := [name for name in call.arguments if name not in known]:
        raise HelmError(f"no repositories found matching '{missing[0]}'.  Nothing will be updated")
    if call.arguments:
        entries = [entry for entry in entries if entry.name in call.arguments]
    call.write(HANG_TIGHT)
    if failed := refresh(call, entries):
        raise HelmError(f"failed to update the following repositories: [{' '.join(failed)}]")
    call.write(UPDATED)
    return 0


def refresh(call: Call, entries: Sequence[Repository], *, by_url: bool = False) -> list[str]:
    """Fetch the indexes of repositories side by side and tell of each; the URLs of those that failed.

    `by_url`: they aren't added, and are called by their URLs.
    """
    failed: list[str] = []
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        doing = {pool.submit(_index, call, entry): entry for entry in entries}
        for done in as_completed(doing):
            entry = doing[done]
            try:
                keep_index(call, entry.name, *done.result())
            except (*FAULTS, HelmError) as error:
                failed.append(entry.url)
                shown = (
                    f'"{entry.url}" chart repository' if by_url else f'"{entry.name}" chart repository ({entry.url})'
                )
                call.write(f"...Unable to get an update from the {shown}:\n\t{error}\n")
            else:
                shown = entry.url if by_url else entry.name
                call.write(f'...Successfully got an update from the "{shown}" chart repository\n')
    return failed


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
