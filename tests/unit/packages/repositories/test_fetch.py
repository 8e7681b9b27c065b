"""Fetching charts from a server on the loopback: what is chosen, who is told the login, and servers that mean no good."""

from __future__ import annotations

import base64
import hashlib
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from heeler.packages.charts.chart import ChartError
from heeler.packages.repositories import index as indexes
from heeler.packages.repositories.content import ContentCache
from heeler.packages.repositories.web import Login, Tls, Web, WebError, _without_login
from tests.chart_server import LOGIN, Server, served
from tests.helm_home import Home

BASIC = "Basic " + base64.b64encode(":".join(LOGIN).encode()).decode()
CREDENTIALS = ("--username", LOGIN[0], "--password", LOGIN[1])


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def server(tmp_path: Path, home: Home) -> Iterator[Server]:
    """Charts `app` of several versions, with an index."""
    folder = tmp_path / "web"
    for version in ("0.1.0", "0.2.0", "0.3.0+b.1", "1.0.0-rc.1"):
        home.packaged("app", version, folder)
    home.do("repo", "index", folder)
    with served(folder) as found:
        yield found


def add(home: Home, server: Server, name: str = "web", *more: str) -> None:
    home.do("repo", "add", name, server.url, *more)


def rewrite(server: Server, old: str, new: str) -> None:
    file = server.folder / "index.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


# ---- what is chosen --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "version"),
    [
        ((), "0.3.0+b.1"),
        (("--version", "0.1.0"), "0.1.0"),
        (("--version", ">0.1, <0.3"), "0.2.0"),
        (("--devel",), "1.0.0-rc.1"),
    ],
)
def test_the_newest_that_is_wanted(home: Home, server: Server, flags: tuple[str, ...], version: str) -> None:
    add(home, server)
    home.do("pull", "web/app", *flags)
    assert [file.name for file in home.work.glob("*.tgz")] == [f"app-{version}.tgz"]
    assert f"version: {version}\n" in home.do("show", "chart", "app", "--repo", server.url, *flags)


def test_what_there_is_none_of(home: Home, server: Server) -> None:
    add(home, server)
    again = "not found in web index. (try 'helm repo update')"
    assert home.refused("pull", "web/app", "--version", "9") == (
        f'chart "app" matching 9 {again}: no chart version found for app-9'
    )
    assert home.refused("pull", "web/app", "--version", "x y") == (
        f'chart "app" matching x y {again}: improper constraint: "x y"'
    )
    assert home.refused("pull", "web/none") == f'chart "none" matching  {again}: no chart name found'
    assert home.refused("pull", "other/app") == "repo other not found"
    assert home.refused("show", "chart", "app", "--repo", server.url, "--version", "9") == (
        f'chart "app" version "9" not found in {server.url} repository'
    )
    assert home.refused("pull", f"{server.url}/none.tgz") == (
        f"failed to fetch {server.url}/none.tgz : 404 File not found"
    )
    assert home.refused("pull", "ftp://host/app.tgz") == 'scheme "ftp" not supported'
    assert not list(home.work.glob("*.tgz"))


def test_what_was_fetched_is_kept_and_used_again(home: Home, server: Server) -> None:
    add(home, server)
    first = home.do("template", "web/app")
    digest = hashlib.sha256((server.folder / "app-0.3.0+b.1.tgz").read_bytes()).hexdigest()
    kept = home.folder / "cache" / "content" / digest[:2] / f"{digest}.chart"
    assert kept.is_file()
    server.asked.clear()
    assert home.do("template", "web/app") == first
    assert server.asked == []
    # what isn't whole any more is fetched again
    kept.write_bytes(kept.read_bytes()[:-1])
    assert home.do("template", "web/app") == first
    assert [path for path, _ in server.asked] == ["/app-0.3.0+b.1.tgz"]


def test_a_chart_is_fetched_once_a_command(home: Home, server: Server) -> None:
    file = home.folder / "releases.yaml"
    chart = "chart: {metadata: {name: app, version: 0.1.0}}"
    file.write_text(f"- {{name: web, version: 1, namespace: default, info: {{status: deployed}}, {chart}}}\n")
    home.environment |= {"HELM_DRIVER": "memory", "HELM_MEMORY_DRIVER_DATA": str(file)}
    home.do("upgrade", "web", f"{server.url}/app-0.2.0.tgz", "--dry-run=client")
    assert server.asked == [("/app-0.2.0.tgz", "")]


