"""ServiceAccount: a pod has an account, and that account's token mounted unless it says no.

Source: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/ and recorded answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heeler.base.random import name_suffix
from heeler.objects.status import forbidden
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write

MIRROR = "kubernetes.io/config.mirror"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
PREFIX = "kube-api-access-"
ENFORCE_SECRETS = "kubernetes.io/enforce-mountable-secrets"


async def admit(write: Write) -> None:
    if write.operation != "CREATE" or not write.of("", "pods") or write.new is None:
        return
    pod = write.new
    if MIRROR in (pod["metadata"].get("annotations") or {}):
        return
    spec = pod.setdefault("spec", {})
    name = spec.get("serviceAccountName") or "default"
    spec["serviceAccountName"] = name
    spec.setdefault("serviceAccount", name)
    namespace = write.context.info.namespace
    account = await write.context.server.lookup_fresh("", "serviceaccounts", namespace, name)
    if account is None:
        why = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        raise forbidden("pods", "", pod["metadata"].get("name", ""), why)
    if _mounts_token(account, spec):
        _mount(spec, PREFIX + name_suffix(write.context.server.random))
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [dict(s) for s in account["imagePullSecrets"]]


async def check(write: Write) -> None:
    if not write.of("", "pods") or write.new is None or write.operation != "CREATE":
        return
    pod = write.new
    if MIRROR not in (pod["metadata"].get("annotations") or {}):
        return
    spec = pod.get("spec") or {}
    name = pod["metadata"].get("name", "")
    if spec.get("serviceAccountName"):
        raise forbidden("pods", "", name, "a mirror pod may not reference service accounts")


def _mounts_token(account: Object, spec: Object) -> bool:
    """The pod's word counts before the account's; without any it is mounted."""
    for said in (spec.get("automountServiceAccountToken"), account.get("automountServiceAccountToken")):
        if said is not None:
            return bool(said)
    return True


def _mount(spec: Object, volume: str) -> None:
    """Mount the token into every container that has nothing there yet; a volume is added if one needs it."""
    present = next((v["name"] for v in spec.get("volumes") or () if v["name"].startswith(PREFIX)), "")
    name, needed = present or volume, False
    for part in ("initContainers", "containers"):
        for container in spec.get(part) or ():
            mounts = container.get("volumeMounts") or []
            if any(m.get("mountPath") == MOUNT_PATH for m in mounts):
                continue
            mount = {"name": name, "readOnly": True, "mountPath": MOUNT_PATH}
            container["volumeMounts"] = [*mounts, mount]
            needed = True
    if needed and not present:
        spec["volumes"] = [*(spec.get("volumes") or ()), _volume(name)]


def _volume(name: str) -> Object:
    sources = [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {
            "downwardAPI": {
                "items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]
            }
        },
    ]
    return {"name": name, "projected": {"sources": sources, "defaultMode": 420}}
