"""Charts that one program packaged, signed, indexed and pushed are fetched, verified and built by the other: helm and heeler's.

Each test runs in four combinations; those with helm are skipped where there is none (`tests/peers/helm.py`).
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from heeler.base.processes import find_program
from tests import registry as docker
from tests.chart_server import LOGIN, served
from tests.helm_home import Answer, Home
from tests.peers.helm import find_helm

HELM = find_helm()
PROGRAMS = ("heeler", pytest.param("helm", marks=pytest.mark.skipif(HELM is None, reason="needs helm")))
CREDENTIALS = ("--username", LOGIN[0], "--password", LOGIN[1])


class Pair(NamedTuple):
    """Who makes and who takes."""

    maker: Home
    taker: Home


def home(folder: Path, program: str) -> Home:
    return Home(folder, (HELM or "") if program == "helm" else "")


@pytest.fixture(params=PROGRAMS)
def maker(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    return home(tmp_path / "maker", request.param)


@pytest.fixture(params=PROGRAMS)
def taker(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    return home(tmp_path / "taker", request.param)


@pytest.fixture
def pair(maker: Home, taker: Home) -> Pair:
    return Pair(maker, taker)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[docker.Registry]:
    with docker.served(tmp_path_factory.mktemp("registry") / "files") as found:
        yield found


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with Ann's keys: `secret.gpg` and `public.gpg`, and Eve's public ones, `other.gpg`."""
    program = find_program("gpg")
    if program is None:
        pytest.skip("needs gpg")
    folder = tmp_path_factory.mktemp("keys")
    ring = folder / "ring"
    ring.mkdir(mode=0o700)

    def gpg(*words: str) -> bytes:
        call = [
            program,
            "--homedir",
            str(ring),
            "--batch",
            "--yes",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "pw",
        ]
        return subprocess.run([*call, *words], capture_output=True, check=True, timeout=60).stdout

    for user in ("Ann <ann@example.com>", "Eve <eve@example.com>"):
        gpg("--quick-gen-key", user, "rsa2048")
    (folder / "secret.gpg").write_bytes(gpg("--export-secret-keys", "Ann"))
    (folder / "public.gpg").write_bytes(gpg("--export", "Ann"))
    (folder / "other.gpg").write_bytes(gpg("--export", "Eve"))
    (folder / "passphrase").write_text("pw\n")
    yield folder
    subprocess.run(["gpgconf", "--homedir", str(ring), "--kill", "all"], check=False, capture_output=True)


def signed(maker: Home, keys: Path, folder: Path) -> Path:
    """A signed archive of `app`."""
    chart = maker.chart("app", "1.2.3")
    key = ("--sign", "--key", "Ann", "--keyring", keys / "secret.gpg", "--passphrase-file", keys / "passphrase")
    maker.do("package", chart, "-d", folder, *key)
    return folder / "app-1.2.3.tgz"


def test_a_repository_over_http(pair: Pair, tmp_path: Path) -> None:
    maker, taker = pair
    web = tmp_path / "web"
    archives = [maker.packaged("app", version, web) for version in ("0.1.0", "0.2.0", "1.0.0-rc.1")]
    maker.do("repo", "index", web)
    with served(web, login=True) as server:
        taker.do("repo", "add", "web", server.url, *CREDENTIALS)
        taker.do("repo", "update")
        found = json.loads(taker.do("search", "repo", "web/app", "--versions", "-o", "json"))
        assert [one["version"] for one in found] == ["0.2.0", "0.1.0"]
        taker.do("pull", "web/app")
        assert (taker.work / "app-0.2.0.tgz").read_bytes() == archives[1].read_bytes()
        taker.do("pull", "web/app", "--devel", "--untar")
        assert "version: 1.0.0-rc.1" in (taker.work / "app" / "Chart.yaml").read_text()
        assert "said: hello" in taker.do("template", "web/app")
        # the files of one are those of the other
        maker.environment = taker.environment
        assert maker.do("repo", "list") == taker.do("repo", "list")
        assert "version: 0.1.0" in maker.do("show", "chart", "web/app", "--version", "0.1.x")
        maker.do("repo", "remove", "web")
        assert not list((taker.folder / "cache" / "repository").glob("web*"))