def test_another_version_than_the_one_that_was_named_is_told(home: Home, server: Server) -> None:
    add(home, server)
    told = "unable to find exact version requested; falling back to closest available version"
    for source in (("web/app",), ("app", "--repo", server.url)):
        answer = home.ask("show", "chart", *source, "--version", "0.2")
        assert answer.errors == f'level=WARN msg="{told}" chart=app requested=0.2 selected=0.2.0\n'
        for exact in ("0.2.0", "=0.2.0", "~0.2"):
            assert home.ask("show", "chart", *source, "--version", exact).errors == ""


def test_an_index_in_another_folder_with_a_token(home: Home, server: Server) -> None:
    below = server.folder / "below"
    below.mkdir()
    (server.folder / "index.yaml").rename(below / "index.yaml")
    (below / "index.yaml").write_text((below / "index.yaml").read_text().replace("- app-", "- ../app-"))
    home.do("repo", "add", "web", f"{server.url}/below?token=t")
    home.do("pull", "web/app")
    assert server.asked == [("/below/index.yaml?token=t", ""), ("/app-0.3.0+b.1.tgz?token=t", "")]


# ---- logins and TLS --------------------------------------------------------------------------------------------------


def test_a_login_is_kept_for_the_owner_only_and_used(home: Home, server: Server) -> None:
    server.login = True
    words = f'looks like "{server.url}" is not a valid chart repository or cannot be reached: failed to fetch '
    assert home.refused("repo", "add", "web", server.url) == f"{words}{server.url}/index.yaml : 401 Unauthorized"
    file = home.folder / "config" / "repositories.yaml"
    assert not file.exists()
    add(home, server, "web", *CREDENTIALS)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    home.do("repo", "update")
    home.do("pull", "web/app", "--untar")
    assert (home.work / "app" / "Chart.yaml").is_file()
    assert {said for _, said in server.asked[1:]} == {BASIC}


@pytest.mark.parametrize("everywhere", [False, True])
def test_other_hosts_are_not_told_the_login(home: Home, server: Server, tmp_path: Path, everywhere: bool) -> None:
    flags = ("--pass-credentials",) if everywhere else ()
    with served(tmp_path / "other") as other:
        name = "app-0.2.0.tgz"
        (other.folder / name).write_bytes((server.folder / name).read_bytes())
        # by the index, and by a redirect
        rewrite(server, f"- {name}", f"- {other.url}/{name}")
        server.elsewhere = other.url
        home.do("pull", "app", "--repo", server.url, "--version", "0.2.0", *CREDENTIALS, *flags)
        home.do("pull", f"{server.url}/elsewhere/{name}", *CREDENTIALS, *flags)
        expected = BASIC if everywhere else ""
        assert other.asked == [(f"/{name}", expected), (f"/{name}", expected)]
        assert {said for _, said in server.asked} == {BASIC}


def test_tls_is_checked(home: Home, server: Server, tmp_path: Path) -> None:
    with served(server.folder, tls=tmp_path / "tls") as secure:
        assert home.refused("repo", "add", "web", secure.url).endswith(
            "tls: failed to verify certificate: x509: certificate signed by unknown authority"
        )
        home.do("repo", "add", "web", secure.url, "--ca-file", tmp_path / "tls" / "ca.crt")
        home.do("repo", "update")
        home.do("pull", "web/app")
        home.do("repo", "add", "loose", secure.url, "--insecure-skip-tls-verify")
        home.do("show", "chart", "loose/app")
        plain = secure.url.replace("https:", "http:")
        assert f'Get "{plain}/index.yaml": ' in home.refused("repo", "add", "plain", plain)
    assert home.refused("repo", "add", "x", server.url, "--ca-file", "none").endswith(
        'can\'t read CA file: "none": open none: no such file or directory'
    )


# ---- servers that mean no good ---------------------------------------------------------------------------------------


def test_redirects_end(home: Home, server: Server) -> None:
    assert home.refused("pull", f"{server.url}/loop/app.tgz") == 'Get "/loop": stopped after 10 redirects'
    assert home.refused("pull", f"{server.url}/file/app.tgz") == (
        'Get "file:///etc/passwd": unsupported protocol scheme "file"'
    )


def test_what_is_cut_off_is_not_kept(home: Home, server: Server) -> None:
    assert home.refused("pull", f"{server.url}/cut/app-0.1.0.tgz") == "unexpected EOF"
    assert home.refused("show", "chart", f"{server.url}/cut/app-0.1.0.tgz") == "unexpected EOF"
    assert list(home.work.glob("*.tgz")) == []
    assert not (home.folder / "cache" / "content").exists()


