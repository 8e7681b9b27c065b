"""ConfigMaps, Secrets and service-account tokens for a node's pods, fetched when needed and kept for a short while."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Literal

from heeler.base.clock import Clock, parse_rfc3339
from heeler.client.client import Client
from heeler.objects.selectors import escape_field_value, of_object
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object, labels_of, name_of, namespace_of, uid_of

CONFIG_MAPS = GroupVersionResource("", "v1", "configmaps")
SECRETS = GroupVersionResource("", "v1", "secrets")
SERVICE_ACCOUNTS = GroupVersionResource("", "v1", "serviceaccounts")

CLAIMS = GroupVersionResource("", "v1", "persistentvolumeclaims")
VOLUMES = GroupVersionResource("", "v1", "persistentvolumes")
BUNDLES = GroupVersionResource("certificates.k8s.io", "v1", "clustertrustbundles")

Group = Literal["configmap", "secret", "claim", "volume"]
RESOURCES: dict[str, GroupVersionResource] = {
    "configmap": CONFIG_MAPS,
    "secret": SECRETS,
    "claim": CLAIMS,
    "volume": VOLUMES,
}

#: Seconds for which a fetched object is good enough for a pod that starts: three replicas ask once.
FRESH = 1.0
MAX_KEPT = 2000


@dataclass(slots=True)
class Fetched:
    """What was fetched for one pod; satisfies `env.Lookup`."""

    objects: dict[tuple[Group, str], Object | None] = field(default_factory=dict)
    #: (volume, path in it) -> token
    tokens: dict[tuple[str, str], str] = field(default_factory=dict)
    #: (volume, path in it) -> the trust bundles that were asked for
    bundles: dict[tuple[str, str], list[Object]] = field(default_factory=dict)

    def config_map(self, name: str) -> Object | None:
        return self.objects.get(("configmap", name))

    def secret(self, name: str) -> Object | None:
        return self.objects.get(("secret", name))


@dataclass(slots=True)
class _Token:
    text: str
    made_at: float
    renew_at: float


class Sources:
    """Asks the API server with the node's own credentials."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._kept: dict[tuple[Group, str, str], tuple[float, Object | None]] = {}
        self._asking: dict[tuple[Group, str, str], asyncio.Task[Object | None]] = {}
        self._tokens: dict[tuple[str, str, str], _Token] = {}

    async def get(self, group: Group, namespace: str, name: str, max_age: float = FRESH) -> Object | None:
        """The object, at most `max_age` seconds old; None if there is none. Raises StatusError, OSError."""
        key = (group, namespace, name)
        known = self._kept.get(key)
        if known is not None and self._clock.monotonic() - known[0] <= max_age:
            return known[1]
        task = self._asking.get(key)
        if task is None:
            task = asyncio.ensure_future(self._fetch(key))
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(task)

    async def _fetch(self, key: tuple[Group, str, str]) -> Object | None:
        group, namespace, name = key
        try:
            found: Object | None = await self._client.get(RESOURCES[group], name, namespace or None)
        except StatusError as error:
            if error.code != 404:
                raise
            found = None
        while len(self._kept) >= MAX_KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept.pop(key, None)
        self._kept[key] = (self._clock.monotonic(), found)
        return found

    async def token(self, pod: Object, volume: str, source: Object) -> str:
        """A token of the pod's service account, bound to the pod; renewed when four fifths of its life are over.

        One that is of the future, since the clock was set back, would be refused."""
        key = (str(uid_of(pod)), volume, str(source.get("path", "")))
        known = self._tokens.get(key)
        if known is not None and known.made_at <= self._clock.time() < known.renew_at:
            return known.text
        account = str((pod.get("spec") or {}).get("serviceAccountName") or "default")
        wanted: Object = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [source["audience"]] if source.get("audience") else [],
                "expirationSeconds": int(source.get("expirationSeconds") or 3600),
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": name_of(pod), "uid": uid_of(pod)},
            },
        }
        answer = await self._client.create(
            SERVICE_ACCOUNTS, wanted, namespace_of(pod), name=account, subresource="token"
        )
        status = answer.get("status") or {}
        now = self._clock.time()
        ends = parse_rfc3339(status["expirationTimestamp"]) if status.get("expirationTimestamp") else now + 3600
        text = str(status.get("token", ""))
        self._tokens[key] = _Token(text, now, now + min(0.8 * (ends - now), 24 * 3600))
        return text

    async def bundles(self, source: Object) -> list[Object]:
        """The ClusterTrustBundles that a projected source means: one by name, or a signer's with certain labels."""
        if source.get("name"):
            try:
                return [await self._client.get(BUNDLES, str(source["name"]))]
            except StatusError as error:
                if error.code != 404:
                    raise
                return []
        wanted = of_object(source.get("labelSelector"))
        signed = f"spec.signerName={escape_field_value(str(source.get('signerName', '')))}"
        found = (await self._client.list(BUNDLES, field_selector=signed)).items
        return [bundle for bundle in found if wanted.matches(labels_of(bundle))]

    def forget(self, pod_uid: str) -> None:
        """Drop a pod's tokens."""
        for key in [k for k in self._tokens if k[0] == pod_uid]:
            del self._tokens[key]


