"""From what a user names to a chart's archive: `repo/chart`, `--repo URL chart`, `https://…tgz`, `oci://…`.

`Downloads.fetch` is the whole way: find the archive's URL (in the index of a repository that was added, in that of `--repo`,
or among a registry's tags) → take it from the cache or fetch it → hold it against its digest → fetch its provenance and check
the signature, if that is asked for. Nothing is written but to the cache.

Source: https://helm.sh/docs/helm/helm_pull/ , https://helm.sh/docs/topics/chart_repository/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from heeler.packages.charts.chart import ChartError
from heeler.packages.charts.load import MAX_CHART_BYTES, Log
from heeler.packages.charts.versions import Version, check_range, in_range, is_version
from heeler.packages.repositories import index as indexes
from heeler.packages.repositories import oci, provenance
from heeler.packages.repositories.content import ContentCache, sha256
from heeler.packages.repositories.credentials import CredentialError
from heeler.packages.repositories.index import Entry, Index
from heeler.packages.repositories.provenance import Verification
from heeler.packages.repositories.web import NOBODY, PLAIN, Login, Tls, Web, WebError, place

#: Bytes of a provenance file.
MAX_PROVENANCE_BYTES = 1 << 20
#: Versions before their release, too.
DEVELOPMENT = ">0.0.0-0"

_UNDERSCORE = """\
{reference} contains an underscore.

OCI artifact references (e.g. tags) do not support the plus sign (+). To support
storing semantic versions, Helm adopts the convention of changing plus (+) to
an underscore (_) in chart version tags when pushing to a registry and back to
a plus (+) when pulling from a registry.
"""


class FetchError(Exception):
    """A chart that can't be had, in Helm's words."""


class BadUrl(FetchError):
    """The URL of a repository that can't be one."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository that was added, or that is named by its URL only (`name` is "" then)."""

    name: str
    url: str
    login: Login = NOBODY
    tls: Tls = PLAIN


