"""Releases in a whole cluster: installed, upgraded, rolled back, tested, uninstalled; and what fails on the way."""

from __future__ import annotations

import itertools
import json
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from heeler.client.https import HttpsClient
from heeler.client.kubeconfig import Access
from heeler.objects.status import StatusError
from heeler.packages.releases import install, rollback, test, uninstall, upgrade
from heeler.packages.releases.cluster import Cluster, ClusterError
from heeler.packages.releases.doing import ActionError, Applying, Doing, Waiting
from heeler.packages.releases.records import Hook, Release
from heeler.packages.releases.storage import Secrets, Storage
from heeler.testing.cluster import FreshCluster
from tests.in_process.test_openapi import WIDGETS

T = TypeVar("T")
SERVER, HERE = Applying(), Applying(server_side=False)
HOOKS_ONLY = Waiting()
QUICK = Waiting("watcher", 20.0)
SHORT = Waiting("watcher", 1.0)


@pytest.fixture(scope="module")
def shared() -> Iterator[FreshCluster]:
    with FreshCluster() as found:
        yield found


class Helm:
    """The actions on one cluster."""

    def __init__(self, cluster: FreshCluster) -> None:
        self.cluster = cluster
        self.said: list[str] = []
        client = cluster.client_in_thread()
        moments = (f"2026-01-01T00:00:{second:02}.000000001Z" for second in itertools.count())
        storage = Storage(Secrets(client, "default", lambda: 0))
        self.doing = Doing(Cluster(client, "default"), storage, lambda: next(moments), self._log, self.said.append)

    def _log(self, level: str, message: str, **attributes: object) -> None:
        self.said.append(f"{level} {message}")

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.cluster._run(work)

    def install(
        self, release: Release, waiting: Waiting = HOOKS_ONLY, applying: Applying = SERVER, **more: Any
    ) -> Release:
        return self.run(install.install(self.doing, release, install.Options(waiting, applying, **more)))

    def upgrade(
        self, manifest: str, waiting: Waiting = HOOKS_ONLY, applying: Applying = SERVER, **more: Any
    ) -> Release:
        last, current = self.run(upgrade.before(self.doing, "web"))
        coming = replace(last, version=last.version + 1, manifest=manifest, hooks=more.pop("hooks", ()))
        return self.run(upgrade.upgrade(self.doing, current, coming, upgrade.Options(waiting, applying, **more)))

    def history(self) -> list[tuple[int, str, str]]:
        found = self.run(self.doing.storage.history("web"))
        return [(one.version, one.status, one.description) for one in reversed(found)]

    def data(self, name: str) -> Any:
        try:
            return self.cluster.get("configmaps", name).get("data")
        except StatusError:
            return None


@pytest.fixture
def helm(shared: FreshCluster) -> Helm:
    shared.reset()
    return Helm(shared)


def config_map(name: str, value: object = 1, **annotations: str) -> str:
    noted = f", annotations: {annotations}" if annotations else ""
    return f"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}{noted}}}\ndata: {{a: '{value}'}}\n"


def release(manifest: str = "", **more: Any) -> Release:
    return Release(
        **{"name": "web", "namespace": "default", "version": 1, "status": "", "chart": {}, "manifest": manifest, **more}
    )


def pod_hook(name: str, *events: str, ends: str = "0@1", **more: Any) -> Hook:
    manifest = (
        f'apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, annotations: {{heeler.dev/exit: "{ends}"}}}}\n'
        "spec: {restartPolicy: Never, containers: [{name: a, image: b}]}\n"
    )
    return Hook(name, "Pod", f"app/templates/{name}.yaml", manifest, events, **more)


STUCK = (
    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: stuck}\n"
    "spec: {nodeSelector: {no: where}, containers: [{name: a, image: b}]}\n"
)


@pytest.mark.parametrize("applying", [SERVER, HERE], ids=["on the server", "here"])
def test_from_install_to_uninstall(helm: Helm, applying: Applying) -> None:
    done = helm.install(release(config_map("one") + config_map("two")), applying=applying)
    assert (done.status, done.description, done.apply_method) == ("deployed", "Install complete", applying.method)
    metadata = helm.cluster.get("configmaps", "one")["metadata"]
    assert metadata["labels"] == {"app.kubernetes.io/managed-by": "Helm"}
    assert metadata["annotations"] == {"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "default"}
    helm.upgrade(config_map("one", 2) + config_map("three"), applying=applying)
    assert [helm.data(name) for name in ("one", "two", "three")] == [{"a": "2"}, None, {"a": "1"}]
    again = helm.run(rollback.rollback(helm.doing, "web", rollback.Options(Waiting(), SERVER)))
    assert (again.version, again.description, again.apply_method) == (3, "Rollback to 1", applying.method)
    assert [helm.data(name) for name in ("one", "two", "three")] == [{"a": "1"}, {"a": "1"}, None]
    assert helm.history() == [
        (1, "superseded", "Install complete"),
        (2, "superseded", "Upgrade complete"),
        (3, "deployed", "Rollback to 1"),
    ]
    helm.run(uninstall.uninstall(helm.doing, "web", uninstall.Options(QUICK, SERVER)))
    assert [helm.data(name) for name in ("one", "two")] == [None, None]
    assert helm.cluster.list("secrets", labels="owner=helm") == []


def test_what_others_own_is_not_taken(helm: Helm) -> None:
    helm.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"b": "c"}})
    with pytest.raises(ActionError) as error:
        helm.install(release(config_map("one")))
    words = (
        'missing key "app.kubernetes.io/managed-by": must be set to "Helm"; annotation validation error: missing key'
    )
    head = 'unable to continue with install: ConfigMap "one" in namespace "default" exists and cannot be imported into'
    assert str(error.value).startswith(
        f"{head} the current release: invalid ownership metadata; label validation error: {words}"
    )
    assert helm.cluster.list("secrets", labels="owner=helm") == []
    helm.install(release(config_map("one")), applying=replace(SERVER, take_ownership=True))
    assert helm.data("one") == {"a": "1", "b": "c"}