def test_signed_charts(pair: Pair, keys: Path, tmp_path: Path) -> None:
    maker, taker = pair
    web = tmp_path / "web"
    archive = signed(maker, keys, web)
    maker.do("repo", "index", web)
    said = taker.do("verify", archive, "--keyring", keys / "public.gpg")
    assert said.startswith("Signed by: Ann <ann@example.com>\nUsing Key With Fingerprint: ")
    stranger = "openpgp: signature made by unknown entity"
    assert taker.refused("verify", archive, "--keyring", keys / "other.gpg") == stranger
    with served(web) as server:
        taker.do("repo", "add", "web", server.url)
        assert taker.do("pull", "web/app", "--verify", "--keyring", keys / "public.gpg") == said
        assert (taker.work / "app-1.2.3.tgz.prov").read_bytes() == Path(f"{archive}.prov").read_bytes()
        taker.do("template", "web/app", "--verify", "--keyring", keys / "public.gpg")
        assert taker.refused("template", "web/app", "--verify", "--keyring", keys / "other.gpg") == stranger
        # a signature of another archive is none
        content = archive.read_bytes()
        archive.write_bytes(maker.packaged("app", "1.2.3", tmp_path / "again", "icon: x\n").read_bytes())
        taker.do("repo", "add", "again", server.url)
        (web / "index.yaml").unlink()
        maker.do("repo", "index", web)
        taker.do("repo", "update", "again")
        words = taker.refused("pull", "again/app", "--verify", "--keyring", keys / "public.gpg")
        assert words.startswith("sha256 sum does not match for app-1.2.3.tgz: ") and content != archive.read_bytes()


def test_a_registry(pair: Pair, registry: docker.Registry, keys: Path, tmp_path: Path) -> None:
    maker, taker = pair
    host = f"localhost:{registry.port}"
    trust = ("--ca-file", registry.ca)
    group = (
        f"oci://{host}/{maker.program.rpartition('/')[2] or 'heeler'}-{taker.program.rpartition('/')[2] or 'heeler'}"
    )
    archive = signed(maker, keys, tmp_path / "out")
    plus = maker.packaged("app", "1.3.0+build.7", tmp_path / "out")
    who = ("--username", "me", "--password", "secret")
    assert "authentication required" in maker.refused("registry", "login", host, *who[:3], "wrong", *trust)
    maker.do("registry", "login", host, *who, *trust)
    pushed = maker.do("push", archive, group, *trust)
    assert pushed.startswith(f"Pushed: {group.removeprefix('oci://')}/app:1.2.3\nDigest: sha256:")
    assert "app:1.3.0_build.7 contains an underscore." in maker.do("push", plus, group, *trust)
    # the login of one is known to the other
    taker.environment["HELM_REGISTRY_CONFIG"] = str(maker.folder / "config" / "registry" / "config.json")
    assert taker.do("pull", f"{group}/app", "--version", "1.2.3", *trust) == pushed.replace("Pushed:", "Pulled:")
    assert (taker.work / "app-1.2.3.tgz").read_bytes() == archive.read_bytes()
    taker.do("pull", f"{group}/app", *trust)
    assert (taker.work / "app-1.3.0+build.7.tgz").read_bytes() == plus.read_bytes()
    digest = re.findall(r"sha256:\w+", pushed)[0]
    assert "version: 1.2.3" in taker.do("show", "chart", f"{group}/app@{digest}", *trust)
    taker.do("pull", f"{group}/app", "--version", "~1.2", "--verify", "--keyring", keys / "public.gpg", *trust)
    words = taker.refused("template", f"{group}/app", "--version", "9.9.9", *trust)
    assert words.endswith("/app:9.9.9: not found")
    taker.do("registry", "logout", host)
    assert "basic credential not found" in maker.refused("pull", f"{group}/app", *trust)


def dependent(maker: Home, repository: str, version: str) -> Path:
    more = f"dependencies:\n- name: app\n  version: '{version}'\n  repository: '{repository}'\n"
    return maker.chart("whole", "1.0.0", more)