class Known(Protocol):
    """The repositories that were added, and what was last heard of them."""

    def repositories(self) -> Sequence[Repository]: ...

    def index(self, name: str, chart: str = "") -> Index:
        """The index, of large ones maybe only what it says of `chart`. Raises `ChartError`, `OSError`."""

    def index_file(self, name: str) -> str:
        """What the index's file is called in messages."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the flags say. `repository` is `--repo`; `keyring` None: nothing is verified."""

    version: str = ""
    repository: str = ""
    login: Login = NOBODY
    tls: Tls = PLAIN
    provenance: bool = False
    keyring: Path | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """An archive that came; `name` is "" where its URL names no file.

    `lacking` says why it has no provenance, where one was asked for and isn't needed.
    """

    name: str
    url: str
    archive: bytes
    provenance: bytes = b""
    verified: Verification | None = None
    lacking: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an archive is; `digest` is what its index says of it."""

    url: str
    digest: str = ""
    login: Login = NOBODY
    tls: Tls = PLAIN


#: Why something didn't come, of all kinds.
FAULTS = (FetchError, ChartError, WebError, oci.RegistryError, CredentialError, provenance.ProvenanceError)


@dataclass(slots=True)
class Downloads:
    """Fetches charts. `say` gets what a registry's download is reported by; `web` makes a client for TLS settings."""

    known: Known
    cache: ContentCache
    registry: Callable[[Login | None], oci.Registry]
    say: Callable[[str], None]
    log: Log
    web: Callable[[Tls], Web] = Web
    _registry: oci.Registry | None = field(default=None, repr=False)

    def fetch(self, named: str, wish: Wish) -> Fetched:
        """The archive of the chart that is called so. Raises one of `FAULTS`."""
        self.log("DEBUG", "set up default downloader cache")
        if wish.repository:
            found = self._in_repository(named, wish)
        elif named.startswith(oci.SCHEME):
            return self._from_registry(named, wish)
        elif _is_url(named):
            found = self._by_url(named, wish)
        else:
            found = self._in_index(named, wish)
        return self.take(found, wish)

    def take(self, found: Place, wish: Wish) -> Fetched:
        """The archive that lies at a place. Raises one of `FAULTS`."""
        if found.url.startswith(oci.SCHEME):
            return self._from_registry(found.url, replace(wish, repository="", version=""))
        if not found.url.startswith(("http://", "https://")):
            raise FetchError(f'scheme "{urlsplit(found.url).scheme}" not supported')
        return self._from_web(found, wish)

    # ---- where it is -------------------------------------------------------------------------------------------------

    def _in_index(self, named: str, wish: Wish) -> Place:
        """`repository/chart`, by the index that is kept."""
        path = urlsplit(named).path if "://" in named else named
        name, slash, chart = path.partition("/")
        if not slash:
            raise FetchError(f"non-absolute URLs should be in form of repo_name/path_to_chart, got: {path}")
        repository = next((one for one in self.known.repositories() if one.name == name), None)
        if repository is None:
            raise FetchError(f"repo {name} not found")
        try:
            entry = self.known.index(name, chart).get(chart, wish.version)
        except OSError as error:
            said = f"open {self.known.index_file(name)}: {(error.strerror or '').lower()}"
            raise FetchError(f"no cached repo found. (try 'helm repo update'): {said}") from None
        except ChartError as error:
            said = f'chart "{chart}" matching {wish.version} not found in {name} index'
            raise FetchError(f"{said}. (try 'helm repo update'): {error}") from None
        self._tell_of_another(entry, wish.version)
        return self._of_entry(repository, entry, named)

    def _tell_of_another(self, entry: Entry, wanted: str) -> None:
        """Say so where a version was named and it isn't quite that one."""
        found = entry.metadata
        if is_version(wanted) and found.version != wanted:
            said = "unable to find exact version requested; falling back to closest available version"
            self.log("WARN", said, chart=found.name, requested=wanted, selected=found.version)

    def _in_repository(self, chart: str, wish: Wish) -> Place:
        """A chart by the URL of its repository, whose index is fetched."""
        repository = Repository("", wish.repository, wish.login, wish.tls)
        return self.find(repository, chart, wish.version)

    def find(self, repository: Repository, chart: str, version: str, listed: Index | None = None) -> Place:
        """Where a chart is, by a repository's index, which is fetched if need be. Raises one of `FAULTS`."""
        if listed is None:
            try:
                listed, _ = fetch_index(repository, self.web(repository.tls), self.log, chart=chart)
            except FAULTS as error:
                if isinstance(error, BadUrl):
                    raise
                raise FetchError(unreachable(repository.url, error)) from None
        try:
            entry = listed.get(chart, version)
        except ChartError:
            said = f'"{chart}" version "{version}"' if version else f'"{chart}"'
            raise FetchError(f"chart {said} not found in {repository.url} repository") from None
        self._tell_of_another(entry, version)
        return self._of_entry(repository, entry, chart)

    def _of_entry(self, repository: Repository, entry: Entry, named: str) -> Place:
        if not entry.urls or not entry.urls[0]:
            raise FetchError(f'chart "{named}" has no downloadable URLs')
        url = indexes.absolute(repository.url, entry.urls[0])
        digest = entry.digest.removeprefix("sha256:")
        if digest and not _SHA256.match(digest):
            if repository.name:
                raise FetchError(f"unable to decode digest: {_undecodable(digest)}")
            digest = ""  # Helm doesn't look at it here
        return Place(url, digest.lower(), _for(url, repository), repository.tls)

    def _by_url(self, url: str, wish: Wish) -> Place:
        """A URL as it is; it gets the login of the repository whose index names it as it is, where none is given."""
        scheme = urlsplit(url).scheme
        if scheme not in ("http", "https"):
            raise FetchError(f'scheme "{scheme}" not supported')
        if wish.login.name or wish.login.password:
            return Place(url, login=wish.login, tls=wish.tls)
        for repository in self.known.repositories():
            if place(repository.url) != place(url) and not repository.login.everywhere:
                continue
            try:
                listed = self.known.index(repository.name)
            except (ChartError, OSError):
                continue
            every = (one for entries in listed.entries.values() for entry in entries for one in entry.urls[:1])
            if url in every:
                return Place(url, login=_for(url, repository), tls=repository.tls)
        return Place(url, tls=wish.tls)

    # ---- from a web server -------------------------------------------------------------------------------------------

    def _from_web(self, found: Place, wish: Wish) -> Fetched:
        web = self.web(found.tls)
        archive = self.cache.archive(found.digest) if found.digest else None
        signed: bytes | None = None
        if archive is not None:
            self.log("DEBUG", "found chart in cache", id=found.digest)
            signed = self.cache.provenance(found.digest)
        else:
            archive = self._get(web, found.url, found.login, MAX_CHART_BYTES)
            if found.digest and sha256(archive) != found.digest:
                raise FetchError(
                    f"{found.url} is not what its index says: its digest is {sha256(archive)}, not {found.digest}"
                )
        fetched = Fetched(_file_name(found.url), found.url, archive)
        if not wish.provenance and wish.keyring is None:
            return fetched
        if signed is None:
            try:
                signed = self._get(web, f"{found.url}.prov", found.login, MAX_PROVENANCE_BYTES)
            except FAULTS as error:
                return _without(fetched, wish, f"{found.url}.prov", str(error))
        else:
            self.log("DEBUG", "found provenance in cache", id=found.digest)
        return _checked(replace(fetched, provenance=signed), wish)

    def _get(self, web: Web, url: str, login: Login, limit: int) -> bytes:
        return get(web, url, login, limit, self.log)

    # ---- from a registry ---------------------------------------------------------------------------------------------

    def client(self, login: Login) -> oci.Registry:
        if self._registry is None:
            self._registry = self.registry(login if login.name and login.password else None)
        return self._registry

    def _from_registry(self, named: str, wish: Wish) -> Fetched:
        client = self.client(wish.login)
        reference = oci.reference(named)
        wanted = bool(wish.provenance or wish.keyring is not None)
        tag = "" if reference.digest else self.tag(reference, wish.version, client)
        reference = replace(reference, tag=tag)
        pulled = client.pull(reference, provenance=wanted)
        self.say(reported("Pulled", str(pulled.reference), pulled.digest))
        base = reference.repository.rsplit("/", 1)[-1]
        version = f"@{reference.digest.replace(':', '-')}" if reference.digest else f"-{tag.replace('_', '+')}"
        name = f"{base}{version}.tgz"
        fetched = Fetched(name, f"{oci.SCHEME}{pulled.reference}", pulled.chart)
        if not wanted:
            return fetched
        if not pulled.provenance:
            said = f"manifest does not contain a layer with mediatype {oci.PROVENANCE}"
            return _without(fetched, wish, f"{fetched.url}.prov", said)
        self.say(reported("Pulled", str(pulled.reference), pulled.digest))  # as Helm, which asks once more for it
        return _checked(replace(fetched, provenance=pulled.provenance), wish)

    def tag(self, reference: oci.Reference, wanted: str, client: oci.Registry) -> str:
        """The tag of the newest version that is wanted. Raises one of `FAULTS`."""
        named = reference.tag.replace("_", "+")
        if named and wanted and named != wanted:
            raise FetchError(f"chart reference and version mismatch: {wanted} is not {named}")
        wanted = wanted or named
        if wanted and is_version(wanted):
            return wanted.replace("+", "_")
        found = newest_tag(client.tags(replace(reference, tag="")), wanted)
        if found is None:
            raise FetchError(f"could not locate a version matching provided version string {wanted}")
        return found.replace("+", "_")


