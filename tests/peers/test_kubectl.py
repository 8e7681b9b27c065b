"""The real kubectl against a cluster of simulated nodes: what people type, and the words that they see."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import LocalCluster
from tests.conftest import find_kubectl

pytestmark = [pytest.mark.kubectl, pytest.mark.timeout(120)]

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "example/web:1", ports: [{containerPort: 8080}]}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    program = find_kubectl()
    if program is None:
        pytest.skip("kubectl is not here")
    found = LocalCluster(tmp_path_factory.mktemp("kubectl"), "peers", program)
    found.up("--simulated-nodes", "2")
    yield found
    found.delete()


@pytest.fixture
def web(cluster: LocalCluster) -> Iterator[LocalCluster]:
    """The deployment `web`, rolled out."""
    cluster.kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    yield cluster
    cluster.kubectl("delete", "deployment", "web", "--ignore-not-found", "--cascade=foreground")


def test_nodes_are_ready(cluster: LocalCluster) -> None:
    lines = cluster.kubectl("get", "nodes", "--no-headers").splitlines()
    assert [line.split()[:2] for line in lines] == [["simulated-0", "Ready"], ["simulated-1", "Ready"]]


def test_up_again_changes_nothing(cluster: LocalCluster) -> None:
    before = cluster.pid("control-plane")
    said = cluster.up()
    assert "runs already" in said
    assert cluster.pid("control-plane") == before


def test_kubeconfig_is_for_its_owner_only(cluster: LocalCluster) -> None:
    file = Path(cluster.environment["KUBECONFIG"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert cluster.kubectl("config", "current-context").strip() == "heeler-peers"


def test_apply_says_created_then_unchanged_then_configured(web: LocalCluster) -> None:
    assert web.kubectl("apply", "-f", "-", stdin=DEPLOYMENT) == "deployment.apps/web unchanged\n"
    changed = DEPLOYMENT.replace("replicas: 3", "replicas: 2")
    assert web.kubectl("apply", "-f", "-", stdin=changed) == "deployment.apps/web configured\n"


def test_server_side_apply_conflicts_name_the_other_manager(web: LocalCluster) -> None:
    changed = DEPLOYMENT.replace("replicas: 3", "replicas: 4")
    said = web.kubectl("apply", "--server-side", "--field-manager=other", "-f", "-", stdin=changed, check=False)
    assert 'conflict with "kubectl-client-side-apply"' in said and ".spec.replicas" in said
    said = web.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=other", "-f", "-", stdin=changed)
    assert said == "deployment.apps/web serverside-applied\n"


def test_diff_shows_what_apply_would_change(web: LocalCluster) -> None:
    changed = DEPLOYMENT.replace("replicas: 3", "replicas: 5")
    said = web.kubectl("diff", "-f", "-", stdin=changed, check=False)
    assert "-  replicas: 3" in said and "+  replicas: 5" in said


def test_rollout_of_a_new_image_and_back(web: LocalCluster) -> None:
    web.kubectl("set", "image", "deployment/web", "web=example/web:2")
    web.kubectl("rollout", "status", "deployment/web", "--timeout=30s")

    def images() -> set[str]:  # pods that are on their way out don't count
        pods = web.get("pods", "-l", "app=web")["items"]
        return {p["spec"]["containers"][0]["image"] for p in pods if "deletionTimestamp" not in p["metadata"]}

    assert images() == {"example/web:2"}
    history = web.kubectl("rollout", "history", "deployment/web")
    assert re.search(r"^1\s", history, re.M) and re.search(r"^2\s", history, re.M)
    assert "deployment.apps/web rolled back" in web.kubectl("rollout", "undo", "deployment/web")
    web.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert web.get("deployment", "web")["spec"]["template"]["spec"]["containers"][0]["image"] == "example/web:1"


def test_scale_changes_the_number_of_pods(web: LocalCluster) -> None:
    assert web.kubectl("scale", "deployment/web", "--replicas=5") == "deployment.apps/web scaled\n"
    web.kubectl("wait", "deployment/web", "--for=jsonpath={.status.readyReplicas}=5", "--timeout=30s")
    assert len(web.get("pods", "-l", "app=web")["items"]) == 5


def test_deleted_pod_is_replaced(web: LocalCluster) -> None:
    pods = [p["metadata"]["name"] for p in web.get("pods", "-l", "app=web")["items"]]
    assert f'pod "{pods[0]}" deleted' in web.kubectl("delete", "pod", pods[0])
    web.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    after = [p["metadata"]["name"] for p in web.get("pods", "-l", "app=web")["items"]]
    assert pods[0] not in after and len(after) == 3


def test_watch_shows_each_step(web: LocalCluster) -> None:
    watching = web.start_kubectl("get", "pods", "-l", "app=web", "-w", "--no-headers", "--output-watch-events")
    assert watching.stdout is not None
    seen = [watching.stdout.readline() for _ in range(3)]
    web.kubectl("scale", "deployment/web", "--replicas=4")
    while not any("ADDED" in line and line not in seen[:3] and "Running" in line for line in seen[3:]):
        line = watching.stdout.readline()
        assert line, "the watch ended"
        seen.append(line)
        if "MODIFIED" in line and "Running" in line:
            break
    watching.terminate()
    watching.communicate()


def test_describe_tells_conditions_and_events(web: LocalCluster) -> None:
    said = web.kubectl("describe", "deployment", "web")
    assert "MinimumReplicasAvailable" in said and "Scaled up replica set" in said
    pod = web.get("pods", "-l", "app=web")["items"][0]["metadata"]["name"]
    said = web.kubectl("describe", "pod", pod)
    assert "Successfully assigned default/" in said and "QoS Class:" in said
    assert "Allocatable:" in web.kubectl("describe", "node", "simulated-0")


def test_expose_gives_a_service_with_endpoints(web: LocalCluster) -> None:
    web.kubectl("expose", "deployment", "web", "--port", "80", "--target-port", "8080")
    try:
        web.wait(lambda: len(web.get("endpointslices", "-l", "kubernetes.io/service-name=web")["items"]) == 1)
        slices = web.get("endpointslices", "-l", "kubernetes.io/service-name=web")["items"]
        web.wait(
            lambda: (
                len(
                    web.get("endpointslices", "-l", "kubernetes.io/service-name=web")["items"][0].get("endpoints") or []
                )
                == 3
            )
        )
        assert slices[0]["ports"][0]["port"] == 8080
    finally:
        web.kubectl("delete", "service", "web")


def test_api_resources_lists_every_default_group(cluster: LocalCluster) -> None:
    names = set(cluster.kubectl("api-resources", "-o", "name").split())
    assert {
        "pods",
        "deployments.apps",
        "cronjobs.batch",
        "leases.coordination.k8s.io",
        "csidrivers.storage.k8s.io",
    } <= names
    assert len(names) > 60


def test_explain_walks_the_fields(cluster: LocalCluster) -> None:
    said = cluster.kubectl("explain", "deployment.spec.strategy.rollingUpdate")
    assert "maxSurge" in said and "IntOrString" in said
    assert 'field "nope" does not exist' in cluster.kubectl("explain", "pod.nope", check=False)


def test_rights_are_asked_and_given(cluster: LocalCluster) -> None:
    assert cluster.kubectl("auth", "can-i", "delete", "pods").strip() == "yes"
    cluster.kubectl("create", "serviceaccount", "robot")
    robot = "--as=system:serviceaccount:default:robot"
    assert cluster.kubectl("auth", "can-i", "list", "pods", robot, check=False).strip() == "no"
    cluster.kubectl("create", "role", "reader", "--verb=get,list,watch", "--resource=pods")
    cluster.kubectl("create", "rolebinding", "robot", "--role=reader", "--serviceaccount=default:robot")
    assert cluster.kubectl("auth", "can-i", "list", "pods", robot).strip() == "yes"
    said = cluster.kubectl("get", "secrets", robot, check=False)
    assert 'cannot list resource "secrets" in API group "" in the namespace "default"' in said
    assert "selfsubjectreviews" in cluster.kubectl("auth", "can-i", "--list", robot)
    token = cluster.kubectl("create", "token", "robot").strip()
    assert token.count(".") == 2
    assert "robot" in cluster.kubectl("auth", "whoami", robot)
    said = cluster.kubectl("auth", "can-i", "--list").splitlines()
    assert said[1].split() == ["*.*", "[]", "[]", "[*]"]  # the administrator's rights, each said once
    assert sum(line.split() == ["[*]", "[]", "[*]"] for line in said) == 1


def test_namespace_with_content_goes(cluster: LocalCluster) -> None:
    cluster.kubectl("create", "namespace", "going")
    cluster.kubectl("create", "configmap", "a", "-n", "going", "--from-literal=x=1")
    cluster.kubectl("create", "deployment", "web", "-n", "going", "--image=example/web:1")
    assert 'namespace "going" deleted' in cluster.kubectl("delete", "namespace", "going", "--timeout=30s")
    assert "not found" in cluster.kubectl("get", "namespace", "going", check=False)


def test_each_namespace_has_its_account_and_authority(cluster: LocalCluster) -> None:
    cluster.kubectl("create", "namespace", "fresh")
    cluster.wait(lambda: "default" in cluster.kubectl("get", "serviceaccounts", "-n", "fresh", check=False))
    cluster.wait(lambda: "kube-root-ca.crt" in cluster.kubectl("get", "configmaps", "-n", "fresh", check=False))
    cluster.kubectl("delete", "namespace", "fresh")


def test_bad_input_is_answered_in_upstreams_words(cluster: LocalCluster) -> None:
    bad = DEPLOYMENT.replace("{matchLabels: {app: web}}", "{matchLabels: {app: other}}")
    said = cluster.kubectl("create", "-f", "-", stdin=bad, check=False)
    assert "`selector` does not match template `labels`" in said
    said = cluster.kubectl("create", "-f", "-", stdin=DEPLOYMENT.replace("replicas: 3", "replica: 3"), check=False)
    assert 'strict decoding error: unknown field "spec.replica"' in said
    said = cluster.kubectl("create", "configmap", "UPPER", check=False)
    assert "a lowercase RFC 1123 subdomain must consist of" in said


def test_what_is_not_enforced_yet_says_so(cluster: LocalCluster) -> None:
    level = """{"apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "PriorityLevelConfiguration",
                "metadata": {"name": "slow"}, "spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}}}"""
    said = cluster.kubectl("apply", "-f", "-", stdin=level)
    assert "Warning: " in said
    cluster.kubectl("delete", "prioritylevelconfiguration", "slow")


def test_an_aggregated_api_without_its_service_says_so(cluster: LocalCluster) -> None:
    service = """{"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1.example.com"},
                  "spec": {"group": "example.com", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 1,
                  "service": {"name": "s", "namespace": "default"}, "insecureSkipTLSVerify": true}}"""
    cluster.kubectl("apply", "-f", "-", stdin=service)
    cluster.wait(lambda: "False (ServiceNotFound)" in cluster.kubectl("get", "apiservice", "v1.example.com"))
    trust = cluster.kubectl("get", "configmap", "extension-apiserver-authentication", "-n", "kube-system", "-o", "yaml")
    assert "requestheader-allowed-names: '[\"front-proxy-client\"]'" in trust
    assert re.search(r"v1.apps +Local +True ", cluster.kubectl("get", "apiservices"))
    said = cluster.kubectl("get", "--raw", "/apis/example.com/v1", check=False)
    assert "the server is currently unable to handle the request" in said
    cluster.kubectl("delete", "apiservice", "v1.example.com")


def test_drained_node_gets_no_pods(web: LocalCluster) -> None:
    said = web.kubectl("drain", "simulated-1", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=30s")
    assert "node/simulated-1 drained" in said
    try:
        web.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
        assert {p["spec"]["nodeName"] for p in web.get("pods", "-l", "app=web")["items"]} == {"simulated-0"}
    finally:
        web.kubectl("uncordon", "simulated-1")


def test_labels_annotations_patches_and_edits(web: LocalCluster) -> None:
    assert web.kubectl("label", "deployment", "web", "tier=front") == "deployment.apps/web labeled\n"
    assert web.kubectl("annotate", "deployment", "web", "note=x") == "deployment.apps/web annotated\n"
    web.kubectl(
        "patch", "deployment", "web", "--type=json", "-p", '[{"op":"replace","path":"/spec/replicas","value":2}]'
    )
    web.kubectl("patch", "deployment", "web", "-p", '{"spec":{"minReadySeconds":1}}')
    spec = web.get("deployment", "web")["spec"]
    assert (spec["replicas"], spec["minReadySeconds"]) == (2, 1)
    names = web.kubectl("get", "deployment", "-l", "tier=front", "-o", "jsonpath={.items[*].metadata.name}")
    assert names == "web"
    columns = web.kubectl("get", "deployment", "web", "-o", "custom-columns=N:.metadata.name,R:.spec.replicas")
    assert columns.split() == ["N", "R", "web", "2"]


def test_events_and_logs_of_pods_without_containers(web: LocalCluster) -> None:
    assert "Scheduled" in web.kubectl("events")
    said = web.kubectl("logs", "deployment/web", check=False)
    assert "simulated node runs no containers" in said


WIDGETS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget, shortNames: [wd], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.size, statusReplicasPath: .status.size}}
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            description: What is wanted.
            required: [size]
            properties:
              size: {type: integer, minimum: 1, description: How big it is.}
              color: {type: string, default: red}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
