"""`helm search`: charts in the indexes of the repositories that were added."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.printing import structured
from heeler.cli.helm.repositories import known, load_index
from heeler.cli.helm.table import table
from heeler.packages.charts.chart import ChartError
from heeler.packages.charts.versions import NO_VERSION, Version, check_range, in_range
from heeler.packages.repositories.index import Entry

#: Parts the fields of what is searched; how many stand before a match is its score.
_PART = "\v"
MAX_SCORE = 25


class _Found(NamedTuple):
    name: str
    entry: Entry
    score: int


#: Bytes of a hub's answer.
MAX_HUB_BYTES = 16 << 20


def hub(call: Call) -> int:
    """Charts that a hub (Artifact Hub, or what has its API) knows."""
    flags = call.flags
    endpoint = flags.text("endpoint") or "https://hub.helm.sh"
    found = _hub_results(endpoint, " ".join(call.arguments))
    if not found and flags.on("fail-on-no-result"):
        raise HelmError("no results found")
    if structured(call, found):
        return 0
    if not found:
        call.write("No results found\n")
        return 0
    head = ("URL", "CHART VERSION", "APP VERSION", "DESCRIPTION")
    lines = [(one["url"], one["version"], one["app_version"], one["description"]) for one in found]
    if flags.on("list-repo-url"):
        head = (*head, "REPO URL")  # type: ignore[assignment]
        lines = [(*line, one["repository"]["url"]) for line, one in zip(lines, found, strict=True)]  # type: ignore[misc]
    call.write(table([head, *lines], flags.number("max-col-width")) + "\n")
    return 0


def _hub_results(endpoint: str, words: str) -> list[dict[str, Any]]:
    """What a hub finds. Raises `HelmError`; an answer that isn't one has no results, as with Helm."""
    from urllib.parse import quote_plus, urlsplit

    import orjson

    from heeler.packages.repositories.web import Web, WebError

    unable = f'unable to create connection to "{endpoint}"'
    try:
        host = urlsplit(endpoint).hostname
    except ValueError:
        raise HelmError(f"{unable}: parse \"{endpoint}\": missing ']' in host") from None
    if not host:
        raise HelmError(f"{unable}: no hostname provided")
    url = f"{endpoint.rstrip('/')}/api/chartsvc/v1/charts/search?q={quote_plus(words)}"
    try:
        answer = Web().get(url, limit=MAX_HUB_BYTES)
    except WebError:
        answer = None
    if answer is None or answer.status != 200:
        raise HelmError(f'unable to perform search against "{endpoint}"')
    try:
        listed = orjson.loads(answer.body)["data"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return []
    return [_hub_result(endpoint, one) for one in listed or () if isinstance(one, dict)]


def _hub_result(endpoint: str, one: dict[str, Any]) -> dict[str, Any]:
    def part(*path: str) -> dict[str, Any]:
        value: Any = one
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value if isinstance(value, dict) else {}

    latest, about = part("relationships", "latestChartVersion", "data"), part("attributes")
    repository = part("attributes", "repo")
    return {
        "url": str(part("artifactHub").get("packageUrl") or f"{endpoint}/charts/{one.get('id') or ''}"),
        "version": str(latest.get("version") or ""),
        "app_version": str(latest.get("app_version") or ""),
        "description": str(about.get("description") or ""),
        "repository": {"url": str(repository.get("url") or ""), "name": str(repository.get("name") or "")},
    }


def repo(call: Call) -> int:
    flags = call.flags
    try:
        repositories = known(call)
    except HelmError:
        repositories = []
    if not repositories:
        raise HelmError("no repositories configured")
    range_ = flags.text("version") or (">0.0.0-0" if flags.on("devel") else ">0.0.0")
    entries = list(_all(call, [repository.name for repository in repositories]))
    found = sorted(_matching(call, entries), key=lambda one: (one.score, one.name, _Older(one.entry)))
    try:
        check_range(range_)
    except ValueError as error:
        raise HelmError(f"an invalid version/constraint format: {error}") from None
    kept = _kept(found, range_, every=flags.on("versions"))
    if not kept and flags.on("fail-on-no-result"):
        raise HelmError("no results found")
    elements = [
        {
            "name": one.name,
            "version": one.entry.metadata.version,
            "app_version": one.entry.metadata.app_version,
            "description": one.entry.metadata.description,
        }
        for one in kept
    ]
    if structured(call, elements):
        return 0
    if not elements:
        call.write("No results found\n")
        return 0
    head = ("NAME", "CHART VERSION", "APP VERSION", "DESCRIPTION")
    lines = [head, *(tuple(element.values()) for element in elements)]
    call.write(table(lines, flags.number("max-col-width")) + "\n")
    return 0


class _Older:
    """Orders the versions of a chart, the newest first."""

    def __init__(self, entry: Entry) -> None:
        try:
            self.version = Version.parse(entry.metadata.version)
        except ValueError:
            self.version = NO_VERSION

    def __lt__(self, other: _Older) -> bool:
        return other.version < self.version


def _all(call: Call, repositories: list[str]) -> Iterator[tuple[str, Entry]]:
    """(repository/chart, version) of all indexes; one that can't be read is told."""
    for repository in repositories:
        try:
            index = load_index(call, repository)
        except (ChartError, OSError) as error:
            said: object = error
            if isinstance(error, OSError):
                from heeler.cli.helm.repositories import index_name

                said = f"open {index_name(call, repository)}: {(error.strerror or '').lower()}"
            call.log("WARN", "repo is corrupt or missing", repo=repository, error=said)
            continue
        for name, versions in index.entries.items():
            for entry in versions:
                yield f"{repository}/{name}", entry


def _text(name: str, entry: Entry) -> str:
    metadata = entry.metadata
    return _PART.join((metadata.name, name, metadata.description, " ".join(metadata.keywords))).lower()


def _matching(call: Call, entries: list[tuple[str, Entry]]) -> Iterator[_Found]:
    wanted = " ".join(call.arguments)
    if not wanted:
        yield from (_Found(name, entry, 0) for name, entry in entries)
        return
    if call.flags.on("regexp"):
        from heeler.packages.functions.regex import compiled
        from heeler.packages.template.values import GoError

        try:
            pattern = compiled(wanted)
        except GoError as error:
            raise HelmError(str(error)) from None
        for name, entry in entries:
            text = _text(name, entry)
            if (match := pattern.search(text.encode())) is not None:
                yield from _scored(name, entry, text.encode()[: match.start()].count(_PART.encode()))
        return
    term = wanted.lower()
    for name, entry in entries:
        text = _text(name, entry)
        if (at := text.find(term)) >= 0:
            yield from _scored(name, entry, text[:at].count(_PART))


def _scored(name: str, entry: Entry, score: int) -> Iterator[_Found]:
    if score < MAX_SCORE:
        yield _Found(name, entry, score)


def _kept(found: list[_Found], range_: str, *, every: bool) -> list[_Found]:
    """What is in the range; of each chart the newest, unless `every` version is asked for."""
    kept: list[_Found] = []
    seen: set[str] = set()
    for one in found:
        if (every or one.name not in seen) and in_range(range_, one.entry.metadata.version):
            kept.append(one)
            seen.add(one.name)
    return kept
