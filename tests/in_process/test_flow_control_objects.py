"""The priority levels and flow schemas of every cluster, and what a schema says of its level."""

from __future__ import annotations

from heeler.testing.cluster import FreshCluster

SCHEMAS = """\
exempt exempt 1 None
probes exempt 2 None
system-leader-election leader-election 100 ByUser
endpoint-controller workload-high 150 ByUser
workload-leader-election leader-election 200 ByUser
system-node-high node-high 400 ByUser
system-nodes system 500 ByUser
kube-controller-manager workload-high 800 ByNamespace
kube-scheduler workload-high 800 ByNamespace
kube-system-service-accounts workload-high 900 ByNamespace
service-accounts workload-low 9000 ByUser
global-default global-default 9900 ByUser
catch-all catch-all 10000 ByUser"""


def dangling(cluster: FreshCluster, name: str) -> tuple[str, str]:
    conditions = cluster.get("flowschema", name)["status"]["conditions"]
    return conditions[0]["status"], conditions[0]["message"]


def test_flow_schemas_and_levels_as_upstream_has_them_and_dangling_ones() -> None:
    with FreshCluster() as cluster:
        found = {item["metadata"]["name"]: item for item in cluster.list("flowschemas")}
        shown = []
        for line in SCHEMAS.splitlines():
            spec = found.pop(line.split()[0])["spec"]
            flows = (spec.get("distinguisherMethod") or {}).get("type")
            shown.append(
                f"{line.split()[0]} {spec['priorityLevelConfiguration']['name']} {spec['matchingPrecedence']} {flows}"
            )
        assert ("\n".join(shown), found) == (SCHEMAS, {})
        names = "catch-all exempt global-default leader-election node-high system workload-high workload-low"
        assert [item["metadata"]["name"] for item in cluster.list("prioritylevelconfigurations")] == names.split()

        group = "flowcontrol.apiserver.k8s.io/v1"
        spec = {"priorityLevelConfiguration": {"name": "mine"}}
        cluster.create({"apiVersion": group, "kind": "FlowSchema", "metadata": {"name": "a"}, "spec": spec})
        cluster.wait("flowschema/a", "condition=Dangling")
        text = 'This FlowSchema references the PriorityLevelConfiguration object named "mine" '
        assert dangling(cluster, "a") == ("True", text + "but there is no such object")
        level = {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}}
        kind = "PriorityLevelConfiguration"
        cluster.create({"apiVersion": group, "kind": kind, "metadata": {"name": "mine"}, "spec": level})
        cluster.wait("flowschema/a", "condition=Dangling=False")
        assert dangling(cluster, "a") == ("False", text + "and it exists")
        cluster.delete("prioritylevelconfiguration", "mine")
        cluster.wait("flowschema/a", "condition=Dangling")
