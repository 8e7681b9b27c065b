"""Releases' records: in Helm's form, and where they are kept."""

from __future__ import annotations

import asyncio
import base64
import gzip
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import orjson
import pytest

from heeler.packages.charts.chart import Chart, Dependency, File, Metadata
from heeler.packages.releases.records import Hook, RecordError, Release, Run, chart_json, decode, encode, to_json
from heeler.packages.releases.storage import Memory, NoDeployed, ReleaseNotFound, Storage, StorageError

T = TypeVar("T")

#: As helm 4.3.1 wrote it.
WRITTEN = {
    "name": "hk",
    "info": {
        "first_deployed": "2026-11-26T03:44:02.013137652Z",
        "last_deployed": "2026-11-26T03:44:02.013137652Z",
        "description": "Install complete",
        "status": "deployed",
        "notes": "notes hk",
    },
    "chart": {
        "metadata": {"name": "hooks", "version": "1.0.0", "apiVersion": "v2", "appVersion": "1"},
        "lock": None,
        "templates": [{"name": "templates/a.yaml", "data": "YQ==", "modtime": "2026-11-26T03:44:01.835397074Z"}],
        "values": {"a": 1},
        "schema": "eyJ0eXBlIjoib2JqZWN0In0=",
        "files": [],
        "modtime": "2026-11-26T03:44:01.835049729Z",
    },
    "config": {"a": 5},
    "manifest": "---\nkind: ConfigMap\n",
    "hooks": [
        {
            "name": "t",
            "kind": "Pod",
            "path": "hooks/templates/h.yaml",
            "manifest": "kind: Pod\n",
            "events": ["test", "post-install"],
            "last_run": {
                "started_at": "2026-11-26T03:44:03.274283319Z",
                "completed_at": "2026-11-26T03:44:04.005336667Z",
                "phase": "Succeeded",
            },
            "weight": 3,
            "delete_policies": ["hook-succeeded"],
            "output_log_policies": ["hook-failed"],
        }
    ],
    "version": 1,
    "namespace": "default",
    "apply_method": "ssa",
}


def packed(value: Any) -> str:
    return base64.b64encode(gzip.compress(orjson.dumps(value), mtime=0)).decode()


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def release(version: int, status: str = "superseded", **more: Any) -> Release:
    return Release(**{"name": "web", "namespace": "shop", "version": version, "status": status, "chart": {}, **more})


def test_a_record_of_helm_s_is_read_and_written_as_it_was() -> None:
    found = decode(packed(WRITTEN), {"team": "x"})
    assert (found.name, found.version, found.status, found.labels) == ("hk", 1, "deployed", {"team": "x"})
    assert found.hooks[0].last_run.phase == "Succeeded"
    assert found.key == "sh.helm.release.v1.hk.v1"
    assert to_json(found) == WRITTEN
    assert decode(encode(found), {"team": "x"}) == found


def test_what_only_a_newer_helm_knows_is_kept() -> None:
    newer = {**WRITTEN, "sequence": [1], "info": {**WRITTEN["info"], "rollback_revision": 2}}  # type: ignore[dict-item]
    assert to_json(decode(packed(newer))) == newer


@pytest.mark.parametrize(
    "text", ["", "???", packed([1]), packed({"info": {}}), base64.b64encode(b"\x1f\x8bx").decode()]
)
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(RecordError):
        decode(text)


def test_a_chart_is_recorded_without_what_is_empty() -> None:
    metadata = Metadata(name="app", version="1.0.0", api_version="v2", dependencies=[Dependency("db", "1", tags=["a"])])
    chart = Chart(metadata, templates=[File("templates/a.yaml", b"a")], values={"x": 1}, schema=b"{}")
    assert chart_json(chart) == {
        "metadata": {
            "name": "app",
            "version": "1.0.0",
            "apiVersion": "v2",
            "dependencies": [{"name": "db", "version": "1", "repository": "", "tags": ["a"]}],
        },
        "lock": None,
        "templates": [{"name": "templates/a.yaml", "data": "YQ==", "modtime": "0001-01-01T00:00:00Z"}],
        "values": {"x": 1},
        "schema": "e30=",
        "schemamodtime": "0001-01-01T00:00:00Z",
        "files": None,
        "modtime": "0001-01-01T00:00:00Z",
    }


def test_a_hooks_record_takes_the_place_of_the_older_one() -> None:
    hook = Hook("a", "Pod", "x", "", ("test",))
    found = release(1, hooks=(hook, replace(hook, name="b"))).with_hook(replace(hook, last_run=Run(phase="Failed")))
    assert [one.last_run.phase for one in found.hooks] == ["Failed", ""]


def test_revisions_are_found_and_the_oldest_go_but_not_the_deployed_one() -> None:
    async def main() -> None:
        storage = Storage(Memory("shop"), most=3)
        with pytest.raises(ReleaseNotFound):
            await storage.history("web")
        with pytest.raises(NoDeployed, match='"web" has no deployed releases'):
            await storage.deployed("web")
        await storage.create(release(1, "deployed"))
        for version in range(2, 7):
            await storage.create(release(version, "failed"))
        assert [one.version for one in await storage.history("web")] == [6, 5, 1]
        assert (await storage.deployed("web")).version == 1
        assert (await storage.last("web")).version == 6
        with pytest.raises(StorageError, match="release: already exists"):
            await storage.driver.create(release(6))
        await storage.delete(release(6))
        with pytest.raises(ReleaseNotFound):
            await storage.get("web", 6)
        with pytest.raises(ReleaseNotFound):
            await storage.update(release(6))

    run(main())