"""
WIDGET = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a}\nspec: {size: %d}\n"


def test_custom_resources(cluster: LocalCluster) -> None:
    said = cluster.kubectl("apply", "-f", "-", stdin=WIDGETS)
    assert said == "customresourcedefinition.apiextensions.k8s.io/widgets.example.com created\n"
    cluster.kubectl("wait", "crd/widgets.example.com", "--for=condition=Established", "--timeout=10s")
    try:
        assert cluster.kubectl("apply", "-f", "-", stdin=WIDGET % 3) == "widget.example.com/a created\n"
        assert re.match(r"NAME +SIZE +AGE\na +3 +\d+s\n", cluster.kubectl("get", "wd"))
        assert "widget.example.com/a" in cluster.kubectl("get", "all")
        refused = cluster.kubectl("apply", "-f", "-", stdin=WIDGET % 0, check=False)
        assert 'The Widget "a" is invalid: spec.size: Invalid value: 0' in refused
        assert "How big it is." in cluster.kubectl("explain", "widget.spec.size")
        assert cluster.kubectl("scale", "widget/a", "--replicas=7") == "widget.example.com/a scaled\n"
        cluster.kubectl("patch", "wd", "a", "--subresource=status", "--type=merge", "-p", '{"status":{"ok":true}}')
        found = cluster.get("widget", "a")
        assert (found["spec"], found["status"]) == ({"size": 7, "color": "red"}, {"ok": True})
    finally:
        cluster.kubectl("delete", "crd", "widgets.example.com")
    # kubectl has the kind in its discovery cache still
    assert "could not find the requested resource" in cluster.kubectl("get", "widgets", check=False)


@pytest.mark.parametrize("api_version", ["cert-manager.io/v1", "apps/v1beta1"])
def test_a_kind_that_is_not_served_is_named(cluster: LocalCluster, api_version: str) -> None:
    stdin = f"apiVersion: {api_version}\nkind: Certificate\nmetadata: {{name: c}}\n"
    said = cluster.kubectl("apply", "-f", "-", stdin=stdin, check=False)
    assert f'no matches for kind "Certificate" in version "{api_version}"\nensure CRDs are installed first' in said


def test_whoami_names_the_certificate(cluster: LocalCluster) -> None:
    said = cluster.kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.extra}")
    assert re.fullmatch(r'{"authentication.kubernetes.io/credential-id":\["X509SHA256=[0-9a-f]{64}"\]}', said)