def test_a_conflict_fails_the_upgrade_until_it_is_forced(helm: Helm) -> None:
    helm.install(release(config_map("one")))
    helm.cluster.patch("configmaps", "one", {"data": {"a": "mine"}})
    with pytest.raises(upgrade.UpgradeFailed) as error:
        helm.upgrade(config_map("one", 5))
    words = "conflict occurred while applying object default/one /v1, Kind=ConfigMap: Apply failed with 1 conflict"
    assert str(error.value).startswith(words)
    assert helm.history()[-1][:2] == (2, "failed")
    helm.upgrade(config_map("one", 5), applying=replace(SERVER, force_conflicts=True))
    assert helm.data("one") == {"a": "5"}
    assert [status for _, status, _ in helm.history()] == ["superseded", "failed", "deployed"]


def test_all_that_is_refused_is_told_and_the_rest_is_done(helm: Helm) -> None:
    helm.install(release(config_map("one") + config_map("two") + config_map("three")))
    for name in ("one", "three"):
        helm.cluster.patch("configmaps", name, {"data": {"a": "mine"}})
    with pytest.raises(upgrade.UpgradeFailed) as error:
        helm.upgrade(config_map("one", 5) + config_map("two", 5) + config_map("three", 5))
    first, second = str(error.value).split(" && ")
    assert first.startswith("conflict occurred while applying object default/one")
    assert second.startswith("conflict occurred while applying object default/three")
    assert helm.data("two") == {"a": "5"}


def test_ways_to_write_that_exclude_each_other_fail_the_revision(helm: Helm) -> None:
    both = replace(SERVER, force_replace=True)
    helm.install(release(config_map("one")), applying=both)  # there is nothing to replace
    with pytest.raises(upgrade.UpgradeFailed, match="cannot use server-side apply and force replace together"):
        helm.upgrade(config_map("one", 5), applying=both)
    assert helm.history()[-1][:2] == (2, "failed")
    assert helm.data("one") == {"a": "1"}


def test_a_patch_made_here_leaves_what_others_added(helm: Helm) -> None:
    helm.install(release(config_map("one")), applying=HERE)
    helm.cluster.patch("configmaps", "one", {"data": {"b": "theirs"}})
    helm.upgrade(config_map("one", 2), applying=HERE)
    assert helm.data("one") == {"a": "2", "b": "theirs"}
    helm.upgrade(config_map("one", 3), applying=replace(HERE, force_replace=True))
    assert helm.data("one") == {"a": "3"}


def test_what_is_not_ready_in_time_fails_and_is_undone_if_asked(helm: Helm) -> None:
    words = "resource Pod/default/stuck not ready. status: InProgress, message: Pod has not been scheduled"
    with pytest.raises(install.InstallFailed) as error:
        helm.install(release(STUCK), SHORT)
    assert str(error.value) == f"{words}\ncontext deadline exceeded"
    assert helm.history() == [(1, "failed", f'Release "web" failed: {words}\ncontext deadline exceeded')]
    helm.run(uninstall.uninstall(helm.doing, "web", uninstall.Options(SHORT, SERVER)))
    with pytest.raises(install.InstallFailed) as error:
        helm.install(release(STUCK), SHORT, rollback_on_failure=True)
    done = "release web failed, and has been uninstalled due to rollback-on-failure being set"
    assert str(error.value) == f"{done}: {words}\ncontext deadline exceeded"
    assert helm.cluster.list("secrets", labels="owner=helm") == []
    helm.install(release(config_map("one")))
    with pytest.raises(upgrade.UpgradeFailed, match="has been rolled back due to rollback-on-failure being set"):
        helm.upgrade(config_map("one", 2) + STUCK, SHORT, rollback_on_failure=True)
    assert helm.data("one") == {"a": "1"}
    assert [status for _, status, _ in helm.history()] == ["superseded", "failed", "deployed"]


