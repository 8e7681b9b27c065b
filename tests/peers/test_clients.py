"""Other people's clients, unmodified: kubernetes, kubernetes_asyncio, kr8s, lightkube, Kopf, client-go, controller-runtime."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heeler.testing.cluster import FreshCluster

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ROOT = Path(__file__).parents[2]
GO = ROOT / "tests" / "peers" / "clientgo"
CONTROLLER_RUNTIME = ROOT / "tests" / "peers" / "controllerruntime"
LABELS = {"app": "web"}
CRD: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "dogs.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"kind": "Dog", "plural": "dogs", "singular": "dog"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
            }
        ],
    },
}


def deployment(name: str = "web") -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}},
        },
    }


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """The clients leave sockets to the garbage collector: they go here, where that is ignored, not in a later test."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def shared() -> Iterator[FreshCluster]:
    with FreshCluster(nodes=2) as found:
        yield found


@pytest.fixture
def cluster(shared: FreshCluster) -> FreshCluster:
    shared.reset()
    return shared


def test_kubernetes(cluster: FreshCluster) -> None:
    from kubernetes import client, config, dynamic, utils, watch

    with config.new_client_from_config(str(cluster.kubeconfig)) as api:
        apps, core = client.AppsV1Api(api), client.CoreV1Api(api)
        utils.create_from_dict(api, deployment())
        for event in watch.Watch().stream(apps.list_namespaced_deployment, "default", timeout_seconds=20):
            if event["object"].status.ready_replicas == 2:
                break
        pods = core.list_namespaced_pod("default", label_selector="app=web", limit=1)
        assert pods.metadata._continue
        assert len(core.list_namespaced_pod("default", limit=1, _continue=pods.metadata._continue).items) == 1
        apps.patch_namespaced_deployment_scale("web", "default", {"spec": {"replicas": 3}})
        assert apps.read_namespaced_deployment_scale("web", "default").spec.replicas == 3
        with pytest.raises(client.ApiException) as refused:
            core.create_namespaced_config_map("default", {"metadata": {"name": "Not Valid"}})
        assert (refused.value.status, "RFC 1123" in refused.value.body) == (422, True)
        assert client.VersionApi(api).get_code().git_version.startswith("v1.37")

        cluster.apply(CRD)
        dogs = dynamic.DynamicClient(api).resources.get(api_version="example.com/v1", kind="Dog")
        dogs.create({"apiVersion": "example.com/v1", "kind": "Dog", "metadata": {"name": "rex"}}, namespace="default")
        dogs.server_side_apply(
            {"apiVersion": "example.com/v1", "kind": "Dog", "metadata": {"name": "rex"}, "spec": {"age": 3}},
            namespace="default",
            field_manager="test",
            force_conflicts=True,
        )
        assert dogs.get(name="rex", namespace="default").spec.age == 3
        review = {"spec": {"resourceAttributes": {"verb": "delete", "resource": "pods", "namespace": "default"}}}
        assert client.AuthorizationV1Api(api).create_self_subject_access_review(review).status.allowed


def test_kubernetes_asyncio(cluster: FreshCluster) -> None:
    from kubernetes_asyncio import client, config, watch

    async def story() -> None:
        found = await config.new_client_from_config(str(cluster.kubeconfig))
        async with found as api:
            apps, core = client.AppsV1Api(api), client.CoreV1Api(api)
            await apps.create_namespaced_deployment("default", deployment())
            async with watch.Watch().stream(
                core.list_namespaced_pod, "default", label_selector="app=web", timeout_seconds=20
            ) as events:
                ready = set()
                async for event in events:
                    if event["object"].status.phase == "Running":
                        ready.add(event["object"].metadata.name)
                    if len(ready) == 2:
                        break
            await core.delete_collection_namespaced_pod("default", label_selector="app=web")
            body = {"spec": {"template": {"metadata": {"annotations": {"a": "b"}}}}}
            patched = await apps.patch_namespaced_deployment("web", "default", body)
            assert patched.spec.template.metadata.annotations == {"a": "b"}

    asyncio.run(story())