def test_a_server_that_hangs_or_drips_has_its_time(home: Home, server: Server) -> None:
    words = home.refused("repo", "add", "web", f"{server.url}/hang", "--timeout", "300ms")
    deadline = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    assert words.endswith(f'Get "{server.url}/hang/index.yaml": {deadline}')
    words = home.refused("repo", "add", "web", f"{server.url}/drip", "--timeout", "400ms")
    assert words.endswith("context deadline exceeded (Client.Timeout or context cancellation while reading body)")
    assert not (home.folder / "config" / "repositories.yaml").exists()


def test_answers_have_a_bound(server: Server) -> None:
    with pytest.raises(WebError, match="the answer is larger than 3 MiB"):
        Web().get(f"{server.url}/endless", limit=3 << 20)


def test_an_archive_that_is_not_what_its_index_says(home: Home, server: Server) -> None:
    good = hashlib.sha256((server.folder / "app-0.2.0.tgz").read_bytes()).hexdigest()
    rewrite(server, good, "ab" * 32)
    add(home, server)
    words = f"{server.url}/app-0.2.0.tgz is not what its index says: its digest is {good}, not {'ab' * 32}"
    assert home.refused("pull", "web/app", "--version", "0.2.0") == words
    assert home.refused("template", "app", "--repo", server.url, "--version", "0.2.0") == words
    assert not list(home.work.glob("*.tgz")) and not (home.folder / "cache" / "content").exists()


@pytest.mark.parametrize(
    ("digest", "words"),
    [
        ("'0'", "encoding/hex: odd length hex string"),
        ("zz", "encoding/hex: invalid byte: U+007A 'z'"),
        ("../../../../etc/x", "encoding/hex: invalid byte: U+002E '.'"),
        ("abcd", "2 bytes are no SHA-256"),
    ],
)
def test_a_digest_that_is_none(home: Home, server: Server, digest: str, words: str) -> None:
    good = hashlib.sha256((server.folder / "app-0.2.0.tgz").read_bytes()).hexdigest()
    rewrite(server, good, digest)
    add(home, server)
    assert home.refused("show", "chart", "web/app", "--version", "0.2.0") == f"unable to decode digest: {words}"
    home.do("show", "chart", "app", "--repo", server.url, "--version", "0.2.0")


@pytest.mark.parametrize("path", ["%2e%2e%2fapp-0.2.0.tgz", "..", "%2fetc%2fx.tgz", "a%00.tgz"])
def test_names_lead_nowhere_else(home: Home, server: Server, tmp_path: Path, path: str) -> None:
    """An archive is written under its URL's last part only."""
    before = sorted(tmp_path.rglob("*.tgz"))
    assert home.ask("pull", f"{server.url}/{path}", "-d", ".").code == 1
    assert sorted(tmp_path.rglob("*.tgz")) == before


def test_an_archive_with_paths_outside_is_not_unpacked(home: Home, server: Server) -> None:
    import io
    import tarfile

    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, data in (("app/Chart.yaml", b"apiVersion: v2\nname: app\nversion: 0.1.0\n"), ("app/../../x", b"x")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    (server.folder / "bad.tgz").write_bytes(made.getvalue())
    assert home.refused("pull", f"{server.url}/bad.tgz", "--untar") == "chart illegally references parent directory"
    assert list(home.work.iterdir()) == []


def test_what_is_unpacked_does_not_overwrite(home: Home, server: Server) -> None:
    add(home, server)
    home.do("pull", "web/app", "--untar", "--untardir", "there")
    exists = "failed to untar: a file or directory with the name there/app already exists"
    assert home.refused("pull", "web/app", "--untar", "--untardir", "there") == exists
    left = [path.name for path in (home.work / "there").iterdir()]
    assert left == ["app"]


# ---- indexes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty index.yaml file"),
        ("a: [", "error converting YAML to JSON: yaml: line 1: did not find expected node content"),
        ("foo: bar\n", 'error unmarshaling JSON: while decoding JSON: json: unknown field "foo"'),
        ("entries: {}\n", "no API version specified"),
    ],
)
def test_an_index_that_is_none(home: Home, server: Server, text: str, words: str) -> None:
    add(home, server)
    kept = home.folder / "cache" / "repository" / "web-index.yaml"
    before = kept.read_bytes()
    (server.folder / "index.yaml").write_text(text)
    answer = home.ask("repo", "update")
    assert answer.code == 1
    assert answer.out == (
        "Hang tight while we grab the latest from your chart repositories...\n"
        f'...Unable to get an update from the "web" chart repository ({server.url}):\n\t{words}\n'
    )
    assert answer.errors == f"Error: failed to update the following repositories: [{server.url}]\n"
    assert kept.read_bytes() == before