def test_a_lock_is_built_by_the_other(pair: Pair, registry: docker.Registry, tmp_path: Path) -> None:
    maker, taker = pair
    web = tmp_path / "web"
    for version in ("0.1.0", "0.2.0"):
        maker.packaged("app", version, web)
    maker.do("repo", "index", web)
    host, trust = f"localhost:{registry.port}", ("--ca-file", str(registry.ca))
    maker.do("registry", "login", host, "-u", "me", "-p", "secret", *trust)
    maker.do("push", web / "app-0.1.0.tgz", f"oci://{host}/locks", *trust)
    taker.do("registry", "login", host, "-u", "me", "-p", "secret", *trust)
    with served(web) as server:
        for one in pair:
            one.do("repo", "add", "web", server.url)
        for repository, flags in (("@web", ()), (server.url, ()), (f"oci://{host}/locks", trust)):
            chart = dependent(maker, repository, "^0")
            maker.do("dependency", "update", chart, *flags)
            lock = (chart / "Chart.lock").read_text()
            taken = [file.name for file in (chart / "charts").iterdir()]
            (chart / "charts" / taken[0]).unlink()
            said = taker.do("dependency", "build", chart, *flags)
            assert "Saving 1 charts\nDownloading app from repo " in said
            assert [file.name for file in (chart / "charts").iterdir()] == taken
            assert (chart / "Chart.lock").read_text() == lock
            # nor does an update find anything else
            taker.do("dependency", "update", chart, *flags)
            assert (chart / "Chart.lock").read_text() == lock
            (chart / "Chart.lock").unlink()


def compared(folder: Path, *calls: tuple[str | Path, ...]) -> None:
    """Both programs answer the same, one call after the other."""
    if HELM is None:
        pytest.skip("needs helm")
    homes = Home(folder / "ours"), Home(folder / "real", HELM)

    def plain(answer: Answer, one: Home) -> tuple[int, list[str], str]:
        out = answer.out.replace(str(one.folder), "<home>")
        errors = re.sub(r"(\.tgz)\d+", r"\1", answer.errors.replace(str(one.folder), "<home>"))
        return answer.code, sorted(out.splitlines()), errors

    for call in calls:
        ours, real = (plain(one.ask(*call), one) for one in homes)
        assert ours == real, call


def test_both_say_the_same_of_what_goes_wrong(tmp_path: Path) -> None:
    web = tmp_path / "web"
    Home(tmp_path / "maker").packaged("app", "0.1.0", web)
    Home(tmp_path / "maker").do("repo", "index", web)
    with served(web, login=True) as server:
        url = server.url
        compared(
            tmp_path,
            ("repo", "update"),
            ("repo", "add", "a", url),
            ("repo", "add", "a", "http://127.0.0.1:1"),
            ("repo", "add", "a", "foo"),
            ("repo", "add", "a/b", url),
            ("repo", "add", "a", f"{url}/loop"),
            ("repo", "add", "a", f"{url}/cut"),
            ("repo", "add", "a", f"{url}/hang", "--timeout", "200ms"),
            ("repo", "add", "a", url, *CREDENTIALS),
            ("repo", "add", "a", url, *CREDENTIALS),
            ("repo", "add", "a", url),
            ("repo", "add", "a", url, "--username", "me"),
            ("repo", "update", "zz"),
            ("repo", "update"),
            ("pull", "a/app", "--prov"),
            ("pull", "a/app", "--verify"),
            ("pull", "a/app", "-d", "none"),
            ("pull", "a/app", "--version", "x y"),
            ("pull", "a/none"),
            ("repo", "add", "second", url, *CREDENTIALS),
            ("pull", "second/none"),
            ("pull", "second/app", "--version", "9"),
            ("repo", "remove", "second", "third"),
            ("pull", "zz/app"),
            ("pull", "app"),
            ("pull", "app", "--repo", url),
            ("pull", "app", "--repo", url, *CREDENTIALS, "--version", "7"),
            ("pull", f"{url}/app-0.1.0.tgz"),
            ("pull", "--debug", "a/app"),
            ("show", "chart", "a/app"),
            ("show", "chart", "a/app", "--version", "0.1"),
            ("show", "chart", "a/app", "--ca-file", "none"),
            ("template", "a/app"),
            ("push", "app-0.1.0.tgz", "foo"),
            ("push", "app-0.1.0.tgz", "http://host/x"),
            ("push", "app-0.1.0.tgz", "oci://host/Upper"),
            ("push", "none.tgz", "oci://host/x"),
            ("push", ".", "oci://host/x"),
            ("registry", "login", "127.0.0.1:1", "-u", "a", "-p", "b"),
            ("registry", "login", "oci://host/x", "-u", "a", "-p", "b"),
            ("registry", "login", "host"),
            ("registry", "login", "host", "-u", "me"),
            ("registry", "logout", "host"),
            ("repo", "remove", "a"),
            ("pull", "a/app"),
        )
