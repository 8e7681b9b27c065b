"""What a pod on a node may be resized to."""

from __future__ import annotations

import pytest

from heeler.objects.status import StatusError
from heeler.testing.cluster import FreshCluster


def test_a_resize_keeps_to_the_node_and_to_the_namespaces_limits() -> None:
    with FreshCluster() as cluster:
        resources = {"requests": {"cpu": "100m"}, "limits": {"cpu": "3"}}
        container = {"name": "c", "image": "i", "resources": resources}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}}
        cluster.create(pod)
        name = cluster.wait("pod/p")["spec"]["nodeName"]
        there = cluster.get("nodes", name)["status"]["allocatable"]["cpu"]

        def refused(cpu: str) -> StatusError:
            wanted = {"requests": {"cpu": cpu}, "limits": {"cpu": cpu}}
            change = {"spec": {"containers": [{"name": "c", "image": "i", "resources": wanted}]}}
            with pytest.raises(StatusError) as error:
                cluster.patch("pods", "p", change, subresource="resize")
            return error.value

        error = refused("1000")
        words = f"node didn't have enough allocatable resources: cpu, requested: 1000000, allocatable: {there}000"
        assert error.message == f'pods "p" is forbidden: {words}'
        assert error.details["causes"] == [{"reason": "NodeCapacity"}]
        most = {"type": "Container", "max": {"cpu": "1"}}
        cluster.create(
            {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": [most]}}
        )
        assert refused("2").message == 'pods "p" is forbidden: maximum cpu usage per Container is 1, but limit is 2'


def test_a_resize_of_the_whole_pod_needs_a_node_that_declares_that_it_can() -> None:
    with FreshCluster() as cluster:
        whole = {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1"}}
        spec = {"resources": whole, "containers": [{"name": "c", "image": "i"}]}
        cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec})
        node = cluster.wait("pod/p")["spec"]["nodeName"]
        change = {"spec": {"resources": {"limits": {"cpu": "3"}}}}
        feature = "InPlacePodLevelResourcesVerticalScaling"
        with pytest.raises(StatusError) as error:
            cluster.patch("pods", "p", change, subresource="resize")
        words = f'pod update requires features {feature} which are not available on node "{node}"'
        assert error.value.message == f'pods "p" is forbidden: {words}'
        cluster.patch("nodes", node, {"status": {"declaredFeatures": [feature]}}, subresource="status")
        changed = cluster.patch("pods", "p", change, subresource="resize")
        assert changed["spec"]["resources"]["limits"]["cpu"] == "3"