def test_versions_that_can_not_be_are_told_and_left_out() -> None:
    text = """\
apiVersion: v1
entries:
  app:
  - {name: app, version: 1.0.0, urls: [a.tgz]}
  - {name: ../x, version: 1.0.0, urls: [x.tgz]}
  - {name: app, version: zz, urls: [z.tgz]}
"""
    told: list[object] = []
    found = indexes.parse(text.encode(), "here", lambda level, message, **more: told.append(more["error"]))
    assert [entry.metadata.version for entry in found.entries["app"]] == ["1.0.0"]
    assert told == [
        'validation: chart.metadata.version "zz" is invalid',
        'validation: chart.metadata.name "../x" is invalid',
    ]


def test_an_index_has_a_bound_and_aliases_too() -> None:
    with pytest.raises(ChartError, match="the index is larger than 64 MiB"):
        indexes.parse(b"#" * (65 << 20))
    laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    laughs += "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
    with pytest.raises(ChartError, match="document contains excessive aliasing"):
        indexes.parse(laughs.encode())
    with pytest.raises(ChartError):
        indexes.parse(b"[" * 100_000)
    with pytest.raises(ChartError):
        indexes.parse(b"{" * 100_000)


def test_a_large_index_of_json_is_read() -> None:
    versions = [{"name": "app", "version": f"1.{n}.0", "urls": [f"app-1.{n}.0.tgz"]} for n in range(3000)]
    found = indexes.parse(json.dumps({"apiVersion": "v1", "entries": {"app": versions}}).encode())
    assert found.get("app").metadata.version == "1.2999.0"
    assert found.get("app", "1.5.0").urls == ["app-1.5.0.tgz"]


def test_what_a_large_index_says_is_kept(home: Home, server: Server) -> None:
    file = server.folder / "index.yaml"
    text = file.read_text()
    padding = "".join(f"  - {{name: more, version: 1.{n}.0, description: {'x' * 600}}}\n" for n in range(1000))
    head, _, tail = text.partition("generated:")
    file.write_text(f"{head}  more:\n{padding}generated:{tail}")
    add(home, server)
    kept = home.folder / "cache" / "repository" / "web-index.json"
    assert kept.is_file()
    home.do("pull", "web/app", "--version", "0.1.0")
    assert json.loads(home.do("search", "repo", "web/more", "-o", "json"))[0]["version"] == "1.999.0"
    # another index, and one that is broken, don't count
    add(home, server, "other")
    kept.write_bytes((home.folder / "cache" / "repository" / "other-index.json").read_bytes())
    home.do("show", "chart", "web/app")
    kept.write_text("{")
    home.do("show", "chart", "web/app")
    assert json.loads(kept.read_text())["content"]["apiVersion"] == "v1"
    file.write_text(text)
    home.do("repo", "update")
    assert json.loads(home.do("search", "repo", "web/more", "-o", "json")) == []
    home.do("repo", "remove", "web")
    assert not kept.exists()


@pytest.mark.parametrize(
    ("repository", "reference", "url"),
    [
        ("http://host/charts", "app.tgz", "http://host/charts/app.tgz"),
        ("http://host/charts/", "../app.tgz", "http://host/app.tgz"),
        ("http://host/charts", "/app.tgz", "http://host/app.tgz"),
        ("http://host/charts", "https://other/app.tgz", "https://other/app.tgz"),
        ("http://host/charts?t=1", "app.tgz", "http://host/charts/app.tgz?t=1"),
    ],
)
def test_urls_of_an_index(repository: str, reference: str, url: str) -> None:
    assert indexes.absolute(repository, reference) == url


# ---- the parts -------------------------------------------------------------------------------------------------------


def test_the_cache_has_only_what_is_what_it_is_called(tmp_path: Path) -> None:
    cache = ContentCache(tmp_path)
    path = cache.keep(b"an archive", b"signed")
    digest = hashlib.sha256(b"an archive").hexdigest()
    assert path == tmp_path / digest[:2] / f"{digest}.chart"
    assert (cache.archive(digest), cache.provenance(digest)) == (b"an archive", b"signed")
    path.write_bytes(b"another")
    assert cache.archive(digest) is None
    assert cache.archive("../../etc/passwd") is None


