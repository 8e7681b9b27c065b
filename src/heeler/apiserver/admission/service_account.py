"""ServiceAccount: a pod has an account, and that account's token mounted unless it says no.

Source: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/ and recorded answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from heeler.apiserver.authorize.node import MIRROR, references
from heeler.base.random import name_suffix
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write

MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
PREFIX = "kube-api-access-"
ENFORCE_SECRETS = "kubernetes.io/enforce-mountable-secrets"
_TRUE = ("1", "t", "T", "true", "TRUE", "True")


async def admit(write: Write) -> None:
    if write.operation != "CREATE" or not write.of("", "pods") or write.new is None:
        return
    pod = write.new
    if MIRROR in (pod["metadata"].get("annotations") or {}):
        _refuse(write, _mirror_refusal(pod))
        return
    spec = pod.setdefault("spec", {})
    name = spec.get("serviceAccountName") or "default"
    spec["serviceAccountName"] = name
    spec.setdefault("serviceAccount", name)
    namespace = write.context.info.namespace
    account = await write.context.server.lookup_fresh("", "serviceaccounts", namespace, name)
    if account is None:
        why = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        raise write.refused(why)
    if _mounts_token(account, spec):
        _mount(spec, PREFIX + name_suffix(write.context.server.random))
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [dict(s) for s in account["imagePullSecrets"]]


async def check(write: Write) -> None:
    if (write.kind.group, write.kind.plural) != ("", "pods") or write.new is None:
        return
    created = write.operation == "CREATE" and not write.subresource
    if not created and write.subresource != "ephemeralcontainers":
        return
    pod = write.new
    mirror = MIRROR in (pod["metadata"].get("annotations") or {})
    why = _mirror_refusal(pod) if created and mirror else ""
    if not mirror:
        account = write.context.server.lookup(
            "", "serviceaccounts", write.context.info.namespace, pod["spec"].get("serviceAccountName") or "default"
        )
        why = next(_unmountable(pod["spec"], account or {}), "")
    _refuse(write, why)


def _refuse(write: Write, why: str) -> None:
    if why:
        raise write.refused(why)


def _mirror_refusal(pod: Object) -> str:
    """A mirror pod shows what runs on a node already: the server gives it nothing."""
    spec = pod.get("spec") or {}
    if spec.get("serviceAccountName"):
        return "a mirror pod may not reference service accounts"
    if references(spec, "secrets"):
        return "a mirror pod may not reference secrets"
    for volume in spec.get("volumes") or ():
        if any(s.get("serviceAccountToken") for s in (volume.get("projected") or {}).get("sources") or ()):
            return "a mirror pod may not use ServiceAccountToken volume projections"
    return ""


def _unmountable(spec: Object, account: Object) -> Iterator[str]:
    """Secrets that a pod uses though its account, which asks for that, doesn't list them."""
    if (account.get("metadata") or {}).get("annotations", {}).get(ENFORCE_SECRETS) not in _TRUE:
        return
    name = account["metadata"]["name"]
    mountable = {s.get("name", "") for s in account.get("secrets") or ()}
    pulled = {s.get("name", "") for s in account.get("imagePullSecrets") or ()}
    because = f"is not allowed because service account {name} does not reference that"
    for volume in spec.get("volumes") or ():
        secret = (volume.get("secret") or {}).get("secretName", "")
        if secret and secret not in mountable:
            yield f'volume with secret.secretName="{secret}" {because} secret'
    for part, called in (
        ("initContainers", "init container"),
        ("containers", "container"),
        ("ephemeralContainers", "ephemeral container"),
    ):
        for container in spec.get(part) or ():
            for variable in container.get("env") or ():
                secret = ((variable.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name", "")
                if secret and secret not in mountable:
                    yield (
                        f"{called} {container['name']} with envVar {variable.get('name', '')} "
                        f'referencing secret.secretName="{secret}" {because} secret'
                    )
    for index, reference in enumerate(spec.get("imagePullSecrets") or ()):
        if reference.get("name", "") not in pulled:
            yield f'imagePullSecrets[{index}].name="{reference.get("name", "")}" {because} imagePullSecret'


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