def newest_tag(tags: Sequence[str], wanted: str) -> str | None:
    """The newest version among tags that is in the range `wanted` (empty: any release). Raises `FetchError`."""
    try:
        check_range(wanted or "*")
    except ValueError as error:
        raise FetchError(str(error)) from None
    versions = [version for tag in tags if is_version(version := str(tag).replace("_", "+"))]
    versions.sort(key=Version.parse, reverse=True)
    return next((version for version in versions if in_range(wanted or "*", version)), None)


def reported(verb: str, reference: str, digest: str) -> str:
    """What is said of a chart that went to or came from a registry."""
    text = f"{verb}: {reference}\nDigest: {digest}\n"
    return text + (_UNDERSCORE.format(reference=reference) if "_" in reference else "")


def get(web: Web, url: str, login: Login, limit: int, log: Log) -> bytes:
    """What a URL holds. Raises `FetchError`, `WebError`."""
    log("DEBUG", "fetching", url=url)
    answer = web.get(url, login=login, limit=limit)
    if answer.status != 200:
        raise FetchError(f"failed to fetch {url} : {answer.status} {answer.reason}".rstrip())
    status = f"{answer.status} {answer.reason}"
    log("DEBUG", "fetch complete", **{"url": url, "status": status, "content-length": len(answer.body)})
    return answer.body