def test_repositories_are_updated_side_by_side_and_each_is_told(home: Home, server: Server) -> None:
    add(home, server, "one")
    add(home, server, "two")
    home.do("repo", "add", "gone", server.url)
    file = home.folder / "config" / "repositories.yaml"
    text = file.read_text()
    head, _, tail = text.partition("name: gone")
    file.write_text(f"{head}name: gone{tail.replace(server.url, 'http://127.0.0.1:1', 1)}")
    answer = home.ask("repo", "update")
    lines = answer.out.splitlines()
    assert sorted(lines[1:]) == sorted(
        [
            '...Successfully got an update from the "one" chart repository',
            '...Successfully got an update from the "two" chart repository',
            '...Unable to get an update from the "gone" chart repository (http://127.0.0.1:1):',
            '\tGet "http://127.0.0.1:1/index.yaml": dial tcp 127.0.0.1:1: connect: connection refused',
        ]
    )
    assert (answer.code, answer.errors) == (
        1,
        "Error: failed to update the following repositories: [http://127.0.0.1:1]\n",
    )


def test_a_login_goes_nowhere_that_is_less_safe() -> None:
    """A redirect from https to http of the same host and port is another place."""
    from heeler.packages.repositories.web import place

    assert place("https://host/a") == place("https://HOST:443/b")
    assert place("https://host/a") != place("http://host:443/a")
    assert Login("a", "b").header == "Basic YTpi"
    assert Tls().verify


# ---- a hub -----------------------------------------------------------------------------------------------------------


def test_a_hub_is_searched(home: Home, server: Server) -> None:
    api = server.folder / "api" / "chartsvc" / "v1" / "charts" / "search"
    api.parent.mkdir(parents=True)
    latest = {"latestChartVersion": {"data": {"version": "1.2.3", "app_version": "9"}}}
    repository = {"name": "a", "url": "https://a.example.com"}
    one = {
        "id": "a/b",
        "attributes": {"description": "what it is", "repo": repository},
        "relationships": latest,
    }
    api.write_text(json.dumps({"data": [one]}))
    found = json.loads(home.do("search", "hub", "some", "words", "--endpoint", server.url, "-o", "json"))
    assert found == [
        {
            "url": f"{server.url}/charts/a/b",
            "version": "1.2.3",
            "app_version": "9",
            "description": "what it is",
            "repository": {"url": "https://a.example.com", "name": "a"},
        }
    ]
    assert server.asked == [("/api/chartsvc/v1/charts/search?q=some+words", "")]
    api.write_text("junk")
    assert home.do("search", "hub", "--endpoint", server.url) == "No results found\n"
    api.unlink()
    for endpoint in (server.url, "http://127.0.0.1:1"):
        words = f'unable to perform search against "{endpoint}"'
        assert home.refused("search", "hub", "x", "--endpoint", endpoint) == words


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/x", "http://127.0.0.1:abc/x", "http://u:pw@[::1/x"])
def test_what_is_no_address_is_told_without_the_password(url: str) -> None:
    with pytest.raises(WebError, match=r"^parse ") as found:
        Web().ask("GET", url)
    assert "pw" not in str(found.value)


def test_a_login_in_the_address_is_sent_and_not_shown() -> None:
    bare, headers = _without_login("http://usr:s3cret%21@127.0.0.1:1/a?b=c")
    assert bare == "http://127.0.0.1:1/a?b=c"
    assert headers == {"Authorization": "Basic " + base64.b64encode(b"usr:s3cret!").decode()}
    with pytest.raises(WebError) as found:
        Web().ask("GET", "http://usr:s3cret@127.0.0.1:1/a")
    assert "s3cret" not in str(found.value)


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ("{z: 3}", "number into Go struct field IndexFile.entries of type repo.ChartVersions"),
        ("{z: [null, 3]}", "number into Go struct field IndexFile.entries of type repo.ChartVersion"),
        ("[1]", "array into Go struct field IndexFile.entries of type map[string]repo.ChartVersions"),
    ],
)
def test_an_index_of_another_shape_is_none(entries: str, told: str) -> None:
    words = f"error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {told}"
    with pytest.raises(ChartError) as found:
        indexes.parse(f"apiVersion: v1\nentries: {entries}\n".encode())
    assert str(found.value) == words
    assert indexes.parse(b"apiVersion: v1\nentries: {z: null, y: [null]}\n").entries == {}
