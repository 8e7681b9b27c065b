"""Defaults of a pod's spec, shared by Pod and every kind with a pod template.

Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/ (the defaults named there).
"""

from __future__ import annotations

import re
from typing import Any

from heeler.objects.value import Object

DEFAULT_MODE = 0o644


def default_template(template: Object) -> None:
    """Fill in a PodTemplateSpec."""
    if "spec" in template:
        default_spec(template["spec"])


def default_pod(pod: Object) -> None:
    """Fill in a Pod: what holds for a template, and what holds for a pod alone."""
    spec = pod.get("spec")
    if spec is None:
        return
    default_spec(spec)
    if "enableServiceLinks" not in spec:
        spec["enableServiceLinks"] = True
    for container in (*(spec.get("containers") or ()), *spec.get("initContainers", ())):
        _default_requests(container["resources"])
        if spec.get("hostNetwork"):
            for port in container.get("ports", ()):
                if not port.get("hostPort") and port.get("containerPort"):
                    port["hostPort"] = port["containerPort"]


def _default_requests(resources: Object) -> None:
    limits = resources.get("limits")
    if limits:
        requests = resources.setdefault("requests", {})
        for key, value in limits.items():
            requests.setdefault(key, value)


def default_spec(spec: Object) -> None:
    """Fill in a PodSpec."""
    if not spec.get("dnsPolicy"):
        spec["dnsPolicy"] = "ClusterFirst"
    if not spec.get("restartPolicy"):
        spec["restartPolicy"] = "Always"
    if spec.get("terminationGracePeriodSeconds") is None:
        spec["terminationGracePeriodSeconds"] = 30
    if "securityContext" not in spec:
        spec["securityContext"] = {}
    if not spec.get("schedulerName"):
        spec["schedulerName"] = "default-scheduler"
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for volume in spec.get("volumes", ()):
        default_volume(volume)
    for key in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(key) or ():
            default_container(container)


def drop_disabled(spec: Object | None) -> None:
    """Drop, in place, fields whose feature is off by default: a container's stop signal."""
    for key in ("initContainers", "containers", "ephemeralContainers"):
        for container in (spec or {}).get(key) or ():
            lifecycle = container.get("lifecycle")
            if lifecycle and "stopSignal" in lifecycle:
                del lifecycle["stopSignal"]
                if not lifecycle:
                    del container["lifecycle"]


#: An image's name as registries have it: [host[:port]/]path[:tag][@digest].
#: https://github.com/distribution/reference (grammar)
_HOST = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:\.|__|_|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?:(?:{_HOST}|\[[0-9a-fA-F:]+\](?::[0-9]+)?)/)?(?P<path>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}))?(?:@(?P<digest>[A-Za-z][0-9A-Za-z+._-]*:[0-9a-fA-F]{32,}))?"
)


def _whole_name(image: str, found: re.Match[str]) -> str:
    """The name with the registry and the folder that are meant if they are left out."""
    name = image[: found.end("path")]
    first, slash, _ = name.partition("/")
    if slash and (set(".:") & set(first) or first == "localhost" or first != first.lower()):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"


def pull_policy(image: str) -> str:
    """Always for the tag `latest` (given or meant), else IfNotPresent; also for what is no image's name."""
    found = _IMAGE.fullmatch(image)
    if found is None or len(_whole_name(image, found)) > 255 or re.fullmatch("[0-9a-f]{64}", image):
        return "IfNotPresent"
    tag = found["tag"] or ("" if found["digest"] else "latest")
    return "Always" if tag == "latest" else "IfNotPresent"


def default_container(container: Object) -> None:
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = pull_policy(container.get("image", ""))
    if not container.get("terminationMessagePath"):
        container["terminationMessagePath"] = "/dev/termination-log"
    if not container.get("terminationMessagePolicy"):
        container["terminationMessagePolicy"] = "File"
    for port in container.get("ports", ()):
        if not port.get("protocol"):
            port["protocol"] = "TCP"
    for env in container.get("env", ()):
        _default_field_ref(env.get("valueFrom"))
    for key in ("livenessProbe", "readinessProbe", "startupProbe"):
        if key in container:
            _default_probe(container[key])
    lifecycle = container.get("lifecycle")
    if lifecycle:
        for key in ("postStart", "preStop"):
            if "httpGet" in lifecycle.get(key, ()):
                _default_http_get(lifecycle[key]["httpGet"])


def _default_field_ref(source: Object | None) -> None:
    if source and "fieldRef" in source and not source["fieldRef"].get("apiVersion"):
        source["fieldRef"]["apiVersion"] = "v1"


def _default_probe(probe: Object) -> None:
    for key, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        if not probe.get(key):
            probe[key] = value
    if "httpGet" in probe:
        _default_http_get(probe["httpGet"])
    if "grpc" in probe and probe["grpc"].get("service") is None:
        probe["grpc"]["service"] = ""


def _default_http_get(action: Object) -> None:
    if not action.get("path"):
        action["path"] = "/"
    if not action.get("scheme"):
        action["scheme"] = "HTTP"


def default_volume(volume: Object) -> None:
    """Fill in a volume; one without a source is an emptyDir."""
    source = next((key for key in volume if key != "name"), None)
    if source is None:
        volume["emptyDir"] = {}
        return
    fill = _VOLUMES.get(source)
    if fill is not None:
        fill(volume[source])


def _mode(source: Object) -> None:
    source.setdefault("defaultMode", DEFAULT_MODE)


def _downward(source: Object) -> None:
    _mode(source)
    for item in source.get("items", ()):
        _default_field_ref(item)


def _projected(source: Object) -> None:
    _mode(source)
    for part in source.get("sources") or ():
        for item in part.get("downwardAPI", {}).get("items", ()):
            _default_field_ref(item)
        if "serviceAccountToken" in part:
            part["serviceAccountToken"].setdefault("expirationSeconds", 3600)


def host_path(source: Object) -> None:
    source.setdefault("type", "")


def iscsi(source: Object) -> None:
    _fill(source, iscsiInterface="default")


def rbd(source: Object) -> None:
    _fill(source, pool="rbd", user="admin", keyring="/etc/ceph/keyring")


def azure_disk(source: Object) -> None:
    _fill(source, cachingMode="ReadWrite", kind="Shared")
    source.setdefault("fsType", "ext4")
    source.setdefault("readOnly", False)


def scale_io(source: Object) -> None:
    _fill(source, storageMode="ThinProvisioned", fsType="xfs")


def _image(source: Object) -> None:
    _fill(source, pullPolicy=pull_policy(source.get("reference", "")))


def _ephemeral(source: Object) -> None:
    if "volumeClaimTemplate" in source:
        source["volumeClaimTemplate"]["spec"].setdefault("volumeMode", "Filesystem")


def _fill(source: Object, **values: Any) -> None:
    for key, value in values.items():
        if not source.get(key):
            source[key] = value


_VOLUMES = {
    "secret": _mode,
    "configMap": _mode,
    "downwardAPI": _downward,
    "projected": _projected,
    "hostPath": host_path,
    "iscsi": iscsi,
    "rbd": rbd,
    "azureDisk": azure_disk,
    "scaleIO": scale_io,
    "image": _image,
    "ephemeral": _ephemeral,
}