def test_kr8s(cluster: FreshCluster) -> None:
    """In a process of its own: it keeps an event loop in a thread for good."""
    script = f"""
import kr8s
from kr8s.objects import Deployment, Pod, new_class
api = kr8s.api(kubeconfig={str(cluster.kubeconfig)!r})
web = Deployment({deployment()!r}, api=api)
web.create()
web.wait("condition=Available", timeout=20)
assert web.ready()
pods = list(kr8s.get("pods", namespace="default", label_selector="app=web", api=api))
assert len(pods) == 2 and all(pod.ready() for pod in pods)
web.scale(3)
web.refresh()
assert web.replicas == 3
web.label(tier="front")
assert web.labels["tier"] == "front"
web.delete(propagation_policy="Foreground")
web.wait("delete", timeout=20)
print("done", api.version()["gitVersion"])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=90, check=False)
    assert done.stdout.startswith("done v1.37"), done.stderr


def test_lightkube(cluster: FreshCluster) -> None:
    from lightkube import ApiError, Client, KubeConfig
    from lightkube.codecs import from_dict
    from lightkube.generic_resource import create_namespaced_resource
    from lightkube.resources.apps_v1 import Deployment
    from lightkube.resources.core_v1 import ConfigMap, Pod

    client = Client(config=KubeConfig.from_file(str(cluster.kubeconfig)), field_manager="lightkube")
    client.apply(from_dict(deployment()), force=True)
    client.wait(Deployment, "web", for_conditions=["Available"])
    assert len(list(client.list(Pod, labels={"app": "web"}))) == 2
    for event, pod in client.watch(Pod, labels={"app": "web"}, server_timeout=20):
        assert event in ("ADDED", "MODIFIED")
        assert pod.status.phase == "Running"
        break
    client.patch(Deployment, "web", {"spec": {"replicas": 1}})
    client.delete(Deployment, "web")
    with pytest.raises(ApiError) as missing:
        client.get(ConfigMap, "none")
    assert missing.value.status.reason == "NotFound"
    cluster.apply(CRD)
    dog = create_namespaced_resource("example.com", "v1", "Dog", "dogs")
    client.create(dog(metadata={"name": "rex"}, spec={"age": 2}), namespace="default")
    assert client.get(dog, "rex", namespace="default").spec["age"] == 2


def test_a_kopf_operator(tmp_path: Path) -> None:
    """The sample project's own tests, as somebody else runs them."""
    from tests.peers.test_pytest_plugin import _run

    folder = tmp_path / "operator"
    shutil.copytree(ROOT / "examples" / "operator", folder)
    done = _run(folder, "-q")
    assert "4 passed" in done.stdout, done.stdout + done.stderr


def build_go(folder: Path, target: Path) -> None:
    """Build the program in a folder; skips where Go or its modules can't be had."""
    go = shutil.which("go") or "/usr/local/go/bin/go"
    if not Path(go).exists():
        pytest.skip("Go isn't here")
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod -buildvcs=false"}
    source = target.parent / "source"
    shutil.copytree(folder, source)
    done = subprocess.run(
        [go, "build", "-o", str(target), "."],
        cwd=source,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    if done.returncode:
        unreachable = ("dial tcp", "no such host", "i/o timeout", "404 Not Found", "requires go >=")
        if any(words in done.stderr for words in unreachable):
            pytest.skip(f"the modules can't be had: {done.stderr[-300:]}")
        pytest.fail(done.stderr)


@pytest.fixture(scope="module")
def client_go(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("clientgo") / "program"
    build_go(GO, program)
    return program


@pytest.mark.parametrize("encoding", ["json", "protobuf"])
def test_a_client_go_program(cluster: FreshCluster, client_go: Path, encoding: str) -> None:
    """Typed, dynamic and metadata clients, informers, watches, patches, server-side apply, leader election, discovery."""
    cluster.apply(CRD)
    words = [str(client_go), encoding]
    done = subprocess.run(words, env=cluster.environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr + cluster.report()
    assert done.stdout.splitlines()[-1] == "all done"


def test_a_controller_runtime_manager(cluster: FreshCluster, tmp_path: Path) -> None:
    """Leader election, caches, owned objects, status, finalizers; webhooks that default, validate, warn and convert."""
    program = tmp_path / "program"
    build_go(CONTROLLER_RUNTIME, program)
    done = subprocess.run(
        [str(program)], env=cluster.environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr + cluster.report()
    assert done.stdout.split("\n") == ["created", "converted", "refused", "deleted", "all done", ""]