def fetch_index(
    repository: Repository, web: Web, log: Log, *, chart: str = "", kept: Path | None = None
) -> tuple[Index, bytes]:
    """A repository's index, and its text; `chart` and `kept` are those of `index.parse`. Raises one of `FAULTS`."""
    parts = urlsplit(repository.url)
    if re.search(r"[\s\x00-\x1f]", repository.url):
        raise BadUrl(f"invalid chart URL format: {repository.url}")
    if parts.scheme not in ("http", "https"):
        if parts.scheme == "oci":
            raise oci.RegistryError('failed to perform "FetchReference" on source: invalid reference')
        raise BadUrl(f"could not find protocol handler for: {parts.scheme}")
    url = parts._replace(path=f"{parts.path.rstrip('/')}/index.yaml").geturl()
    data = get(web, url, repository.login, indexes.MAX_BYTES, log)
    return indexes.parse(data, repository.url, log, chart=chart, kept=kept), data


def unreachable(url: str, error: object) -> str:
    return f'looks like "{url}" is not a valid chart repository or cannot be reached: {error}'


def _is_url(named: str) -> bool:
    parts = urlsplit(named)
    return bool(parts.scheme and parts.netloc and parts.path)


def _for(url: str, repository: Repository) -> Login:
    """The repository's login, if it is for that URL."""
    login = repository.login
    return login if login.everywhere or place(url) == place(repository.url) else NOBODY


_SHA256 = re.compile(r"[0-9a-fA-F]{64}\Z")


def _undecodable(digest: str) -> str:
    """Why a text isn't a SHA-256 in hexadecimal digits, in Go's words where it has some."""
    if (wrong := re.search(r"[^0-9a-fA-F]", digest)) is not None:
        return f"encoding/hex: invalid byte: U+{ord(wrong[0]):04X} '{wrong[0]}'"
    return "encoding/hex: odd length hex string" if len(digest) % 2 else f"{len(digest) // 2} bytes are no SHA-256"


def _file_name(url: str) -> str:
    """What an archive is called by its URL: a name only, never a path; "" where that names none."""
    name = unquote(urlsplit(url).path.rsplit("/", 1)[-1])
    return "" if name in (".", "..") or "/" in name or "\0" in name else name


def _without(fetched: Fetched, wish: Wish, url: str, said: str) -> Fetched:
    if wish.keyring is not None:
        raise FetchError(f'failed to fetch provenance "{url}"')
    return replace(fetched, lacking=said)


def _checked(fetched: Fetched, wish: Wish) -> Fetched:
    if wish.keyring is None:
        return fetched
    return replace(fetched, verified=verify(fetched.name, fetched.archive, fetched.provenance, wish.keyring))


def verify(name: str, archive: bytes, signed: bytes, keyring: Path) -> Verification:
    """Who vouches for an archive. Raises `FetchError`, `ProvenanceError`."""
    try:
        keys = keyring.read_bytes()
    except OSError as error:
        raise FetchError(f"failed to load keyring: open {keyring}: {(error.strerror or '').lower()}") from None
    return provenance.verify(name, archive, signed, keys)