def wanted_by_environment(container: Object) -> list[tuple[Group, str]]:
    """The objects that a container's variables come from."""
    found: dict[tuple[Group, str], None] = {}
    for source in container.get("envFrom") or []:
        for field_name, group in (("configMapRef", "configmap"), ("secretRef", "secret")):
            if field_name in source:
                found[(group, source[field_name].get("name", ""))] = None  # type: ignore[index]
    for variable in container.get("env") or []:
        source = variable.get("valueFrom") or {}
        for field_name, group in (("configMapKeyRef", "configmap"), ("secretKeyRef", "secret")):
            if field_name in source:
                found[(group, source[field_name].get("name", ""))] = None  # type: ignore[index]
    return list(found)


def wanted_by_volumes(pod: Object) -> list[tuple[Group, str]]:
    """The objects that a pod's volumes show."""
    found: dict[tuple[Group, str], None] = {}
    for volume in (pod.get("spec") or {}).get("volumes") or []:
        if "configMap" in volume:
            found[("configmap", volume["configMap"].get("name", ""))] = None
        elif "secret" in volume:
            found[("secret", volume["secret"].get("secretName", ""))] = None
        for source in (volume.get("projected") or {}).get("sources") or []:
            if "configMap" in source:
                found[("configmap", source["configMap"].get("name", ""))] = None
            elif "secret" in source:
                found[("secret", source["secret"].get("name", ""))] = None
    return list(found)


async def fetch_for_environment(sources: Sources, pod: Object, container: Object) -> Fetched:
    """What one container's variables need. Raises StatusError, OSError."""
    out = Fetched()
    for group, name in wanted_by_environment(container):
        out.objects[(group, name)] = await sources.get(group, namespace_of(pod), name)
    return out


async def fetch_claims(sources: Sources, pod: Object) -> Fetched:
    """The pod's claims and the volumes that they are bound to. Raises StatusError, OSError."""
    out = Fetched()
    for volume in (pod.get("spec") or {}).get("volumes") or []:
        name = claim_name(pod, volume)
        if not name:
            continue
        claim = await sources.get("claim", namespace_of(pod), name, 0.0)
        out.objects[("claim", name)] = claim
        bound = ((claim or {}).get("spec") or {}).get("volumeName") or ""
        if bound:
            out.objects[("volume", bound)] = await sources.get("volume", "", bound, 0.0)
    return out


def claim_name(pod: Object, volume: Object) -> str:
    """The claim that a pod's volume stands for; "" for a volume of another kind."""
    if "persistentVolumeClaim" in volume:
        return str(volume["persistentVolumeClaim"].get("claimName", ""))
    return f"{name_of(pod)}-{volume['name']}" if "ephemeral" in volume else ""


async def fetch_for_volumes(sources: Sources, pod: Object, max_age: float) -> Fetched:
    """What the pod's volumes need, tokens included. Raises StatusError, OSError."""
    out = Fetched()
    for group, name in wanted_by_volumes(pod):
        out.objects[(group, name)] = await sources.get(group, namespace_of(pod), name, max_age)
    for volume in (pod.get("spec") or {}).get("volumes") or []:
        for source in (volume.get("projected") or {}).get("sources") or []:
            token = source.get("serviceAccountToken")
            if token:
                text = await sources.token(pod, volume["name"], token)
                out.tokens[(volume["name"], str(token.get("path", "")))] = text
            trusted = source.get("clusterTrustBundle")
            if trusted:
                out.bundles[(volume["name"], str(trusted.get("path", "")))] = await sources.bundles(trusted)
    return out
