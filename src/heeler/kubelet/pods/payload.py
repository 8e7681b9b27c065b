"""What stands in a volume that is made of API objects: paths to bytes and modes. Pure.

Source: https://kubernetes.io/docs/concepts/storage/projected-volumes/
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from heeler.kubelet.pods import env
from heeler.kubelet.pods.views import spec_of
from heeler.kubelet.sources import Fetched
from heeler.objects.value import Object


class VolumeError(Exception):
    """The volume can't be set up now; told by an event (FailedMount) and tried again."""


@dataclass(frozen=True, slots=True)
class Content:
    data: bytes
    mode: int
    #: The user that owns the file, where it must not be root.
    uid: int | None = None


Payload = dict[str, Content]


def of_volume(pod: Object, volume: Object, fetched: Fetched, facts: env.Facts) -> Payload:
    """A configMap, secret, downwardAPI or projected volume's files. Raises VolumeError."""
    if "configMap" in volume:
        source = volume["configMap"]
        return _config_map(source, source.get("name", ""), fetched, int(source.get("defaultMode", 0o644)))
    if "secret" in volume:
        source = volume["secret"]
        return _secret(source, source.get("secretName", ""), fetched, int(source.get("defaultMode", 0o644)))
    if "downwardAPI" in volume:
        source = volume["downwardAPI"]
        return _downward(pod, source, facts, int(source.get("defaultMode", 0o644)))
    return _projected(pod, volume, fetched, facts)


def _projected(pod: Object, volume: Object, fetched: Fetched, facts: env.Facts) -> Payload:
    out: Payload = {}
    mode = int(volume["projected"].get("defaultMode", 0o644))
    for source in volume["projected"].get("sources") or []:
        if "configMap" in source:
            out |= _config_map(source["configMap"], source["configMap"].get("name", ""), fetched, mode)
        elif "secret" in source:
            out |= _secret(source["secret"], source["secret"].get("name", ""), fetched, mode)
        elif "downwardAPI" in source:
            out |= _downward(pod, source["downwardAPI"], facts, mode)
        elif "serviceAccountToken" in source:
            path = str(source["serviceAccountToken"].get("path", ""))
            uid = _only_user(pod)
            text = fetched.tokens[(volume["name"], path)]
            group = (spec_of(pod).get("securityContext") or {}).get("fsGroup")
            out[path] = Content(text.encode(), 0o600 if uid is not None or group is not None else mode, uid)
        elif "clusterTrustBundle" in source:
            path = str(source["clusterTrustBundle"].get("path", ""))
            out[path] = Content(_bundle(source["clusterTrustBundle"], fetched.bundles[(volume["name"], path)]), mode)
        else:
            raise VolumeError(f"unsupported source of a projected volume: {', '.join(source)}")
    return out


def _bundle(source: Object, found: Sequence[Object]) -> bytes:
    """The certificates of trust bundles, each once, in an order that stays. Raises VolumeError."""
    if not found and not source.get("optional"):
        if source.get("name"):
            raise VolumeError(f'clustertrustbundles.certificates.k8s.io "{source["name"]}" not found')
        raise VolumeError("combination of signerName and labelSelector matched zero ClusterTrustBundles")
    blocks: dict[str, None] = {}
    for bundle in found:
        text = str((bundle.get("spec") or {}).get("trustBundle", ""))
        blocks |= dict.fromkeys(_CERTIFICATE.findall(text))
    return "".join(f"{block}\n" for block in sorted(blocks)).encode()


_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def _only_user(pod: Object) -> int | None:
    """The user as whom all containers run, if the specification says it."""
    spec = spec_of(pod)
    outer = (spec.get("securityContext") or {}).get("runAsUser")
    users: dict[int | None, None] = {}
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        inner = (container.get("securityContext") or {}).get("runAsUser")
        users[inner if inner is not None else outer] = None
    return next(iter(users)) if len(users) == 1 else None


def _selected(source: Object, values: Mapping[str, bytes], mode: int, missing: str) -> Payload:
    items = source.get("items")
    if not items:
        return {key: Content(values[key], mode) for key in sorted(values)}
    out: Payload = {}
    for item in items:
        if item["key"] not in values:
            if source.get("optional"):
                continue
            raise VolumeError(missing.format(item["key"]))
        wanted = item.get("mode")
        out[item["path"]] = Content(values[item["key"]], mode if wanted is None else int(wanted))
    return out


def _config_map(source: Object, name: str, fetched: Fetched, mode: int) -> Payload:
    found = fetched.config_map(name)
    if found is None:
        if source.get("optional"):
            return {}
        raise VolumeError(f'configmap "{name}" not found')
    values = {key: str(value).encode() for key, value in (found.get("data") or {}).items()}
    values |= {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}
    return _selected(source, values, mode, "configmap references non-existent config key: {}")


def _secret(source: Object, name: str, fetched: Fetched, mode: int) -> Payload:
    found = fetched.secret(name)
    if found is None:
        if source.get("optional"):
            return {}
        raise VolumeError(f'secret "{name}" not found')
    values = {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
    return _selected(source, values, mode, "references non-existent secret key: {}")


def _downward(pod: Object, source: Object, facts: env.Facts, mode: int) -> Payload:
    out: Payload = {}
    for item in source.get("items") or []:
        try:
            if "fieldRef" in item:
                text = env.field_value(pod, item["fieldRef"].get("fieldPath", ""), facts)
            else:
                text = env.resource_value(pod, {}, item.get("resourceFieldRef") or {}, facts)
        except env.ConfigError as error:
            raise VolumeError(str(error)) from error
        wanted = item.get("mode")
        out[item["path"]] = Content(text.encode(), mode if wanted is None else int(wanted))
    return out
