"""Bodies that probe one rule each: what kube-apiserver answers to them is recorded beside the changed bodies.

Each is created in a dry run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_CONTAINERS = [{"name": "c", "image": "i"}]
_VOLUME_SPEC = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1"}}
_EMPTY_SOURCES = """
hostPath gitRepo gcePersistentDisk awsElasticBlockStore secret nfs iscsi glusterfs flocker persistentVolumeClaim rbd
cinder cephfs quobyte fc flexVolume configMap azureFile vsphereVolume photonPersistentDisk portworxVolume azureDisk
storageos projected scaleIO csi ephemeral image emptyDir
""".split()
_VOLUME_EMPTY_SOURCES = """
hostPath gcePersistentDisk awsElasticBlockStore glusterfs flocker nfs rbd quobyte cephfs iscsi cinder fc flexVolume
azureFile vsphereVolume photonPersistentDisk portworxVolume azureDisk scaleIO local storageos csi
""".split()
_ISCSI_NAMES = """
iqn.2001-04.com.example iqn.2001-04.com:a iqn.x eui.0123456789abcdef naa.0123456789abcdef
naa.0123456789abcdef0123456789abcdef naa.01 IQN.2001-04.com.example:x
""".split()
#: Sources of a pod's volume, as JSON.
_SOURCES = """
{"emptyDir": {}, "gcePersistentDisk": {"pdName": "x"}}
{"gcePersistentDisk": {"pdName": "x", "partition": -1}}
{"gcePersistentDisk": {"pdName": "x", "partition": 256}}
{"gcePersistentDisk": {"pdName": "x", "partition": 0}}
{"awsElasticBlockStore": {"volumeID": "x", "partition": 256}}
{"fc": {"targetWWNs": ["a"], "wwids": ["x"]}}
{"fc": {"targetWWNs": ["a"]}}
{"fc": {"targetWWNs": ["a"], "lun": 256}}
{"fc": {"wwids": ["a"]}}
{"flocker": {"datasetName": "a/b"}}
{"flocker": {"datasetName": "a", "datasetUUID": "u"}}
{"azureDisk": {"diskName": "a", "diskURI": "x", "cachingMode": "x", "kind": "y"}}
{"azureDisk": {"diskName": "a", "diskURI": "x", "kind": "Managed"}}
{"azureDisk": {"diskName": "a", "diskURI": "/subscriptions/x", "kind": "Managed"}}
{"azureDisk": {"diskName": "a", "diskURI": "/subscriptions/x", "kind": "Dedicated"}}
{"azureDisk": {"diskName": "a", "diskURI": "https://x", "kind": "Shared"}}
{"quobyte": {"registry": "a", "volume": "x"}}
{"quobyte": {"registry": "a:1,b:2", "volume": "x"}}
{"quobyte": {"registry": "a:1:2", "volume": "x"}}
{"storageos": {"volumeName": "A b", "secretRef": {}}}
{"cinder": {"volumeID": "x", "secretRef": {}}}
{"gitRepo": {"repository": "x", "directory": "/a"}}
{"gitRepo": {"repository": "x", "directory": "../a"}}
{"flexVolume": {"driver": "x", "options": {"kubernetes.io/x": "y"}}}
{"flexVolume": {"driver": "x", "options": {"A.K8s.io/z": ""}}}
{"flexVolume": {"driver": "x", "options": {"xk8s.io/a": ""}}}
{"iscsi": {"targetPortal": "x", "iqn": "iqn.2001-04.com.example:x", "chapAuthSession": true}}
{"iscsi": {"targetPortal": "x", "iqn": "iqn.2001-04.com.example:x", "initiatorName": "bad"}}
{"csi": {"driver": "x", "nodePublishSecretRef": {}}}
{"image": {"reference": "x", "pullPolicy": "y"}}
{"hostPath": {"path": "/a/../b", "type": "x"}}
{"projected": {"defaultMode": 9999}}
""".strip().splitlines()
_VOLUME_SOURCES = """
{"cinder": {"volumeID": "x", "secretRef": {}}}
{"storageos": {"secretRef": {}}}
{"glusterfs": {"endpoints": "a", "path": "b", "endpointsNamespace": ""}}
{"azureFile": {"secretName": "a", "shareName": "b", "secretNamespace": ""}}
{"storageos": {"volumeName": "a b", "volumeNamespace": "A b", "secretRef": {"name": "x"}}}
{"local": {"path": "a/../b"}}
""".strip().splitlines()
_SECRET_FILE = '{"secret": {"name": "s", "items": [{"key": "a", "path": "a"}]}}'
_CERTIFICATE = '"signerName": "a.b/c", "keyType": "ED25519"'
#: Lists of a projected volume's sources, without the brackets.
_PROJECTED = f"""
{{"serviceAccountToken": {{"path": ""}}}}
{{"serviceAccountToken": {{"path": "/a", "expirationSeconds": 1}}}}
{{"serviceAccountToken": {{"path": "..a"}}}}
{{"serviceAccountToken": {{"path": "a", "expirationSeconds": 9999999999}}}}
{{"clusterTrustBundle": {{"path": ""}}}}
{{"clusterTrustBundle": {{"path": "/x", "name": "a", "signerName": "b"}}}}
{{"clusterTrustBundle": {{"path": "a", "name": ""}}}}
{{"clusterTrustBundle": {{"path": "a", "name": "N N"}}}}
{{"clusterTrustBundle": {{"path": "a", "signerName": "x"}}}}
{{"clusterTrustBundle": {{"path": "a", "signerName": ""}}}}
{{"clusterTrustBundle": {{"path": "a", "name": "n", "labelSelector": {{}}}}}}
{{"clusterTrustBundle": {{"path": "a", "signerName": "a.b/c", "labelSelector": {{"matchLabels": {{"a b": "c"}}}}}}}}
{{"configMap": {{"name": "x", "items": [{{"key": "a", "path": "/a"}}]}}}}
{{"podCertificate": {{"signerName": "", "keyType": "x"}}}}
{{"podCertificate": {{{_CERTIFICATE}}}}}
{{"podCertificate": {{{_CERTIFICATE}, "keyPath": "/k", "certificateChainPath": "../c", "maxExpirationSeconds": 1}}}}
{{"podCertificate": {{{_CERTIFICATE}, "keyPath": "k", "maxExpirationSeconds": 99999999, "userAnnotations": {{"a b": ""}}}}}}
{{"podCertificate": {{"signerName": "kubernetes.io/x", "keyType": "ED25519", "keyPath": "k", "maxExpirationSeconds": 86401}}}}
{{"podCertificate": {{{_CERTIFICATE}, "keyPath": "k", "credentialBundlePath": "k"}}}}
{{"downwardAPI": {{"items": [{{"path": "/a", "fieldRef": {{"fieldPath": "x"}}}}]}}}}
{{"secret": {{"name": "s"}}, "configMap": {{"name": "c"}}}}
{_SECRET_FILE}, {{"serviceAccountToken": {{"path": "a"}}}}
{_SECRET_FILE}, {{"clusterTrustBundle": {{"path": "a", "name": "n"}}}}
{_SECRET_FILE}, {{"configMap": {{"name": "x", "items": [{{"key": "a", "path": "a"}}]}}}}
{_SECRET_FILE}, {{"downwardAPI": {{"items": [{{"path": "a", "fieldRef": {{"fieldPath": "metadata.name"}}}}]}}}}
""".strip().splitlines()
_OWNERS = """
{"apiVersion": "v1", "kind": "A", "name": "", "uid": ""}
{"apiVersion": "", "kind": "", "name": "x", "uid": "x"}
{"apiVersion": "g/", "kind": "A", "name": "x", "uid": "x"}
{"apiVersion": "/v1", "kind": "A", "name": "x", "uid": "x"}
{"apiVersion": "a/b/c", "kind": "A", "name": "x", "uid": "x"}
{"apiVersion": "v1", "kind": "Event", "name": "x", "uid": "x"}
""".strip().splitlines()
_LEVELS = """
{"type": "", "limited": {"nominalConcurrencyShares": 1, "limitResponse": {"type": "Reject"}}}
{"type": "Odd", "limited": {"nominalConcurrencyShares": 1, "limitResponse": {"type": "Reject"}}}
{"type": "", "exempt": {}}
{"type": "Exempt", "limited": {}}
{"type": "Exempt"}
{"type": "Limited", "exempt": {"nominalConcurrencyShares": -1}}
{"type": "Limited", "exempt": {}, "limited": {"limitResponse": {"type": "Queue", "queuing": {"queues": -1}}}}
{"type": "Limited", "limited": {"limitResponse": {"type": "Reject", "queuing": {}}}}
{"type": "Limited", "limited": {"limitResponse": {"type": "Odd", "queuing": {}}}}
{"type": "Limited", "limited": {"limitResponse": {"type": "Queue"}}}
{"type": "Limited", "limited": {"lendablePercent": 101, "borrowingLimitPercent": -2, "limitResponse": {"type": "Queue"}}}
{"type": "Odd", "exempt": {}, "limited": {}}
""".strip().splitlines()
_FAILURE_RULES = """
{}
{"action": "", "onExitCodes": {}}
{"action": "x", "onExitCodes": {"operator": "", "values": [0]}}
{"action": "Ignore", "onPodConditions": [{}]}
{"action": "Ignore", "onPodConditions": [{"type": "a b", "status": "x"}]}
{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [3, 1, 1]}}
""".strip().splitlines()
_METRICS = """
{"type":"Resource","resource":{"name":"cpu","target":{}}}
{"type":"Resource","resource":{"name":"cpu","target":{"type":"x"}}}
{"type":"Resource","resource":{"name":"","target":{"type":"Value","value":"1"}}}
{"type":"Object","object":{}}
{"type":"Object","object":{"target":{"type":"Value"},"metric":{"name":"a"},"describedObject":{"kind":"A","name":"b"}}}
{"type":"Pods","pods":{}}
{"type":"Pods","pods":{"metric":{"name":"a b"},"target":{"type":"Value","value":"-1"}}}
{"type":"External","external":{}}
{"type":"External","external":{"metric":{"name":"a","selector":{"matchLabels":{"a b":"c"}}},"target":{"type":"AverageValue","averageValue":"0","value":"1"}}}
{"type":"ContainerResource","containerResource":{}}
{"type":"ContainerResource","containerResource":{"name":"cpu","container":"A b","target":{"type":"Utilization","averageUtilization":0}}}
{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":1,"averageValue":"1"}}}
{"type":"Resource"}
{}
{"type":"Pods","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":1}}}
{"type":"x","pods":{"metric":{"name":"a"},"target":{"type":"AverageValue","averageValue":"1"}},"resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":1}}}
{"type":"","pods":{"metric":{"name":"a"},"target":{"type":"AverageValue","averageValue":"1"}}}
{"type":"Pods","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":1}},"external":{"metric":{"name":"a"},"target":{"type":"Value","value":"1"}}}
{"type":"Pods","pods":{"metric":{"name":"a"},"target":{"type":"AverageValue","averageValue":"1"}},"resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":1}},"external":{"metric":{"name":"a"},"target":{"type":"Value","value":"1"}}}
{"type":"x","pods":{"metric":{"name":"a"},"target":{"type":"AverageValue","averageValue":"1"}}}
{"type":"Pods","pods":{"metric":{"name":"a","selector":{"matchExpressions":[{"key":"a","operator":"x"}]}},"target":{"type":"AverageValue","averageValue":"1"}}}
""".strip().splitlines()  # noqa: E501 (a table)
_LIMITS = """
{"min": {"cpu": "3"}, "max": {"cpu": "2"}}
{"min": {"cpu": "3"}, "defaultRequest": {"cpu": "2"}}
{"defaultRequest": {"cpu": "3"}, "max": {"cpu": "2"}}
{"defaultRequest": {"cpu": "3"}, "default": {"cpu": "2"}}
{"min": {"cpu": "3"}, "default": {"cpu": "2"}}
{"default": {"cpu": "3"}, "max": {"cpu": "2"}}
{"min": {"cpu": "5"}, "max": {"cpu": "1"}, "default": {"cpu": "3"}, "defaultRequest": {"cpu": "4"}}
{"maxLimitRequestRatio": {"cpu": "0.5"}}
{"min": {"cpu": "1"}, "max": {"cpu": "2"}, "maxLimitRequestRatio": {"cpu": "3"}}
{"default": {"a.b/c": "1"}, "defaultRequest": {"a.b/c": "2"}}
""".strip().splitlines()
_QUOTAS = "podsx a~b a.b/c requests.a.b/c count/x cpux limits.x kubernetes.io/x hugepages-2Mi storage count/".split()
_DOCKER = ["", "e30=", "W10=", "MQ==", "ew==", "bnVsbA==", "eyJhdXRocyI6MX0="]
_ATTRIBUTES = """
{"a": {}}
{"a": {"bool": true, "int": 1}}
{"a b": {"bool": true}}
{"x.y/a": {"version": "bad"}}
{"a": {"ints": []}}
{"Ab_1/x": {"bool": true}}
{"": {"bool": true}}
{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": {"bool": true}}
""".strip().splitlines()

_BASES = """
two {"spec": {"containers": [{"name": "a", "image": "i", "resources": {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "512Mi"}}}, {"name": "b", "image": "i"}], "initContainers": [{"name": "s", "image": "i", "restartPolicy": "Always", "resources": {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "512Mi"}}}, {"name": "o", "image": "i"}]}}
whole {"spec": {"resources": {"limits": {"cpu": "4", "memory": "4Gi"}, "requests": {"cpu": "2", "memory": "1Gi"}}, "containers": [{"name": "a", "image": "i", "resources": {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "512Mi"}}}]}}
best {"spec": {"containers": [{"name": "a", "image": "i"}]}}
guar {"spec": {"containers": [{"name": "a", "image": "i", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]}}
win {"spec": {"os": {"name": "windows"}, "containers": [{"name": "a", "image": "i", "resources": {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "512Mi"}}}]}}
static {"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}, "spec": {"containers": [{"name": "a", "image": "i", "resources": {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "512Mi"}}}], "nodeName": "nx"}}
ann {"metadata": {"annotations": {"a": "b"}, "finalizers": ["a.b/c"], "labels": {"l": "m"}}, "spec": {"containers": [{"name": "a", "image": "i", "resources": {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "512Mi"}}}]}}
""".strip().splitlines()  # noqa: E501 (a table)
#: Which of the pods above, and the strategic patch of its subresource `resize`.
_RESIZES = """
two {"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "3"}}}]}}
two {"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": null}}}]}}
two {"spec": {"containers": [{"name": "a", "resources": {"requests": {"cpu": null}}}]}}
two {"spec": {"containers": [{"name": "a", "resources": {"limits": {"memory": "512Mi"}}}]}}
two {"spec": {"containers": [{"name": "a", "resources": {"limits": {"memory": "256Mi"}}}]}}
two {"spec": {"containers": [{"name": "b", "resources": {"limits": {"memory": "256Mi"}}}]}}
two {"spec": {"containers": [{"name": "b", "resources": {"requests": {"cpu": "1m"}}}]}}
two {"spec": {"containers": [{"name": "a", "image": "other"}]}}
two {"spec": {"containers": [{"name": "z", "image": "other"}]}}
two {"spec": {"initContainers": [{"name": "s", "resources": {"limits": {"cpu": "3"}}}]}}
two {"spec": {"initContainers": [{"name": "o", "resources": {"limits": {"cpu": "3"}}}]}}
two {"spec": {"containers": [{"name": "a", "resizePolicy": [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]}]}}
two {"spec": {"containers": [{"name": "a", "resources": {"limits": {"ephemeral-storage": "1Gi"}}}]}}
two {"spec": {"containers": [{"name": "a", "resources": {"limits": {"a.b/c": "1"}}}]}}
two {"spec": {"containers": [{"name": "a", "resources": {"claims": [{"name": "x"}]}}]}}
two {"spec": {"containers": [{"name": "a", "resources": {"requests": {"cpu": "5"}}}]}}
two {"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "-1"}}}]}}
two {"metadata": {"labels": {"x": "y"}}}
two {"spec": {"activeDeadlineSeconds": 5}}
two {"spec": {"resources": {"limits": {"cpu": "9"}}}}
two {"status": {"phase": "Running"}}
whole {"spec": {"resources": {"limits": {"cpu": "5"}}}}
whole {"spec": {"resources": {"limits": {"cpu": null}}}}
whole {"spec": {"resources": {"requests": {"cpu": "100m"}}}}
whole {"spec": {"resources": {"limits": {"memory": "1Gi"}}}}
whole {"spec": {"resources": {"limits": {"memory": "512Mi"}}}}
whole {"spec": {"resources": null}}
whole {"spec": {"resources": {"limits": {"hugepages-2Mi": "2Mi"}}}}
whole {"spec": {"containers": [{"name": "a", "resources": {"requests": {"cpu": "2"}}}]}}
best {"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "3"}}}]}}
best {"spec": {"resources": {"limits": {"cpu": "3"}}}}
guar {"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "3"}}}]}}
guar {"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "3"}, "requests": {"cpu": "3"}}}]}}
guar {"spec": {"resources": {"limits": {"cpu": "3", "memory": "3Gi"}}}}
win {"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "3"}}}]}}
two {"spec": {"initContainers": [{"name": "z", "image": "q"}]}}
two {"spec": {"containers": [{"$patch": "delete", "name": "b"}]}}
two {"spec": {"containers": [{"$patch": "replace"}, {"name": "a", "image": "i", "resources": {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "512Mi"}}}, {"name": "c", "image": "i"}]}}
two {"spec": {"containers": [{"$patch": "replace"}, {"name": "b", "image": "i"}, {"name": "a", "image": "i", "resources": {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "512Mi"}}}]}}
two {"spec": {"ephemeralContainers": [{"name": "z", "image": "q"}]}}
two {"spec": {"containers": [{"name": "a", "resources": {"limits": null}}]}}
two {"spec": {"containers": [{"name": "a", "resources": {"limits": null, "requests": null}}]}}
two {"spec": {"containers": [{"name": "a", "resources": {"limits": null, "requests": null, "claims": []}, "resizePolicy": [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]}]}}
two {"spec": {"initContainers": [{"name": "s", "resources": {"limits": {"memory": null}}}]}}
guar {"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": null}}}]}}
guar {"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": null}, "requests": {"cpu": null, "ephemeral-storage": "1"}}}]}}
whole {"spec": {"resources": {"limits": {"hugepages-2Mi": "2Mi"}}, "containers": [{"name": "a", "resources": {"limits": {"cpu": null, "ephemeral-storage": "1"}}}]}}
whole {"spec": {"resources": {"limits": null, "requests": null}}}
whole {"spec": {"resources": {"claims": [{"name": "x"}]}}}
static {"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "3"}}}]}}
win {"spec": {"containers": [{"name": "z", "resources": {"limits": {"cpu": "3"}}}]}}
win {"metadata": {"labels": {"a": "b"}}}
ann {"metadata": {"annotations": {"a": "c"}, "finalizers": ["d.e/f"], "labels": {"l": null}}}
ann {"metadata": {"annotations": null, "ownerReferences": [{"apiVersion": "v1", "kind": "A", "name": "n", "uid": "u"}]}, "spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "3"}}}]}}
two {"spec": {"containers": [{"name": "z"}]}}
two {"spec": {"containers": [{"name": "z"}, {"name": "a", "resources": {"limits": {"cpu": "-1"}}}]}}
guar {"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "-1"}}}]}}
whole {"spec": {"resources": {"limits": {"cpu": null}, "requests": {"cpu": null}}}}
whole {"spec": {"resources": {"limits": {"memory": null}, "requests": {"memory": null, "cpu": "3"}}}}
""".strip().splitlines()  # noqa: E501 (a table)


def resizes() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Pods without names, and patches of their subresource `resize`."""
    pods = {name: json.loads(text) for name, _, text in (line.partition(" ") for line in _BASES)}
    for name, _, patch in (line.partition(" ") for line in _RESIZES):
        yield {"apiVersion": "v1", "kind": "Pod", **pods[name]}, json.loads(patch)


def bodies() -> Iterator[dict[str, Any]]:
    """The objects, without names."""
    sources = [{name: {}} for name in _EMPTY_SOURCES] + [json.loads(line) for line in _SOURCES]
    sources += [{"iscsi": {"targetPortal": "x", "iqn": name}} for name in _ISCSI_NAMES]
    sources += [{"projected": {"sources": json.loads(f"[{line}]")}} for line in _PROJECTED]
    for source in sources:
        spec = {"containers": _CONTAINERS, "volumes": [{"name": "v", **source}]}
        yield {"apiVersion": "v1", "kind": "Pod", "spec": spec}
    for source in [{name: {}} for name in _VOLUME_EMPTY_SOURCES] + [json.loads(line) for line in _VOLUME_SOURCES]:
        yield {"apiVersion": "v1", "kind": "PersistentVolume", "spec": _VOLUME_SPEC | source}
    for line in _OWNERS:
        yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"ownerReferences": [json.loads(line)]}}
    for line in _LEVELS:
        api_version = "flowcontrol.apiserver.k8s.io/v1"
        yield {"apiVersion": api_version, "kind": "PriorityLevelConfiguration", "spec": json.loads(line)}
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "i"}]}}
    for line in _FAILURE_RULES:
        policy = {"rules": [json.loads(line)]}
        yield {"apiVersion": "batch/v1", "kind": "Job", "spec": {"podFailurePolicy": policy, "template": template}}
    for line in _METRICS:
        spec = {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            "maxReplicas": 3,
            "metrics": [json.loads(line)],
        }
        yield {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "spec": spec}
    for line in _LIMITS:
        spec = {"limits": [{"type": "Container", **json.loads(line)}]}
        yield {"apiVersion": "v1", "kind": "LimitRange", "spec": spec}
    for name in _QUOTAS:
        yield {"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {name.replace("~", " "): "1"}}}
    for text in _DOCKER:
        for kind, key in (("dockercfg", ".dockercfg"), ("dockerconfigjson", ".dockerconfigjson")):
            yield {"apiVersion": "v1", "kind": "Secret", "type": f"kubernetes.io/{kind}", "data": {key: text}}
    for line in _ATTRIBUTES:
        spec = {
            "driver": "d.example.com",
            "pool": {"name": "p", "resourceSliceCount": 1},
            "nodeName": "n",
            "devices": [{"name": "x", "attributes": json.loads(line)}],
        }
        yield {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "spec": spec}