def test_hooks_run_in_order_and_go_as_their_policies_say(helm: Helm) -> None:
    late = pod_hook("late", "pre-install", weight=5)
    early = pod_hook("early", "pre-install", weight=-1, delete_policies=("hook-succeeded",))
    done = helm.install(release(config_map("one"), hooks=(late, early)))
    runs = {hook.name: hook.last_run for hook in done.hooks}
    assert runs["early"].phase == runs["late"].phase == "Succeeded"
    assert runs["early"].completed < runs["late"].started
    assert [pod["metadata"]["name"] for pod in helm.cluster.list("pods")] == ["late"]


def test_a_failed_hook_stops_the_install(helm: Helm) -> None:
    hook = pod_hook("bad", "pre-install", ends="1@1", delete_policies=("hook-failed",))
    with pytest.raises(install.InstallFailed) as error:
        helm.install(release(config_map("one"), hooks=(hook,)))
    assert (
        str(error.value)
        == "failed pre-install: resource Pod/default/bad not ready. status: Failed, message: pod bad failed"
    )
    assert helm.data("one") is None
    assert helm.cluster.list("pods") == []
    assert helm.run(helm.doing.storage.last("web")).hooks[0].last_run.phase == "Failed"


def test_tests_are_chosen_by_name(helm: Helm) -> None:
    helm.install(release(config_map("one"), hooks=(pod_hook("good", "test"), pod_hook("bad", "test", ends="1@1"))))

    def tested(**filters: list[str]) -> tuple[dict[str, str], str]:
        found, failure = helm.run(test.test(helm.doing, "web", QUICK, filters, applying=SERVER, later=[]))
        return {hook.name: hook.last_run.phase for hook in found.hooks}, str(failure or "")

    assert tested(name=["good"]) == ({"good": "Succeeded", "bad": ""}, "")
    phases, failure = tested(**{"!name": ["good"]})
    assert phases == {"good": "Succeeded", "bad": "Failed"}
    assert failure == "resource Pod/default/bad not ready. status: Failed, message: pod bad failed"


def test_what_is_to_be_kept_stays(helm: Helm) -> None:
    keep = {"helm.sh/resource-policy": "keep"}
    helm.install(release(config_map("one") + config_map("kept", **keep)))
    gone = helm.run(uninstall.uninstall(helm.doing, "web", uninstall.Options(Waiting(), SERVER)))
    assert gone.info == "These resources were kept due to the resource policy:\n[ConfigMap] kept\n"
    assert (helm.data("one"), helm.data("kept")) == (None, {"a": "1"})


def test_a_history_that_is_kept_can_be_taken_over(helm: Helm) -> None:
    helm.install(release(config_map("one")))
    asked = uninstall.Options(Waiting(), SERVER, keep_history=True)
    helm.run(uninstall.uninstall(helm.doing, "web", asked))
    assert helm.history() == [(1, "uninstalled", "Uninstallation complete")]
    with pytest.raises(ActionError, match='the release named "web" is already deleted'):
        helm.run(uninstall.uninstall(helm.doing, "web", asked))
    with pytest.raises(ActionError, match="cannot reuse a name that is still in use"):
        helm.run(install.check_name(helm.doing, "web", replacing=False))
    assert helm.run(install.check_name(helm.doing, "web", replacing=True)) == 2
    helm.install(release(config_map("one"), version=2), replace=True)
    assert [status for _, status, _ in helm.history()] == ["superseded", "deployed"]


def test_nothing_is_begun_while_something_is_under_way(helm: Helm) -> None:
    helm.run(helm.doing.storage.create(release(status="pending-upgrade")))
    with pytest.raises(ActionError, match=r"another operation \(install/upgrade/rollback\) is in progress"):
        helm.run(upgrade.before(helm.doing, "web"))
    with pytest.raises(ActionError, match='"none" has no deployed releases'):
        helm.run(upgrade.before(helm.doing, "none"))


def test_an_unknown_kind_says_what_to_do(helm: Helm) -> None:
    manifest = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: bad}\n"
    with pytest.raises(ActionError) as error:
        helm.install(release(manifest))
    head = 'unable to build kubernetes objects from release manifest: resource mapping not found for name: "bad" namespace: ""'
    assert (
        str(error.value)
        == f'{head} from "": no matches for kind "Widget" in version "example.com/v1"\nensure CRDs are installed first'
    )


def test_definitions_are_there_before_their_objects(helm: Helm) -> None:
    # (an unquoted n would be false, in YAML as Helm reads it)
    widget = 'apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {size: 1, "n": 1}\n'
    helm.run(install.definitions(helm.doing, [json.dumps(WIDGETS)], SERVER))
    helm.install(release(widget))
    assert helm.cluster.get("widgets.example.com", "w")["spec"]["size"] == 1
    # the second time it is there already
    helm.run(install.definitions(helm.doing, [json.dumps(WIDGETS)], SERVER))


def test_a_cluster_that_is_away_is_said_to_be(helm: Helm) -> None:
    cluster = Cluster(HttpsClient(Access("http://127.0.0.1:1")), "default")
    with pytest.raises(ClusterError, match="kubernetes cluster unreachable"):
        helm.run(cluster.version())
